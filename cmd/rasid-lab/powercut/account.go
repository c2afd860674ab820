package powercut

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"rasid/ledger"
)

// account is what was shown of one log. It is kept by the rig, which shares nothing
// with the writers but the bytes that they sent.
type account struct {
	name   string
	key    ed25519.PublicKey
	base   []ledger.Hash          // leaves that the last start told
	edge   ledger.Edge            // over base
	leaves map[uint64]ledger.Hash // shown since, by index
	roots  map[uint64]ledger.Hash // shown at any time, by size
	size   uint64                 // the greatest shown
	from   uint64                 // where what was dropped ends, as shown; 0: nothing was
}

func newAccount(name string, key ed25519.PublicKey) *account {
	return &account{name: name, key: key, leaves: map[uint64]ledger.Hash{}, roots: map[uint64]ledger.Hash{}}
}

func (a *account) lost(format string, args ...any) error {
	return fmt.Errorf("%s: %s", a.name, fmt.Sprintf(format, args...))
}

// show notes entries from first on, and a checkpoint, that somebody has now seen.
func (a *account) show(first uint64, leaves []ledger.Hash, end ledger.Checkpoint) error {
	for i, h := range leaves {
		at := first + uint64(i)
		was, known := a.leaves[at]
		if at < uint64(len(a.base)) {
			was, known = a.base[at], true
		}
		if known && was != h {
			return a.lost("position %d was shown with other bytes before", at)
		}
		a.leaves[at] = h
	}
	return a.showEnd(end)
}

func (a *account) showEnd(end ledger.Checkpoint) error {
	if was, known := a.roots[end.Size]; known && was != end.Root {
		return a.lost("two roots were shown at size %d: %s and %s", end.Size, was, end.Root)
	} else if known {
		return nil
	}
	if err := end.Verify(a.key); err != nil {
		return a.lost("the checkpoint at size %d: %v", end.Size, err)
	}
	a.roots[end.Size] = end.Root
	a.size = max(a.size, end.Size)
	return nil
}

// restart compares all that a start told with what was shown: nothing is missing,
// nothing has other bytes, and every root shown is that of the entries now there.
func (a *account) restart(all []ledger.Hash, end ledger.Checkpoint) error {
	if uint64(len(all)) != end.Size {
		return a.lost("the start told of %d entries and a checkpoint at %d", len(all), end.Size)
	}
	if uint64(len(all)) < a.size || len(all) < len(a.base) {
		return a.lost("%d entries were shown, %d are there", max(a.size, uint64(len(a.base))), len(all))
	}
	if !slices.Equal(all[:len(a.base)], a.base) {
		return a.lost("one of the first %d entries has other bytes than were shown", len(a.base))
	}
	for at, h := range a.leaves {
		if at >= uint64(len(all)) || all[at] != h {
			return a.lost("entry %d was shown and is gone or has other bytes", at)
		}
	}
	if err := a.showEnd(end); err != nil {
		return err
	}
	at := len(a.base)
	for _, size := range slices.Sorted(maps.Keys(a.roots)) {
		if size <= uint64(len(a.base)) {
			continue // compared at an earlier start, over the same entries
		}
		var err error
		if a.edge, err = a.edge.Append(all[at:size]...); err != nil {
			return a.lost("couldn't compute a root: %v", err)
		}
		at = int(size)
		if got := a.edge.Root(); got != a.roots[size] {
			return a.lost("root %s was shown at size %d, the entries there have %s", a.roots[size], size, got)
		}
	}
	a.base = all
	clear(a.leaves)
	return nil
}
