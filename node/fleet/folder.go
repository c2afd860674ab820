package fleet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// fileMaxBytes bounds every file of an identity folder; the longest lists machines.
const fileMaxBytes = 16 << 20

type identityFile struct {
	Format  int           `json:"format"`
	Name    string        `json:"name"`
	Place   string        `json:"place"`
	Machine []byte        `json:"machine_seed"`
	Chain   []byte        `json:"chain"`
	Peppers []pepperFile  `json:"peppers"`
	Seals   []sealFile    `json:"seal_keys"`
	Streams []cert.Stream `json:"streams"` // that have a log key
}

type pepperFile struct {
	Number uint32 `json:"number"`
	Secret []byte `json:"secret"`
}

// save writes identity.json last: its presence says that the folder is whole.
func (id Identity) save(dir string, streams []cert.Stream) error {
	chain, err := ledger.Encode(id.Chain)
	if err != nil {
		return err
	}
	f := identityFile{Format: formatNumber, Name: id.Name, Place: id.Place, Machine: id.Machine.Seed(), Chain: chain, Streams: streams}
	for _, p := range id.Peppers {
		f.Peppers = append(f.Peppers, pepperFile{Number: p.Number, Secret: p.Secret[:]})
	}
	for _, k := range id.Seals {
		f.Seals = append(f.Seals, sealFile{Number: k.Number, Public: k.Public[:]})
	}
	if err := writeFile(dir, fleetPubName, base64Text(id.Fleet), 0o644); err != nil {
		return err
	}
	return writeJSON(dir, identityName, f)
}

// Load reads the identity in dir and checks that it is whole and private: the
// certificates lead to the fleet's key, the machine key is the certified one, and
// nobody else may read or change the files. The error names the file and the remedy.
func Load(dir string) (Identity, error) {
	if err := checkFolder(dir); err != nil {
		return Identity{}, err
	}
	var f identityFile
	if err := readJSON(dir, identityName, &f); err != nil {
		return Identity{}, err
	}
	if f.Format != formatNumber {
		return Identity{}, fmt.Errorf("%s has the format %d, this version reads %d: install the version that wrote it, or a later one", filepath.Join(dir, identityName), f.Format, formatNumber)
	}
	id := Identity{Name: f.Name, Place: f.Place, dir: dir}
	pub, err := readFile(dir, fleetPubName, 0o022)
	if err != nil {
		return Identity{}, err
	}
	if id.Fleet, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(pub))); err != nil || len(id.Fleet) != ed25519.PublicKeySize {
		return Identity{}, damaged(dir, fleetPubName, "it holds no key, which is 44 characters of base64")
	}
	if id.Chain, err = cert.DecodeChain(f.Chain); err == nil {
		err = id.Chain.Verify(id.Fleet)
	}
	if err != nil {
		return Identity{}, damaged(dir, identityName, err.Error())
	}
	if len(f.Machine) != ed25519.SeedSize {
		return Identity{}, damaged(dir, identityName, "the machine key has the wrong length")
	}
	id.Machine = ed25519.NewKeyFromSeed(f.Machine)
	if !id.MachineKey().Equal(id.Chain.Machine.PublicKey()) {
		return Identity{}, damaged(dir, identityName, "the machine key is not the certified one")
	}
	if id.Peppers, err = f.peppers(); err == nil {
		id.Seals, err = f.seals()
	}
	if err != nil {
		return Identity{}, damaged(dir, identityName, err.Error())
	}
	return id, nil
}

func (f identityFile) peppers() ([]Pepper, error) {
	if len(f.Peppers) == 0 || len(f.Peppers) > keysMax {
		return nil, fmt.Errorf("%d peppers, want 1 to %d", len(f.Peppers), keysMax)
	}
	var all []Pepper
	for i, p := range f.Peppers {
		if len(p.Secret) != len(event.Pepper{}) || i > 0 && p.Number <= f.Peppers[i-1].Number {
			return nil, fmt.Errorf("pepper %d has the wrong length or is out of order", p.Number)
		}
		all = append(all, Pepper{Number: p.Number, Secret: event.Pepper(p.Secret)})
	}
	return all, nil
}

func base64Text(key []byte) []byte {
	return []byte(base64.StdEncoding.EncodeToString(key) + "\n")
}

func damaged(dir, name, what string) error {
	return fmt.Errorf("%s is damaged or of another machine: %s: put the file back from this machine's enrolment folder or backup", filepath.Join(dir, name), what)
}

// makeFolder makes dir and what it lies in, durably.
func makeFolder(dir string) error {
	var made []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("couldn't make the folder: %w", err)
	}
	for _, m := range made {
		if err := syncFolder(filepath.Dir(m)); err != nil {
			return fmt.Errorf("couldn't make the folder: %w", err)
		}
	}
	return checkFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkFolder refuses a folder in which another user could replace the files.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s is missing: make a fleet there (rasid-office fleet init), or put the kiosk's enrolment folder there (rasid-office enrol)", dir)
	}
	if err != nil {
		return fmt.Errorf("couldn't look into the folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder: name the folder that holds %s", dir, identityName)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("the folder %s has the mode %04o, so that others may replace its keys: chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// lock keeps two processes from changing an identity at the same time. It waits
// for nobody.
func lock(dir string) (unlock func(), err error) {
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't lock the folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("couldn't lock the folder: %w", err)
		}
		return nil, fmt.Errorf("another program is changing the keys in %s at this moment: try again when it has ended", dir)
	}
	return func() { _ = f.Close() }, nil // closing releases the lock; nothing was written
}

// readFile refuses a file that others have the permissions of refused.
func readFile(dir, name string, refused fs.FileMode) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: put it back from this machine's enrolment folder or backup; a new machine gets one from rasid-office enrol, a new fleet from rasid-office fleet init", path)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't read a key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&refused != 0 {
		return nil, fmt.Errorf("%s has the mode %04o, so that others may read or change it: chmod %o %s", path, mode, 0o666&^refused&^0o022, path)
	}
	if info.Size() > fileMaxBytes {
		return nil, damaged(dir, name, fmt.Sprintf("%d bytes, the limit is %d", info.Size(), fileMaxBytes))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read a key file: %w", err)
	}
	return b, nil
}

func readJSON(dir, name string, v any) error {
	b, err := readFile(dir, name, 0o077)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return damaged(dir, name, err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return damaged(dir, name, "something follows its end")
	}
	return nil
}

func writeJSON(dir, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't encode %s: %w", name, err)
	}
	return writeFile(dir, name, append(b, '\n'), 0o600)
}

// writeFile replaces a file so that after a power cut the old one or the new one is
// there, whole.
func writeFile(dir, name string, b []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("couldn't write %s: %w", filepath.Join(dir, name), err)
		}
	}()
	temp, err := os.CreateTemp(dir, "."+name+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already when it was renamed
	_, err = temp.Write(b)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncFolder(dir)
}
