package exchange

import (
	"bytes"
	"slices"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

func (x *Exchange) objectMessage(p *peer, m wire.Message, n int) {
	x.chase = true
	switch m := m.(type) {
	case *wire.Want:
		x.want(p, m.Hashes)
	case *wire.Lack:
		x.lack(p, m.Hashes)
	case *wire.Offer:
		for _, h := range m.Hashes {
			delete(p.lacking, h)
		}
	case *wire.Object:
		x.object(p, m.Bytes, n)
	}
}

// want puts a peer's wishes in line. One whose certificate has expired gets a
// polite no.
func (x *Exchange) want(p *peer, hashes []ledger.Hash) {
	if x.expired(p) {
		x.send(p, &wire.Lack{Hashes: hashes})
		return
	}
	for _, h := range hashes {
		if slices.Contains(p.wants, h) {
			continue
		}
		if len(p.wants)+len(p.lacked) >= wantsKept {
			x.bye(p, wire.ByeLimit, "too many objects wanted")
			return
		}
		delete(p.lacked, h)
		p.wants = append(p.wants, h)
	}
}

func (x *Exchange) objectRead(e ObjectRead) {
	p := x.peers[e.Conn]
	if p == nil {
		return
	}
	p.busy = false
	if len(e.Bytes) == 0 || !x.sendBulk(p, &wire.Object{Bytes: e.Bytes}) {
		p.lacked[e.Hash] = true
		x.send(p, &wire.Lack{Hashes: []ledger.Hash{e.Hash}})
	}
}

func (x *Exchange) lack(p *peer, hashes []ledger.Hash) {
	for _, h := range hashes {
		if c, ok := x.asked[h]; ok && c == p.conn {
			delete(x.asked, h)
			p.askedNow--
			p.lacking[h] = x.now
		}
	}
}

// object keeps what was asked for. What was not is void: it may have come another
// way meanwhile.
func (x *Exchange) object(p *peer, b []byte, n int) {
	if !x.charge(p, n) {
		return
	}
	h := ledger.ObjectHash(b)
	if c, ok := x.asked[h]; !ok || c != p.conn {
		x.giveBack(p, n)
		return
	}
	delete(x.asked, h)
	p.askedNow--
	x.putting[h] = put{conn: p.conn, bytes: n}
	x.do(PutObject{Conn: p.conn, Hash: h, Bytes: b})
}

func (x *Exchange) objectHeld(h ledger.Hash) {
	x.chase = true
	x.settlePut(h)
	x.dropMissing(h)
	if c, ok := x.asked[h]; ok {
		delete(x.asked, h)
		if p := x.peers[c]; p != nil {
			p.askedNow--
		}
	}
	for _, p := range x.order() {
		if p.lacked[h] {
			delete(p.lacked, h)
			x.send(p, &wire.Offer{Hashes: []ledger.Hash{h}})
		}
	}
}

func (x *Exchange) dropMissing(h ledger.Hash) {
	if i, ok := findHash(x.missing, h); ok {
		x.missing = slices.Delete(x.missing, i, i+1)
	}
}

func (x *Exchange) settlePut(h ledger.Hash) {
	if w, ok := x.putting[h]; ok {
		delete(x.putting, h)
		if p := x.peers[w.conn]; p != nil {
			x.giveBack(p, w.bytes)
		}
	}
}

// putFailed ends the connection: an object that cannot be kept is storage trouble,
// and asking again at once would only repeat it.
func (x *Exchange) putFailed(e PutFailed) {
	delete(x.putting, e.Hash)
	if p := x.peers[e.Conn]; p != nil {
		x.bye(p, wire.ByeStorage, "storage trouble")
	}
}

func (x *Exchange) setMissing(hashes []ledger.Hash) {
	x.chase = true
	x.missing = slices.Clone(hashes)
	slices.SortFunc(x.missing, compareHashes)
	x.missing = slices.Compact(x.missing)
	x.missing = x.missing[:min(len(x.missing), missingKept)]
}

// askObjects asks for what is missing, each of one peer at a time, the office
// first, a few at once of each.
func (x *Exchange) askObjects() {
	if !x.chase || len(x.missing) == 0 {
		return
	}
	x.chase = false
	peers := slices.DeleteFunc(x.order(), func(p *peer) bool { return !p.started })
	slices.SortStableFunc(peers, func(a, b *peer) int { return officeLast(b) - officeLast(a) })
	for _, p := range peers {
		var ask []ledger.Hash
		for _, h := range x.missing {
			if p.askedNow >= wantsAsked {
				break
			}
			if x.isAsked(h) {
				continue
			}
			if _, no := p.lacking[h]; no {
				continue
			}
			x.asked[h] = p.conn
			p.askedNow++
			ask = append(ask, h)
		}
		if len(ask) > 0 {
			x.send(p, &wire.Want{Hashes: ask})
		}
	}
}

func officeLast(p *peer) int {
	if p.chain.Machine.Role == cert.RoleOffice {
		return 1
	}
	return 0
}

func (x *Exchange) isAsked(h ledger.Hash) bool {
	if _, ok := x.asked[h]; ok {
		return true
	}
	_, ok := x.putting[h]
	return ok
}

func compareHashes(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) }

func findHash(sorted []ledger.Hash, h ledger.Hash) (int, bool) {
	return slices.BinarySearchFunc(sorted, h, compareHashes)
}
