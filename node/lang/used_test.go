package lang

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// keyForm is what a key looks like; fileEnds are strings that look alike and are files.
var (
	keyForm  = regexp.MustCompile(`^(kiosk|receipt|office|time|lang)(\.[a-z0-9_]+)+$`)
	quoted   = regexp.MustCompile(`"([a-z0-9_.]+)"`)
	fileEnds = []string{".cbor", ".css", ".html", ".js", ".json", ".key", ".log", ".pem", ".sock", ".socket", ".toml"}
)

// TestEveryTextIsUsedAndEveryUsedTextExists reads the sources: a key counts as used
// where it stands in quotes outside tests and comments. The languages hold the same
// keys (tested above), so a text that exists does so in both.
func TestEveryTextIsUsedAndEveryUsedTextExists(t *testing.T) {
	used := map[string]string{}
	for _, top := range []string{"cmd", "node"} {
		root := filepath.Join("..", "..", top)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			for _, s := range stringsIn(t, path) {
				if keyForm.MatchString(s) && !slices.Contains(fileEnds, filepath.Ext(s)) {
					used[s] = path
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := Keys()
	if len(used) < 100 {
		t.Fatalf("only %d texts are used: the sources were not found", len(used))
	}
	for _, key := range keys {
		if used[key] == "" {
			t.Errorf("%s: no screen, paper or program uses this text; delete it from hi.json and en.json", key)
		}
	}
	for key, path := range used {
		if !slices.Contains(keys, key) {
			t.Errorf("%s uses the text %q, which is not in the catalogue", path, key)
		}
	}
}

// stringsIn returns the quoted strings of a program or page.
func stringsIn(t *testing.T, path string) (all []string) {
	t.Helper()
	isGo := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
	if !isGo && filepath.Ext(path) != ".html" {
		return nil
	}
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !isGo {
		for _, m := range quoted.FindAllStringSubmatch(string(src), -1) {
			all = append(all, m[1])
		}
		return all
	}
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile(path, -1, len(src)), src, nil, 0)
	for {
		_, tok, text := s.Scan()
		if tok == token.EOF {
			return all
		}
		if tok == token.STRING {
			if text, err := strconv.Unquote(text); err == nil {
				all = append(all, text)
			}
		}
	}
}
