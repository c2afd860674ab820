package fleet

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// machinesMax bounds the machines of one district.
const machinesMax = 10_000

// districtFile is the office's power to certify, with everything it certified.
type districtFile struct {
	Format   int           `json:"format"`
	Seed     []byte        `json:"district_seed"`
	Cert     []byte        `json:"certificate"`
	Machines []machineFile `json:"machines"`
}

// machineFile is one slot. A slot without a chain was taken by an enrolment that
// was broken off: it is never given again.
type machineFile struct {
	Slot  uint32 `json:"slot"`
	Name  string `json:"name"`
	Place string `json:"place"`
	Chain []byte `json:"chain,omitempty"`
}

func newDistrictFile(key ed25519.PrivateKey, dc cert.Certificate, office Identity) (districtFile, error) {
	raw, err := ledger.Encode(dc)
	if err != nil {
		return districtFile{}, err
	}
	m, err := office.machineFile()
	return districtFile{Format: formatNumber, Seed: key.Seed(), Cert: raw, Machines: []machineFile{m}}, err
}

// machineFile also checks that the authority log will take what it says.
func (id Identity) machineFile() (machineFile, error) {
	if _, err := event.New(ledger.Time{}, id.Enrolled()); err != nil {
		return machineFile{}, fmt.Errorf("name %q and place %q don't do: %w", id.Name, id.Place, err)
	}
	chain, err := ledger.Encode(id.Chain)
	return machineFile{Slot: id.Slot(), Name: id.Name, Place: id.Place, Chain: chain}, err
}

// Enrol makes the identity of a new kiosk in the folder out, with the district key
// that lies in the office's dir, and returns what the authority log is to say of
// it; Machines returns it again, so that nothing is lost if that entry was not
// written. The folder becomes the kiosk's data folder, or is copied into it; it
// holds the kiosk's secrets, so keep no second copy. Everything is durable on
// return. One enrolment runs at a time; rand must be a cryptographic source.
func Enrol(dir, out string, r Request, now time.Time, rand io.Reader) (*event.MachineEnrolled, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(out, identityName)); err == nil {
		return nil, fmt.Errorf("%s: %w: enrol into a new folder", out, ErrExists)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	office, err := Load(dir)
	if err != nil {
		return nil, err
	}
	d, key, err := office.district()
	if err != nil {
		return nil, err
	}
	if r.Slot, err = d.slot(r, office.Chain.District); err != nil {
		return nil, err
	}
	if r.Cell == 0 {
		r.Cell = office.Chain.Machine.Cell
	}
	id, err := newIdentity(key, office.Chain.District, office.Fleet, r, cert.RoleKiosk, now, rand)
	if err != nil {
		return nil, err
	}
	id.Peppers, id.Seals = office.Peppers, office.Seals
	whole, err := id.machineFile()
	if err != nil {
		return nil, err
	}
	// First the slot is taken, then the folder made, then the machine is listed: a
	// slot may be lost to a power cut, never given twice, and what is listed exists.
	d.Machines = append(d.Machines, machineFile{Slot: r.Slot})
	if err := writeJSON(dir, districtName, d); err != nil {
		return nil, err
	}
	if err := makeFolder(out); err != nil {
		return nil, err
	}
	if err := id.save(out, nil); err != nil {
		return nil, err
	}
	d.Machines[len(d.Machines)-1] = whole
	if err := writeJSON(dir, districtName, d); err != nil {
		return nil, err
	}
	return id.Enrolled(), nil
}

// slot picks the slot for a request and refuses what is taken, or not the district's.
func (d districtFile) slot(r Request, district cert.Certificate) (uint32, error) {
	if len(d.Machines) >= machinesMax {
		return 0, fmt.Errorf("the district has %d machines already: that is the limit", machinesMax)
	}
	taken := map[uint32]bool{}
	for _, m := range d.Machines {
		taken[m.Slot] = true
		if m.Name == r.Name {
			return 0, fmt.Errorf("%s is enrolled already, in slot %d: give the new machine another name", m.Name, m.Slot)
		}
	}
	free := district.Slot
	for taken[free] {
		free++
	}
	if r.Slot == 0 {
		r.Slot = free
	}
	if !district.Certifies(r.Slot) {
		return 0, fmt.Errorf("slot %d is not among this district's slots %d to %d: choose a free one of them, or let the fleet key certify another district", r.Slot, district.Slot, district.Cell)
	}
	if taken[r.Slot] {
		return 0, fmt.Errorf("slot %d was given before, and a slot is for life: take %d, the next free one", r.Slot, free)
	}
	return r.Slot, nil
}

// district reads the district key and checks that it is the one that certified
// the office.
func (id Identity) district() (districtFile, ed25519.PrivateKey, error) {
	var d districtFile
	if id.Chain.Machine.Role != cert.RoleOffice {
		return d, nil, fmt.Errorf("%s belongs to %s: only the office enrols machines", id.dir, id)
	}
	if err := readJSON(id.dir, districtName, &d); err != nil {
		return d, nil, err
	}
	if d.Format != formatNumber || len(d.Seed) != ed25519.SeedSize {
		return d, nil, damaged(id.dir, districtName, "another format, or a key of the wrong length")
	}
	key := ed25519.NewKeyFromSeed(d.Seed)
	if !key.Public().(ed25519.PublicKey).Equal(id.Chain.District.PublicKey()) {
		return d, nil, damaged(id.dir, districtName, "its key is not the one that certified this office")
	}
	return d, key, nil
}

// Machines returns what the authority log is to say of every machine enrolled from
// the office's dir, the office first. An office writes at its start what its
// authority log does not say yet.
func Machines(dir string) ([]*event.MachineEnrolled, error) {
	office, err := Load(dir)
	if err != nil {
		return nil, err
	}
	d, _, err := office.district()
	if err != nil {
		return nil, err
	}
	var all []*event.MachineEnrolled
	for _, m := range d.Machines {
		if len(m.Chain) == 0 {
			continue
		}
		chain, err := cert.DecodeChain(m.Chain)
		if err == nil {
			err = chain.Verify(office.Fleet)
		}
		if err != nil {
			return nil, damaged(dir, districtName, fmt.Sprintf("slot %d: %v", m.Slot, err))
		}
		all = append(all, &event.MachineEnrolled{Chain: chain, Name: m.Name, Place: m.Place})
	}
	return all, nil
}

// Admission says how far a machine is let in.
type Admission uint8

// The admissions.
const (
	AdmitNone     Admission = iota
	AdmitHandOver           // its certificate has expired: it may hand over what it holds and gets nothing
	AdmitFull
)

// ErrStranger is returned by Admit for who is not of the fleet.
var ErrStranger = errors.New("not a machine of this fleet")

// Admit decides who may talk: the chain must lead to the fleet's key and certify
// the key that the other side has proved to hold. The clock decides only between
// full and hand-over; a machine that does not know the time gives the zero time, at
// which nobody has expired (PROTOCOL.md, Expiry). It is pure.
func Admit(fleet ed25519.PublicKey, chain cert.Chain, remote ed25519.PublicKey, now time.Time) (Admission, error) {
	if err := chain.Verify(fleet); err != nil {
		return AdmitNone, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	if !chain.Machine.PublicKey().Equal(remote) {
		return AdmitNone, fmt.Errorf("%w: it shows the certificate of slot %d and holds another key", ErrStranger, chain.Machine.Slot)
	}
	if !chain.Machine.Current(now) || !chain.District.Current(now) {
		return AdmitHandOver, nil
	}
	return AdmitFull, nil
}
