package exchange

import (
	"errors"
	"slices"

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
	if !x.charge(p, n) {
		return
	}
	v := x.known(p, r.Log)
	if v == nil {
		return
	}
	if v.left { // sent before they heard
		x.giveBack(p, n)
		return
	}
	v.took(r)
	x.compareOwn(p, v, r.Log)
	if slices.Contains(x.held[r.Log], endOf(r)) && x.cfg.Own(r.Log) { // an echo
		v.hushed, v.serves = true, false
		x.answer(p, r.Log, wire.PleaHush, endOf(r))
		x.giveBack(p, n)
		return
	}
	waiting := x.pending[r.Log]
	if r.End.Size > max(longest(x.held[r.Log]), waiting.end) && !v.hushed {
		if _, ok := x.serving[r.Log]; !ok {
			x.serving[r.Log] = p.conn
		}
	}
	x.pending[r.Log] = pending{runs: waiting.runs + 1, end: max(waiting.end, r.End.Size)}
	x.do(Ingest{Conn: p.conn, Run: r, Bytes: n})
}

// answer says how far we hold a log: by its tips, and where they are several, or the other
// end holds one that we lack, in any case by also: else it would begin there again.
func (x *Exchange) answer(p *peer, log ledger.LogID, plea wire.Plea, also ...ledger.Tip) {
	held := x.held[log]
	if len(held) > 1 || p.view(log).lacks(held) {
		held = append(slices.Clone(held), also...)
	}
	m := &wire.Have{Log: log, Plea: plea}
	if lists := parts(held); len(lists) > 0 {
		m.Tips = lists[0]
	}
	if len(held) > 1 && len(also) > 0 && !slices.Contains(m.Tips, also[0]) {
		m.Tips[0] = also[0]
		slices.SortFunc(m.Tips, compareTips)
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
		x.advance(e.Log, e.Tips)
	}
	p := x.peers[e.Conn]
	if p == nil {
		return
	}
	v := p.view(e.Log)
	if v.left {
		x.giveBack(p, e.Bytes)
		return
	}
	code, faulty := faultOf(e.Err)
	switch {
	case e.Err == nil && !e.New && !v.lacks(x.held[e.Log]):
		v.hushed, v.serves = true, false
		if x.serving[e.Log] == p.conn { // it will not go on by itself
			delete(x.serving, e.Log)
		}
		x.answer(p, e.Log, wire.PleaHush, e.End)
	case e.Err == nil:
		x.answer(p, e.Log, wire.PleaNone, e.End)
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

// beg asks for all that we have not stated. The same request more than askedTimes means
// that the two ends do not understand each other about this log.
func (x *Exchange) beg(p *peer, log ledger.LogID) {
	v := p.view(log)
	if v.left || v.offer > 0 { // what we lack they have dropped
		return
	}
	if !v.begs.again(mark(x.held[log])) {
		x.fault(p, log, wire.FaultRepeated)
		return
	}
	v.hushed = false
	x.serving[log] = p.conn
	x.answer(p, log, wire.PleaSend)
}

// advance records that a log is held further and tells everybody who lacks it. Each
// branch only grows, so that what was read earlier and told later changes nothing.
func (x *Exchange) advance(log ledger.LogID, tips []ledger.Tip) {
	was := x.held[log]
	newer := len(tips) > len(was)
	for i := range min(len(was), len(tips)) {
		if tips[i].Size < was[i].Size {
			return
		}
		newer = newer || tips[i].Size > was[i].Size
	}
	if !newer || len(tips) < len(was) {
		return
	}
	x.held[log] = slices.Clone(tips)
	if c, ok := x.serving[log]; ok {
		if q := x.peers[c]; q == nil || q.view(log).theirs() <= longest(tips) {
			delete(x.serving, log)
		}
	}
	for _, p := range x.order() {
		if p.started {
			p.view(log).grew()
			x.enqueue(p, log)
		}
	}
	x.reached(log, longest(tips))
}

// have notes what they hold, and with a plea changes how they hear of the log.
func (x *Exchange) have(p *peer, m *wire.Have) {
	v := x.known(p, m.Log)
	if v == nil || v.left {
		return
	}
	own := x.cfg.Own(m.Log)
	for _, t := range m.Tips {
		if own && (slices.Contains(x.held[m.Log], t) || slices.ContainsFunc(v.sent, func(l leg) bool { return l.end == t })) {
			x.do(Holds{Conn: p.conn, Log: m.Log, Size: t.Size})
		}
	}
	send := m.Plea == wire.PleaSend
	v.state(m.Tips, len(x.held[m.Log]) <= 1, send)
	x.compareOwn(p, v, m.Log)
	if send {
		if !v.asks.again(mark(v.stated())) {
			x.fault(p, m.Log, wire.FaultRepeated)
			return
		}
		v.sent, v.lazy, v.told, v.asked = nil, false, nil, true
		p.stale = p.stale || p.reading.Log == m.Log
	}
	if m.Plea == wire.PleaHush && !own {
		v.lazy = true
	}
	x.enqueue(p, m.Log)
}

// notice remembers what they could send; pump asks one peer for it.
func (x *Exchange) notice(p *peer, m *wire.Notice) {
	v := x.known(p, m.Log)
	if v == nil || v.left {
		return
	}
	v.state([]ledger.Tip{m.Tip}, len(x.held[m.Log]) <= 1, false)
	x.compareOwn(p, v, m.Log)
	if m.Tip.Size > longest(x.held[m.Log]) {
		p.news[m.Log] = m.Tip
		return
	}
	x.enqueue(p, m.Log) // it may lie on a branch that we lack
}

// askNews asks one peer at a time for each log that somebody gave notice of.
func (x *Exchange) askNews() {
	for _, p := range x.order() {
		if len(p.news) == 0 {
			continue
		}
		for _, log := range sortedLogs(p.news) {
			size := p.news[log].Size
			if longest(x.held[log]) >= size {
				delete(p.news, log)
				x.enqueue(p, log)
				continue
			}
			if _, ok := x.serving[log]; ok || x.pending[log].end >= size {
				continue
			}
			delete(p.news, log)
			x.beg(p, log)
		}
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
			v := p.view(log)
			v.queued = false
			if v.left || v.barred() {
				continue
			}
			tips, look := x.plan(v, log)
			if v.lazy {
				tips = nil
			}
			if len(tips) > 0 || look {
				x.read(p, v, log, tips)
				return
			}
		}
	}
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
