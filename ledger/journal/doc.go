// Package journal is the write-ahead journal of one log: opaque payloads in
// checksummed, chained records, made durable one at a time. It is the only copy
// that a node trusts of what it wrote itself; everything else on disk is an index
// that can be rebuilt from it. One goroutine owns a Journal.
//
// # Format (LEDGER.md §12)
//
// All numbers are big-endian and unsigned. CRC means CRC-32C (Castagnoli), hash
// means SHA-256. A journal is a folder of segments named by eight decimal digits
// and ".journal", from 00000001.journal without gaps. A segment is a header of 68
// bytes and then records to the end of the file:
//
//	header  0  8  magic: the ASCII bytes "rasidjnl"
//	        8  4  version: 1
//	       12 16  log id (§3)
//	       28  4  segment number, from 1, the same as in the file's name
//	       32 32  hash of the last record of the segment before; zero in segment 1
//	       64  4  CRC of bytes 0 to 63
//
//	record  0  4  n, the payload's length: 1 to 1,048,576
//	        4  1  type: 1 batch; 2 seal and 3 copy-mark are reserved
//	        5 32  hash of what stands before
//	       37  4  CRC of bytes 0 to 36 followed by the payload
//	       41  n  payload; of a batch, the canonical bytes of one run (§9)
//
// The hash of a record, or of a header, is over all its bytes as they stand in the
// file. What stands before a record is the record before it in the same segment,
// or the segment's header: so the chain covers records and headers alike. A record
// never spans segments; a segment ends before the record that would take it beyond
// 16,777,216 bytes, and holds at least one record before another may follow. A
// version 1 reader refuses types 2 and 3. Length 0 is never written: it is kept
// for the zeros that follow the last record of a preallocated segment.
//
// A segment comes to be under the name NNNNNNNN.new with its header alone, is
// synced, renamed, and the folder synced, so a named segment always has its whole
// header; a .new file is what a crash left and is removed. A record is one write
// followed by one fdatasync.
//
// Reading. Every byte must be as above, but for one case: the bytes from the last
// record's beginning to the end of the last segment may be what a crash left of
// one write. They are torn, and dropped, if they are no record (too short for
// their length, a length out of range, or a wrong CRC), are at most 1,048,617
// bytes, and no byte after the first begins a record whose length, type and CRC
// are right. In every other case the journal is damaged and nothing of it is used:
// a header that is wrong, a gap in the numbers, a record that is no record before
// the end, a right CRC with a wrong type or a wrong hash before. Rot inside the
// very last record cannot be told from a torn write without seals; whoever holds
// other evidence of it (an index) is asked before the bytes are dropped.
package journal
