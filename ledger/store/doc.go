// Package store keeps entries on disk: a node's own logs behind one committer each,
// and everybody else's runs. It is the only package that knows Badger.
//
// What a node writes itself is durable in that log's journal (LEDGER.md §12)
// before anything about it leaves the package; Badger then holds it as an index
// that any start can rebuild. Others' runs go into a second Badger with synced
// writes, and are visible once that returned. Recovery and commit are the same
// code: a journal record is a run, applied by extending the log and indexing it.
//
// The data folder:
//
//	LOCK               held while a process has the folder open
//	owner              which machine and fleet it belongs to
//	own/LOGID/         the journal of one own log
//	own/LOGID.head     its newest acknowledged checkpoint, unless that lies elsewhere
//	own/index/         Badger, not synced: rebuilt from the journals
//	peers/index/       Badger, synced
//	peers/marks        how far others' logs were held, to find out what is lost
//	objects/HASH       objects, named by their hash
//	reserve            room for a full disk
//
// A Store may be used from any number of goroutines.
package store
