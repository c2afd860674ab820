package main

import (
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
)

// TestNewestRulesAreStated: a log under an older rule set goes on under the newest, once.
func TestNewestRulesAreStated(t *testing.T) {
	b := newBench(t)
	for stream, w := range map[cert.Stream]*store.Writer{cert.StreamAuthority: b.authority, cellStream(b.id): b.cell} {
		b.do(b.write(t.Context(), w, stream, &event.RulesStated{Rules: book.Rules1()}))
		before := w.Size()
		b.do(b.announce(t.Context()))
		b.do(b.announce(t.Context()))
		if w.Size() != before+1 {
			t.Errorf("stream %d grew by %d entries, want 1", stream, w.Size()-before)
		}
		var stated []ledger.Hash
		err := b.eachOfOffice(store.Filter{Kinds: []ledger.Kind{event.KindRulesStated}}, func(_ ledger.Entry, body event.Body) {
			stated = append(stated, body.(*event.RulesStated).Rules)
		})
		b.do(err)
		if n := len(stated); n < 2 || !slices.Equal(stated[n-2:], []ledger.Hash{book.Rules1(), book.Newest()}) {
			t.Errorf("stream %d: stated %v", stream, stated)
		}
	}
}
