package audit

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
)

// file is one file of an export, path with slashes, relative to the folder.
type file struct {
	path string
	data []byte
}

// tileFiles returns the C2SP tlog-tiles of a log: hash tiles and entry bundles.
// It is the only code that knows their form; Verify compares with what it returns.
func tileFiles(prefix string, entries [][]byte) ([]file, error) {
	stored, err := storedHashes(entries)
	if err != nil {
		return nil, err
	}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			if at < 0 || at >= int64(len(stored)) {
				return nil, fmt.Errorf("no hash %d", at)
			}
			out[i] = stored[at]
		}
		return out, nil
	})
	var files []file
	for _, t := range tlog.NewTiles(tileHeight, 0, int64(len(entries))) {
		data, err := tlog.ReadTileData(t, reader)
		if err != nil {
			return nil, fmt.Errorf("couldn't make tile %s: %w", t.Path(), err)
		}
		files = append(files, file{prefix + hashTilePath(t), data})
	}
	for n := 0; n < len(entries); n += bundleEntries {
		part := entries[n:min(n+bundleEntries, len(entries))]
		files = append(files, file{prefix + bundlePath(n/bundleEntries, len(part)), bundle(part)})
	}
	return files, nil
}

func storedHashes(entries [][]byte) ([]tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = stored[at]
		}
		return out, nil
	})
	for i, e := range entries {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(ledger.LeafHash(e)), reader)
		if err != nil {
			return nil, fmt.Errorf("couldn't hash entry %d: %w", i, err)
		}
		stored = append(stored, hashes...)
	}
	return stored, nil
}

// hashTilePath is sumdb's path without its height: tile/0/x001/067.p/5.
func hashTilePath(t tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
}

func bundlePath(n, width int) string {
	t := tlog.Tile{H: tileHeight, L: 0, N: int64(n), W: width}
	return "tile/entries/" + strings.TrimPrefix(hashTilePath(t), "tile/0/")
}

// bundle is entries, each behind its length in two bytes, big-endian.
func bundle(entries [][]byte) []byte {
	var b []byte
	for _, e := range entries {
		b = binary.BigEndian.AppendUint16(b, uint16(len(e)))
		b = append(b, e...)
	}
	return b
}

// readBundle reads what bundle wrote.
func readBundle(b []byte) ([][]byte, error) {
	var entries [][]byte
	for at := 0; at < len(b); {
		if len(b)-at < 2 {
			return nil, fmt.Errorf("byte %d: a length is cut short", at)
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		if len(b)-at-2 < n {
			return nil, fmt.Errorf("byte %d: an entry of %d bytes is cut short", at, n)
		}
		entries = append(entries, b[at+2:at+2+n])
		at += 2 + n
	}
	return entries, nil
}
