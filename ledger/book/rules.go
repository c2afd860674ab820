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

// Rules2 is the name of rule set 2.
func Rules2() ledger.Hash { return rules2Name() }

// rules3 is what rule set 3 adds; its first line names rule set 2.
//
//go:embed rules/3.jsonl
var rules3 []byte

var rules3Name = sync.OnceValue(func() ledger.Hash { return sha256.Sum256(rules3) })

// Rules3 is the name of rule set 3.
func Rules3() ledger.Hash { return rules3Name() }

// Newest is the name of the newest rule set: what kiosks and offices state.
func Newest() ledger.Hash { return Rules3() }

// third is the place of rule set 3 among those known.
const third = 2

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
func knownRules() []ruleSet { return []ruleSet{firstRules{}, secondRules{}, thirdRules{}} }

// entryAt is one entry while it is read.
type entryAt struct {
	index   uint64
	leaf    ledger.Hash
	entry   ledger.Entry
	body    event.Body
	beyond  bool // of a revoked machine, and not under a tip that was accepted
	held    bool // beyond and not decided: it posts to Held
	heldOut bool // decided as void: it posts nothing and asks nothing
	decided int  // place of the rule set under which that was decided
}

// settled is what nodes add up to.
type settled struct {
	transactions []Transaction
	questions    []Question
}
