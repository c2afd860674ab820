package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"rasid/ledger"
)

// ErrNoObject is returned when an object is not held, or no longer has its hash.
var ErrNoObject = errors.New("the object is not held")

// ErrUnwanted is returned for an object that no held entry names.
var ErrUnwanted = errors.New("no held entry names the object")

// ErrErased is returned for an object that a held entry erases: it is taken no more.
var ErrErased = errors.New("the object is erased")

// ObjectCounts says how many objects held entries name, and what became of them:
// Named = Held + Missing + Erased, but for erased ones that no held entry names, which
// count as erased and not as named.
type ObjectCounts struct {
	Named   int
	Held    int
	Missing int
	Erased  int
}

// objects are files named by the hash of their bytes.
type objects struct {
	dir     string
	writing sync.Mutex

	mu     sync.Mutex // guards what follows
	named  map[ledger.Hash]bool
	kept   map[ledger.Hash]bool
	erased map[ledger.Hash]bool
}

func (o *objects) open(dir string) error {
	o.dir, o.named, o.kept, o.erased = dir, map[ledger.Hash]bool{}, map[ledger.Hash]bool{}, map[ledger.Hash]bool{}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) == tempSuffix { // a crash left it
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
			continue
		}
		if raw, err := hex.DecodeString(f.Name()); err == nil && len(raw) == ledger.HashBytes {
			if h := ledger.Hash(raw); h.String() == f.Name() {
				o.kept[h] = true
			}
		}
	}
	return nil
}

func (o *objects) path(h ledger.Hash) string { return filepath.Join(o.dir, h.String()) }

// follow does what durable entries say of objects: it notes what they name and
// removes what they erase. Commit, ingest and start pass here, and doing it twice
// changes nothing. What it erased is gone durably on return.
func (o *objects) follow(g growth) error {
	if len(g.erased) == 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, h := range g.objects {
			o.named[h] = true
		}
		return nil
	}
	o.writing.Lock()
	defer o.writing.Unlock() // so that no copy is written behind the removal
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range g.objects {
		o.named[h] = true
	}
	removed := false
	for _, h := range g.erased {
		o.erased[h] = true
		if !o.kept[h] {
			continue // a half-written copy went when the folder was opened
		}
		if err := os.Remove(o.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't erase object %s: %w", h, err)
		}
		delete(o.kept, h)
		removed = true
	}
	if !removed {
		return nil
	}
	if err := syncDir(o.dir); err != nil {
		return fmt.Errorf("couldn't erase objects: %w", err)
	}
	return nil
}

// DropObject removes this node's own object if no held entry names it; named reports
// that one does, and then nothing has changed. Nothing held is no error. It is gone
// durably on return. The caller must not be committing an entry that names it.
func (s *Store) DropObject(h ledger.Hash) (named bool, err error) {
	if named, err = s.objects.drop(h); err != nil {
		return named, fmt.Errorf("couldn't remove object %s: %w", h, err)
	}
	return named, nil
}

func (o *objects) drop(h ledger.Hash) (named bool, err error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	switch state := o.state(h); {
	case state.named:
		return true, nil
	case !state.kept:
		return false, nil
	}
	if err := os.Remove(o.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	o.mu.Lock()
	delete(o.kept, h)
	o.mu.Unlock()
	return false, syncDir(o.dir)
}

type objectState struct{ named, kept, erased bool }

func (o *objects) state(h ledger.Hash) objectState {
	o.mu.Lock()
	defer o.mu.Unlock()
	return objectState{o.named[h], o.kept[h], o.erased[h]}
}

// PutObject stores this node's own object and returns its name. It is durable on
// return: commit the entry that names it afterwards. ErrErased when a held entry
// erases it.
func (s *Store) PutObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h := ledger.ObjectHash(b)
	return h, s.putObject(ctx, h, b)
}

// AcceptObject stores an object that another node sent, if a held entry names it,
// else ErrUnwanted, and none erases it, else ErrErased; ErrNoRoom on a full disk. It is
// durable on return.
func (s *Store) AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h := ledger.ObjectHash(b)
	if !s.objects.state(h).named {
		return h, fmt.Errorf("couldn't accept object %s: %w", h, ErrUnwanted)
	}
	if err := s.roomForOthers(); err != nil {
		return h, fmt.Errorf("couldn't accept object %s: %w", h, err)
	}
	return h, s.putObject(ctx, h, b)
}

func (s *Store) putObject(ctx context.Context, h ledger.Hash, b []byte) error {
	if len(b) == 0 || len(b) > ledger.ObjectMaxBytes {
		return fmt.Errorf("couldn't store object %s: %w: %d bytes, want 1 to %d", h, ledger.ErrMalformed, len(b), ledger.ObjectMaxBytes)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("couldn't store object %s: %w", h, err)
	}
	if err := s.objects.write(h, b); err != nil {
		return fmt.Errorf("couldn't store object %s: %w", h, err)
	}
	s.notify()
	return nil
}

// write stores the object unless it is kept.
func (o *objects) write(h ledger.Hash, b []byte) error {
	o.writing.Lock()
	defer o.writing.Unlock() // two writers of one object would share a temporary file
	switch state := o.state(h); {
	case state.erased:
		return ErrErased
	case state.kept:
		return nil
	}
	if err := writeDurably(o.path(h), b); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept[h] = true
	return nil
}

// Object returns an object's bytes, which have that hash, or ErrNoObject; for an
// erased one ErrErased too. One whose
// file has changed counts as missing from then on, so that it is fetched again.
func (s *Store) Object(h ledger.Hash) ([]byte, error) {
	if s.objects.state(h).erased {
		return nil, fmt.Errorf("object %s: %w: %w", h, ErrNoObject, ErrErased)
	}
	b, err := os.ReadFile(s.objects.path(h))
	if err == nil && ledger.ObjectHash(b) == h {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't read object %s: %w", h, err)
	}
	s.objects.mu.Lock()
	delete(s.objects.kept, h)
	s.objects.mu.Unlock()
	return nil, fmt.Errorf("object %s: %w", h, ErrNoObject)
}

// MissingObjects returns the objects that held entries name and that are neither held
// nor erased, ascending.
func (s *Store) MissingObjects() []ledger.Hash {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	var out []ledger.Hash
	for h := range s.objects.named {
		if !s.objects.kept[h] && !s.objects.erased[h] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// ObjectCounts counts the objects that entries speak of.
func (s *Store) ObjectCounts() ObjectCounts {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	c := ObjectCounts{Named: len(s.objects.named), Erased: len(s.objects.erased)}
	for h := range s.objects.named {
		switch {
		case s.objects.erased[h]:
		case s.objects.kept[h]:
			c.Held++
		default:
			c.Missing++
		}
	}
	return c
}
