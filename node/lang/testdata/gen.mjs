// Writes words.tsv: CLDR's spell-out of chosen numbers, the oracle of words_test.go.
//
//	npm pack cldr-rbnf@48.2.0 && tar xzf cldr-rbnf-48.2.0.tgz
//	node gen.mjs package/rbnf > words.tsv
//
// It evaluates CLDR's rule files (UTS #35, part 3, "Rule-Based Number
// Formatting") and knows nothing of the Go code it is compared with. Only the
// rule forms that %spellout-cardinal of hi and en_IN use are implemented;
// any other form ends it with an error.
import { readFileSync } from 'node:fs'

const dir = process.argv[2]

function rules (file) {
  const list = []
  let inside = false
  for (const line of readFileSync(`${dir}/${file}`, 'utf8').split('\n')) {
    if (line.startsWith('%')) inside = line.trim() === '%spellout-cardinal:'
    const rule = /^(\d+): (.*);$/.exec(line)
    if (inside && rule) list.push([BigInt(rule[1]), rule[2]])
  }
  if (list.length === 0) throw new Error(`${file}: no %spellout-cardinal rules`)
  return list
}

function spell (list, n) {
  const [base, text] = list.findLast(([b]) => b <= n)
  if (base < 20n && !/[<>=[]/.test(text)) return text
  let divisor = 1n
  while (divisor * 10n <= base) divisor *= 10n
  const rest = n % divisor
  const full = rest === 0n ? text.replace(/\[.*?\]/g, '') : text.replace(/[[\]]/g, '')
  if (full.includes('=')) throw new Error(`rule ${base}: form not implemented`)
  return full.replace('<<', () => spell(list, n / divisor)).replace(/(->>)|(>>)/, (m) => m.replace('>>', spell(list, rest)))
}

const lakh = 100000n
const crore = 100n * lakh
const chosen = []
for (let n = 0n; n < 100n; n++) chosen.push(n)
for (const unit of [100n, 1000n, lakh, crore]) {
  for (const times of [1n, 2n, 5n, 9n, 10n, 11n, 15n, 42n, 99n]) chosen.push(times * unit)
}
chosen.push(101n, 110n, 999n, 1001n, 1264n, 9999n, 12345n, 99999n, 100001n, 123456n, 909090n, 9999999n, 10000001n, 123456789n, 999999999n)
const sorted = [...new Set(chosen)].sort((a, b) => (a < b ? -1 : 1)).filter((n) => n < 100n * crore)

console.log('# number\thi\ten_IN  (CLDR 48.2.0, Unicode-3.0; written by gen.mjs)')
const hi = rules('hi-SpelloutRules.txt')
const en = rules('en_IN-SpelloutRules.txt')
for (const n of sorted) console.log(`${n}\t${spell(hi, n)}\t${spell(en, n)}`)
