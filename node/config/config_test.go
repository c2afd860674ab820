package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

type sample struct {
	Listen string   `toml:"listen" help:"where the screens are served"`
	Max    int      `toml:"max" help:"how many"`
	Wait   Duration `toml:"wait" help:"how long"`
	Sync   struct {
		Peers []string `toml:"peers" help:"who to dial"`
		On    bool     `toml:"on" help:"whether to"`
	} `toml:"sync"`
}

func (s *sample) Validate() error {
	if s.Max > 100 {
		return errors.New("max: at most 100")
	}
	return nil
}

func load(t *testing.T, file string, environ, args []string) (sample, []Value, error) {
	t.Helper()
	s := sample{Listen: "127.0.0.1:1", Max: 1}
	name := ""
	if file != "" {
		name = filepath.Join(t.TempDir(), "kiosk.toml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Register(flags, &s)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	values, err := Load(&s, name, environ, flags)
	return s, values, err
}

func TestLayers(t *testing.T) {
	s, values, err := load(t, "listen = \"file\"\nmax = 2\nwait = \"3s\"\n[sync]\npeers = [\"a:1\"]\n", []string{"RASID_MAX=3", "RASID_SYNC_ON=true", "PATH=x"}, []string{"--sync-peers", "b:2, c:3"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != "file" || s.Max != 3 || s.Wait.Duration != 3*time.Second || strings.Join(s.Sync.Peers, " ") != "b:2 c:3" || !s.Sync.On {
		t.Errorf("got %+v", s)
	}
	want := map[string]string{"max": "environment RASID_MAX", "sync.peers": "flag --sync-peers", "sync.on": "environment RASID_SYNC_ON"}
	for _, v := range values {
		if w := want[v.Key]; w != "" && v.Source != w {
			t.Errorf("%s came from %q, want %q", v.Key, v.Source, w)
		}
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct{ name, file, env, flag, want string }{
		{"mistyped key", "lisen = \"x\"\n", "", "", `kiosk.toml:1:1: unknown key "lisen": did you mean "listen"?`},
		{"unknown key", "colour = 1\n", "", "", `unknown key "colour": the keys are listen, max, wait, sync.peers, sync.on`},
		{"key in a section", "[sync]\npeer = []\n", "", "", `:2:1: unknown key "sync.peer": did you mean "sync.peers"?`},
		{"wrong type", "listen = \"x\"\nmax = \"many\"\n", "", "", `kiosk.toml:2:7: key "max"`},
		{"no TOML", "listen = \n", "", "", "kiosk.toml:1:"},
		{"no duration", "wait = \"soon\"\n", "", "", "write 30s, 5m or 1h"},
		{"bad environment", "", "RASID_MAX=x", "", `environment RASID_MAX: "x" is no whole number`},
		{"bad flag", "", "", "--sync-on=perhaps", `flag --sync-on: "perhaps" is neither true nor false`},
		{"invalid", "max = 101\n", "", "", "max: at most 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var args []string
			if c.flag != "" {
				args = []string{c.flag}
			}
			_, _, err := load(t, c.file, []string{c.env}, args)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
