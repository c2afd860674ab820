package ssp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Truth is what is physically so, whatever the host was told: it survives the
// device's power cycles and, with Config.State, the simulator's own end. Notes
// are counted by their value in rupees; 0 stands for paper that is no note.
type Truth struct {
	Serial     uint32      `json:"serial"`
	Stacked    uint32      `json:"stacked"`  // the device's own counters
	Rejected   uint32      `json:"rejected"` //
	Box        map[int]int `json:"box"`
	Returned   map[int]int `json:"returned"` // back in the citizen's hand
	PathRupees int         `json:"path_rupees"`
	Path       position    `json:"path"`
	BoxOut     bool        `json:"box_out"`
	Full       bool        `json:"full"`
	LastReject uint8       `json:"last_reject"`
}

// BoxPaise returns what the box holds.
func (t Truth) BoxPaise() int64 {
	var paise int64
	for rupees, n := range t.Box {
		paise += int64(rupees) * 100 * int64(n)
	}
	return paise
}

// position of the one note in the path. The numbers stand in state files.
type position uint8

const (
	pathEmpty position = iota
	pathReading
	pathEscrow
	pathStacking  // on its way past escrow
	pathSettling  // in the box, the stacker not yet at rest
	pathRejecting // on its way back
)

func (p position) String() string {
	return [...]string{"empty", "reading", "escrow", "stacking", "settling", "rejecting"}[p]
}

// load reads the state file; ok is false when there is none yet.
func load(path string) (t Truth, ok bool, err error) {
	if path == "" {
		return t, false, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return t, false, fmt.Errorf("couldn't read the acceptor's state: %w", err)
	}
	if err := json.Unmarshal(b, &t); err != nil || t.Path > pathRejecting || t.Box == nil || t.Returned == nil {
		return t, false, fmt.Errorf("couldn't read the acceptor's state %s: it is damaged (%w); remove it to begin with an empty box", path, err)
	}
	return t, true, nil
}

// save replaces the state file. A crash of the machine may lose the last
// change; a kill of the simulator does not.
func (t Truth) save(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("couldn't write the acceptor's state: %w", err)
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return fmt.Errorf("couldn't write the acceptor's state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("couldn't write the acceptor's state: %w", err)
	}
	return nil
}
