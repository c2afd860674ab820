// Package fonts holds the one typeface of paper and screens: Noto Sans Devanagari
// 2.006, which draws Devanagari, Latin and the rupee sign (OFL-1.1, OFL.txt).
package fonts

import _ "embed"

// Regular is the regular weight as TrueType.
//
//go:embed NotoSansDevanagari-Regular.ttf
var Regular []byte

// Bold is the bold weight as TrueType.
//
//go:embed NotoSansDevanagari-Bold.ttf
var Bold []byte
