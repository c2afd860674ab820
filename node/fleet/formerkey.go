package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rasid/ledger/cert"
)

// FormerLogKey loads the key of an earlier incarnation of a stream, which NextLogKey kept
// for the receipts of its log; false where it is not here.
func (id Identity) FormerLogKey(stream cert.Stream, ordinal uint32) (LogKey, bool, error) {
	name := formerLogKeyName(stream, ordinal)
	if _, err := os.Lstat(filepath.Join(id.dir, name)); errors.Is(err, fs.ErrNotExist) {
		return LogKey{}, false, nil
	}
	k, err := id.readLogKeyFile(name, stream)
	if err == nil && k.Grant.Ordinal != ordinal {
		err = damaged(id.dir, name, fmt.Sprintf("it is the key of ordinal %d", k.Grant.Ordinal))
	}
	return k, err == nil, err
}

func formerLogKeyName(stream cert.Stream, ordinal uint32) string {
	return fmt.Sprintf("log-%d-%d.json", stream, ordinal)
}
