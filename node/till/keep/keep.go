// Package keep seals what is personal of a bill for the office, before the sale is
// durable, and holds on the kiosk's own disk what opens that blob here: its content
// key, sealed under a key of the machine. Some days after the papers of the sale are
// out it destroys that; from then on the office alone can open the blob. None of it
// is in a log, and none of it is readable in a stolen data folder without the
// machine's key.
package keep

import (
	"context"
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/node/till"
)

const (
	// sealedMax bounds one file.
	sealedMax = 16 << 10
	// doneMax bounds the files of bills that nobody needs any more.
	doneMax = 10_000
)

// Objects is the store of blobs. PutObject is durable on return.
type Objects interface {
	PutObject(ctx context.Context, b []byte) (ledger.Hash, error)
	Object(h ledger.Hash) ([]byte, error)
}

// Config is what a keeper needs. All fields are needed.
type Config struct {
	Dir     string
	Machine ed25519.PrivateKey
	Log     ledger.LogID // whose entries name the blobs
	Objects Objects
	SealTo  func() object.SealKey
	For     time.Duration // how long a bill that nobody needs can still be opened here
	Now     func() time.Time
}

// Keeper is a folder with a file for each bill: KEY while it is needed, KEY.MS once it
// was forgotten at that time. It may be used from any goroutine.
type Keeper struct {
	cfg  Config
	aead cipher.AEAD
	mu   sync.Mutex // one change of the folder at a time
}

// kept is what a file holds, sealed: the bill without what is personal, and the way to
// that.
type kept struct {
	Bill    till.Bill   `json:"bill"`
	Blob    ledger.Hash `json:"blob"`
	Content []byte      `json:"content_key"`
}

// Open opens the folder, making it where there is none.
func Open(cfg Config) (*Keeper, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the folder for bills: %w", err)
	}
	key, err := hkdf.Key(sha256.New, cfg.Machine.Seed(), nil, "rasid/keep/2", 32)
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
	return &Keeper{cfg: cfg, aead: aead}, nil
}

func (k *Keeper) path(bill event.BillKey) string {
	return filepath.Join(k.cfg.Dir, hex.EncodeToString(bill[:]))
}

// Keep seals what is personal of the bill into a blob and keeps what opens it. Blob
// and file are durable on return, the blob first.
func (k *Keeper) Keep(ctx context.Context, b till.Bill) (till.Blob, error) {
	to := k.cfg.SealTo()
	blob, content, err := object.Seal(to, object.Purpose{Log: k.cfg.Log, Bill: b.Bill}, object.Personal{Number: b.Number, Name: b.Masked})
	if err != nil {
		return till.Blob{}, fmt.Errorf("couldn't seal a bill: %w", err)
	}
	hash, err := k.cfg.Objects.PutObject(ctx, blob)
	if err != nil {
		return till.Blob{}, fmt.Errorf("couldn't store a sealed bill: %w", err)
	}
	b.Number, b.Masked = "", ""
	plain, err := json.Marshal(kept{Bill: b, Blob: hash, Content: content[:]})
	if err != nil {
		return till.Blob{}, fmt.Errorf("couldn't encode a bill: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.write(k.path(b.Bill), k.aead.Seal(nil, nil, plain, b.Bill[:])); err != nil {
		return till.Blob{}, fmt.Errorf("couldn't keep a bill: %w", err)
	}
	return till.Blob{Object: hash, Bytes: uint64(len(blob)), SealKey: to.Number}, nil
}

func (k *Keeper) write(path string, b []byte) error {
	temp, err := os.CreateTemp(k.cfg.Dir, ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone when it was renamed
	_, err = temp.Write(b)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return k.sync()
}

func (k *Keeper) sync() error {
	d, err := os.Open(k.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get returns what was kept, with what is personal. A file or blob that does not open,
// or is gone, is as none: the paper then says less, the money is the same.
func (k *Keeper) Get(bill event.BillKey) (till.Bill, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	files, err := k.files()
	if err != nil {
		return till.Bill{}, false
	}
	var newest file
	for _, f := range files { // what is needed comes last
		if f.bill == bill {
			newest = f
		}
	}
	if newest.name == "" {
		return till.Bill{}, false
	}
	b, err := k.read(newest)
	return b, err == nil
}

func (k *Keeper) read(f file) (till.Bill, error) {
	path := filepath.Join(k.cfg.Dir, f.name)
	info, err := os.Stat(path)
	if err != nil || info.Size() > sealedMax {
		return till.Bill{}, errors.Join(err, fs.ErrInvalid)
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return till.Bill{}, err
	}
	plain, err := k.aead.Open(nil, nil, sealed, f.bill[:])
	if err != nil {
		return till.Bill{}, err
	}
	var known kept
	if err := json.Unmarshal(plain, &known); err != nil {
		return till.Bill{}, err
	}
	if len(known.Content) != len(object.ContentKey{}) {
		return till.Bill{}, fs.ErrInvalid
	}
	blob, err := k.cfg.Objects.Object(known.Blob)
	if err != nil {
		return till.Bill{}, err
	}
	personal, err := object.OpenContent(object.ContentKey(known.Content), blob)
	if err != nil {
		return till.Bill{}, err
	}
	known.Bill.Number, known.Bill.Masked = personal.Number, personal.Name
	return known.Bill, nil
}

// Forget says that nobody needs the bill any more: what opens it is destroyed when its
// time is over. Nothing kept is no error.
func (k *Keeper) Forget(bill event.BillKey) error {
	return k.Sweep(func(b event.BillKey) bool { return b != bill })
}

// Sweep forgets every bill that is not needed, what a power cut left half-written, and
// destroys what opens those whose time is over.
func (k *Keeper) Sweep(needed func(event.BillKey) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	files, err := k.files()
	if err != nil {
		return fmt.Errorf("couldn't look for kept bills: %w", err)
	}
	now, changed := k.cfg.Now(), false
	done := 0
	for _, f := range slices.Backward(files) { // the newest first
		from := filepath.Join(k.cfg.Dir, f.name)
		if !f.half {
			if f.done.IsZero() && needed(f.bill) {
				continue
			}
			done++
			age := now.Sub(f.done)
			if f.done.IsZero() || age < -k.cfg.For { // just now, or by a clock that was far ahead
				age = 0
			}
			if age < k.cfg.For && done <= doneMax {
				if f.done.IsZero() || f.done.After(now) {
					to := k.path(f.bill) + "." + strconv.FormatInt(now.UnixMilli(), 10)
					if err := os.Rename(from, to); err != nil {
						return fmt.Errorf("couldn't mark a bill as forgotten: %w", err)
					}
					changed = true
				}
				continue
			}
		}
		if err := os.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't forget a bill: %w", err)
		}
		changed = true
	}
	if !changed {
		return nil
	}
	if err := k.sync(); err != nil {
		return fmt.Errorf("couldn't forget bills: %w", err)
	}
	return nil
}

// Expire destroys what opens the bills whose time is over; those that are needed stay.
func (k *Keeper) Expire() error {
	return k.Sweep(func(event.BillKey) bool { return true })
}

// file is one name in the folder.
type file struct {
	name string
	bill event.BillKey
	done time.Time // zero while it is needed
	half bool      // no bill: a power cut left it
}

// files lists the folder, those forgotten first, the oldest of them before the others.
func (k *Keeper) files() ([]file, error) {
	names, err := os.ReadDir(k.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, n := range names {
		f := file{name: n.Name()}
		key, at, marked := strings.Cut(f.name, ".")
		raw, err := hex.DecodeString(key)
		if f.half = err != nil || len(raw) != event.BillKeyBytes; !f.half {
			f.bill = event.BillKey(raw)
		}
		if marked && !f.half {
			ms, err := strconv.ParseInt(at, 10, 64)
			f.done, f.half = time.UnixMilli(ms), err != nil
		}
		files = append(files, f)
	}
	slices.SortStableFunc(files, func(a, b file) int {
		if a.done.IsZero() != b.done.IsZero() {
			if a.done.IsZero() {
				return 1
			}
			return -1
		}
		return a.done.Compare(b.done)
	})
	return files, nil
}
