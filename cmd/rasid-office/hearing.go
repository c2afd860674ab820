package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/store"
	view "rasid/node/office"
	"rasid/sync/peer"
)

// hearEvery is how often what was heard is written down.
const hearEvery = 2 * time.Second

// hearing remembers over a restart when and by which way each log last grew. It is a
// convenience, not a record: a damaged file is as none.
type hearing struct {
	path  string
	host  *peer.Host
	store *store.Store
	log   *slog.Logger

	mu     sync.Mutex
	before map[string]view.Heard // guarded by mu: by log id, from the file
}

func newHearing(path string, h *peer.Host, s *store.Store, log *slog.Logger) *hearing {
	m := &hearing{path: path, host: h, store: s, log: log, before: map[string]view.Heard{}}
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &m.before); err != nil {
			log.Warn("what was heard before is forgotten", "file", path, "error", err)
			m.before = map[string]view.Heard{}
		}
	}
	return m
}

// LastHeard is how a log last grew, now or before the office was started.
func (m *hearing) LastHeard(id ledger.LogID) (view.Heard, bool) {
	if h, ok := m.host.LastHeard(id); ok {
		return view.Heard{At: h.At, Via: h.Slot}, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.before[id.String()]
	return h, ok
}

// Connected reports whether the machine in the slot is connected now.
func (m *hearing) Connected(slot uint32) bool {
	for _, p := range m.host.Status().Peers {
		if p.Slot == slot {
			return true
		}
	}
	return false
}

func (m *hearing) run(ctx context.Context) error {
	tick := time.NewTicker(hearEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.write()
		case <-tick.C:
			if err := m.write(); err != nil {
				m.log.Warn("what was heard is not written down", "error", err)
			}
		}
	}
}

// write replaces the file if anything new was heard.
func (m *hearing) write() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := false
	for _, l := range m.store.Logs() {
		h, ok := m.host.LastHeard(l.ID)
		if now := (view.Heard{At: h.At, Via: h.Slot}); ok && !m.before[l.ID.String()].At.Equal(now.At) {
			m.before[l.ID.String()], changed = now, true
		}
	}
	if !changed {
		return nil
	}
	b, err := json.Marshal(m.before)
	if err != nil {
		return fmt.Errorf("couldn't encode what was heard: %w", err)
	}
	temp := m.path + ".new"
	if err := errors.Join(os.WriteFile(temp, b, 0o600), os.Rename(temp, m.path)); err != nil {
		return fmt.Errorf("couldn't write what was heard: %w", err)
	}
	return nil
}
