package doctest

import (
	"fmt"
	"strings"
	"testing"
)

// table is one markdown table: its rows by the names of its columns.
type table struct {
	columns []string
	rows    [][]string
	lines   []int // where each row stands, from 1
}

// readTable finds the one table whose header has exactly these columns.
func readTable(t testing.TB, page string, columns ...string) table {
	t.Helper()
	tab, err := parseTable(read(t, page), columns...)
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return tab
}

func parseTable(text string, columns ...string) (table, error) {
	tab := table{columns: columns}
	header := "| " + strings.Join(columns, " | ") + " |"
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == header:
			if inside || tab.rows != nil {
				return tab, fmt.Errorf("line %d: the table %q stands here twice", i+1, header)
			}
			inside = true
		case inside && !strings.HasPrefix(line, "|"):
			inside = false
		case inside && strings.HasPrefix(line, "| ---"):
		case inside:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			if len(cells) != len(columns) {
				return tab, fmt.Errorf("line %d: %d cells, the table has %d columns", i+1, len(cells), len(columns))
			}
			tab.rows = append(tab.rows, cells)
			tab.lines = append(tab.lines, i+1)
		}
	}
	if len(tab.rows) == 0 {
		return tab, fmt.Errorf("no table with the header %q and at least one row", header)
	}
	return tab, nil
}

// items splits a cell at its commas and takes off the backquotes; "—" is none.
func items(cell string) []string {
	if cell == "—" {
		return nil
	}
	var all []string
	for item := range strings.SplitSeq(cell, ",") {
		all = append(all, strings.ReplaceAll(strings.TrimSpace(item), "`", ""))
	}
	return all
}

func TestParseTableRefuses(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"nothing", "no table"},
		{"no rows", "| a | b |\n| --- | --- |\n"},
		{"a missing cell", "| a | b |\n| --- | --- |\n| x |\n"},
		{"another header", "| a | c |\n| --- | --- |\n| x | y |\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if tab, err := parseTable(c.text, "a", "b"); err == nil {
				t.Errorf("it read %d rows", len(tab.rows))
			}
		})
	}
}
