package exchange

import (
	"errors"

	"rasid/ledger"
	"rasid/sync/wire"
)

// message handles what an admitted peer says.
func (x *Exchange) message(p *peer, e Received) {
	if f, ok := e.Message.(*wire.Frontier); ok {
		x.frontier(p, f)
		return
	}
	if b, ok := e.Message.(*wire.Bye); ok {
		x.theirBye(p, b)
		return
	}
	if !p.started {
		x.bye(p, wire.ByeMalformed, "FRONTIER comes after HELLO")
		return
	}
	switch m := e.Message.(type) {
	case *wire.Have:
		x.have(p, m)
	case *wire.Notice:
		x.notice(p, m)
	case *wire.Run:
		x.run(p, m.Run, e.Bytes)
	case *wire.Credit:
		x.credit(p, m)
	case *wire.Fault:
		x.theirFault(p, m)
	case *wire.Pruned:
		x.pruned(p, m)
	case *wire.Want, *wire.Lack, *wire.Offer, *wire.Object:
		x.objectMessage(p, m, e.Bytes)
	default:
		x.bye(p, wire.ByeMalformed, "a second HELLO")
	}
}

func (x *Exchange) credit(p *peer, m *wire.Credit) {
	p.spend += int64(m.Bytes)
	if p.spend > wire.CreditMax {
		x.bye(p, wire.ByeLimit, "more credit than may be")
	}
}

// charge takes a bulk message off what was granted; the message that crosses zero
// is allowed, so that one is always possible, the next is not.
func (x *Exchange) charge(p *peer, n int) bool {
	if p.granted <= 0 {
		x.bye(p, wire.ByeLimit, "more bytes than the credit")
		return false
	}
	p.granted -= int64(n)
	return true
}

// giveBack grants again what has been dealt with, in steps worth a message.
func (x *Exchange) giveBack(p *peer, n int) {
	p.owed += int64(n)
	if p.owed >= int64(x.cfg.CreditBytes)/4 {
		x.send(p, &wire.Credit{Bytes: uint32(p.owed)})
		p.granted += p.owed
		p.owed = 0
	}
}

// run takes entries in. That they sent it proves that they say to hold it, so it
// is never pushed back to them.
func (x *Exchange) run(p *peer, r ledger.Run, n int) {
	if !x.charge(p, n) || !x.known(p, r.Log) {
		return
	}
	ours := x.held[r.Log]
	if p.theirs[r.Log].Size < r.End.Size {
		p.theirs[r.Log] = ledger.Tip{Size: r.End.Size, Root: r.End.Root}
		x.compare(p, r.Log, []ledger.Tip{p.theirs[r.Log]})
	}
	if !p.left[r.Log] && r.First == ours.Size && ours.Size > 0 && [ledger.BranchBytes]byte(ours.Root[:]) != r.Branch {
		x.fault(p, r.Log, wire.FaultFork)
	}
	if p.left[r.Log] { // sent before they heard
		x.giveBack(p, n)
		return
	}
	if x.cfg.Own(r.Log) {
		x.answer(p, r.Log, wire.PleaHush)
		x.giveBack(p, n)
		return
	}
	waiting := x.pending[r.Log]
	if r.End.Size > max(ours.Size, waiting.end) {
		if _, ok := x.serving[r.Log]; !ok {
			x.serving[r.Log] = p.conn
		}
	}
	duplicate := r.End.Size <= max(ours.Size, waiting.end)
	x.pending[r.Log] = pending{runs: waiting.runs + 1, end: max(waiting.end, r.End.Size)}
	x.do(Ingest{Conn: p.conn, Run: r, Bytes: n, Duplicate: duplicate})
}

func (x *Exchange) answer(p *peer, log ledger.LogID, plea wire.Plea) {
	m := &wire.Have{Log: log, Plea: plea}
	if tip, ok := x.held[log]; ok {
		m.Tips = []ledger.Tip{tip}
	}
	x.send(p, m)
}

// ingested answers the run's sender and passes on what is new.
func (x *Exchange) ingested(e Ingested) {
	if w := x.pending[e.Log]; w.runs > 1 {
		w.runs--
		x.pending[e.Log] = w
	} else {
		delete(x.pending, e.Log)
	}
	if e.Err == nil {
		x.advance(e.Log, e.Tip)
	}
	p := x.peers[e.Conn]
	if p == nil {
		return
	}
	code, faulty := faultOf(e.Err)
	switch {
	case e.Err == nil && e.Duplicate:
		if x.serving[e.Log] == p.conn { // hushed, it will not go on by itself
			delete(x.serving, e.Log)
		}
		x.answer(p, e.Log, wire.PleaHush)
	case e.Err == nil:
		x.answer(p, e.Log, wire.PleaNone)
	case errors.Is(e.Err, ledger.ErrGap):
		x.beg(p, e.Log)
	case faulty:
		x.fault(p, e.Log, code)
	default:
		x.bye(p, wire.ByeStorage, "storage trouble")
		return
	}
	x.giveBack(p, e.Bytes)
}

// beg asks for what follows our tip. The same request more than askedTimes means
// that the two ends do not understand each other about this log.
func (x *Exchange) beg(p *peer, log ledger.LogID) {
	if p.left[log] {
		return
	}
	size := x.held[log].Size
	if a := p.begs[log]; a.times > 0 && a.size == size {
		if a.times >= askedTimes {
			x.fault(p, log, wire.FaultRepeated)
			return
		}
		p.begs[log] = ask{size: size, times: a.times + 1}
	} else {
		p.begs[log] = ask{size: size, times: 1}
	}
	x.serving[log] = p.conn
	x.answer(p, log, wire.PleaSend)
}

func (x *Exchange) grown(log ledger.LogID, tip ledger.Tip) { x.advance(log, tip) }

// advance records that a log is held further and tells everybody who lacks it.
func (x *Exchange) advance(log ledger.LogID, tip ledger.Tip) {
	if tip.Size <= x.held[log].Size {
		return
	}
	x.held[log] = tip
	if c, ok := x.serving[log]; ok {
		if q := x.peers[c]; q == nil || q.theirs[log].Size <= tip.Size {
			delete(x.serving, log)
		}
	}
	for _, p := range x.order() {
		if !p.started {
			continue
		}
		if theirs, ok := p.theirs[log]; ok && theirs.Size == tip.Size && theirs.Root != tip.Root {
			x.fault(p, log, wire.FaultFork)
		}
		x.enqueue(p, log)
	}
	x.reached(log, tip.Size)
}

// have notes what they hold, and with a plea changes how they hear of the log.
func (x *Exchange) have(p *peer, m *wire.Have) {
	if p.left[m.Log] || !x.known(p, m.Log) {
		return
	}
	tip := longest(m.Tips)
	if m.Plea == wire.PleaSend {
		if a := p.asks[m.Log]; a.times >= askedTimes && a.size == tip.Size {
			x.fault(p, m.Log, wire.FaultRepeated)
			return
		} else if a.times > 0 && a.size == tip.Size {
			p.asks[m.Log] = ask{size: tip.Size, times: a.times + 1}
		} else {
			p.asks[m.Log] = ask{size: tip.Size, times: 1}
		}
		p.theirs[m.Log] = tip
		delete(p.sent, m.Log)
		delete(p.lazy, m.Log)
	}
	if tip.Size >= p.theirs[m.Log].Size {
		p.theirs[m.Log] = tip
	}
	if p.sent[m.Log] <= p.theirs[m.Log].Size {
		delete(p.sent, m.Log)
	}
	x.compare(p, m.Log, m.Tips)
	if x.cfg.Own(m.Log) && !p.left[m.Log] {
		x.do(Holds{Conn: p.conn, Log: m.Log, Size: tip.Size})
	}
	if m.Plea == wire.PleaHush && !x.cfg.Own(m.Log) {
		if _, ok := p.lazy[m.Log]; !ok {
			p.lazy[m.Log] = 0
		}
	}
	x.enqueue(p, m.Log)
}

// notice remembers what they could send; pump asks one peer for it.
func (x *Exchange) notice(p *peer, m *wire.Notice) {
	if p.left[m.Log] || !x.known(p, m.Log) {
		return
	}
	if p.theirs[m.Log].Size < m.Tip.Size {
		p.theirs[m.Log] = m.Tip
	}
	x.compare(p, m.Log, []ledger.Tip{m.Tip})
	if !p.left[m.Log] && m.Tip.Size > x.held[m.Log].Size {
		p.news[m.Log] = m.Tip.Size
	}
}

// askNews asks one peer at a time for each log that somebody gave notice of.
func (x *Exchange) askNews() {
	for _, p := range x.order() {
		if len(p.news) == 0 {
			continue
		}
		for _, log := range sortedLogs(p.news) {
			if x.held[log].Size >= p.news[log] {
				delete(p.news, log)
				continue
			}
			if _, ok := x.serving[log]; ok || x.pending[log].end >= p.news[log] {
				continue
			}
			delete(p.news, log)
			x.beg(p, log)
		}
	}
}

// enqueue puts a log in line for a peer that lacks some of it.
func (x *Exchange) enqueue(p *peer, log ledger.LogID) {
	if !p.started || p.left[log] || x.expired(p) {
		return
	}
	held := x.held[log]
	if held.Size <= max(p.theirs[log].Size, p.sent[log]) || x.barred(p, log) {
		return
	}
	if told, lazy := p.lazy[log]; lazy {
		if told < held.Size {
			p.lazy[log] = held.Size
			x.send(p, &wire.Notice{Log: log, Tip: held})
		}
		return
	}
	if !p.queued[log] {
		p.queued[log] = true
		class := min(x.cfg.Class(log), ClassRest)
		if class == classObject {
			class = ClassRest
		}
		p.queue[class] = append(p.queue[class], log)
	}
}

// pump gives every peer that is free its next piece, most urgent class first. One
// piece at a time is under way, so urgency is judged again for each.
func (x *Exchange) pump() {
	x.askNews()
	x.askObjects()
	for _, p := range x.order() {
		if p.started && !p.busy && p.spend > 0 && !x.expired(p) {
			x.next(p)
		}
	}
}

func (x *Exchange) next(p *peer) {
	for class := range p.queue {
		if Class(class) == classObject && len(p.wants) > 0 {
			h := p.wants[0]
			p.wants = p.wants[1:]
			p.busy = true
			x.do(ReadObject{Conn: p.conn, Hash: h})
			return
		}
		for len(p.queue[class]) > 0 {
			log := p.queue[class][0]
			p.queue[class] = p.queue[class][1:]
			delete(p.queued, log)
			from := max(p.theirs[log].Size, p.sent[log])
			if _, lazy := p.lazy[log]; lazy || p.left[log] || x.held[log].Size <= from {
				continue
			}
			p.busy = true
			x.do(ReadRun{Conn: p.conn, Log: log, From: from, MaxBytes: int(min(int64(x.cfg.RunBytes), p.spend))})
			return
		}
	}
}

// runRead sends what was read, unless it turns out that they are on another branch.
func (x *Exchange) runRead(e RunRead) {
	p := x.peers[e.Conn]
	if p == nil {
		return
	}
	p.busy = false
	theirs := p.theirs[e.Log]
	switch {
	case p.left[e.Log]:
		return
	case x.cannotServe(p, e.Log, e.Err):
		return
	case e.Err != nil || len(e.Run.Entries) == 0:
		x.fault(p, e.Log, wire.FaultUnserved)
		return
	case e.Run.First != max(theirs.Size, p.sent[e.Log]): // they have moved on meanwhile
		x.enqueue(p, e.Log)
		return
	case e.Run.First == theirs.Size && theirs.Size > 0 && [ledger.BranchBytes]byte(theirs.Root[:]) != e.Run.Branch:
		x.fault(p, e.Log, wire.FaultFork)
		return
	}
	// The store may be ahead of what Grown has told; what it reads is durable, and
	// must be known before their answer to it comes.
	x.advance(e.Log, ledger.Tip{Size: e.Run.End.Size, Root: e.Run.End.Root})
	if x.sendBulk(p, &wire.Run{Run: e.Run}) {
		p.sent[e.Log] = e.Run.End.Size
		x.enqueue(p, e.Log)
		return
	}
	x.fault(p, e.Log, wire.FaultUnserved)
}

func (x *Exchange) sendBulk(p *peer, m wire.Message) bool {
	frame, err := wire.Append(nil, m)
	if err != nil {
		return false
	}
	p.busy = true
	p.spend -= int64(len(frame))
	x.do(Send{Conn: p.conn, Message: m, Bulk: true, Frame: frame})
	return true
}
