package receipt

import (
	"fmt"
	"strings"
)

// base45Alphabet is that of RFC 9285: the characters of a QR code's alphanumeric mode.
const base45Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

func encodeBase45(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		s.WriteByte(base45Alphabet[n%45])
		s.WriteByte(base45Alphabet[n/45%45])
		s.WriteByte(base45Alphabet[n/2025])
	}
	if len(b) == 1 {
		s.WriteByte(base45Alphabet[int(b[0])%45])
		s.WriteByte(base45Alphabet[int(b[0])/45])
	}
	return s.String()
}

// decodeBase45 accepts exactly what encodeBase45 writes.
func decodeBase45(s string) ([]byte, error) {
	if len(s)%3 == 1 {
		return nil, fmt.Errorf("%d base45 characters: the text is cut short", len(s))
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for at := 0; at < len(s); at += 3 {
		group := s[at:min(at+3, len(s))]
		n, scale := 0, 1
		for i := range len(group) {
			v := strings.IndexByte(base45Alphabet, group[i])
			if v < 0 {
				return nil, fmt.Errorf("character %d is not base45: %q", at+i+1, group[i])
			}
			n += v * scale
			scale *= 45
		}
		switch {
		case len(group) == 3 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		case len(group) == 2 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("characters %d to %d are no base45 group", at+1, at+len(group))
		}
	}
	return out, nil
}
