package book

import (
	"crypto/ed25519"
	"fmt"
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Keeper follows a set of logs that grows. Logs are read from where they were left;
// what depends on other entries is kept in components, nodes that have to do with
// each other, and only those that something came to are settled again. A log that is
// forked, of a revoked machine, or one of two with the same name is read anew when
// that changes. So its books are those of the whole set, at the cost of what is new.
type Keeper struct {
	fleet    ed25519.PublicKey
	rules    []ruleSet
	keys     map[ledger.LogID]ed25519.PublicKey // of the logs held
	logs     map[identity]*group
	names    map[string]int // logs by the prefix of their names
	ids      map[ledger.LogID]int
	trust    *trust
	byRef    map[event.Ref]*component
	byPool   map[pool]*component
	dirty    map[*component]bool
	papers   []*node // placed
	all      map[*component]bool
	asking   map[*component]bool // those with open questions
	balances map[string]ledger.Paise
}

// component is nodes that have to do with each other, and what they add up to.
type component struct {
	nodes []*node
	out   settled
	into  *component // the one that it has joined
}

// NewKeeper returns a keeper of no logs, of the fleet with the given public key.
func NewKeeper(fleet ed25519.PublicKey) *Keeper { return newKeeper(fleet, knownRules()) }

func newKeeper(fleet ed25519.PublicKey, rules []ruleSet) *Keeper {
	return &Keeper{
		fleet: fleet, rules: rules, keys: map[ledger.LogID]ed25519.PublicKey{}, logs: map[identity]*group{}, names: map[string]int{}, ids: map[ledger.LogID]int{}, trust: newTrust(),
		byRef: map[event.Ref]*component{}, byPool: map[pool]*component{}, dirty: map[*component]bool{}, all: map[*component]bool{}, asking: map[*component]bool{}, balances: map[string]ledger.Paise{},
	}
}

// Take brings the books to the given set of logs, which holds at least what it held
// before. Branches of a fork are Logs with one ID; the same branch twice, or a part
// of it, adds nothing. After an error the keeper is of no more use.
func (k *Keeper) Take(logs []Log) error {
	given := map[identity][]Log{}
	for _, l := range logs {
		given[identityOf(&l)] = append(given[identityOf(&l)], l)
		if ledger.LogIDOf(l.Key[:]) == l.ID {
			k.keys[l.ID] = l.Key[:]
		}
	}
	for id := range k.logs {
		if given[id] == nil {
			return fmt.Errorf("log %s was among the logs and is no more", id.id)
		}
	}
	for id, branches := range given {
		g := k.logs[id]
		if g == nil {
			g = &group{identity: id, view: &view{}, out: &output{}}
			k.logs[id] = g
			k.names[g.prefix()]++
			k.ids[id.id]++
		}
		g.branches = branches
	}
	for _, g := range k.sorted() {
		if err := k.read(g); err != nil {
			return err
		}
	}
	if err := k.believe(); err != nil {
		return err
	}
	k.judgeForks()
	return k.settle()
}

// judgeForks verifies what the office says of forks, once the log is held and with it
// the key that proves them.
func (k *Keeper) judgeForks() {
	for _, g := range k.logs {
		for i := range g.out.forks {
			f := &g.out.forks[i]
			key, held := k.keys[f.shown.Log]
			if !held || f.question.Reason != ReasonWaiting {
				continue
			}
			f.question.Reason = ReasonFork
			if f.shown.Verify(key) != nil {
				f.question.Reason = ReasonFalseProof
			}
		}
	}
}

func (k *Keeper) sorted() []*group {
	list := make([]*group, 0, len(k.logs))
	for _, g := range k.logs {
		list = append(list, g)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].before(&list[j].identity) })
	return list
}

// believe applies what revocations and decisions on held entries say, until nothing
// changes: revocations first, which never depend on others.
func (k *Keeper) believe() error {
	for range 6 {
		t := k.trustOf()
		changed := false
		for _, g := range k.sorted() {
			if want := k.viewOf(g, t); !want.same(g.view) {
				changed = true
				g.view = want
				if err := k.readWhole(g); err != nil {
					return err
				}
			}
		}
		if !changed {
			k.trust = t
			k.placePapers()
			return nil
		}
	}
	panic("broken invariant: the books do not come to rest")
}

// placePapers puts the entries known from receipts where their logs would; those of logs
// that are held, under rule set 3, their logs have put there (showPapers).
func (k *Keeper) placePapers() {
	// Few logs have any; those that have are cheap beside what a wrong one costs.
	k.remove(k.papers)
	k.papers = nil
	for _, n := range k.trust.papers {
		if k.trust.home[n.ref()] == nil {
			k.papers = append(k.papers, n)
			k.add(n)
		}
	}
}

// add puts a node into its component, which joins all that it has to do with.
func (k *Keeper) add(n *node) {
	c := &component{nodes: []*node{n}}
	k.all[c] = true
	refs, bill, paid := n.hubs()
	others := make([]*component, 0, len(refs)+1)
	for _, r := range refs {
		others = append(others, k.byRef[r])
	}
	if paid {
		others = append(others, k.byPool[bill])
	}
	k.claim(n, c) // not before the others are known: it takes their places
	for _, o := range others {
		c = k.join(c, o)
	}
	k.dirty[c] = true
}

// hubs are what a node meets others at: itself, what it points at, and its bill.
func (n *node) hubs() (refs []event.Ref, bill pool, paid bool) {
	refs = append(append([]event.Ref{n.ref()}, pointsAt(n.body)...), n.near()...)
	if b, ok := n.body.(*event.PaymentCommitted); ok {
		return refs, pool{b.Biller, b.Bill}, true
	}
	return refs, bill, false
}

// claim makes c the component of a node and of all where it meets others.
func (k *Keeper) claim(n *node, c *component) {
	n.group = c
	refs, bill, paid := n.hubs()
	for _, r := range refs {
		k.byRef[r] = c
	}
	if paid {
		k.byPool[bill] = c
	}
}

// join makes one component of two; the smaller goes into the larger. One that has
// gone into another is empty, and adds nothing.
func (k *Keeper) join(a, b *component) *component {
	for b != nil && b.into != nil {
		b = b.into
	}
	if b == nil || a == b {
		return a
	}
	if len(a.nodes) > len(b.nodes) {
		a, b = b, a
	}
	for _, n := range a.nodes {
		k.claim(n, b)
	}
	b.nodes = append(b.nodes, a.nodes...)
	a.into = b
	k.forget(a)
	return b
}

// forget takes a component and what it posted out of the books.
func (k *Keeper) forget(c *component) {
	k.mustSubtract(c.out.transactions)
	c.out = settled{}
	delete(k.all, c)
	delete(k.asking, c)
	delete(k.dirty, c)
}

// remove takes nodes out of the books. What stays of their components is put
// together anew, since it may have been they that joined it.
func (k *Keeper) remove(nodes []*node) {
	gone := map[*node]bool{}
	touched := map[*component]bool{}
	for _, n := range nodes {
		gone[n] = true
		touched[n.group] = true
	}
	var stay []*node
	for c := range touched {
		k.forget(c)
		for _, n := range c.nodes {
			refs, bill, paid := n.hubs()
			for _, r := range refs {
				delete(k.byRef, r)
			}
			if paid {
				delete(k.byPool, bill)
			}
			if !gone[n] {
				stay = append(stay, n)
			}
		}
	}
	for _, n := range stay {
		k.add(n)
	}
}

// settle books every component that something came to.
func (k *Keeper) settle() error {
	for c := range k.dirty {
		k.mustSubtract(c.out.transactions)
		latest := 0
		for _, n := range c.nodes {
			latest = max(latest, n.rules)
		}
		c.out = k.rules[latest].settle(c.nodes)
		if delete(k.asking, c); len(c.out.questions) > 0 {
			k.asking[c] = true
		}
		if err := k.sum(c.out.transactions); err != nil {
			return err
		}
	}
	clear(k.dirty)
	return nil
}

func (k *Keeper) sum(list []Transaction) error {
	for i := range list {
		for _, p := range list[i].Postings {
			sum, err := k.balances[p.Account].Add(p.Amount)
			if err != nil {
				return fmt.Errorf("account %s: %w", p.Account, err)
			}
			k.balances[p.Account] = sum
		}
	}
	return nil
}

// mustSubtract takes back what sum added: no balance can overflow on the way back
// to one that it had, in whatever order.
func (k *Keeper) mustSubtract(list []Transaction) {
	for i := range list {
		for _, p := range list[i].Postings {
			k.balances[p.Account] -= p.Amount
			if k.balances[p.Account] == 0 {
				delete(k.balances, p.Account)
			}
		}
	}
}

// Balance is what an account holds now.
func (k *Keeper) Balance(account string) ledger.Paise { return k.balances[account] }

// Questions are the open questions now, in their one order. It costs what is open, not
// what is held.
func (k *Keeper) Questions() []Question {
	var list []Question
	var clocks []*clock
	for _, g := range k.logs {
		clocks = append(clocks, g.out.clocks...)
	}
	for _, g := range k.logs {
		list = append(list, g.out.questions...)
		for _, s := range g.out.sales {
			if s.size == 0 || silent(clocks, g.id, s.size) {
				list = append(list, s.question)
			}
		}
		for _, f := range g.out.forks {
			list = append(list, f.question)
		}
	}
	for c := range k.asking {
		list = append(list, c.out.questions...)
	}
	sortQuestions(list)
	return list
}

// Books are the whole books now, in their one order.
func (k *Keeper) Books() Books {
	b := Books{Balances: map[string]ledger.Paise{}, Questions: k.Questions()}
	n := 0
	for _, g := range k.logs {
		n += len(g.out.transactions)
		b.Unknown += g.out.unknown
		b.Ungoverned += g.out.ungoverned
	}
	b.Transactions = make([]Transaction, 0, n+len(k.all))
	for _, g := range k.logs {
		b.Transactions = append(b.Transactions, g.out.transactions...)
	}
	for c := range k.all {
		b.Transactions = append(b.Transactions, c.out.transactions...)
	}
	sortTransactions(b.Transactions)
	for account, p := range k.balances {
		if p != 0 {
			b.Balances[account] = p
		}
	}
	return b
}
