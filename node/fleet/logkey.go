package fleet

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

type logKeyFile struct {
	Format int    `json:"format"`
	Seed   []byte `json:"log_seed"`
	Grant  []byte `json:"grant"`
}

// LogKey is the key of one log with the grant that makes it so.
type LogKey struct {
	Key   ed25519.PrivateKey
	Grant cert.Grant
}

// String hides the key.
func (k LogKey) String() string {
	return fmt.Sprintf("log %s, stream %d, ordinal %d", ledger.LogIDOf(k.Grant.PublicKey()), k.Grant.Stream, k.Grant.Ordinal)
}

// GoString hides the key from %#v as well.
func (k LogKey) GoString() string { return k.String() }

func logKeyName(stream cert.Stream) string { return fmt.Sprintf("log-%d.json", stream) }

// OpenLogKey loads the key of the machine's log in the stream. At the machine's
// first start it makes the key and signs the grant of the first incarnation, both
// durable on return. If the stream had a key and it is gone, that is an error: a
// second key with the ordinal 1 would look like a clone of this machine. Of
// two processes that call it at once one gets an error; rand must be a cryptographic source.
func (id Identity) OpenLogKey(stream cert.Stream, rand io.Reader) (LogKey, error) {
	unlock, err := lock(id.dir)
	if err != nil {
		return LogKey{}, err
	}
	defer unlock()
	var f identityFile
	if err := readJSON(id.dir, identityName, &f); err != nil {
		return LogKey{}, err
	}
	path := filepath.Join(id.dir, logKeyName(stream))
	known := slices.Contains(f.Streams, stream)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if known {
			return LogKey{}, fmt.Errorf("%s is missing, and its log goes on with no other key: put the file back from its backup", path)
		}
		if err := id.makeLogKey(cert.Grant{Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled}, rand); err != nil {
			return LogKey{}, err
		}
	}
	k, err := id.readLogKey(stream)
	if err != nil || known {
		return k, err
	}
	f.Streams = append(f.Streams, stream)
	return k, writeJSON(id.dir, identityName, f)
}

func (id Identity) readLogKey(stream cert.Stream) (LogKey, error) {
	return id.readLogKeyFile(logKeyName(stream), stream)
}

func (id Identity) readLogKeyFile(name string, stream cert.Stream) (LogKey, error) {
	var f logKeyFile
	if err := readJSON(id.dir, name, &f); err != nil {
		return LogKey{}, err
	}
	if f.Format != formatNumber || len(f.Seed) != ed25519.SeedSize {
		return LogKey{}, damaged(id.dir, name, "another format, or a key of the wrong length")
	}
	grant, err := cert.DecodeGrant(f.Grant)
	if err == nil {
		err = grant.Verify(id.MachineKey())
	}
	if err != nil {
		return LogKey{}, damaged(id.dir, name, err.Error())
	}
	k := LogKey{Key: ed25519.NewKeyFromSeed(f.Seed), Grant: grant}
	if grant.Stream != stream || !k.Key.Public().(ed25519.PublicKey).Equal(grant.PublicKey()) {
		return LogKey{}, damaged(id.dir, name, "the grant is for another key or stream")
	}
	return k, nil
}

// makeLogKey draws a log key and signs the grant for it.
func (id Identity) makeLogKey(g cert.Grant, rand io.Reader) error {
	_, key, err := ed25519.GenerateKey(rand)
	if err != nil {
		return fmt.Errorf("couldn't draw a log key: %w", err)
	}
	g.LogKey = [32]byte(key.Public().(ed25519.PublicKey))
	if g, err = cert.SignGrant(id.Machine, g); err != nil {
		return err
	}
	raw, err := ledger.Encode(g)
	if err != nil {
		return err
	}
	return writeJSON(id.dir, logKeyName(g.Stream), logKeyFile{Format: formatNumber, Seed: key.Seed(), Grant: raw})
}

// NextLogKey begins the next incarnation of a stream, whose log the key k wrote and
// must not write any more: it draws a key and signs its grant, which says why, and
// last, the newest checkpoint known of that log, the zero one where nothing is. All
// is durable on return. The key k stays beside it, since reprints of its receipts
// need it. No two keys ever get one ordinal from the same folder: k must be the
// newest. rand must be a cryptographic source.
func (id Identity) NextLogKey(k LogKey, reason cert.Reason, last ledger.Checkpoint, rand io.Reader) (LogKey, error) {
	unlock, err := lock(id.dir)
	if err != nil {
		return LogKey{}, err
	}
	defer unlock()
	stream := k.Grant.Stream
	newest, err := id.readLogKey(stream)
	if err != nil {
		return LogKey{}, err
	}
	if !newest.Key.Equal(k.Key) {
		return LogKey{}, fmt.Errorf("couldn't begin a new incarnation: %s is not the newest in %s, which has %s", k, id.dir, newest)
	}
	raw, err := os.ReadFile(filepath.Join(id.dir, logKeyName(stream)))
	if err != nil {
		return LogKey{}, fmt.Errorf("couldn't begin a new incarnation: %w", err)
	}
	if err := writeFile(id.dir, formerLogKeyName(stream, k.Grant.Ordinal), raw, 0o600); err != nil {
		return LogKey{}, err
	}
	g := cert.Grant{Stream: stream, Ordinal: k.Grant.Ordinal + 1, Reason: reason}
	if last.Size > 0 {
		g.Before = &cert.Predecessor{Log: ledger.LogIDOf(k.Grant.PublicKey()), Size: last.Size, Root: last.Root}
	}
	if err := id.makeLogKey(g, rand); err != nil {
		return LogKey{}, err
	}
	return id.readLogKey(stream)
}

// Opening is entry 0 of the log that k writes, under the rule set of that hash
// (LEDGER.md §6.1).
func Opening(id Identity, k LogKey, rules ledger.Hash) *event.LogOpened {
	return &event.LogOpened{Chain: id.Chain, Grant: k.Grant, Currency: event.Currency, Rules: rules}
}
