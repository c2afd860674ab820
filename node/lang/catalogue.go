package lang

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed hi.json en.json
var files embed.FS

// text is one message in one language. Placeholders stand in braces, {amount}.
// one is used instead of other when the argument n is exactly 1; it is empty
// where the language says both alike.
type text struct {
	one, other string
}

// table is the catalogue of one language; keys are in file order.
type table struct {
	keys  []string
	texts map[string]text
}

// catalogue reads both files once. A file that does not parse is a broken
// build (the tests read the same bytes), hence the panic.
var catalogue = sync.OnceValue(func() map[Lang]*table {
	all := make(map[Lang]*table)
	for _, l := range All() {
		name := string(l) + ".json"
		data, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("broken invariant: the embedded catalogue %s cannot be read: %v", name, err))
		}
		if all[l], err = parseTable(data); err != nil {
			panic(fmt.Sprintf("broken invariant: the embedded catalogue %s cannot be read: %v", name, err))
		}
	}
	return all
})

// parseTable reads a flat JSON object of strings or {"one", "other"} objects.
// It reads token by token because encoding/json lets the last of two equal
// keys win in silence, and loses the order.
func parseTable(data []byte) (*table, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("the file must hold one JSON object")
	}
	t := &table{texts: make(map[string]text)}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("couldn't read the key after %q: %w", t.last(), err)
		}
		key, _ := tok.(string) // inside an object the decoder yields only string keys
		if _, twice := t.texts[key]; twice {
			return nil, fmt.Errorf("key %q stands twice; remove one", key)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("couldn't read the text of %q: %w", key, err)
		}
		if t.texts[key], err = parseText(raw); err != nil {
			return nil, fmt.Errorf("couldn't read the text of %q: %w", key, err)
		}
		t.keys = append(t.keys, key)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("the object does not close after %q: %w", t.last(), err)
	}
	if dec.More() {
		return nil, fmt.Errorf("something follows the closing brace")
	}
	return t, nil
}

func (t *table) last() string {
	if len(t.keys) == 0 {
		return ""
	}
	return t.keys[len(t.keys)-1]
}

func parseText(raw json.RawMessage) (text, error) {
	var plain string
	if err := json.Unmarshal(raw, &plain); err == nil {
		return text{other: plain}, nil
	}
	var forms struct {
		One   string `json:"one"`
		Other string `json:"other"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&forms); err != nil {
		return text{}, fmt.Errorf(`a text is a string or {"one": …, "other": …}: %w`, err)
	}
	if forms.One == "" || forms.Other == "" {
		return text{}, fmt.Errorf(`both "one" and "other" must be given`)
	}
	return text{one: forms.One, other: forms.Other}, nil
}

// Keys returns every key of the catalogue in file order, so that the packages
// that draw screens and paper can test that they use them all.
func Keys() []string { return slices.Clone(catalogue()[Hindi].keys) }

// Placeholders returns the names that T needs for key, sorted, and whether the
// key exists.
func Placeholders(key string) ([]string, bool) {
	t, ok := catalogue()[Hindi].texts[key]
	return t.placeholders(), ok
}

// Languages hold equal sets (tested), and the form "one" holds no other name.
func (t text) placeholders() []string {
	names := make(map[string]bool)
	for _, m := range placeholder().FindAllStringSubmatch(t.other, -1) {
		names[m[1]] = true
	}
	if t.one != "" {
		names["n"] = true
	}
	return slices.Sorted(maps.Keys(names))
}

var placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([a-z_]+)\}`) })

// T returns the text of key with its placeholders filled from pairs of name
// and value: T(lang, "kiosk.cancel.part", "amount", INRShort(p)). A value is a
// string or an integer; integers are written without grouping. The result is
// plain text: html/template escapes it like any other string.
//
// A mistake (unknown language or key; a name missing, unknown or repeated;
// another type) yields "[[key: what is wrong]]" instead of an error: one
// broken label must not keep a receipt from a citizen who has paid. Mistakes
// are caught earlier: CheckTemplate at parse time, Faulty in tests.
func T(l Lang, key string, pairs ...any) string {
	s, err := fill(l, key, pairs)
	if err != nil {
		return faultOpen + key + ": " + err.Error() + faultClose
	}
	return s
}

const (
	faultOpen  = "[["
	faultClose = "]]"
)

// Faulty reports whether s, a text or a rendered page, holds the mark of a
// mistake that T left. No text of the catalogue contains the mark.
func Faulty(s string) bool { return strings.Contains(s, faultOpen) }

func fill(l Lang, key string, pairs []any) (string, error) {
	t, ok := catalogue()[l]
	if !ok {
		return "", fmt.Errorf("no catalogue for language %q", string(l))
	}
	msg, ok := t.texts[key]
	if !ok {
		return "", fmt.Errorf("no such key")
	}
	values, err := arguments(pairs)
	if err != nil {
		return "", err
	}
	given := slices.Sorted(maps.Keys(values))
	if want := msg.placeholders(); !slices.Equal(given, want) {
		return "", fmt.Errorf("needs the arguments %v, got %v", want, given)
	}
	form := msg.other
	if msg.one != "" && values["n"] == "1" {
		form = msg.one
	}
	// One pass, so that braces inside a value are never taken for a placeholder.
	return placeholder().ReplaceAllStringFunc(form, func(m string) string {
		return values[m[1:len(m)-1]]
	}), nil
}

func arguments(pairs []any) (map[string]string, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("arguments come in pairs of name and value, got %d", len(pairs))
	}
	values := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("argument %d must be a name", i+1)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("argument %q is given twice", name)
		}
		switch v := pairs[i+1].(type) {
		case string:
			values[name] = v
		case int:
			values[name] = strconv.Itoa(v)
		case int64:
			values[name] = strconv.FormatInt(v, 10)
		case uint64:
			values[name] = strconv.FormatUint(v, 10)
		default:
			return nil, fmt.Errorf("argument %q must be a string or an integer, not %T", name, v)
		}
	}
	return values, nil
}
