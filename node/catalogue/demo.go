package catalogue

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// The consumer that demonstrations and tests pay for.
const (
	DemoNumber   = "210123456789"
	DemoDuePaise = 1264_00
)

// DemoCSV makes a dues file of n consumers; the same seed gives the same file. The
// first is DemoNumber.
func DemoCSV(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0x7261736964))
	honorific := []string{"श्री", "श्रीमती", "सुश्री"}
	first := []string{"रमेश", "सुनीता", "प्रार्थना", "क्षितिज", "मोहन", "राधा", "ज्ञानेश", "कृष्णा", "लक्ष्मी", "हरीश", "पुष्पा", "द्रौपदी", "शृंगार", "नत्थू", "गीता", "ओमप्रकाश", "भँवरी", "त्रिलोक", "इन्द्रा", "सर्वेश"}
	last := []string{"कुमार", "देवी", "शर्मा", "मीणा", "गुर्जर", "चौधरी", "सिंह", "प्रजापत", "कुमावत", "शेखावत", "जाट", "स्वामी", "सैनी", "बैरवा", "खान", "अग्रवाल"}
	var w bytes.Buffer
	w.WriteString("account,name,bill_no,period,due,due_date\n")
	fmt.Fprintf(&w, "%s,श्रीमती प्रार्थना शेखावत,B-1001,2026-10,1264.00,2026-11-28\n", DemoNumber)
	seen := map[string]bool{DemoNumber: true}
	for len(seen) < n {
		account := fmt.Sprintf("2101%08d", rnd.IntN(100_000_000))
		if seen[account] {
			continue
		}
		seen[account] = true
		fmt.Fprintf(&w, "%s,%s %s %s,B-%d,2026-10,%d.%02d,2026-11-%02d\n", account, honorific[rnd.IntN(len(honorific))], first[rnd.IntN(len(first))], last[rnd.IntN(len(last))],
			1001+len(seen), 80+rnd.IntN(4000), []int{0, 0, 0, 50}[rnd.IntN(4)], 20+rnd.IntN(10))
	}
	return w.Bytes()
}
