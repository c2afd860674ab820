package exchange

import (
	"errors"
	"fmt"

	"rasid/ledger"
	"rasid/sync/wire"
)

// PrunedError is the Err of a RunRead whose entries were dropped here: the log can be
// served from From on.
type PrunedError struct {
	Log  ledger.LogID
	From uint64
}

// Error says from where on the log is held.
func (e *PrunedError) Error() string {
	return fmt.Sprintf("log %s is pruned and held from %d on", e.Log, e.From)
}

// versionPruned is the first version of the protocol that has PRUNED.
const versionPruned = 2

// cannotServe deals with a read that found its entries dropped here, false where e.Err is
// of another kind or the peer would not understand. The peer is told from where on we
// can serve the log, and nothing of it is sent to it until it holds so much.
func (x *Exchange) cannotServe(p *peer, v *view, e RunRead) bool {
	var pruned *PrunedError
	if !errors.As(e.Err, &pruned) {
		return false
	}
	switch theirs := v.theirs(); {
	case p.stale || longest(p.reading.Held) < pruned.From && pruned.From <= theirs: // they have moved on meanwhile
		x.enqueue(p, e.Log)
	case pruned.From <= theirs: // they hold so much in another history: it comes first
		v.asked = false
	case p.version < versionPruned:
		return false
	default:
		v.gap, v.sent, v.asked = pruned.From, nil, false
		x.send(p, &wire.Pruned{Log: e.Log, From: pruned.From})
	}
	return true
}

// pruned notes that a peer has dropped what we lack of a log, and asks another one that
// holds more. Where there is none the log stays short until somebody else comes.
func (x *Exchange) pruned(p *peer, m *wire.Pruned) {
	if p.version < versionPruned {
		x.bye(p, wire.ByeMalformed, "PRUNED is of a later version")
		return
	}
	v := x.known(p, m.Log)
	if v == nil || v.left {
		return
	}
	delete(p.news, m.Log)
	if x.serving[m.Log] == p.conn {
		delete(x.serving, m.Log)
	}
	v.serves = false
	size := longest(x.held[m.Log])
	if m.From <= size { // we have moved on meanwhile
		x.answer(p, m.Log, wire.PleaNone)
		return
	}
	v.offer = m.From
	x.do(Gap{Conn: p.conn, Log: m.Log, From: m.From})
	for _, q := range x.order() {
		if _, served := x.serving[m.Log]; served {
			return
		}
		if q.started && q.view(m.Log).theirs() > size {
			x.beg(q, m.Log)
		}
	}
}

// reached tells peers that have dropped the beginning of a log that we now hold it: they
// have sent us nothing of it since, and would not.
func (x *Exchange) reached(log ledger.LogID, size uint64) {
	for _, p := range x.order() {
		v := p.view(log)
		if v.offer == 0 || v.offer > size {
			continue
		}
		v.offer = 0
		x.answer(p, log, wire.PleaNone)
	}
}
