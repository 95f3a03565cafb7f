package containers

import "fmt"

// inDockersWords is fmt.Errorf for texts that clients look for, capital letter and all.
func inDockersWords(format string, args ...any) error { return fmt.Errorf(format, args...) }
