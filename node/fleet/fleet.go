// Package fleet enrols machines and keeps each one's identity on disk: its keys,
// its certificates, the fleet's public key and the peppers. It decides who may talk.
package fleet

import (
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
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// Files of an identity folder. All of them are secret but fleet.pub.
const (
	identityName = "identity.json"
	fleetPubName = "fleet.pub"
	fleetKeyName = "fleet.key"
	districtName = "district.json"
	formatNumber = 1
)

// certificateDays is how long a new certificate admits its holder to talk.
const certificateDays = 10 * 365

// ErrExists is returned where an identity is there already.
var ErrExists = errors.New("there is an identity already")

// Pepper keys bill and account keys. Two numbers are valid at a time.
type Pepper struct {
	Number uint32
	Secret event.Pepper
}

// Identity is who a machine is.
type Identity struct {
	Machine ed25519.PrivateKey
	Chain   cert.Chain
	Fleet   ed25519.PublicKey
	Peppers []Pepper
	Name    string // "SKR-0147"
	Place   string
	dir     string
}

// Slot is the machine's place in its cell, for life.
func (id Identity) Slot() uint32 { return id.Chain.Machine.Slot }

type identityFile struct {
	Format  int          `json:"format"`
	Name    string       `json:"name"`
	Place   string       `json:"place"`
	Machine []byte       `json:"machine_seed"`
	Chain   []byte       `json:"chain"`
	Peppers []pepperFile `json:"peppers"`
}

type pepperFile struct {
	Number uint32 `json:"number"`
	Secret []byte `json:"secret"`
}

type districtFile struct {
	Format   int    `json:"format"`
	Seed     []byte `json:"district_seed"`
	Cert     []byte `json:"certificate"`
	NextSlot uint32 `json:"next_slot"`
}

// Request says how the fleet or a machine is to be called.
type Request struct {
	Name  string
	Place string
	Slot  uint32 // 0: the next free one
	Cell  uint32
}

// Init makes a new fleet in dir: the fleet's key, a district's, the office's
// machine key and the first pepper. The fleet's key signs districts only: move
// fleet.key to a safe place afterwards.
func Init(dir string, r Request, now time.Time, rand io.Reader) (Identity, error) {
	if _, err := os.Stat(filepath.Join(dir, identityName)); err == nil {
		return Identity{}, fmt.Errorf("%s: %w: a fleet is made once", dir, ErrExists)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("couldn't make %s: %w", dir, err)
	}
	fleetPub, fleetKey, err := ed25519.GenerateKey(rand)
	if err != nil {
		return Identity{}, fmt.Errorf("couldn't draw the fleet's key: %w", err)
	}
	_, district, err := ed25519.GenerateKey(rand)
	if err != nil {
		return Identity{}, fmt.Errorf("couldn't draw the district's key: %w", err)
	}
	dc, err := cert.Issue(fleetKey, certificate(district, 0, r.Cell, cert.RoleDistrict, now))
	if err != nil {
		return Identity{}, err
	}
	id, err := newIdentity(district, dc, fleetPub, Request{Name: r.Name, Place: r.Place, Slot: 1, Cell: r.Cell}, cert.RoleOffice, now, rand)
	if err != nil {
		return Identity{}, err
	}
	pepper := Pepper{Number: 1}
	if _, err := io.ReadFull(rand, pepper.Secret[:]); err != nil {
		return Identity{}, fmt.Errorf("couldn't draw the pepper: %w", err)
	}
	id.Peppers = []Pepper{pepper}
	rawCert, err := ledger.Encode(dc)
	if err != nil {
		return Identity{}, err
	}
	if err := writeSecret(dir, fleetKeyName, []byte(base64.StdEncoding.EncodeToString(fleetKey.Seed())+"\n")); err != nil {
		return Identity{}, err
	}
	if err := writeJSON(dir, districtName, districtFile{Format: formatNumber, Seed: district.Seed(), Cert: rawCert, NextSlot: 2}); err != nil {
		return Identity{}, err
	}
	return id, id.save(dir) // last: its presence says that the fleet is whole
}

func certificate(key ed25519.PrivateKey, slot, cell uint32, role cert.Role, now time.Time) cert.Certificate {
	return cert.Certificate{
		Key: [32]byte(key.Public().(ed25519.PublicKey)), Slot: slot, Cell: cell, Role: role,
		NotAfter: uint32(now.Unix()/86400) + certificateDays,
	}
}

func newIdentity(district ed25519.PrivateKey, dc cert.Certificate, fleet ed25519.PublicKey, r Request, role cert.Role, now time.Time, rand io.Reader) (Identity, error) {
	_, machine, err := ed25519.GenerateKey(rand)
	if err != nil {
		return Identity{}, fmt.Errorf("couldn't draw the machine's key: %w", err)
	}
	mc, err := cert.Issue(district, certificate(machine, r.Slot, r.Cell, role, now))
	if err != nil {
		return Identity{}, err
	}
	return Identity{Machine: machine, Chain: cert.Chain{District: dc, Machine: mc}, Fleet: fleet, Name: r.Name, Place: r.Place}, nil
}

// Enrol makes the identity of a new kiosk in out, with the keys that lie in the
// office's dir, and returns what the authority log is to say of it. The slot is
// taken before the identity is written: a slot may be lost, never given twice.
func Enrol(dir, out string, r Request, now time.Time, rand io.Reader) (*event.MachineEnrolled, error) {
	if strings.TrimSpace(r.Name) == "" {
		return nil, errors.New("the kiosk needs a name, such as SKR-0147")
	}
	if _, err := os.Stat(filepath.Join(out, identityName)); err == nil {
		return nil, fmt.Errorf("%s: %w: enrol into a new folder", out, ErrExists)
	}
	office, err := Load(dir)
	if err != nil {
		return nil, err
	}
	var d districtFile
	if err := readJSON(dir, districtName, &d); err != nil {
		return nil, err
	}
	if r.Slot == 0 {
		r.Slot = d.NextSlot
	}
	if r.Slot < d.NextSlot {
		return nil, fmt.Errorf("slot %d is given already: the next free one is %d", r.Slot, d.NextSlot)
	}
	d.NextSlot = r.Slot + 1
	if err := writeJSON(dir, districtName, d); err != nil {
		return nil, err
	}
	if len(d.Seed) != ed25519.SeedSize {
		return nil, damaged(dir, districtName, "the key has the wrong length")
	}
	id, err := newIdentity(ed25519.NewKeyFromSeed(d.Seed), office.Chain.District, office.Fleet, r, cert.RoleKiosk, now, rand)
	if err != nil {
		return nil, err
	}
	id.Peppers = office.Peppers
	if err := os.MkdirAll(out, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make %s: %w", out, err)
	}
	return &event.MachineEnrolled{Chain: id.Chain, Name: r.Name, Place: r.Place}, id.save(out)
}

func (id Identity) save(dir string) error {
	chain, err := ledger.Encode(id.Chain)
	if err != nil {
		return err
	}
	f := identityFile{Format: formatNumber, Name: id.Name, Place: id.Place, Machine: id.Machine.Seed(), Chain: chain}
	for _, p := range id.Peppers {
		f.Peppers = append(f.Peppers, pepperFile{Number: p.Number, Secret: p.Secret[:]})
	}
	if err := writeFile(dir, fleetPubName, []byte(base64.StdEncoding.EncodeToString(id.Fleet)+"\n"), 0o644); err != nil {
		return err
	}
	return writeJSON(dir, identityName, f)
}

// Load reads the identity in dir and checks that it is whole: the certificates lead
// to the fleet's key, the machine's key is the certified one.
func Load(dir string) (Identity, error) {
	id := Identity{dir: dir}
	var f identityFile
	if err := readJSON(dir, identityName, &f); err != nil {
		return id, err
	}
	if f.Format != formatNumber {
		return id, damaged(dir, identityName, fmt.Sprintf("format %d, this version reads %d", f.Format, formatNumber))
	}
	pub, err := os.ReadFile(filepath.Join(dir, fleetPubName))
	if err != nil {
		return id, fmt.Errorf("couldn't read the fleet's public key: %w: enrol the machine again", err)
	}
	if id.Fleet, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(pub))); err != nil || len(id.Fleet) != ed25519.PublicKeySize {
		return id, damaged(dir, fleetPubName, "it holds no key")
	}
	if id.Chain, err = cert.DecodeChain(f.Chain); err != nil {
		return id, damaged(dir, identityName, err.Error())
	}
	if err := id.Chain.Verify(id.Fleet); err != nil {
		return id, damaged(dir, identityName, err.Error())
	}
	if len(f.Machine) != ed25519.SeedSize {
		return id, damaged(dir, identityName, "the machine's key has the wrong length")
	}
	id.Machine = ed25519.NewKeyFromSeed(f.Machine)
	if !id.Machine.Public().(ed25519.PublicKey).Equal(id.Chain.Machine.PublicKey()) {
		return id, damaged(dir, identityName, "the machine's key is not the certified one")
	}
	for _, p := range f.Peppers {
		if len(p.Secret) != 32 {
			return id, damaged(dir, identityName, "a pepper has the wrong length")
		}
		id.Peppers = append(id.Peppers, Pepper{Number: p.Number, Secret: event.Pepper(p.Secret)})
	}
	id.Name, id.Place = f.Name, f.Place
	return id, nil
}

// Pepper returns the pepper of the number.
func (id Identity) Pepper(number uint32) (event.Pepper, bool) {
	for _, p := range id.Peppers {
		if p.Number == number {
			return p.Secret, true
		}
	}
	return event.Pepper{}, false
}

func damaged(dir, name, what string) error {
	return fmt.Errorf("%s is damaged or of another machine: %s: put the enrolment folder back", filepath.Join(dir, name), what)
}

func readJSON(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: enrol the machine first (rasid-office enrol), or make the fleet (rasid-office fleet init)", path)
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s holds keys and others may read it: chmod 600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return damaged(dir, name, err.Error())
	}
	return nil
}

func writeJSON(dir, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't encode %s: %w", name, err)
	}
	return writeSecret(dir, name, append(b, '\n'))
}

func writeSecret(dir, name string, b []byte) error { return writeFile(dir, name, b, 0o600) }

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
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
