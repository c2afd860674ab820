package doctest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ban refuses the names of a package, or the whole of it, in some of the tree.
type ban struct {
	pkg   string   // import path
	names []string // nil: the import itself
	in    func(file) bool
	why   string
	fix   string
}

// pure holds the packages whose outcome depends on nothing but what they are given.
var pure = []string{"ledger", "ledger/event", "ledger/cert", "ledger/receipt", "ledger/book", "sync/exchange", "sync/wire", "node/till"}

// helpers serve tests only, though they are no test files.
var helpers = []string{"internal/...", "ledger/storetest", "ledger/internal/vector", "hardware/link/linktest", "sync/simnet"}

// inPure leaves the till's loop out: it is the actor around the pure machine.
func inPure(f file) bool {
	return !f.test && slices.Contains(pure, f.pkg) && f.path != "node/till/loop.go"
}

func inTest(f file) bool { return f.test }

func inProduction(f file) bool {
	return !f.test && !matches("cmd/...", f.pkg) && !slices.ContainsFunc(helpers, func(p string) bool { return matches(p, f.pkg) })
}

const (
	whyPure = "one seed must replay a whole district, and the same entries must give the same books"
	fixPure = "take the value as a parameter, or as a field like Now func() time.Time or Rand io.Reader"
)

func bans() []ban {
	return []ban{
		{"time", []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, inPure, whyPure, fixPure},
		{"crypto/rand", nil, inPure, whyPure, fixPure},
		{"math/rand", nil, inPure, whyPure, fixPure},
		{"math/rand/v2", nil, inPure, whyPure, fixPure},
		{"time", []string{"Sleep"}, inTest, "a test that sleeps is slow when it passes and fails when the machine is busy", "wait for an event or a channel, or inject the clock"},
		{"context", []string{"Background", "TO" + "DO"}, inProduction, "work that no caller can end outlives the program's stop and hides who waits", "take a ctx from the caller; only main makes one"},
	}
}

func TestBannedCalls(t *testing.T) {
	report(t, bannedCalls(files(t)))
}

func bannedCalls(tree []file) []string {
	var wrong []string
	for _, f := range tree {
		for _, b := range bans() {
			if b.in(f) {
				wrong = append(wrong, b.breaches(f)...)
			}
		}
	}
	return wrong
}

func (b ban) breaches(f file) []string {
	var wrong []string
	say := func(pos token.Pos, what string) {
		wrong = append(wrong, fmt.Sprintf("%s: %s does not belong here: %s. Instead, %s", f.fset.Position(pos), what, b.why, b.fix))
	}
	local := ""
	for _, spec := range f.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || path != b.pkg {
			continue
		}
		switch {
		case b.names == nil:
			say(spec.Pos(), "the import of "+b.pkg)
			return wrong
		case spec.Name != nil && spec.Name.Name == ".":
			say(spec.Pos(), "a dot import of "+b.pkg+", which hides its calls,")
		case spec.Name != nil:
			local = spec.Name.Name
		default:
			local = b.pkg[strings.LastIndex(b.pkg, "/")+1:]
		}
	}
	if local == "" {
		return wrong
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local && slices.Contains(b.names, s.Sel.Name) {
				say(s.Pos(), b.pkg+"."+s.Sel.Name)
			}
		}
		return true
	})
	return wrong
}

func TestBannedCallRuleFindsBreaches(t *testing.T) {
	wantBreach(t, bannedCalls(snippet(t, "ledger/x.go", "package ledger\nimport (clock \"time\"\n _ \"crypto/rand\"\n)\nvar x = clock.Now\nvar y clock.Duration\n")),
		"time.Now", "crypto/rand")
	wantBreach(t, bannedCalls(snippet(t, "node/till/loop.go", "package till\nimport \"time\"\nvar x = time.Now\n")))
	wantBreach(t, bannedCalls(snippet(t, "node/till/cash.go", "package till\nimport . \"time\"\nvar x = Now\n")), "a dot import")
	wantBreach(t, bannedCalls(snippet(t, "node/x_test.go", "package node\nimport \"time\"\nfunc f() { time.Sleep(1) }\n")), "time.Sleep")
	wantBreach(t, bannedCalls(snippet(t, "node/x.go", "package node\nimport \"context\"\nvar c = context.Background()\n")), "context.Background")
	wantBreach(t, bannedCalls(snippet(t, "cmd/x/main.go", "package main\nimport \"context\"\nvar c = context.Background()\n")))
}

func TestPanicsAndInits(t *testing.T) {
	report(t, panicsAndInits(files(t)))
}

func panicsAndInits(tree []file) []string {
	var wrong []string
	for _, f := range tree {
		lines := strings.Split(string(f.text), "\n")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					wrong = append(wrong, fmt.Sprintf("%s: an init function runs before main, in an order that nobody reads, and cannot fail: make it a constructor", f.fset.Position(n.Pos())))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && !mayPanic(f, n, lines) {
					wrong = append(wrong, fmt.Sprintf("%s: a panic takes the kiosk down: return an error, or, where only a bug of ours gets here, "+
						"say \"broken invariant: ...\" in the message or in the comment right above", f.fset.Position(n.Pos())))
				}
			}
			return true
		})
	}
	return wrong
}

func mayPanic(f file, call *ast.CallExpr, lines []string) bool {
	line := f.fset.Position(call.Pos()).Line
	if strings.Contains(lines[line-1], "broken invariant") {
		return true
	}
	for above := line - 2; above >= 0 && strings.HasPrefix(strings.TrimSpace(lines[above]), "//"); above-- {
		if strings.Contains(lines[above], "broken invariant") {
			return true
		}
	}
	s, ok := call.Args[0].(*ast.SelectorExpr)
	return ok && s.Sel.Name == "ErrAbortHandler" && matches("hardware/sim/...", f.pkg)
}

func TestPanicRuleFindsBreaches(t *testing.T) {
	wantBreach(t, panicsAndInits(snippet(t, "hardware/sim/x/x.go", `package x

func init() {}

func f() {
	panic("a")
	panic("broken invariant: b")
	// broken invariant: c
	// and more of it
	panic("c")
	panic(http.ErrAbortHandler)
}
`)), "init function", "x.go:6")
	wantBreach(t, panicsAndInits(snippet(t, "node/x.go", "package node\nfunc f() { panic(http.ErrAbortHandler) }\n")), "x.go:2")
}
