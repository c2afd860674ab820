package exchange

import (
	"slices"

	"rasid/ledger"
	"rasid/sync/wire"
)

// view is what the peer holds of the log; it may be changed.
func (p *peer) view(log ledger.LogID) *view {
	v := p.views[log]
	if v == nil {
		v = &view{}
		p.views[log] = v
	}
	return v
}

// known is a view of a log that the peer names, nil when it names too many: that bounds
// how many logs a peer can make us remember.
func (x *Exchange) known(p *peer, log ledger.LogID) *view {
	v := p.views[log]
	if v != nil && v.named {
		return v
	}
	if p.named >= wire.FrontierMaxLogs {
		x.bye(p, wire.ByeLimit, "too many logs")
		return nil
	}
	v = p.view(log)
	v.named = true
	p.named++
	return v
}

// plan says which of our branches a peer lacks, as far as can be told, and whether some
// of what it stated has still to be looked for (PROTOCOL.md §6).
func (x *Exchange) plan(v *view, log ledger.LogID) (tips []ledger.Tip, look bool) {
	held := x.held[log]
	size := longest(held)
	forked := len(held) > 1 || len(v.points) > 1
	ahead := v.theirs() > size
	where := len(v.points) == 0 || v.asked || len(v.came) > 0 || len(v.sent) > 0 // something to begin from
	for _, p := range v.points {
		here := p.known || slices.Contains(held, p.Tip)
		fresh := !here && !p.looked && p.Size <= size
		where = where || here || fresh
		look = look || fresh && (forked || p.Size == size)
	}
	if !where || ahead && !(forked && v.asked) {
		return nil, look
	}
	for _, t := range held {
		if !v.has(t) {
			tips = append(tips, t)
		}
	}
	return tips, look
}

// enqueue puts a log in line for a peer that lacks some of it, or of which we lack some.
func (x *Exchange) enqueue(p *peer, log ledger.LogID) {
	v := p.view(log)
	if !p.started || v.left || x.expired(p) || v.barred() {
		return
	}
	tips, look := x.plan(v, log)
	if len(tips) == 0 {
		v.asked = false // all that they asked for is sent
	}
	if v.lazy {
		x.tell(p, v, log, tips)
		tips = nil
	}
	if v.queued || len(tips) == 0 && !look {
		return
	}
	v.queued = true
	class := min(x.cfg.Class(log), ClassRest)
	switch {
	case len(x.held[log]) > 1 && len(v.points) <= 1:
		class = ClassControl // the proof of a fork goes first
	case class == classObject:
		class = ClassRest
	}
	p.queue[class] = append(p.queue[class], log)
}

// tell gives notice of tips, of each once.
func (x *Exchange) tell(p *peer, v *view, log ledger.LogID, tips []ledger.Tip) {
	v.told = slices.DeleteFunc(v.told, func(t ledger.Tip) bool { return !slices.Contains(tips, t) })
	for _, t := range tips {
		if !slices.Contains(v.told, t) {
			v.told = append(v.told, t)
			x.send(p, &wire.Notice{Log: log, Tip: t})
		}
	}
}

// read has the owner look where their points lie, and read what goes on from there.
func (x *Exchange) read(p *peer, v *view, log ledger.LogID, tips []ledger.Tip) {
	waits := slices.ContainsFunc(v.points, func(q point) bool { return !q.known && !q.asked && q.Size <= longest(x.held[log]) })
	p.busy, p.stale = true, false
	p.reading = ReadRun{
		Conn: p.conn, Log: log, Tips: tips, Held: v.stated(), Sent: v.under(), MaxBytes: int(min(int64(x.cfg.RunBytes), p.spend)),
		Whole: len(v.points) == 0 || v.asked && (!waits || v.theirs() > longest(x.held[log])),
	}
	x.do(p.reading)
}

// runRead sends what was read, and asks for what the peer turns out to hold otherwise.
func (x *Exchange) runRead(e RunRead) {
	p := x.peers[e.Conn]
	if p == nil {
		return
	}
	p.busy = false
	v := p.view(e.Log)
	if v.left {
		return
	}
	if e.Err != nil {
		if !x.cannotServe(p, v, e) {
			x.fault(p, e.Log, wire.FaultUnserved)
		}
		return
	}
	// The store may be ahead of what Grown has told; what it reads is durable, and
	// must be known before their answer to it comes.
	x.advance(e.Log, e.Tips)
	x.lacking(p, v, e)
	if v.left {
		return
	}
	if len(e.Run.Entries) == 0 {
		if len(p.reading.Tips) == 0 { // where it may begin is known only now
			x.enqueue(p, e.Log)
		}
		return
	}
	theirs := v.theirs()
	on := len(x.held[e.Log]) == 1 && len(v.points) <= 1 && theirs > longest(p.reading.Held) && e.Run.First < theirs
	if p.stale || v.has(endOf(e.Run)) || on { // they have moved on meanwhile, or back
		x.enqueue(p, e.Log)
		return
	}
	x.give(p, e.Run)
}

// give sends a run. More of the same log follows in a row, which the other end stores
// at less cost, unless it gets too long.
func (x *Exchange) give(p *peer, r ledger.Run) {
	spent := p.spend
	if !x.sendBulk(p, &wire.Run{Run: r}) {
		x.fault(p, r.Log, wire.FaultUnserved)
		return
	}
	p.view(r.Log).gave(r)
	if p.row != r.Log {
		p.row, p.rowSent = r.Log, 0
	}
	p.rowSent += int(spent - p.spend)
	x.enqueue(p, r.Log)
	if p.rowSent >= x.cfg.RunBytes {
		p.rowSent = 0
		return
	}
	for class, q := range p.queue {
		if n := len(q) - 1; n > 0 && q[n] == r.Log {
			p.queue[class] = slices.Insert(q[:n], 0, r.Log)
		}
	}
}

// lacking asks for the branches of theirs that are none of ours, unless they hold more
// than we do: then they look, and ask or send by themselves.
func (x *Exchange) lacking(p *peer, v *view, e RunRead) {
	points := v.judge(e)
	if len(points) == 0 || v.offer > 0 || v.theirs() > longest(x.held[e.Log]) {
		return
	}
	for _, q := range points {
		q.asked = true
	}
	if v.serves { // they know what we hold, and send what they come to hold
		return
	}
	v.asked, v.serves = false, true // their branch comes first, and tells where ours departs from it
	for _, part := range parts(append(slices.Clone(e.Known), e.Points...)) {
		x.send(p, &wire.Have{Log: e.Log, Tips: part})
	}
	x.beg(p, e.Log)
}
