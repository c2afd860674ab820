package exchange

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

// connected starts the conversation: the dialler says first who it is, and the
// other end says nothing at all until it knows (PROTOCOL.md §3).
func (x *Exchange) connected(e Connected) {
	p := &peer{
		conn: e.Conn, key: e.Key, dialed: e.Dialed, since: x.now,
		views: make(map[ledger.LogID]*view), news: make(map[ledger.LogID]ledger.Tip),
		lacked: make(map[ledger.Hash]bool), lacking: make(map[ledger.Hash]time.Time),
	}
	x.peers[e.Conn] = p
	if p.dialed {
		x.sendHello(p)
	}
}

func (x *Exchange) sendHello(p *peer) {
	x.send(p, &wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Chain: x.cfg.Chain})
}

func (x *Exchange) received(e Received) {
	p := x.peers[e.Conn]
	switch {
	case p == nil: // closed by us; what still arrives is void
	case e.Err != nil:
		x.bye(p, byeCodeOf(e.Err), "a message could not be read")
	case !p.hello:
		x.beforeHello(p, e.Message)
	default:
		x.message(p, e)
	}
}

func byeCodeOf(err error) wire.ByeCode {
	if errors.Is(err, wire.ErrTooLarge) {
		return wire.ByeLimit
	}
	return wire.ByeMalformed
}

func (x *Exchange) beforeHello(p *peer, m wire.Message) {
	switch m := m.(type) {
	case *wire.Hello:
		x.hello(p, m)
	case *wire.Bye:
		x.theirBye(p, m)
	default:
		x.bye(p, wire.ByeMalformed, "HELLO comes first")
	}
}

func (x *Exchange) theirBye(p *peer, m *wire.Bye) {
	x.do(Close{Conn: p.conn, Code: m.Code, Theirs: true, Reason: m.Text})
	x.closed(p.conn)
}

// hello admits a machine or says goodbye. To a stranger nothing else was sent if it
// dialled, and only our HELLO if we did.
func (x *Exchange) hello(p *peer, m *wire.Hello) {
	if len(p.key) != ed25519.PublicKeySize || !bytes.Equal(p.key, m.Chain.Machine.Key[:]) || m.Chain.Verify(x.cfg.Fleet) != nil {
		x.bye(p, wire.ByeStranger, "the certificate chain does not admit this key")
		return
	}
	version, ok := wire.Choose(m)
	if !ok {
		x.bye(p, wire.ByeVersion, "no common version of the protocol")
		return
	}
	p.version = version
	p.chain = m.Chain
	if !x.winsOver(p) {
		x.bye(p, wire.ByeDuplicate, "another connection of the two machines is kept")
		return
	}
	if x.admitted() >= x.cfg.PeersMax {
		x.bye(p, wire.ByeBusy, "too many peers")
		return
	}
	p.hello = true
	x.do(Admit{Conn: p.conn, Chain: p.chain, Expired: x.expired(p)})
	if !p.dialed {
		x.sendHello(p)
	}
	x.sendFrontier(p)
}

func (x *Exchange) admitted() (n int) {
	for _, p := range x.peers {
		if p.hello {
			n++
		}
	}
	return n
}

// winsOver settles which of two connections between the same machines stays, in
// the same way at both ends: while both are young they are a race, and the one
// that the smaller key dialled stays; else the older one is dead and its other end
// has dialled again (PROTOCOL.md §3).
func (x *Exchange) winsOver(p *peer) bool {
	if bytes.Equal(p.key, x.cfg.Machine) {
		return false // we reached ourselves
	}
	for _, q := range x.order() {
		if !q.hello || !bytes.Equal(q.key, p.key) {
			continue
		}
		race := x.now.Sub(q.since) < duplicateAge && p.dialed != q.dialed
		weAreSmaller := bytes.Compare(x.cfg.Machine, p.key) < 0
		if race && q.dialed == weAreSmaller {
			return false
		}
		x.bye(q, wire.ByeDuplicate, "a newer connection of the two machines is kept")
	}
	return true
}

// sendFrontier says what we hold. A peer whose certificate has expired learns only
// what it needs to hand over: our tips of the logs that it names, once it has (see
// startExpired); until then it has no credit.
func (x *Exchange) sendFrontier(p *peer) {
	if x.expired(p) {
		x.send(p, &wire.Frontier{})
		return
	}
	logs := sortedLogs(x.held)
	if len(logs) > wire.FrontierMaxLogs {
		logs = logs[:wire.FrontierMaxLogs]
	}
	var more []*wire.Have
	for {
		n := min(len(logs), wire.FrontierPartMaxLogs)
		part := &wire.Frontier{More: n < len(logs)}
		for _, log := range logs[:n] {
			lists := parts(x.held[log])
			part.Logs = append(part.Logs, wire.LogTips{Log: log, Tips: lists[0]})
			for _, rest := range lists[1:] {
				more = append(more, &wire.Have{Log: log, Tips: rest})
			}
		}
		logs = logs[n:]
		if !part.More {
			part.Credit = x.cfg.CreditBytes
			p.granted = int64(part.Credit)
			x.send(p, part)
			break
		}
		x.send(p, part)
	}
	for _, m := range more {
		x.send(p, m)
	}
}

func (x *Exchange) frontier(p *peer, m *wire.Frontier) {
	if p.started {
		x.bye(p, wire.ByeMalformed, "a second FRONTIER")
		return
	}
	if len(m.Scope) != 0 {
		x.bye(p, wire.ByeMalformed, "version 1 has no scope but all")
		return
	}
	for _, l := range m.Logs {
		if p.named > 0 && bytes.Compare(p.last[:], l.Log[:]) >= 0 {
			x.bye(p, wire.ByeMalformed, "the logs of FRONTIER do not ascend")
			return
		}
		p.last = l.Log
		v := x.known(p, l.Log)
		if v == nil {
			return
		}
		v.state(l.Tips, len(x.held[l.Log]) <= 1, false)
		x.compareOwn(p, v, l.Log)
	}
	if !m.More {
		x.start(p, m.Credit)
	}
}

func (x *Exchange) start(p *peer, credit uint32) {
	p.started = true
	x.chase = true
	p.spend += int64(credit)
	if x.expired(p) {
		x.startExpired(p)
	}
	for _, log := range sortedLogs(x.held) {
		x.enqueue(p, log)
	}
}

// startExpired lets a peer hand over from where we stand.
func (x *Exchange) startExpired(p *peer) {
	for _, log := range sortedLogs(p.views) {
		for _, tips := range parts(x.held[log]) {
			x.send(p, &wire.Have{Log: log, Tips: tips})
		}
	}
	p.granted = int64(x.cfg.CreditBytes)
	x.send(p, &wire.Credit{Bytes: x.cfg.CreditBytes})
}

func sortedLogs[V any](m map[ledger.LogID]V) []ledger.LogID {
	return slices.SortedFunc(maps.Keys(m), func(a, b ledger.LogID) int { return bytes.Compare(a[:], b[:]) })
}

// compareOwn reports a peer that holds more of our own log than we wrote. It goes on:
// the run that proves it is the store's to judge.
func (x *Exchange) compareOwn(p *peer, v *view, log ledger.LogID) {
	if !v.ahead && x.cfg.Own(log) && v.theirs() > longest(x.held[log]) {
		v.ahead = true
		x.do(Report{Conn: p.conn, Log: log, Code: wire.FaultFork, OwnAhead: true})
	}
}

// fault leaves a log out for the rest of the session, says so once and reports it.
// Nothing is retried: a session that comes later begins afresh.
func (x *Exchange) fault(p *peer, log ledger.LogID, code wire.FaultCode) {
	v := p.view(log)
	if v.left {
		return
	}
	own := code == wire.FaultFork && x.cfg.Own(log)
	if !own || !v.ahead {
		x.do(Report{Conn: p.conn, Log: log, Code: code, OwnAhead: own})
	}
	x.drop(p, v, log)
	x.send(p, &wire.Fault{Log: log, Code: code})
}

func (x *Exchange) drop(p *peer, v *view, log ledger.LogID) {
	*v = view{named: v.named, queued: v.queued, left: true}
	delete(p.news, log)
	if x.serving[log] == p.conn {
		delete(x.serving, log)
	}
}

func (x *Exchange) theirFault(p *peer, m *wire.Fault) {
	v := x.known(p, m.Log)
	if v == nil || v.left {
		return
	}
	x.do(Report{Conn: p.conn, Log: m.Log, Code: m.Code, Theirs: true})
	x.drop(p, v, m.Log)
}

func faultOf(err error) (wire.FaultCode, bool) {
	switch {
	case errors.Is(err, ledger.ErrFork):
		return wire.FaultFork, true
	case errors.Is(err, cert.ErrRefused):
		return wire.FaultRefused, true
	case errors.Is(err, ledger.ErrMalformed):
		return wire.FaultMalformed, true
	}
	return 0, false
}
