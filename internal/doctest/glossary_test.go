package doctest

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const glossary = "docs/GLOSSARY.md"

// term is one row of the glossary.
type term struct {
	name    string
	goNames []string
	never   []forbidden
	line    int
}

// forbidden is a word that no exported name may have in it: anywhere, or only in
// the packages that scope names.
type forbidden struct{ word, scope string }

var scoped = regexp.MustCompile(`^([a-z]+)(?: in ([a-z/.]+))?$`)

func terms(t *testing.T) []term {
	t.Helper()
	tab := readTable(t, glossary, "term", "Go name", "meaning", "never called")
	var all []term
	for i, row := range tab.rows {
		if slices.Contains(row, "") {
			t.Errorf("%s:%d: an empty cell; write — where there is nothing to name", glossary, tab.lines[i])
		}
		tm := term{name: row[0], goNames: items(row[1]), line: tab.lines[i]}
		for _, item := range items(row[3]) {
			m := scoped.FindStringSubmatch(item)
			if m == nil {
				t.Fatalf("%s:%d: %q is neither one word in small letters nor `word in folder/...`", glossary, tab.lines[i], item)
			}
			tm.never = append(tm.never, forbidden{word: m[1], scope: m[2]})
		}
		all = append(all, tm)
	}
	return all
}

func TestGlossaryNamesAreDeclared(t *testing.T) {
	declared := declarations(files(t))
	for _, p := range packages(t) {
		declared[p.path] = true
	}
	report(t, undeclared(terms(t), declared))
}

func undeclared(all []term, declared map[string]bool) []string {
	var wrong []string
	for _, tm := range all {
		for _, name := range tm.goNames {
			if !declared[name] {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %s names %s, which is not declared: a reader who looks for the word finds nothing. "+
					"Write folder.Name, folder.Type.Field or the package's folder, or — while there is no code", glossary, tm.line, tm.name, name))
			}
		}
	}
	return wrong
}

func TestGlossaryIsSorted(t *testing.T) {
	report(t, unsorted(terms(t)))
}

func unsorted(all []term) []string {
	var wrong []string
	for i := 1; i < len(all); i++ {
		if strings.ToLower(all[i-1].name) >= strings.ToLower(all[i].name) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %q stands after %q: one place for each word, in alphabetical order", glossary, all[i].line, all[i].name, all[i-1].name))
		}
	}
	return wrong
}

func TestNamesUseTheGlossary(t *testing.T) {
	report(t, foreignWords(terms(t), files(t)))
}

func foreignWords(all []term, tree []file) []string {
	var wrong []string
	for _, f := range tree {
		if f.test {
			continue
		}
		for _, n := range exported(f.ast) {
			words := camelWords(n.Name)
			for _, tm := range all {
				for _, no := range tm.never {
					if slices.Contains(words, no.word) && (no.scope == "" || matches(no.scope, f.pkg)) {
						wrong = append(wrong, fmt.Sprintf("%s: %s calls a thing %q that is a %q here (%s:%d): two words for one thing are two things to a reader. Rename it; "+
							"if it is another thing, narrow the word to a folder in the glossary", f.fset.Position(n.Pos()), n.Name, no.word, tm.name, glossary, tm.line))
					}
				}
			}
		}
	}
	return wrong
}

func TestGlossaryRulesFindBreaches(t *testing.T) {
	all := []term{
		{name: "segment", goNames: []string{"a.Segment", "a.Segment.Bytes", "a.Gone"}, never: []forbidden{{word: "chunk"}, {word: "part", scope: "a/..."}}},
		{name: "record"},
	}
	tree := snippet(t, "a/x.go", "package a\ntype Segment struct{ Bytes int; ChunkBytes int }\nfunc (Segment) Chunks() {}\nfunc (Segment) Chunk() {}\n"+
		"var chunk int\ntype Parted interface{ PartOf() }\n")
	wantBreach(t, undeclared(all, declarations(tree)), "names a.Gone")
	wantBreach(t, foreignWords(all, tree), "ChunkBytes calls a thing \"chunk\"", "Chunk calls", "PartOf calls a thing \"part\"")
	wantBreach(t, unsorted(all), "\"record\" stands after \"segment\"")
}

// declarations names everything that the production code declares at top level, as
// folder.Name, folder.Type.Field and folder.Type.Method.
func declarations(tree []file) map[string]bool {
	all := map[string]bool{}
	for _, f := range tree {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range declared(d) {
				all[f.pkg+"."+name] = true
			}
		}
	}
	return all
}

func declared(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if r := receiver(d); r != "" {
			return []string{r + "." + d.Name.Name}
		}
		return []string{d.Name.Name}
	case *ast.GenDecl:
		var all []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					all = append(all, n.Name)
				}
			case *ast.TypeSpec:
				all = append(all, s.Name.Name)
				for _, m := range members(s) {
					all = append(all, s.Name.Name+"."+m.Name)
				}
			}
		}
		return all
	}
	return nil
}

// exported returns the identifiers of a file that other packages see.
func exported(f *ast.File) []*ast.Ident {
	var all []*ast.Ident
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if r := receiver(d); r == "" || token.IsExported(r) {
				all = append(all, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					all = append(all, s.Names...)
				case *ast.TypeSpec:
					all = append(all, s.Name)
					if s.Name.IsExported() {
						all = append(all, members(s)...)
					}
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(n *ast.Ident) bool { return !n.IsExported() })
}

// members returns the fields of a struct or the methods of an interface.
func members(s *ast.TypeSpec) []*ast.Ident {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	var all []*ast.Ident
	for _, f := range list.List {
		all = append(all, f.Names...)
	}
	return all
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// camelWords splits a name into words in small letters: HTTPPort2 is http, port2.
func camelWords(name string) []string {
	var words []string
	runes, start := []rune(name), 0
	for i := 1; i < len(runes); i++ {
		begins := unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			words = append(words, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	return append(words, strings.ToLower(string(runes[start:])))
}

func TestCamelWords(t *testing.T) {
	for name, want := range map[string][]string{"HTTPPort": {"http", "port"}, "NewLogID": {"new", "log", "id"}, "A": {"a"}, "NoteQR": {"note", "qr"}} {
		if got := camelWords(name); !slices.Equal(got, want) {
			t.Errorf("camelWords(%q) = %q, want %q", name, got, want)
		}
	}
}
