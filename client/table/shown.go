package table

import (
	"fmt"
	"net/netip"
	"text/template"
	"text/template/parse"
)

// The API's types say "invalid IP" of an address that there is not; templates are written for texts, where it is
// the empty one, and false. So what a template prints or decides by goes through the function shown.

const shownName = "_shown"

// shown gives a value as templates know it.
func shown(v any) any {
	switch a := v.(type) {
	case netip.Addr:
		if !a.IsValid() {
			return ""
		}
	case netip.Prefix:
		if !a.IsValid() {
			return ""
		}
	}
	return v
}

func allShown(list []any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = shown(v)
	}
	return out
}

func shownFunctions() template.FuncMap {
	return template.FuncMap{
		shownName: shown,
		"print":   func(list ...any) string { return fmt.Sprint(allShown(list)...) },
		"printf":  func(format string, list ...any) string { return fmt.Sprintf(format, allShown(list)...) },
		"println": func(list ...any) string { return fmt.Sprintln(allShown(list)...) },
	}
}

// showing puts the function at the end of each pipeline that is printed or decided by.
func showing(t *template.Template) *template.Template {
	for _, one := range t.Templates() {
		if one.Tree != nil && one.Root != nil {
			showNodes(one.Root)
		}
	}
	return t
}

func showNodes(list *parse.ListNode) {
	if list == nil {
		return
	}
	branch := func(b *parse.BranchNode) {
		showNodes(b.List)
		showNodes(b.ElseList)
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				showPipe(n.Pipe)
			}
		case *parse.IfNode:
			showPipe(n.Pipe)
			branch(&n.BranchNode)
		case *parse.WithNode:
			showPipe(n.Pipe)
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		}
	}
}

func showPipe(pipe *parse.PipeNode) {
	call := parse.NewIdentifier(shownName).SetPos(pipe.Position())
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pipe.Position(), Args: []parse.Node{call}})
}
