// Package storetest is the contract that a store must keep, run by the tests of
// package store: a suite, disks that fail on command, crashes at every durable
// step, and the commit benchmark. It is linked into tests and the workshop only.
package storetest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// Fleet is a made-up fleet with one district. All its keys follow from its name.
type Fleet struct {
	name     string
	Public   ed25519.PublicKey
	district cert.Certificate
	key      ed25519.PrivateKey // the district's
}

// Machine is a machine of a Fleet with the key of its first log.
type Machine struct {
	Key    ed25519.PrivateKey
	LogKey ed25519.PrivateKey
	Opened *event.LogOpened
}

// ID is the machine's log.
func (m Machine) ID() ledger.LogID { return ledger.LogIDOf(m.LogKey.Public().(ed25519.PublicKey)) }

func derive(parts ...any) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Append([]byte("rasid test key "), parts...))
	return ed25519.NewKeyFromSeed(seed[:])
}

// NewFleet makes a fleet.
func NewFleet(name string) (Fleet, error) {
	fleet := derive(name, "fleet")
	f := Fleet{name: name, Public: fleet.Public().(ed25519.PublicKey), key: derive(name, "district")}
	var err error
	f.district, err = cert.Issue(fleet, cert.Certificate{
		Key: [32]byte(f.key.Public().(ed25519.PublicKey)), Cell: math.MaxUint32, Role: cert.RoleDistrict, NotAfter: 40_000,
	})
	return f, err
}

// Machine enrols a machine: an office writes its authority log.
func (f Fleet) Machine(role cert.Role, slot uint32) (Machine, error) {
	stream := cert.StreamMain
	if role == cert.RoleOffice {
		stream = cert.StreamAuthority
	}
	return f.machine(role, slot, stream)
}

// Cell is the office of that slot with its log of cell 0, in which it acknowledges.
func (f Fleet) Cell(slot uint32) (Machine, error) {
	return f.machine(cert.RoleOffice, slot, cert.StreamCell)
}

func (f Fleet) machine(role cert.Role, slot uint32, stream cert.Stream) (Machine, error) {
	m := Machine{Key: derive(f.name, "machine", slot), LogKey: derive(f.name, "log", slot)}
	if stream >= cert.StreamCell {
		m.LogKey = derive(f.name, "cell log", slot)
	}
	machine, err := cert.Issue(f.key, cert.Certificate{
		Key: [32]byte(m.Key.Public().(ed25519.PublicKey)), Slot: slot, Role: role, NotAfter: 40_000,
	})
	if err != nil {
		return m, err
	}
	grant, err := cert.SignGrant(m.Key, cert.Grant{
		LogKey: [32]byte(m.LogKey.Public().(ed25519.PublicKey)), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled,
	})
	m.Opened = &event.LogOpened{Chain: cert.Chain{District: f.district, Machine: machine}, Grant: grant, Currency: event.Currency}
	return m, err
}

// Next is the machine with the next incarnation of its log, of whose predecessor last is
// known.
func (m Machine) Next(reason cert.Reason, last ledger.Checkpoint) (Machine, error) {
	opened, id := *m.Opened, m.ID()
	m.LogKey = derive("log after", id.String())
	g := cert.Grant{LogKey: [32]byte(m.LogKey.Public().(ed25519.PublicKey)), Stream: opened.Grant.Stream, Ordinal: opened.Grant.Ordinal + 1, Reason: reason}
	g.Before = &cert.Predecessor{Log: id, Size: last.Size, Root: last.Root}
	var err error
	opened.Grant, err = cert.SignGrant(m.Key, g)
	m.Opened = &opened
	return m, err
}

// Open is the entry that opens the machine's log.
func (m Machine) Open() (ledger.Entry, error) { return event.New(ledger.Time{}, m.Opened) }

// Sale is an entry of about 20 bytes; equal numbers give equal bytes.
func Sale(n uint64) (ledger.Entry, error) {
	return event.New(ledger.Time{WallMs: 1_700_000_000_000 + n, Quality: ledger.TimeNetwork},
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi})
}

// Filler is an entry of a kind not in use, whose body holds size bytes.
func Filler(n uint64, size int) (ledger.Entry, error) {
	b := make([]byte, size)
	if size >= 8 {
		binary.BigEndian.PutUint64(b, n)
	}
	body, err := ledger.Encode(struct {
		Bytes []byte `cbor:"0,keyasint"`
	}{b})
	return ledger.Entry{Kind: 200, Time: ledger.Time{WallMs: n}, Body: body}, err
}

// Dues is the office's entry that names an object.
func Dues(object []byte) (ledger.Entry, error) {
	return event.New(ledger.Time{}, &event.DuesPublished{
		Biller: "AVVNL", Object: ledger.ObjectHash(object), Bytes: uint64(len(object)), Pepper: 1, Count: 1,
	})
}

// Acknowledge is the office's entry, at a time, that says how far it holds logs.
func Acknowledge(wallMs uint64, held ...event.Held) (ledger.Entry, error) {
	slices.SortFunc(held, func(a, b event.Held) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return event.New(ledger.Time{WallMs: wallMs, Quality: ledger.TimeOffice}, &event.Acknowledged{Held: held})
}

// Author writes a log in memory, so that its runs can be ingested.
type Author struct {
	Machine
	Log  ledger.Log
	Runs []ledger.Run
}

// NewAuthor begins the machine's log with its first entry.
func NewAuthor(m Machine) (*Author, error) {
	a := &Author{Machine: m, Log: ledger.Log{Key: m.LogKey.Public().(ed25519.PublicKey)}}
	e, err := m.Open()
	if err != nil {
		return nil, err
	}
	_, err = a.Write(e)
	return a, err
}

// Write appends entries and returns their run.
func (a *Author) Write(entries ...ledger.Entry) (ledger.Run, error) {
	var raw [][]byte
	for _, e := range entries {
		b, err := ledger.EncodeEntry(e)
		if err != nil {
			return ledger.Run{}, err
		}
		raw = append(raw, b)
	}
	run, err := a.Log.NewRun(a.LogKey, raw)
	if err != nil {
		return run, err
	}
	a.Log, _, err = a.Log.Extend(run)
	a.Runs = append(a.Runs, run)
	return run, err
}

// Whole returns everything written as one run.
func (a *Author) Whole() ledger.Run {
	r := ledger.Run{Log: a.ID(), End: a.Log.End}
	root := ledger.Edge{}.Root()
	copy(r.Branch[:], root[:])
	for _, run := range a.Runs {
		r.Entries = append(r.Entries, run.Entries...)
	}
	return r
}
