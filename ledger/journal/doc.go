// Package journal is the write-ahead journal of one log: opaque payloads in
// checksummed, chained records, made durable one at a time. It is the only copy
// that a node trusts of what it wrote itself; everything else on disk is an index
// that can be rebuilt from it. One goroutine owns a Journal.
//
// # Format (LEDGER.md §12)
//
// All numbers are big-endian and unsigned. CRC means CRC-32C (Castagnoli), hash
// means SHA-256. A journal is a folder of segments named by eight decimal digits
// and ".journal", from 00000001.journal without gaps. A segment is a header, then
// records, then zeros to the end of the file:
//
//	header  0  8  magic: the ASCII bytes "rasidjnl"
//	        8  4  version: 1
//	       12 16  log id (§3)
//	       28  4  segment number, from 1, the same as in the file's name
//	       32  4  length: how many bytes the file was made with
//	       36  4  opening: header and the records synced before the file had its name
//	       40 32  before: what it goes on from; zeros in segment 1
//	       72  4  CRC of bytes 0 to 71
//
//	record  0  4  n, the payload's length: 1 to 1,048,576
//	        4  1  type: 1 batch, 2 seal
//	        5 32  hash of what stands before
//	       37  4  CRC of bytes 0 to 36 followed by the payload
//	       41  n  payload; of a batch, the canonical bytes of one run (§9); of a seal,
//	              how many batches the journal holds before it, in 8 bytes
//
// The hash of a record, or of a header, is over all its bytes as they stand in the
// file. What stands before a record is the record before it in the same segment,
// or the segment's header: so the chain covers records and headers alike. A record
// never spans segments.
//
// A segment goes on from the record, or the header, of the segment before it whose
// hash its own header holds; whatever follows that in the segment before is void.
//
// Writing. A segment is made of zeros under the name NNNNNNNN.new, so that a record
// written over them later needs no metadata: its fdatasync is one write of the disk
// and not two. Header and opening are written and synced, then the file is renamed
// and the folder synced. A record is one write and one fdatasync. A seal follows an
// acknowledged batch after a while in which nothing came, and at the end.
//
// At start nothing that is read counts as durable unless the disk had said so: that
// is the openings, what a later record was written after, and the record that a
// seal follows. The rest was perhaps never synced, or its sync failed, after which
// the page cache may hand it out and a second sync say nothing is amiss, though the
// disk has it not. So Begin makes a fresh segment that goes on from the last record
// known to be durable, with the rest copied into its opening.
//
// Reading. Every byte must be as above, but for one case: in the last segment, from
// the end of the opening on, the last record may be what a crash left of one write.
// It is torn, and dropped, if it is no record (a length out of range, or a wrong
// CRC), has at most 1,048,617 bytes before the zeros begin, none of them beyond its
// own length where its head can be believed, and no byte after its first begins a
// record whose length, type and CRC are right. In every other case
// the journal is damaged and nothing of it is used: a header that is wrong, a last
// segment of another length than it was made with, a gap in the numbers, a record
// that is no record where one must be, a right CRC with a wrong type, hash or
// count. Rot inside the very last record, where no seal follows it, looks like a
// torn write: whoever holds other evidence of it (an index, a head file) is asked
// before Begin.
package journal
