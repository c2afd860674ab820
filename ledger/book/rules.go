package book

import (
	"crypto/sha256"
	_ "embed"
	"sync"

	"rasid/ledger"
	"rasid/ledger/event"
)

// rules1 is rule set 1: vectors from entries to postings. Its hash names the rule
// set in every log that it governs, so not a byte of it may change.
//
//go:embed rules/1.jsonl
var rules1 []byte

// rules1Name hashes the file once.
var rules1Name = sync.OnceValue(func() ledger.Hash { return sha256.Sum256(rules1) })

// Rules1 is the name of rule set 1.
func Rules1() ledger.Hash { return rules1Name() }

// rules2 is what rule set 2 adds; its first line names rule set 1, which holds under it too.
//
//go:embed rules/2.jsonl
var rules2 []byte

var rules2Name = sync.OnceValue(func() ledger.Hash { return sha256.Sum256(rules2) })

// Rules2 is the name of rule set 2, the newest: what a kiosk states.
func Rules2() ledger.Hash { return rules2Name() }

// ruleSet is how the entries of a log are booked. A new one is added behind those
// known and none is taken away: logs that name it are kept for good.
type ruleSet interface {
	// name is the hash of the vector file.
	name() ledger.Hash
	// read books what an entry says by itself, and makes a node of what needs others.
	read(r *reader, at *entryAt)
	// settle books nodes that have to do with each other. Where two rule sets meet,
	// the later one settles.
	settle(nodes []*node) settled
}

// knownRules are the rule sets of this version, oldest first.
func knownRules() []ruleSet { return []ruleSet{firstRules{}, secondRules{}} }

// entryAt is one entry while it is read.
type entryAt struct {
	index   uint64
	leaf    ledger.Hash
	entry   ledger.Entry
	body    event.Body
	beyond  bool // of a revoked machine, and not under a tip that was accepted
	held    bool // beyond and not decided: it posts to Held
	heldOut bool // decided as void: it posts nothing and asks nothing
}

// settled is what nodes add up to.
type settled struct {
	transactions []Transaction
	questions    []Question
}
