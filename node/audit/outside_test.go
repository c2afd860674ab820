package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// logPolicy is what somebody who trusts one log writes down for stock tools.
func logPolicy(t *testing.T, key ed25519.PublicKey, rest string) torchwood.Policy {
	t.Helper()
	p, err := torchwood.ParsePolicy([]byte("log " + ledger.VerifierKey(key) + "\n" + rest))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// entriesOf reads a whole log by another's client: its checkpoint under the policy,
// and every entry proven to be in that tree.
func entriesOf(tiles torchwood.TileReader, policy torchwood.Policy) ([][]byte, error) {
	ctx := context.Background()
	signed, err := tiles.ReadEndpoint(ctx, checkpoint)
	if err != nil {
		return nil, err
	}
	head, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return nil, err
	}
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for _, e := range client.AllEntries(ctx, head.Tree, 0) {
		entries = append(entries, bytes.Clone(e))
	}
	if client.Err() == nil && int64(len(entries)) != head.N {
		return nil, fmt.Errorf("%d entries under a checkpoint of %d", len(entries), head.N)
	}
	return entries, client.Err()
}

func source(t *testing.T, src LogSource) [][]byte {
	t.Helper()
	var entries [][]byte
	if err := src.Each(func(_ uint64, e []byte) error { entries = append(entries, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestTorchwoodReadsTheExport: an independent tile client reads our tiles over HTTP,
// and finds every entry under our checkpoints.
func TestTorchwoodReadsTheExport(t *testing.T) {
	d := newDistrict(t)
	dir := filepath.Join(t.TempDir(), "export")
	in := d.input(100)
	if _, err := Export(dir, in); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	for _, src := range in.Logs {
		policy := logPolicy(t, src.Opened.Grant.PublicKey(), "quorum none")
		tiles, err := torchwood.NewTileFetcher(server.URL+"/logs/"+src.ID.String(), torchwood.WithHTTPClient(server.Client()))
		if err != nil {
			t.Fatal(err)
		}
		want := source(t, src)
		got, err := entriesOf(tiles, policy)
		if err != nil || len(got) != len(want) {
			t.Fatalf("log %s: %d entries, %v; want %d", src.ID, len(got), err, len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("log %s: entry %d is another", src.ID, i)
			}
		}
		kept, err := tiles.ReadEndpoint(context.Background(), history)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(kept), "\n")
		for i, c := range src.Checkpoints {
			head, _, err := torchwood.VerifyCheckpoint([]byte(strings.Join(lines[i*noteLines:(i+1)*noteLines], "")), policy)
			if err != nil || head.N != int64(c.Size) || ledger.Hash(head.Hash) != c.Root {
				t.Errorf("log %s: kept checkpoint %d: %v, %v", src.ID, i, head, err)
			}
		}
		other := logPolicy(t, public(testKey(250)), "quorum none")
		if _, err := entriesOf(tiles, other); err == nil {
			t.Errorf("log %s is read under another log's key", src.ID)
		}
	}
}

// TestTorchwoodFindsAnyChangedByte: whatever file of a log is changed, the client of
// others misses it too.
func TestTorchwoodFindsAnyChangedByte(t *testing.T) {
	dir, _ := export(t, 40)
	key := public(testKey(107))
	root := filepath.Join(dir, "logs", ledger.LogIDOf(key).String())
	tiles, err := torchwood.NewTileFS(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	policy := logPolicy(t, key, "quorum none")
	if _, err := entriesOf(tiles, policy); err != nil {
		t.Fatal(err)
	}
	changed := 0
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == history {
			return err
		}
		whole, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		bad := bytes.Clone(whole)
		bad[len(bad)/2] ^= 1
		changed++
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			return err
		}
		if _, err := entriesOf(tiles, policy); err == nil {
			t.Errorf("%s: a changed byte is not found", name)
		}
		return os.WriteFile(name, whole, 0o644)
	})
	if err != nil || changed < 8 { // three bundles and tiles, the tile above them, the checkpoint
		t.Fatalf("%d files changed, %v", changed, err)
	}
}

// TestTilePaths: every file is where tlog-tiles has it, far beyond the sizes that a
// test can write.
func TestTilePaths(t *testing.T) {
	for _, n := range []int64{0, 1, 9, 255, 256, 999, 1000, 1067, 999_999, 1_000_000, 1_234_067, 1 << 40} {
		for _, width := range []int{1, 5, 255, 256} {
			for level := range 6 {
				tile := tlog.Tile{H: tileHeight, L: level, N: n, W: width}
				if got, want := hashTilePath(tile), torchwood.TilePath(tile); got != want {
					t.Errorf("level %d, tile %d of %d: %s, want %s", level, n, width, got, want)
				}
			}
			want := torchwood.TilePath(tlog.Tile{H: tileHeight, L: -1, N: n, W: width})
			if got := bundlePath(int(n), width); got != want {
				t.Errorf("bundle %d of %d: %s, want %s", n, width, got, want)
			}
		}
	}
}

// TestWitnessCosignsCheckpoint: a witness of others cosigns our checkpoint by C2SP
// cosignature/v1, and a policy that demands it tells the two apart.
func TestWitnessCosignsCheckpoint(t *testing.T) {
	src := newDistrict(t).log(7, cert.RoleKiosk, cert.StreamMain, [][]event.Body{sale(1, 1, 500_00, 500_00)})
	key := src.Opened.Grant.PublicKey()
	plain := src.Checkpoints[0].Note(key)
	witness := func(name string, seed byte) *torchwood.CosignatureSigner {
		s, err := torchwood.NewCosignatureSigner(name, testKey(seed))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sees := witness("witness.example/district", 200)
	policy := logPolicy(t, key, "witness district "+sees.Verifier().String()+"\ngroup any-witness 1 district\nquorum any-witness\n")
	cosigned := cosign(t, key, plain, sees)
	head, opened, err := torchwood.VerifyCheckpoint(cosigned, policy)
	if err != nil || head.N != int64(src.Checkpoints[0].Size) || len(opened.Sigs) != 2 {
		t.Fatalf("a cosigned checkpoint: %v, %v", head, err)
	}
	if !bytes.HasPrefix(cosigned, plain) {
		t.Errorf("the cosigned note does not begin with ours:\n%s", cosigned)
	}
	if _, err := ledger.ParseNote(cosigned, key); err == nil {
		t.Error("a note with a second signature is taken for the log's own (LEDGER.md §7.3)")
	}
	later := ledger.SignCheckpoint(testKey(107), 8, ledger.Hash{1}).Note(key)
	for name, bad := range map[string][]byte{
		"without a witness":                    plain,
		"cosigned by another":                  cosign(t, key, plain, witness("witness.example/district", 201)),
		"cosigned under another name":          cosign(t, key, plain, witness("witness.example/other", 200)),
		"with the cosignature of another note": append(bytes.Clone(later), cosigned[len(plain):]...),
	} {
		if _, _, err := torchwood.VerifyCheckpoint(bad, policy); err == nil {
			t.Errorf("a checkpoint %s satisfies a policy of one witness", name)
		}
	}
}

// cosign is what a witness does: it opens the note by the log's key and adds its line.
func cosign(t *testing.T, key ed25519.PublicKey, signed []byte, by note.Signer) []byte {
	t.Helper()
	v, err := note.NewVerifier(ledger.VerifierKey(key))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	out, err := note.Sign(n, by)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// theirLog writes a log by others' code alone: tree and tiles by sumdb/tlog, paths,
// bundles and checkpoint text by torchwood, signatures by sumdb/note.
func theirLog(t *testing.T, key ed25519.PrivateKey, entries [][]byte, kept ...int64) []file {
	t.Helper()
	origin := "rasid/log/" + ledger.LogIDOf(public(key)).String()
	vkey := strings.Split(ledger.VerifierKey(public(key)), "+")
	signer, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + vkey[1] + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
	if err != nil {
		t.Fatal(err)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	prefix := "logs/" + ledger.LogIDOf(public(key)).String() + "/"
	var files []file
	var bundle []byte
	for i, e := range entries {
		hashes, err := tlog.StoredHashes(int64(i), e, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		if bundle, err = torchwood.AppendTileEntry(bundle, e); err != nil {
			t.Fatal(err)
		}
		if n := i + 1; n%torchwood.TileWidth == 0 || n == len(entries) {
			tile := tlog.Tile{H: torchwood.TileHeight, L: -1, N: int64(i / torchwood.TileWidth), W: i%torchwood.TileWidth + 1}
			files = append(files, file{prefix + torchwood.TilePath(tile), bundle})
			bundle = nil
		}
	}
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, 0, int64(len(entries))) {
		data, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{prefix + torchwood.TilePath(tile), data})
	}
	var all, newest []byte
	for _, n := range append(kept, int64(len(entries))) {
		root, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		text := torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: n, Hash: root}}.String()
		if newest, err = note.Sign(&note.Note{Text: text}, signer); err != nil {
			t.Fatal(err)
		}
		all = append(all, newest...)
	}
	return append(files, file{prefix + checkpoint, newest}, file{prefix + history, all})
}

// theirExport puts the books and the manifest, which are ours alone, around logs that
// others wrote.
func theirExport(t *testing.T, fleet ed25519.PublicKey, logs []LogSource, files []file) string {
	t.Helper()
	var read []*logEntries
	for _, src := range logs {
		read = append(read, &logEntries{id: src.ID, opened: src.Opened, entries: source(t, src)})
	}
	derived, _, err := bookFiles(fleet, read)
	if err != nil {
		t.Fatal(err)
	}
	w := writer{dir: t.TempDir(), m: manifest{fleet: fleet, authority: logs[0].ID}}
	if err := w.put(append(derived, files...)...); err != nil {
		t.Fatal(err)
	}
	w.m.sign(testKey(101))
	if err := writeFile(w.dir, file{manifestName, w.m.bytes()}); err != nil {
		t.Fatal(err)
	}
	return w.dir
}

// TestWeVerifyTheirLogs: logs that others' code made of our entries verify here, and
// one bit changed in any of their files does not, though the office has signed it.
func TestWeVerifyTheirLogs(t *testing.T) {
	d := newDistrict(t)
	logs := d.input(40).Logs
	var files []file
	for i, seed := range []byte{101, 107, 108} {
		entries := source(t, logs[i])
		kept := []int64{1}
		if n := int64(len(entries)); n > 7 {
			kept = append(kept, n-5)
		}
		files = append(files, theirLog(t, testKey(seed), entries, kept...)...)
	}
	fleet := public(d.fleet)
	r, err := Verify(theirExport(t, fleet, logs, files), fleet, nil)
	if err != nil || len(r.Findings) > 0 || r.Logs != 3 || r.Books.Balances["Assets:Cash:K7"] != 40*1300_00 {
		t.Fatalf("%d logs, cash %d, findings %v, %v", r.Logs, r.Books.Balances["Assets:Cash:K7"], r.Findings, err)
	}
	for i, f := range files {
		bad := bytes.Clone(f.data)
		bad[len(bad)/2] ^= 1
		changed := append(append([]file(nil), files[:i]...), file{f.path, bad})
		r, err := Verify(theirExport(t, fleet, logs, append(changed, files[i+1:]...)), fleet, nil)
		if err != nil || len(r.Findings) == 0 {
			t.Errorf("%s: a changed bit is no finding, %v", f.path, err)
		}
	}
}
