package book

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/event"
)

// identity is what entry 0 says of a log. A key that has opened its log twice gives
// two of them.
type identity struct {
	id      ledger.LogID
	slot    uint32
	ordinal uint32
	author  event.Author
	machine [ed25519.PublicKeySize]byte
	rules   ledger.Hash
}

func identityOf(l *Log) identity {
	return identity{l.ID, l.Slot, l.Ordinal, l.Author, l.Machine, l.Rules}
}

// before is one order of all logs.
func (a *identity) before(b *identity) bool {
	if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
		return c < 0
	}
	return fmt.Sprint(*a) < fmt.Sprint(*b)
}

// group is one log as the keeper reads it, with its branches.
type group struct {
	identity
	branches []Log
	read     int     // branches that were read
	reader   *reader // of a log with one branch that nothing holds: it goes on where it was
	whole    uint64  // entries of its one branch that were read as a whole, 0 for none
	view     *view
	out      *output
}

// read takes what is new of a log: the entries that follow, or, where it is read as
// a whole, all of them.
func (k *Keeper) read(g *group) error {
	if len(g.branches) > 1 || g.view.whole() {
		grew, err := g.grew()
		if err != nil || !grew {
			return err
		}
		return k.readWhole(g)
	}
	if g.reader == nil || g.read != len(g.branches) {
		k.drop(g)
		g.reader = newReader(k, g)
	}
	g.read = len(g.branches)
	r := g.reader
	transactions, nodes := len(g.out.transactions), len(g.out.nodes)
	err := g.branches[0].Each(r.next, func(index uint64, raw []byte) error {
		if index != r.next {
			return fmt.Errorf("log %s: entry %d comes where %d is due", g.id, index, r.next)
		}
		return r.entry(index, raw, true)
	})
	if err != nil {
		return err
	}
	finish([]*reader{r})
	return k.take(g, transactions, nodes)
}

// take puts what reading a log gave into the books.
func (k *Keeper) take(g *group, transactions, nodes int) error {
	for _, n := range g.out.nodes[nodes:] {
		k.add(n)
	}
	return k.sum(g.out.transactions[transactions:])
}

// errGrew ends a walk that was to find out whether there is anything.
var errGrew = errors.New("there is more")

// grew reports whether a log that is read as a whole may have changed since it was.
func (g *group) grew() (bool, error) {
	if len(g.branches) > 1 || g.read != 1 || g.whole == 0 {
		return true, nil
	}
	err := g.branches[0].Each(g.whole, func(uint64, []byte) error { return errGrew })
	if errors.Is(err, errGrew) {
		return true, nil
	}
	return false, err
}

// drop takes what a log gave out of the books.
func (k *Keeper) drop(g *group) {
	k.mustSubtract(g.out.transactions)
	k.remove(g.out.nodes)
	g.out, g.reader, g.whole = &output{}, nil, 0
}

// readWhole reads a log anew, with all its branches.
func (k *Keeper) readWhole(g *group) error {
	k.drop(g)
	g.read = len(g.branches)
	branches, err := g.load()
	if err != nil {
		return err
	}
	if g.view.revoked {
		if err := g.view.accept(branches); err != nil {
			return fmt.Errorf("log %s: %w", g.id, err)
		}
	}
	ends, err := newReader(k, g).readForked(branches, 0)
	if err != nil {
		return err
	}
	showPapers(ends, branches)
	finish(ends)
	if len(branches) == 1 {
		g.whole = uint64(len(branches[0].entries))
	}
	return k.take(g, 0, 0)
}

// load reads every branch, and leaves out one that is the beginning of another.
func (g *group) load() ([]branch, error) {
	var all [][][]byte
	for i := range g.branches {
		var entries [][]byte
		err := g.branches[i].Each(0, func(index uint64, raw []byte) error {
			if index != uint64(len(entries)) {
				return fmt.Errorf("log %s: entry %d comes where %d is due", g.id, index, len(entries))
			}
			entries = append(entries, bytes.Clone(raw))
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, entries)
	}
	var kept []branch
	for i, a := range all {
		within := false
		for j, b := range all {
			if i != j && begins(a, b) && (len(a) < len(b) || j < i) {
				within = true
			}
		}
		if !within {
			kept = append(kept, branch{entries: a})
		}
	}
	return kept, nil
}

// begins reports whether the entries of a are the first of b.
func begins(a, b [][]byte) bool {
	if len(a) > len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
