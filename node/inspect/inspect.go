// Package inspect answers what a person asks of a node's ledger: what is held
// (stat), the entries themselves (show), the newest checkpoints (heads), and whether
// all of it is as it was signed (verify). It reads and changes nothing.
package inspect

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// Log is one log that is held, or of a log that has forked one branch.
type Log struct {
	ID      ledger.LogID
	Key     ed25519.PublicKey
	Opened  *event.LogOpened
	End     ledger.Checkpoint
	Own     bool
	Branch  int    // 0 is the one held first
	Departs uint64 // the first entry that a further branch has otherwise than another
	// Entries PrunedFrom to PrunedTo-1 were dropped here; none where both are 0.
	PrunedFrom, PrunedTo uint64
}

// pruned says what is not here, empty where all is.
func (l Log) pruned() string {
	if l.PrunedTo == 0 {
		return ""
	}
	return fmt.Sprintf("entries %d to %d are pruned here", l.PrunedFrom, l.PrunedTo-1)
}

// gone is how many entries are pruned of those that the branch does not share with one
// before it.
func (l Log) gone() uint64 { return l.PrunedTo - min(l.PrunedTo, max(l.PrunedFrom, l.Departs)) }

// name is how people call a log: whose it is and which incarnation.
func (l Log) name() string {
	m := l.Opened.Chain.Machine
	name := fmt.Sprintf("%s %d-%d", m.Role, m.Slot, l.Opened.Grant.Ordinal)
	if s := l.Opened.Grant.Stream; m.Role == cert.RoleOffice {
		name += "/" + streamName(s)
	}
	if l.Branch > 0 {
		name += fmt.Sprintf(" FORK %d from entry %d", l.Branch, l.Departs)
	}
	return name
}

func streamName(s cert.Stream) string {
	switch {
	case s == cert.StreamAuthority:
		return "authority"
	case s == cert.StreamSettlement:
		return "settlement"
	}
	return fmt.Sprintf("cell-%d", s-cert.StreamCell)
}

// Ledger is what is held durably. Its methods may be called while the node runs.
type Ledger interface {
	// Logs returns every branch of every log of which something is held.
	Logs() []Log
	// Range calls f with the entries from..to-1 in order; f must not keep the bytes.
	Range(l Log, from, to uint64, f func(index uint64, entry []byte) error) error
	// Covering returns the first kept checkpoint beyond the index.
	Covering(l Log, index uint64) (ledger.Checkpoint, error)
	// Edge returns the edge of a log's tree, proven to be under the newest root, at any
	// size that is not within what was pruned.
	Edge(l Log, size uint64) (ledger.Edge, error)
	// Forks is how many contradicting histories were seen.
	Forks() int
	// MissingObjects is how many objects are named by a held entry and not here.
	MissingObjects() int
	// Lost is what of others' logs was held here once and is not, ascending by log.
	Lost() []Loss
	// MarksLost is at how many starts it was not known how far others' logs were held.
	MarksLost() uint64
}

// Loss is a log of which less is held than once was.
type Loss struct {
	ID        ledger.LogID
	Had, Held uint64 // entries; Held is 0 where only another history of the log is held
}

// lost is what is lost of the logs whose id begins with prefix.
func (a Asker) lost(prefix string) []Loss {
	return slices.DeleteFunc(a.Ledger.Lost(), func(l Loss) bool { return !strings.HasPrefix(l.ID.String(), strings.ToLower(prefix)) })
}

// The questions.
const (
	Stat   = "stat"
	Show   = "show"
	Heads  = "heads"
	Verify = "verify"
)

// Query is one question. Log narrows it to the logs whose id begins with it.
type Query struct {
	Do    string
	Log   string
	From  uint64 // show: the first index
	Count uint64 // show: at most so many entries of each log; 0 for all
	Kind  string // show: of this kind alone, by name or number; empty for all
	JSON  bool   // one object a line instead of text
}

// Asker answers queries. All fields are needed.
type Asker struct {
	Ledger Ledger
	Fleet  ed25519.PublicKey
	Now    func() time.Time
}

// Answer writes the answer to out and, while it works, how far it is to progress. An
// error is what a person is to be told; of verify, that something was found.
func (a Asker) Answer(ctx context.Context, q Query, out, progress io.Writer) error {
	lost := a.lost(q.Log)
	logs, err := a.logs(q.Log)
	if err != nil && len(lost) == 0 {
		return err
	}
	switch q.Do {
	case Stat:
		return a.stat(logs, lost, out)
	case Show:
		return a.show(ctx, logs, q, out)
	case Heads:
		return heads(logs, lost, q, out)
	case Verify:
		return a.verify(ctx, logs, lost, out, progress)
	}
	return fmt.Errorf("there is no question %q: ask stat, show, heads or verify", q.Do)
}

func (a Asker) logs(prefix string) ([]Log, error) {
	var chosen []Log
	all := a.Ledger.Logs()
	for _, l := range all {
		if strings.HasPrefix(l.ID.String(), strings.ToLower(prefix)) {
			chosen = append(chosen, l)
		}
	}
	if len(chosen) == 0 && prefix != "" {
		return nil, fmt.Errorf("none of the %d logs held begins with %q: heads lists them", len(all), prefix)
	}
	return chosen, nil
}

func (a Asker) stat(logs []Log, lost []Loss, out io.Writer) error {
	var own, entries, ownEntries, pruned, gone uint64
	greatest := map[ledger.LogID]uint64{}
	for _, l := range lost {
		gone -= greatest[l.ID]
		greatest[l.ID] = max(greatest[l.ID], l.Had-l.Held)
		gone += greatest[l.ID]
	}
	for _, l := range logs {
		entries += l.End.Size - l.Departs - l.gone()
		pruned += l.gone()
		if l.Own {
			own++
			ownEntries += l.End.Size
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		what  string
		count uint64
	}{
		{"logs held", uint64(firsts(logs))}, {"of them own", own}, {"forked branches", uint64(len(logs) - firsts(logs))}, {"entries held", entries}, {"of them own", ownEntries}, {"entries pruned", pruned},
		{"objects missing", uint64(a.Ledger.MissingObjects())}, {"forks seen", uint64(a.Ledger.Forks())},
		{"logs cut short", uint64(len(greatest))}, {"entries lost", gone}, {"starts unmarked", a.Ledger.MarksLost()},
	} {
		fmt.Fprintf(w, "%s\t%d\n", row.what, row.count)
	}
	return w.Flush()
}

// head is one line of heads in JSON.
type head struct {
	Log        string `json:"log"`
	Name       string `json:"name"`
	Own        bool   `json:"own"`
	Size       uint64 `json:"size"`
	Root       string `json:"root"`
	Checkpoint string `json:"checkpoint"` // a C2SP signed note
	Branch     int    `json:"branch"`
	Departs    uint64 `json:"departs"`
	From       uint64 `json:"from"` // the first index from which all entries are here
}

// lostHead is one line of heads in JSON: a log of which more was held.
type lostHead struct {
	Log  string `json:"log"`
	Had  uint64 `json:"had"`
	Held uint64 `json:"held"`
}

func heads(logs []Log, lost []Loss, q Query, out io.Writer) error {
	if q.JSON {
		enc := json.NewEncoder(out)
		for _, l := range logs {
			if err := enc.Encode(head{l.ID.String(), l.name(), l.Own, l.End.Size, l.End.Root.String(), string(l.End.Note(l.Key)), l.Branch, l.Departs, l.PrunedTo}); err != nil {
				return err
			}
		}
		for _, l := range lost {
			if err := enc.Encode(lostHead{l.ID.String(), l.Had, l.Held}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOG\tWHOSE\tENTRIES\tFROM\tROOT\t")
	for _, l := range logs {
		own := ""
		if l.Own {
			own = "own"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.16s\t%s\n", l.ID, l.name(), l.End.Size, l.PrunedTo, l.End.Root, own)
	}
	for _, l := range lost {
		fmt.Fprintf(w, "%s\tLOST\t%d\t\t%d were held here\t\n", l.ID, l.Held, l.Had)
	}
	return w.Flush()
}

// ErrFound is returned by verify when the ledger is not as it was signed.
var ErrFound = errors.New("the ledger is not as it was signed")
