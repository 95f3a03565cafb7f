package client

import "github.com/spf13/pflag"

const listFormatHelp = `Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`

const objectFormatHelp = `Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`

// listFlags are those that all lists have.
type listFlags struct {
	quiet, noTrunc bool
	format         string
	filter         filters
}

func (l *listFlags) declare(f *pflag.FlagSet, quiet, noTrunc, filter string) {
	l.filter = filters{}
	f.BoolVarP(&l.quiet, "quiet", "q", false, quiet)
	f.BoolVar(&l.noTrunc, "no-trunc", false, noTrunc)
	f.StringVar(&l.format, "format", "", listFormatHelp)
	f.VarP(l.filter, "filter", "f", filter)
}

// choose picks the format: the flag's, the config file's, or "table".
func (l *listFlags) choose(configured string) string {
	switch {
	case l.format != "":
		return l.format
	case configured != "" && !l.quiet:
		return configured
	}
	return "table"
}

// objectFormat declares --format of commands that print one object.
func objectFormat(f *pflag.FlagSet, shorthand string) *string {
	return f.StringP("format", shorthand, "", objectFormatHelp)
}
