package failpoint_test

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestNoSymbolIsInAPlainProgram(t *testing.T) {
	for tags, want := range map[string]bool{"": false, "failpoints": true} {
		program := filepath.Join(t.TempDir(), "program")
		out, err := exec.Command("go", "build", "-tags", tags, "-o", program, "../../cmd/engine-supervisor").CombinedOutput()
		assert.NilError(t, err, "%s", out)
		file, err := elf.Open(program)
		assert.NilError(t, err)
		defer file.Close()
		symbols, err := file.Symbols()
		assert.NilError(t, err)
		found := false
		for _, s := range symbols {
			found = found || strings.Contains(s.Name, "internal/failpoint.")
		}
		assert.Equal(t, found, want, "tags %q", tags)
	}
}
