package fleet

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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

// OpenLogKey loads the key of the machine's log in the stream, or makes the first
// incarnation's. It is durable before it is returned, so that a log never loses its key.
func (id Identity) OpenLogKey(stream cert.Stream, rand io.Reader) (LogKey, error) {
	name := fmt.Sprintf("log-%d.json", stream)
	if _, err := os.Stat(filepath.Join(id.dir, name)); errors.Is(err, fs.ErrNotExist) {
		if err := id.makeLogKey(name, stream, rand); err != nil {
			return LogKey{}, err
		}
	}
	var f logKeyFile
	if err := readJSON(id.dir, name, &f); err != nil {
		return LogKey{}, err
	}
	if len(f.Seed) != ed25519.SeedSize {
		return LogKey{}, damaged(id.dir, name, "the key has the wrong length")
	}
	k := LogKey{Key: ed25519.NewKeyFromSeed(f.Seed)}
	if err := ledger.Decode(f.Grant, &k.Grant); err != nil {
		return LogKey{}, damaged(id.dir, name, err.Error())
	}
	if err := k.Grant.Verify(id.Chain.Machine.PublicKey()); err != nil {
		return LogKey{}, damaged(id.dir, name, err.Error())
	}
	if k.Grant.Stream != stream || !k.Key.Public().(ed25519.PublicKey).Equal(k.Grant.PublicKey()) {
		return LogKey{}, damaged(id.dir, name, "the grant is for another key or log")
	}
	return k, nil
}

func (id Identity) makeLogKey(name string, stream cert.Stream, rand io.Reader) error {
	_, key, err := ed25519.GenerateKey(rand)
	if err != nil {
		return fmt.Errorf("couldn't draw a log's key: %w", err)
	}
	g, err := cert.SignGrant(id.Machine, cert.Grant{LogKey: [32]byte(key.Public().(ed25519.PublicKey)), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled})
	if err != nil {
		return err
	}
	raw, err := ledger.Encode(g)
	if err != nil {
		return err
	}
	return writeJSON(id.dir, name, logKeyFile{Format: formatNumber, Seed: key.Seed(), Grant: raw})
}

// Opening is entry 0 of the log.
func (id Identity) Opening(k LogKey, rules ledger.Hash) *event.LogOpened {
	return &event.LogOpened{Chain: id.Chain, Grant: k.Grant, Currency: event.Currency, Rules: rules}
}
