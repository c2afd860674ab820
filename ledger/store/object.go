package store

import (
	"bytes"
	"context"
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

// objects are files named by the hash of their bytes.
type objects struct {
	dir     string
	writing sync.Mutex

	mu    sync.Mutex // guards what follows
	named map[ledger.Hash]bool
	kept  map[ledger.Hash]bool
}

func (o *objects) open(dir string) error {
	o.dir, o.named, o.kept = dir, map[ledger.Hash]bool{}, map[ledger.Hash]bool{}
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
		var h ledger.Hash
		if n, err := fmt.Sscanf(f.Name(), "%x", &h); n == 1 && err == nil && h.String() == f.Name() {
			o.kept[h] = true
		}
	}
	return nil
}

func (o *objects) path(h ledger.Hash) string { return filepath.Join(o.dir, h.String()) }

// name notes that held entries name the objects.
func (o *objects) name(hashes ...ledger.Hash) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range hashes {
		o.named[h] = true
	}
}

func (o *objects) state(h ledger.Hash) (named, kept bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.named[h], o.kept[h]
}

// PutObject stores this node's own object and returns its name. It is durable on
// return: commit the entry that names it afterwards.
func (s *Store) PutObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h := ledger.ObjectHash(b)
	return h, s.putObject(ctx, h, b)
}

// AcceptObject stores an object that another node sent, if a held entry names it;
// else ErrUnwanted. It is durable on return.
func (s *Store) AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h := ledger.ObjectHash(b)
	if named, _ := s.objects.state(h); !named {
		return h, fmt.Errorf("couldn't accept object %s: %w", h, ErrUnwanted)
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
	if _, kept := o.state(h); kept {
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

// Object returns an object's bytes, which have that hash, or ErrNoObject. One whose
// file has changed counts as missing from then on, so that it is fetched again.
func (s *Store) Object(h ledger.Hash) ([]byte, error) {
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

// MissingObjects returns the objects that held entries name and that are not held,
// ascending.
func (s *Store) MissingObjects() []ledger.Hash {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	var out []ledger.Hash
	for h := range s.objects.named {
		if !s.objects.kept[h] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	return out
}
