package ledger

// DecodeEntryByDoor and DecodeRunByDoor read by the door to CBOR alone: the oracle
// of the quick readers.
func DecodeEntryByDoor(b []byte) (Entry, error) {
	var e Entry
	return e, decodeEntryByDoor(b, &e)
}

func DecodeRunByDoor(b []byte) (Run, error) {
	var r Run
	return r, Decode(b, &r)
}

var ParseRun = parseRun
