package fleet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"rasid/ledger/event"
	"rasid/ledger/object"
)

// sealsName is the file of the office's seal keys: what opens the sealed blobs. The
// office runs without it; only opening a blob and renewing the key need it.
const sealsName = "seal.json"

// sealsMax bounds the seal keys that an office keeps for old blobs.
const sealsMax = 1000

type sealsFile struct {
	Format int        `json:"format"`
	Keys   []sealFile `json:"seal_keys"`
}

type sealFile struct {
	Number uint32 `json:"number"`
	Secret []byte `json:"secret,omitempty"` // in seal.json
	Public []byte `json:"public,omitempty"` // in identity.json
}

// Ring holds the numbered keys that a machine may use now: of peppers and of seal keys
// the two newest (LEDGER.md §10.5). It begins with those of the enrolment; whoever
// reads the authority log adds those renewed since. It may be used from any goroutine.
type Ring struct {
	mu      sync.Mutex
	peppers []Pepper         // guarded by mu, ascending
	seals   []object.SealKey // guarded by mu, ascending
}

// Ring returns the keys of the enrolment.
func (id Identity) Ring() *Ring {
	return &Ring{peppers: slices.Clone(id.Peppers), seals: slices.Clone(id.Seals)}
}

// Pepper returns the pepper of the number, if it is valid and here.
func (r *Ring) Pepper(number uint32) (event.Pepper, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peppers {
		if p.Number == number {
			return p.Secret, true
		}
	}
	return event.Pepper{}, false
}

// Names reports whether bills may be named under the pepper of the number now: it is
// here, and so is the one before, under which the same bill may have been paid, unless
// that is valid no more.
func (r *Ring) Names(number uint32) bool {
	_, is := r.Pepper(number)
	_, before := r.Pepper(number - 1)
	return is && (before || number == 1 || r.Outlived(number-1))
}

// Outlived reports whether two newer peppers than the number are here, so that it is
// valid no more.
func (r *Ring) Outlived(number uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.peppers) == keysMax && number < r.peppers[0].Number
}

// Newest returns the pepper that new dues sets are made with.
func (r *Ring) Newest() Pepper {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peppers[len(r.peppers)-1]
}

// SealTo returns the seal key that blobs are sealed to now.
func (r *Ring) SealTo() object.SealKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seals[len(r.seals)-1]
}

// AddPepper takes a renewed pepper. A number that is here is not replaced.
func (r *Ring) AddPepper(p Pepper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peppers = added(r.peppers, p, func(p Pepper) uint32 { return p.Number })
}

// AddSeal takes a renewed seal key. A number that is here is not replaced.
func (r *Ring) AddSeal(k object.SealKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seals = added(r.seals, k, func(k object.SealKey) uint32 { return k.Number })
}

// added puts a key in its place and keeps the two newest.
func added[K any](keys []K, k K, number func(K) uint32) []K {
	i, found := slices.BinarySearchFunc(keys, number(k), func(have K, n uint32) int { return int(int64(number(have)) - int64(n)) })
	if found {
		return keys
	}
	keys = slices.Insert(slices.Clone(keys), i, k)
	return keys[max(0, len(keys)-keysMax):]
}

// RenewPepper draws the next pepper in the office's dir and returns the identity that
// has it, durably. Announce it afterwards: what the authority log does not say yet is
// said at the office's next start. rand must be a cryptographic source.
func RenewPepper(dir string, rand io.Reader) (Identity, error) {
	return renew(dir, func(id *Identity) error {
		p := Pepper{Number: id.Newest().Number + 1}
		if _, err := io.ReadFull(rand, p.Secret[:]); err != nil {
			return fmt.Errorf("couldn't draw the pepper: %w", err)
		}
		id.Peppers = added(id.Peppers, p, func(p Pepper) uint32 { return p.Number })
		return nil
	})
}

// RenewSeal draws the next seal key in the office's dir, as RenewPepper does a pepper.
// Its private half joins the others in seal.json.
func RenewSeal(dir string, rand io.Reader) (Identity, error) {
	return renew(dir, func(id *Identity) error {
		number := id.Seals[len(id.Seals)-1].Number + 1
		// The private half is durable first: nobody seals to a key that opens nothing. A
		// key that a power cut left there is taken up.
		k, err := sealKey(dir, number, rand)
		if err != nil {
			return err
		}
		id.Seals = added(id.Seals, k.Public(), func(k object.SealKey) uint32 { return k.Number })
		return nil
	})
}

// renew changes the office's identity.
func renew(dir string, change func(*Identity) error) (Identity, error) {
	unlock, err := lock(dir)
	if err != nil {
		return Identity{}, err
	}
	defer unlock()
	id, err := Load(dir)
	if err != nil {
		return Identity{}, err
	}
	if _, _, err := id.district(); err != nil {
		return Identity{}, err
	}
	var f identityFile
	if err := readJSON(dir, identityName, &f); err != nil {
		return Identity{}, err
	}
	if err := change(&id); err != nil {
		return Identity{}, err
	}
	return id, id.save(dir, f.Streams)
}

// sealKey returns the private key of the number in seal.json, drawing it if it is the
// next one.
func sealKey(dir string, number uint32, rand io.Reader) (object.OpenKey, error) {
	f := sealsFile{Format: formatNumber}
	if _, err := os.Lstat(filepath.Join(dir, sealsName)); !errors.Is(err, os.ErrNotExist) || number != 1 {
		if err := readJSON(dir, sealsName, &f); err != nil {
			return object.OpenKey{}, err
		}
	}
	keys, err := f.open(dir)
	if err != nil {
		return object.OpenKey{}, err
	}
	if k, ok := keys[number]; ok {
		return k, nil
	}
	if len(f.Keys) >= sealsMax {
		return object.OpenKey{}, fmt.Errorf("%s holds %d keys: that is the limit; move those of erased blobs elsewhere", filepath.Join(dir, sealsName), sealsMax)
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(rand, secret); err != nil {
		return object.OpenKey{}, fmt.Errorf("couldn't draw a seal key: %w", err)
	}
	k, err := object.NewOpenKey(number, secret)
	if err != nil {
		return object.OpenKey{}, err
	}
	f.Keys = append(f.Keys, sealFile{Number: number, Secret: secret})
	return k, writeJSON(dir, sealsName, f)
}

func (f sealsFile) open(dir string) (map[uint32]object.OpenKey, error) {
	if f.Format != formatNumber {
		return nil, damaged(dir, sealsName, "another format")
	}
	keys := map[uint32]object.OpenKey{}
	for _, s := range f.Keys {
		k, err := object.NewOpenKey(s.Number, s.Secret)
		if _, twice := keys[s.Number]; err != nil || twice {
			return nil, damaged(dir, sealsName, fmt.Sprintf("seal key %d has the wrong length, or is there twice", s.Number))
		}
		keys[s.Number] = k
	}
	return keys, nil
}

// OpenKeys reads the private seal keys, by number, from seal.json in dir: the office's
// folder, or a stick that the file was moved to.
func OpenKeys(dir string) (map[uint32]object.OpenKey, error) {
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	var f sealsFile
	if err := readJSON(dir, sealsName, &f); err != nil {
		return nil, err
	}
	return f.open(dir)
}

func (f identityFile) seals() ([]object.SealKey, error) {
	if len(f.Seals) == 0 || len(f.Seals) > keysMax {
		return nil, fmt.Errorf("%d seal keys, want 1 to %d", len(f.Seals), keysMax)
	}
	var all []object.SealKey
	for i, s := range f.Seals {
		if len(s.Public) != 32 || s.Number == 0 || i > 0 && s.Number <= f.Seals[i-1].Number {
			return nil, fmt.Errorf("seal key %d has the wrong length or is out of order", s.Number)
		}
		all = append(all, object.SealKey{Number: s.Number, Public: [32]byte(s.Public)})
	}
	return all, nil
}
