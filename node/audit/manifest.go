package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"

	"rasid/ledger"
)

// manifestPrefix is the first line of every manifest, and the first bytes of what
// an authority log's key signs for an export (LEDGER.md §3).
const manifestPrefix = "rasid/export/1\n"

// manifestFile is one line of the manifest.
type manifestFile struct {
	sum  [sha256.Size]byte
	size int64
	path string
}

// manifest lists every other file of an export. It is text:
//
//	rasid/export/1
//	fleet <base64 key>
//	authority <log id>
//	made <milliseconds since 1970>
//	<sha256> <bytes> <path>
//	...
//	signature <base64>
type manifest struct {
	fleet     ed25519.PublicKey
	authority ledger.LogID
	madeMs    int64
	files     []manifestFile
	sig       []byte
}

func (m manifest) signed() []byte {
	var w bytes.Buffer
	w.WriteString(manifestPrefix)
	fmt.Fprintf(&w, "fleet %s\nauthority %s\nmade %d\n", base64.StdEncoding.EncodeToString(m.fleet), m.authority, m.madeMs)
	for _, f := range m.files {
		fmt.Fprintf(&w, "%s %d %s\n", hex.EncodeToString(f.sum[:]), f.size, f.path)
	}
	return w.Bytes()
}

func (m manifest) bytes() []byte {
	return append(m.signed(), []byte("signature "+base64.StdEncoding.EncodeToString(m.sig)+"\n")...)
}

func (m *manifest) sign(key ed25519.PrivateKey) {
	sort.Slice(m.files, func(i, j int) bool { return m.files[i].path < m.files[j].path })
	m.sig = ed25519.Sign(key, m.signed())
}

// parseManifest accepts exactly what bytes writes.
func parseManifest(b []byte) (manifest, error) {
	var m manifest
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 64<<10)
	for n := 1; lines.Scan(); n++ {
		if err := m.line(n, lines.Text()); err != nil {
			return m, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if lines.Err() != nil || !bytes.Equal(m.bytes(), b) {
		return m, fmt.Errorf("it is not in its one form (changed, or cut short)")
	}
	for i := 1; i < len(m.files); i++ {
		if m.files[i].path <= m.files[i-1].path {
			return m, fmt.Errorf("files are not in order at %s", m.files[i].path)
		}
	}
	return m, nil
}

func (m *manifest) line(n int, s string) error {
	key, value, _ := strings.Cut(s, " ")
	switch {
	case n == 1:
		if s+"\n" != manifestPrefix {
			return fmt.Errorf("not a Rasid export of version 1")
		}
		return nil
	case key == "fleet":
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(b) != ed25519.PublicKeySize {
			return fmt.Errorf("no fleet key")
		}
		m.fleet = b
		return nil
	case key == "authority":
		var err error
		m.authority, err = ledger.ParseLogID(value)
		return err
	case key == "made":
		var err error
		m.madeMs, err = strconv.ParseInt(value, 10, 64)
		return err
	case key == "signature":
		var err error
		m.sig, err = base64.StdEncoding.DecodeString(value)
		return err
	}
	return m.file(key, value)
}

func (m *manifest) file(sum, rest string) error {
	size, name, _ := strings.Cut(rest, " ")
	f := manifestFile{path: name}
	b, err := hex.DecodeString(sum)
	if err != nil || len(b) != sha256.Size {
		return fmt.Errorf("no SHA-256 sum")
	}
	f.sum = [sha256.Size]byte(b)
	if f.size, err = strconv.ParseInt(size, 10, 64); err != nil || f.size < 0 {
		return fmt.Errorf("no size")
	}
	if name == "" || path.Clean(name) != name || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("file name %q leads out of the folder", name)
	}
	m.files = append(m.files, f)
	return nil
}
