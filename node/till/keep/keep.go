// Package keep holds what is personal of a bill on the kiosk's own disk, sealed under
// a key of the machine, from before the sale is durable until its papers are out.
// None of it is in a log, and none of it is readable in a stolen data folder without
// the machine's key.
package keep

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rasid/ledger/event"
	"rasid/node/till"
)

// sealedMax bounds one file.
const sealedMax = 16 << 10

// Keeper is a folder of sealed bills. It is used by one till.
type Keeper struct {
	dir  string
	aead cipher.AEAD
}

// Open opens the folder, making it where there is none.
func Open(dir string, machine ed25519.PrivateKey) (*Keeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the folder for bills: %w", err)
	}
	key, err := hkdf.Key(sha256.New, machine.Seed(), nil, "rasid/keep/1", 32)
	if err != nil {
		return nil, fmt.Errorf("couldn't derive the key for bills: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("couldn't set up the cipher for bills: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("couldn't set up the cipher for bills: %w", err)
	}
	return &Keeper{dir: dir, aead: aead}, nil
}

func (k *Keeper) path(bill event.BillKey) string {
	return filepath.Join(k.dir, hex.EncodeToString(bill[:]))
}

// Keep writes the bill; it is durable on return.
func (k *Keeper) Keep(b till.Bill) (err error) {
	plain, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("couldn't encode a bill: %w", err)
	}
	sealed := k.aead.Seal(nil, nil, plain, b.Bill[:])
	temp, err := os.CreateTemp(k.dir, ".new-")
	if err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone when it was renamed
	_, err = temp.Write(sealed)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	if err := os.Rename(temp.Name(), k.path(b.Bill)); err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	return k.sync()
}

func (k *Keeper) sync() error {
	d, err := os.Open(k.dir)
	if err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	return nil
}

// Get returns what was kept. A file that does not open is as none: the paper then
// says less, the money is the same.
func (k *Keeper) Get(bill event.BillKey) (till.Bill, bool) {
	info, err := os.Stat(k.path(bill))
	if err != nil || info.Size() > sealedMax {
		return till.Bill{}, false
	}
	sealed, err := os.ReadFile(k.path(bill))
	if err != nil {
		return till.Bill{}, false
	}
	plain, err := k.aead.Open(nil, nil, sealed, bill[:])
	if err != nil {
		return till.Bill{}, false
	}
	var b till.Bill
	if err := json.Unmarshal(plain, &b); err != nil {
		return till.Bill{}, false
	}
	return b, true
}

// Forget destroys what was kept; nothing kept is no error.
func (k *Keeper) Forget(bill event.BillKey) error {
	if err := os.Remove(k.path(bill)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't forget a bill: %w", err)
	}
	return nil
}

// Sweep forgets every bill that is not needed, and what a power cut left half-written.
func (k *Keeper) Sweep(needed func(event.BillKey) bool) error {
	files, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("couldn't look for kept bills: %w", err)
	}
	for _, f := range files {
		raw, err := hex.DecodeString(f.Name())
		if err == nil && len(raw) == event.BillKeyBytes && needed(event.BillKey(raw)) {
			continue
		}
		if err := os.Remove(filepath.Join(k.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't forget a bill: %w", err)
		}
	}
	return nil
}
