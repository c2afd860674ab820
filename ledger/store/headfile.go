package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"rasid/ledger"
)

// headEvery is how many commits a head file may lag behind while none rests.
const headEvery = 256

const headSuffix = ".head"

// headFile is the newest acknowledged checkpoint of one own log, kept apart from its
// journal as evidence (LEDGER.md §12.6).
type headFile struct {
	path string
	next chan ledger.Checkpoint // has room for one: a newer one takes its place

	mu      sync.Mutex // guards what follows
	written uint64     // size that the file is known to hold
}

func (s *Store) headFile(id ledger.LogID) *headFile {
	dir := s.cfg.EvidenceDir
	if dir == "" {
		dir = filepath.Join(s.cfg.Dir, ownName)
	}
	return &headFile{path: filepath.Join(dir, id.String()+headSuffix), next: make(chan ledger.Checkpoint, 1)}
}

// read returns what the file says under the log's key. A file that says nothing true
// is no evidence.
func (f *headFile) read(key ed25519.PublicKey) (ledger.Checkpoint, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger.Checkpoint{}, nil
	}
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	return ledger.ParseNote(b, key)
}

// offer hands over a newer checkpoint to write, and waits for nothing.
func (f *headFile) offer(c ledger.Checkpoint) {
	select {
	case <-f.next: // an older one that nobody came to write
	default:
	}
	f.next <- c // only the committer offers, so there is room
}

// write replaces the file unless it says as much already.
func (f *headFile) write(key ed25519.PublicKey, c ledger.Checkpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Size <= f.written {
		return nil
	}
	if err := writeDurably(f.path, c.Note(key)); err != nil {
		return fmt.Errorf("couldn't write the head file %s: %w", f.path, err)
	}
	f.written = c.Size
	return nil
}

// run writes what is offered until ctx ends, and then the last of it. A head file
// that cannot be written is evidence foregone, not money: the kiosk goes on.
func (f *headFile) run(ctx context.Context, key ed25519.PublicKey, failed func(error)) {
	for {
		select {
		case c := <-f.next:
			if err := f.write(key, c); err != nil {
				failed(err)
			}
		case <-ctx.Done():
			select {
			case c := <-f.next:
				if err := f.write(key, c); err != nil {
					failed(err)
				}
			default:
			}
			return
		}
	}
}

// checkHead compares the log with its head file.
func (s *Store) checkHead(h held, f *headFile) error {
	if len(h.log.Key) == 0 { // an empty journal does not tell the key
		if _, err := os.Stat(f.path); err == nil {
			return fmt.Errorf("the journal is empty, but there is a head file %s", f.path)
		}
		return nil
	}
	head, err := f.read(h.log.Key)
	if err != nil {
		s.cfg.Log.Warn("a head file tells nothing and is written anew", "path", f.path, "error", err)
		return nil
	}
	if head.Size > h.log.End.Size {
		return fmt.Errorf("the head file %s says %d", f.path, head.Size)
	}
	if head.Size == 0 {
		return nil
	}
	root, err := h.rootAt(head.Size)
	if err == nil && root != head.Root {
		err = fmt.Errorf("the head file %s has another root at %d", f.path, head.Size)
	}
	f.written = head.Size
	return err
}
