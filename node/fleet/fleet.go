// Package fleet makes a fleet, enrols machines and keeps each one's identity on
// disk: its keys, its certificates, the fleet's public key, the peppers and the
// office's seal keys. It
// decides who may talk (LEDGER.md §3).
//
// An identity is a folder. identity.json holds the machine key, the chain, the
// peppers and the streams that have a log; fleet.pub the fleet's public key;
// log-STREAM.json the newest log key with its grant, log-STREAM-ORDINAL.json those of
// earlier incarnations. The office has district.json besides, the key that certifies
// machines with the list of those it certified, seal.json, the private halves of the
// seal keys, and, until
// somebody takes it to a safe place, fleet.key. All but fleet.pub are secret: mode
// 0600. Every file is replaced whole and is durable before anything depends on it.
package fleet

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/object"
)

// Files of an identity folder.
const (
	identityName = "identity.json"
	fleetPubName = "fleet.pub"
	fleetKeyName = "fleet.key"
	districtName = "district.json"
	lockName     = "identity.lock"
	formatNumber = 1
)

// certificateDays is how long a new certificate admits its holder to talk.
const certificateDays = 10 * 365

// keysMax is how many peppers, and how many seal keys, are valid at a time.
const keysMax = 2

// ErrExists is returned where an identity is there already.
var ErrExists = errors.New("there is an identity already")

// Pepper keys bill and account keys. Two numbers are valid at a time.
type Pepper struct {
	Number uint32
	Secret event.Pepper
}

// Identity is who a machine is. It holds secrets: printed or logged it shows only
// name and key fingerprint. It does not change and may be used from any goroutine.
type Identity struct {
	Machine ed25519.PrivateKey
	Chain   cert.Chain
	Fleet   ed25519.PublicKey
	Peppers []Pepper         // oldest first
	Seals   []object.SealKey // oldest first
	Name    string           // "SKR-0147"
	Place   string
	dir     string
}

// Slot is the machine's place in its cell, for life.
func (id Identity) Slot() uint32 { return id.Chain.Machine.Slot }

// MachineKey is the public half of the machine key. A data folder belongs to it.
func (id Identity) MachineKey() ed25519.PublicKey {
	return id.Machine.Public().(ed25519.PublicKey)
}

// MachineID is MachineKey in hexadecimal.
func (id Identity) MachineID() string { return hex.EncodeToString(id.MachineKey()) }

// String hides the secrets.
func (id Identity) String() string {
	return fmt.Sprintf("%s %s, slot %d, key %.16s", id.Chain.Machine.Role, id.Name, id.Slot(), hex.EncodeToString(id.Chain.Machine.Key[:]))
}

// GoString hides the secrets from %#v as well.
func (id Identity) GoString() string { return id.String() }

// Newest returns the pepper that new dues sets are made with.
func (id Identity) Newest() Pepper { return id.Peppers[len(id.Peppers)-1] }

// Enrolled is what the authority log says of the machine.
func (id Identity) Enrolled() *event.MachineEnrolled {
	return &event.MachineEnrolled{Chain: id.Chain, Name: id.Name, Place: id.Place}
}

// Request says how a machine is to be called and where it stands.
type Request struct {
	Name  string // 1 to 32 of A–Z, a–z, 0–9 and hyphen
	Place string // at most 128 bytes
	Slot  uint32 // 0: the lowest that was never given
	Cell  uint32 // 0: the office's cell
	// Slots is how many slots the district may certify, from 1 on; only for Init, 0
	// means machinesMax. It is signed by the fleet key and cannot grow.
	Slots uint32
}

func (r Request) check() error {
	if len(r.Name) == 0 || len(r.Name) > 32 {
		return fmt.Errorf("the machine name %q has %d characters: want 1 to 32, such as SKR-0147", r.Name, len(r.Name))
	}
	for i := range len(r.Name) {
		c := r.Name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return fmt.Errorf("the machine name %q holds %q: want letters A to Z, digits and hyphens, such as SKR-0147", r.Name, r.Name[i:i+1])
		}
	}
	return nil
}

// Init makes a new fleet in dir: the fleet key, a district key with its
// certificate, the office's machine key with its certificate, the first pepper, the
// first seal key, and the key and grant of the authority log. All is durable on return. The fleet key
// signs districts only: take fleet.key to a safe place afterwards, nothing here
// reads it again. rand must be a cryptographic source.
func Init(dir string, r Request, now time.Time, rand io.Reader) (Identity, error) {
	if err := r.check(); err != nil {
		return Identity{}, err
	}
	if err := makeFolder(dir); err != nil {
		return Identity{}, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return Identity{}, err
	}
	defer unlock()
	if err := checkVacant(dir); err != nil {
		return Identity{}, err
	}
	id, secrets, err := newFleet(r, now, rand)
	if err != nil {
		return Identity{}, err
	}
	id.dir = dir
	if err := writeFile(dir, fleetKeyName, base64Text(secrets.fleet.Seed()), 0o600); err != nil {
		return Identity{}, err
	}
	if err := writeJSON(dir, districtName, secrets.district); err != nil {
		return Identity{}, err
	}
	if err := id.makeLogKey(cert.Grant{Stream: cert.StreamAuthority, Ordinal: 1, Reason: cert.ReasonEnrolled}, rand); err != nil {
		return Identity{}, err
	}
	k, err := sealKey(dir, 1, rand)
	if err != nil {
		return Identity{}, err
	}
	id.Seals = []object.SealKey{k.Public()}
	// identity.json comes last: its presence says that the fleet is whole.
	return id, id.save(dir, []cert.Stream{cert.StreamAuthority})
}

// checkVacant refuses a folder with keys in it, whole or not: to write over a
// fleet key is to lose the fleet.
func checkVacant(dir string) error {
	for _, name := range []string{identityName, fleetKeyName, districtName, sealsName} {
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("couldn't look into the folder: %w", err)
		case name == identityName:
			return fmt.Errorf("%s: %w: a fleet is made once; use it, or choose another folder", dir, ErrExists)
		}
		return fmt.Errorf("%s: %w: %s is there and %s is not: put that back from its backup, or, if making this fleet was broken off, remove the folder and start again",
			dir, ErrExists, name, identityName)
	}
	return nil
}

type fleetSecrets struct {
	fleet    ed25519.PrivateKey
	district districtFile
}

func newFleet(r Request, now time.Time, rand io.Reader) (Identity, fleetSecrets, error) {
	var s fleetSecrets
	fleetPub, fleetKey, err := ed25519.GenerateKey(rand)
	if err != nil {
		return Identity{}, s, fmt.Errorf("couldn't draw the fleet key: %w", err)
	}
	_, districtKey, err := ed25519.GenerateKey(rand)
	if err != nil {
		return Identity{}, s, fmt.Errorf("couldn't draw the district key: %w", err)
	}
	if r.Slots == 0 {
		r.Slots = machinesMax
	}
	dc, err := cert.Issue(fleetKey, certificate(districtKey, 1, r.Slots, cert.RoleDistrict, now))
	if err != nil {
		return Identity{}, s, err
	}
	if r.Slot == 0 {
		r.Slot = 1
	}
	if !dc.Certifies(r.Slot) {
		return Identity{}, s, fmt.Errorf("the office's slot %d is not among the district's slots 1 to %d: choose one of them", r.Slot, r.Slots)
	}
	id, err := newIdentity(districtKey, dc, fleetPub, r, cert.RoleOffice, now, rand)
	if err != nil {
		return Identity{}, s, err
	}
	pepper := Pepper{Number: 1}
	if _, err := io.ReadFull(rand, pepper.Secret[:]); err != nil {
		return Identity{}, s, fmt.Errorf("couldn't draw the pepper: %w", err)
	}
	id.Peppers = []Pepper{pepper}
	s.fleet = fleetKey
	s.district, err = newDistrictFile(districtKey, dc, id)
	return id, s, err
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
		return Identity{}, fmt.Errorf("couldn't draw the machine key: %w", err)
	}
	mc, err := cert.Issue(district, certificate(machine, r.Slot, r.Cell, role, now))
	if err != nil {
		return Identity{}, err
	}
	return Identity{Machine: machine, Chain: cert.Chain{District: dc, Machine: mc}, Fleet: fleet, Name: r.Name, Place: r.Place}, nil
}
