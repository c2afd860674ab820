// Package config fills a program's settings from, weakest first: the defaults in
// the struct, a TOML file, the environment (RASID_*) and flags. A key that nobody
// knows is an error with its place, never ignored: a mistyped key that is silently
// dropped is how a kiosk ends up with the wrong printer.
package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// envPrefix begins every environment variable that is read.
const envPrefix = "RASID_"

// Duration is a time span as text: "30s", "5m".
type Duration struct{ time.Duration }

// UnmarshalText reads what time.ParseDuration reads, not negative.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: write 30s, 5m or 1h", b)
	}
	d.Duration = v
	return nil
}

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// setting is one leaf of the settings struct.
type setting struct {
	path  string // "sync.listen"
	help  string
	value reflect.Value
}

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.path))
}
func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.path) }

// Value is one setting as it is in force, and where it came from.
type Value struct {
	Key    string
	Value  string
	Source string // "default", "file", "environment RASID_…", "flag --…"
}

// Register adds a flag for every setting of target, a pointer to a struct whose
// fields carry toml and help tags.
func Register(flags *pflag.FlagSet, target any) {
	for _, s := range settings("", reflect.ValueOf(target).Elem()) {
		flags.String(s.flag(), "", fmt.Sprintf("%s (%s, default %q)", s.help, s.env(), text(s.value)))
	}
}

// Load fills target, which holds the defaults. file may be empty; environ is that
// of os.Environ; flags are those of Register after parsing, or nil. If target has
// a method Validate() error it is called at the end. The values in force are
// returned, sorted by key.
func Load(target any, file string, environ []string, flags *pflag.FlagSet) ([]Value, error) {
	leaves := settings("", reflect.ValueOf(target).Elem())
	sources := map[string]string{}
	if file != "" {
		if err := fromFile(target, file, leaves, sources); err != nil {
			return nil, err
		}
	}
	if err := fromEnvironment(environ, leaves, sources); err != nil {
		return nil, err
	}
	if err := fromFlags(flags, leaves, sources); err != nil {
		return nil, err
	}
	if v, ok := target.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
	}
	var values []Value
	for _, s := range leaves {
		source := sources[s.path]
		if source == "" {
			source = "default"
		}
		values = append(values, Value{Key: s.path, Value: text(s.value), Source: source})
	}
	sort.Slice(values, func(i, j int) bool { return values[i].Key < values[j].Key })
	return values, nil
}

func settings(prefix string, v reflect.Value) []setting {
	var all []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if name == "" {
			continue
		}
		if _, leaf := v.Field(i).Addr().Interface().(encoding.TextUnmarshaler); field.Type.Kind() == reflect.Struct && !leaf {
			all = append(all, settings(prefix+name+".", v.Field(i))...)
			continue
		}
		all = append(all, setting{path: prefix + name, help: field.Tag.Get("help"), value: v.Field(i)})
	}
	return all
}

func fromFile(target any, file string, leaves []setting, sources map[string]string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("couldn't read the settings: %w", err)
	}
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(target); err != nil {
		return place(file, err, leaves)
	}
	var given map[string]any
	if err := toml.Unmarshal(b, &given); err != nil {
		return place(file, err, leaves)
	}
	for _, s := range leaves {
		if has(given, strings.Split(s.path, ".")) {
			sources[s.path] = "file " + file
		}
	}
	return nil
}

func has(m map[string]any, path []string) bool {
	v, ok := m[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	sub, ok := v.(map[string]any)
	return ok && has(sub, path[1:])
}

// place turns a decoder's error into file, line, column, key and remedy.
func place(file string, err error, leaves []setting) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		e := unknown.Errors[0]
		line, column := e.Position()
		key := strings.Join(e.Key(), ".")
		return fmt.Errorf("%s:%d:%d: unknown key %q%s", file, line, column, key, nearest(key, leaves))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		key := ""
		if k := strings.Join(bad.Key(), "."); k != "" {
			key = fmt.Sprintf("key %q: ", k)
		}
		return fmt.Errorf("%s:%d:%d: %s%s", file, line, column, key, bad.Error())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// nearest suggests the known key that differs least, or lists all.
func nearest(key string, leaves []setting) string {
	best, distance := "", 4
	var all []string
	for _, s := range leaves {
		all = append(all, s.path)
		if d := edits(key, s.path); d < distance {
			best, distance = s.path, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ": the keys are " + strings.Join(all, ", ")
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}

func fromEnvironment(environ []string, leaves []setting, sources map[string]string) error {
	known := map[string]setting{}
	for _, s := range leaves {
		known[s.env()] = s
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		s, ok := known[name]
		if !ok {
			continue // other programs of ours read other names
		}
		if err := set(s.value, value); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
		sources[s.path] = "environment " + name
	}
	return nil
}

func fromFlags(flags *pflag.FlagSet, leaves []setting, sources map[string]string) error {
	if flags == nil {
		return nil
	}
	for _, s := range leaves {
		f := flags.Lookup(s.flag())
		if f == nil || !f.Changed {
			continue
		}
		if err := set(s.value, f.Value.String()); err != nil {
			return fmt.Errorf("flag --%s: %w", s.flag(), err)
		}
		sources[s.path] = "flag --" + s.flag()
	}
	return nil
}

// set reads a setting from text, for the environment and flags.
func set(v reflect.Value, s string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		v.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		v.SetBool(b)
	case reflect.Slice:
		var parts []string
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		v.Set(reflect.ValueOf(parts))
	default:
		return fmt.Errorf("a setting of kind %s can stand only in the file", v.Kind())
	}
	return nil
}

func text(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}
