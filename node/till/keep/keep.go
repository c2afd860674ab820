// Package keep seals what is personal of a bill for the office, before the sale is
// durable, and holds on the kiosk's own disk what opens that blob here: its content
// key, sealed under a key of the machine. Some days after the papers of the sale are
// out it destroys that; from then on the office alone can open the blob. A blob that
// no entry names, because no money came, goes with the sale. None of it
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

// Objects is the store of blobs. PutObject and DropObject are durable on return;
// DropObject leaves alone what an entry names.
type Objects interface {
	PutObject(ctx context.Context, b []byte) (ledger.Hash, error)
	Object(h ledger.Hash) ([]byte, error)
	DropObject(h ledger.Hash) (named bool, err error)
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

// Keep seals what is personal of the bill into a blob and keeps what opens it. File and
// blob are durable on return, the file first: whatever a power cut leaves, it knows of
// every blob that no entry names.
func (k *Keeper) Keep(ctx context.Context, b till.Bill) error {
	blob, content, err := object.Seal(k.cfg.SealTo(), object.Purpose{Log: k.cfg.Log, Bill: b.Bill}, object.Personal{Number: b.Number, Name: b.Masked})
	if err != nil {
		return fmt.Errorf("couldn't seal a bill: %w", err)
	}
	b.Number, b.Masked = "", ""
	plain, err := json.Marshal(kept{Bill: b, Blob: ledger.ObjectHash(blob), Content: content[:]})
	if err != nil {
		return fmt.Errorf("couldn't encode a bill: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.path(b.Bill)
	// An earlier sale of the same bill may still need what was kept for its papers.
	if err := k.mark(path, b.Bill); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't keep what was kept of a bill before: %w", err)
	}
	if err := k.write(path, k.aead.Seal(nil, nil, plain, b.Bill[:])); err != nil {
		return fmt.Errorf("couldn't keep a bill: %w", err)
	}
	if _, err := k.cfg.Objects.PutObject(ctx, blob); err != nil {
		err = fmt.Errorf("couldn't store a sealed bill: %w", err)
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// mark says in a file's name that nobody needs it from now on.
func (k *Keeper) mark(from string, bill event.BillKey) error {
	return os.Rename(from, k.path(bill)+"."+strconv.FormatInt(k.cfg.Now().UnixMilli(), 10))
}

// Blob is the sealed blob of a bill that is needed; ok is false when file or blob is gone
// or does not open.
func (k *Keeper) Blob(bill event.BillKey) (b till.Blob, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, err := k.open(file{name: filepath.Base(k.path(bill)), bill: bill})
	if err != nil {
		return till.Blob{}, false
	}
	blob, err := k.cfg.Objects.Object(known.Blob)
	if err != nil {
		return till.Blob{}, false
	}
	to, err := object.SealedTo(blob)
	return till.Blob{Object: known.Blob, Bytes: uint64(len(blob)), SealKey: to}, err == nil
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

// open reads a file.
func (k *Keeper) open(f file) (kept, error) {
	var known kept
	path := filepath.Join(k.cfg.Dir, f.name)
	info, err := os.Stat(path)
	if err != nil || info.Size() > sealedMax {
		return known, errors.Join(err, fs.ErrInvalid)
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return known, err
	}
	plain, err := k.aead.Open(nil, nil, sealed, f.bill[:])
	if err != nil {
		return known, err
	}
	if err := json.Unmarshal(plain, &known); err != nil {
		return known, err
	}
	if len(known.Content) != len(object.ContentKey{}) {
		return known, fs.ErrInvalid
	}
	return known, nil
}

func (k *Keeper) read(f file) (till.Bill, error) {
	known, err := k.open(f)
	if err != nil {
		return till.Bill{}, err
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
// time is over, and at once, with the blob, when no entry names that. Nothing kept is no
// error.
func (k *Keeper) Forget(bill event.BillKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := file{name: filepath.Base(k.path(bill)), bill: bill}
	if named, err := k.drop(f); err != nil {
		return fmt.Errorf("couldn't forget a bill: %w", err)
	} else if !named {
		if err := os.Remove(filepath.Join(k.cfg.Dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't forget a bill: %w", err)
		}
	}
	return k.sweep(func(b event.BillKey) bool { return b != bill })
}

// drop removes the blob of a file, unless an entry names it. A file that does not open
// has none that could be told.
func (k *Keeper) drop(f file) (named bool, err error) {
	known, err := k.open(f)
	if err != nil {
		return true, nil
	}
	return k.cfg.Objects.DropObject(known.Blob)
}

// Sweep forgets every bill that is not needed, what a power cut left half-written, and
// destroys what opens those whose time is over, with the blobs that no entry names. It
// is for a start: a journal that was cut short may have lost the entries that name a
// blob, and neighbours may bring them again, so no blob goes before its time.
func (k *Keeper) Sweep(needed func(event.BillKey) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sweep(needed)
}

func (k *Keeper) sweep(needed func(event.BillKey) bool) error {
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
					if err := k.mark(from, f.bill); err != nil {
						return fmt.Errorf("couldn't mark a bill as forgotten: %w", err)
					}
					changed = true
				}
				continue
			}
		}
		if !f.half {
			if _, err := k.drop(f); err != nil {
				return fmt.Errorf("couldn't forget a bill: %w", err)
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
