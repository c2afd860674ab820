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

// cannotServe says to a peer from where on we can serve a log, false where err is of
// another kind or the peer would not understand. Nothing of the log is sent to it until
// it holds so much.
func (x *Exchange) cannotServe(p *peer, log ledger.LogID, err error) bool {
	var pruned *PrunedError
	if !errors.As(err, &pruned) || p.version < versionPruned {
		return false
	}
	if pruned.From <= p.theirs[log].Size { // they have moved on meanwhile
		x.enqueue(p, log)
		return true
	}
	p.gaps[log] = pruned.From
	delete(p.sent, log)
	x.send(p, &wire.Pruned{Log: log, From: pruned.From})
	return true
}

// barred reports whether what the peer lacks next of a log was dropped here.
func (x *Exchange) barred(p *peer, log ledger.LogID) bool {
	return p.gaps[log] > p.theirs[log].Size
}

// pruned notes that a peer has dropped what we lack of a log, and asks another one that
// holds more. Where there is none the log stays short until somebody else comes.
func (x *Exchange) pruned(p *peer, m *wire.Pruned) {
	if p.version < versionPruned {
		x.bye(p, wire.ByeMalformed, "PRUNED is of a later version")
		return
	}
	if p.left[m.Log] || !x.known(p, m.Log) {
		return
	}
	delete(p.news, m.Log)
	if x.serving[m.Log] == p.conn {
		delete(x.serving, m.Log)
	}
	size := x.held[m.Log].Size
	if m.From <= size { // we have moved on meanwhile
		x.answer(p, m.Log, wire.PleaNone)
		return
	}
	p.offers[m.Log] = m.From
	x.do(Gap{Conn: p.conn, Log: m.Log, From: m.From})
	for _, q := range x.order() {
		if _, served := x.serving[m.Log]; served {
			return
		}
		if q.started && !q.left[m.Log] && q.offers[m.Log] == 0 && q.theirs[m.Log].Size > size {
			x.beg(q, m.Log)
		}
	}
}

// reached tells peers that have dropped the beginning of a log that we now hold it: they
// have sent us nothing of it since, and would not.
func (x *Exchange) reached(log ledger.LogID, size uint64) {
	for _, p := range x.order() {
		from := p.offers[log]
		if from == 0 || from > size {
			continue
		}
		delete(p.offers, log)
		if !p.left[log] {
			x.answer(p, log, wire.PleaNone)
		}
	}
}
