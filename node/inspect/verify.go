package inspect

import (
	"context"
	"fmt"
	"io"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

// chunkEntries is how many entries are read between two looks at clock and context.
const chunkEntries = 4096

// firsts counts the logs, each once however many branches it has.
func firsts(logs []Log) (n int) {
	for _, l := range logs {
		if l.Branch == 0 {
			n++
		}
	}
	return n
}

// verify reads every entry, computes the tree anew and compares root and signature
// of every kept checkpoint. What was held once and is not counts as found.
func (a Asker) verify(ctx context.Context, logs []Log, lost []Loss, out, progress io.Writer) error {
	m := meter{now: a.Now, w: progress, started: a.Now()}
	for _, l := range logs {
		m.total += l.End.Size - (l.PrunedTo - l.PrunedFrom)
	}
	found := 0
	for _, l := range logs {
		kept, err := a.verifyLog(ctx, l, &m)
		if ctx.Err() != nil {
			return fmt.Errorf("broken off after %d of %d entries: %w", m.done, m.total, context.Cause(ctx))
		}
		line := fmt.Sprintf("ok       %s  %s: %d entries, %d checkpoints\n", l.ID, l.name(), l.End.Size, kept)
		if gone := l.pruned(); gone != "" {
			line = fmt.Sprintf("ok       %s  %s: %d entries, %d checkpoints; %s\n", l.ID, l.name(), l.End.Size, kept, gone)
		}
		if err != nil {
			found++
			line = fmt.Sprintf("DAMAGED  %s  %s: %v\n", l.ID, l.name(), err)
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	for _, l := range lost {
		if _, err := fmt.Fprintf(out, "LOST     %s  %d entries were held here, %d are\n", l.ID, l.Had, l.Held); err != nil {
			return err
		}
	}
	if n := a.Ledger.MarksLost(); n > 0 {
		if _, err := fmt.Fprintf(out, "UNKNOWN  at %d starts the marks of how far others' logs were held were missing or damaged: what was lost then is not counted, and is sent again\n", n); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%d entries of %d logs in %s, %.0f entries/s\n", m.done, firsts(logs), m.took().Round(time.Millisecond), m.rate()); err != nil {
		return err
	}
	if found > 0 {
		return fmt.Errorf("%w: %d of %d logs; stop taking money here, keep the folder as it is and call the office", ErrFound, found, len(logs))
	}
	if len(lost) > 0 {
		return fmt.Errorf("%w: of %d logs of others less is held than once was; let the machine reach its neighbours and the office, which send it again", ErrFound, len(lost))
	}
	return nil
}

// verifyLog verifies one branch of a log as it was at first. What is pruned of it
// meanwhile is passed over like what was pruned before.
func (a Asker) verifyLog(ctx context.Context, l Log, m *meter) (checkpoints int, err error) {
	var edge ledger.Edge
	for size := uint64(0); size < l.End.Size; {
		c, err := a.Ledger.Covering(l, size)
		if err != nil {
			return checkpoints, err
		}
		if c.Size <= size || c.Size > l.End.Size {
			return checkpoints, fmt.Errorf("the checkpoint after entry %d has the size %d", size, c.Size)
		}
		hidden := c.Size > l.PrunedFrom && c.Size < l.PrunedTo // nobody here can compute the root
		if !hidden {
			edge, err = a.extend(ctx, l, edge, c.Size, m)
			if now := a.asPruned(l); err != nil && now.PrunedTo > l.PrunedTo {
				l = now
				continue
			}
			if err != nil {
				return checkpoints, err
			}
			if edge.Root() != c.Root {
				return checkpoints, fmt.Errorf("the entries before %d do not lead to the root of the checkpoint there", c.Size)
			}
		}
		if err := c.Verify(l.Key); err != nil {
			return checkpoints, err
		}
		size = c.Size
		checkpoints++
	}
	if l.End.Size >= l.PrunedTo && edge.Root() != l.End.Root {
		return checkpoints, fmt.Errorf("the entries do not lead to the newest root")
	}
	return checkpoints, nil
}

// asPruned is the log with what is pruned of it by now.
func (a Asker) asPruned(l Log) Log {
	for _, now := range a.Ledger.Logs() {
		if now.ID == l.ID && now.Branch == l.Branch {
			l.PrunedFrom, l.PrunedTo = now.PrunedFrom, now.PrunedTo
		}
	}
	return l
}

// extend reads entries up to size and returns the edge after them. Over what was
// pruned the hashes lead that are kept of it.
func (a Asker) extend(ctx context.Context, l Log, edge ledger.Edge, size uint64, m *meter) (ledger.Edge, error) {
	for from := edge.Size(); from < size; from = edge.Size() {
		to := min(size, from+chunkEntries)
		if l.PrunedTo > 0 && from < l.PrunedFrom {
			to = min(to, l.PrunedFrom)
		} else if l.PrunedTo > from {
			var err error
			if edge, err = a.cross(l, edge); err != nil {
				return edge, err
			}
			continue
		}
		leaves := make([]ledger.Hash, 0, to-from)
		err := a.Ledger.Range(l, from, to, func(index uint64, raw []byte) error {
			leaves = append(leaves, ledger.LeafHash(raw))
			if index == 0 {
				_, err := event.OpenLog(a.Fleet, l.ID, raw)
				return err
			}
			if _, err := ledger.DecodeEntry(raw); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			return nil
		})
		if err != nil {
			return edge, err
		}
		if edge, err = edge.Append(leaves...); err != nil {
			return edge, err
		}
		if err := m.add(ctx, to-from); err != nil {
			return edge, err
		}
	}
	return edge, nil
}

// cross returns the edge behind what was pruned, if the one before it is under the same
// root. One within was reached before all of that was pruned.
func (a Asker) cross(l Log, before ledger.Edge) (ledger.Edge, error) {
	if before.Size() > l.PrunedFrom {
		return a.Ledger.Edge(l, l.PrunedTo)
	}
	kept, err := a.Ledger.Edge(l, l.PrunedFrom)
	if err != nil {
		return before, err
	}
	if kept.Root() != before.Root() {
		return before, fmt.Errorf("the entries before %d do not lead to the root that is kept there", l.PrunedFrom)
	}
	return a.Ledger.Edge(l, l.PrunedTo)
}

// meter tells a person how far the work is and how long it will take.
type meter struct {
	now         func() time.Time
	w           io.Writer
	started     time.Time
	said        time.Time
	done, total uint64
}

func (m *meter) took() time.Duration { return m.now().Sub(m.started) }

func (m *meter) rate() float64 {
	return float64(m.done) / max(m.took().Seconds(), 0.001)
}

func (m *meter) add(ctx context.Context, n uint64) error {
	m.done += n
	if at := m.now(); at.Sub(m.said) >= 200*time.Millisecond {
		m.said = at
		left := time.Duration(float64(m.total-m.done) / m.rate() * float64(time.Second))
		if _, err := fmt.Fprintf(m.w, "\r%d of %d entries, %.0f/s, %s left ", m.done, m.total, m.rate(), left.Round(time.Second)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
