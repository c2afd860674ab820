package lang

import (
	"errors"
	"fmt"
	"html/template"
	"slices"
	"text/template/parse"
)

// TemplateFunc is the name under which templates call T:
// {{t .Lang "kiosk.cancel.part" "amount" .Part}}.
const TemplateFunc = "t"

// Funcs returns what templates need to speak: t (T), inr (INR), inrShort
// (INRShort), date, dateTime, month and ago.
func Funcs() template.FuncMap {
	return template.FuncMap{
		TemplateFunc: T, "inr": INR, "inrShort": INRShort,
		"date": Date, "dateTime": DateTime, "month": Month, "ago": Ago,
	}
}

// CheckTemplate looks at every call of t in the templates associated with set
// and returns the keys that are written out, sorted, each once. Called right
// after parsing, its error (all mistakes joined, each naming the template and
// the key) makes an unknown key or a wrong set of arguments stop the program
// at start. A key computed at run time cannot be seen here; whoever computes
// it tests it with Placeholders.
func CheckTemplate(set *template.Template) (keys []string, err error) {
	var faults []error
	for _, tmpl := range set.Templates() {
		if tmpl.Tree == nil {
			continue
		}
		walk(tmpl.Tree.Root, func(call *parse.CommandNode) {
			key, names, literal := callOfT(call)
			if !literal {
				return
			}
			keys = append(keys, key)
			if err := checkCall(key, names); err != nil {
				faults = append(faults, fmt.Errorf("template %q: text %q %w", tmpl.Name(), key, err))
			}
		})
	}
	slices.Sort(keys)
	return slices.Compact(keys), errors.Join(faults...)
}

func checkCall(key string, names []string) error {
	want, ok := Placeholders(key)
	if !ok {
		return errors.New("is not in the catalogue")
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		return fmt.Errorf("needs the arguments %v, got %v", want, names)
	}
	return nil
}

// callOfT reads {{t LANG "key" "name" VALUE …}}. An argument name that is not
// written out is returned as "(computed)", which no text has.
func callOfT(call *parse.CommandNode) (key string, names []string, literal bool) {
	if len(call.Args) < 3 {
		return "", nil, false
	}
	if f, ok := call.Args[0].(*parse.IdentifierNode); !ok || f.Ident != TemplateFunc {
		return "", nil, false
	}
	k, ok := call.Args[2].(*parse.StringNode)
	if !ok {
		return "", nil, false
	}
	for i := 3; i < len(call.Args); i += 2 {
		name := "(computed)"
		if s, ok := call.Args[i].(*parse.StringNode); ok {
			name = s.Text
		}
		if i+1 == len(call.Args) {
			name += " without a value"
		}
		names = append(names, name)
	}
	return k.Text, names, true
}

// walk calls visit for every command below n, also inside parentheses.
func walk(n parse.Node, visit func(*parse.CommandNode)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return // a branch without else
		}
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, visit)
	case *parse.IfNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.PipeNode:
		if n == nil {
			return // {{template "x"}} without data
		}
		for _, cmd := range n.Cmds {
			walk(cmd, visit)
		}
	case *parse.CommandNode:
		visit(n)
		for _, arg := range n.Args {
			walk(arg, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, visit)
	}
}

func walkBranch(b *parse.BranchNode, visit func(*parse.CommandNode)) {
	walk(b.Pipe, visit)
	walk(b.List, visit)
	walk(b.ElseList, visit)
}
