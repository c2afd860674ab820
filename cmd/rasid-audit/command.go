package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/node/audit"
	"rasid/node/lang"
)

// errFound says that the verification ended and found something wrong. What it
// found has been printed.
var errFound = errors.New("it does not verify")

func command(out, progress io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "rasid-audit",
		Short: "verify an exported ledger or a receipt, trusting nobody",
		Long: `rasid-audit verifies what the office exported and what a kiosk printed, with no
network, no office and no database.

Exit status: 0 everything verifies · 1 something does not · 2 it could not look.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(verifyCommand(out, progress), receiptCommand(out))
	return root
}

const fleetHelp = "the fleet's public key, 44 characters of base64 or a file that holds it, as you know it from elsewhere"

func verifyCommand(out, progress io.Writer) *cobra.Command {
	var fleet string
	var asJSON, questions bool
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "re-compute every tree, checkpoint, signature and total of an export",
		Long: `Re-computes every tree, checkpoint, signature and total of an export and compares.
What is wrong with the export is a finding. What the books cannot settle by
themselves, such as a bill paid twice or a note that nobody can place, is an open
question: it is counted by its kind, and --questions lists each with its log and entry.

Exit status: 0 no findings, whatever questions are open · 1 findings · 2 it could not look.`,
		Example: `  rasid-audit verify export-2026-11-24 --fleet fleet.pub
  rasid-audit verify export-2026-11-24 --json | jq .findings
  rasid-audit verify export-2026-11-24 --questions`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := fleetKey(fleet)
			if err != nil {
				return err
			}
			started := time.Now()
			report, err := audit.Verify(args[0], key, func(done, total int) {
				fmt.Fprintf(progress, "\r%d of %d files", done, total)
			})
			fmt.Fprint(progress, "\r\033[K")
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(out, report)
			} else {
				printReport(out, report, time.Since(started), questions)
			}
			if err == nil && len(report.Findings) > 0 {
				err = errFound
			}
			return err
		},
	}
	c.Flags().StringVar(&fleet, "fleet", "", fleetHelp)
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON, with every open question")
	c.Flags().BoolVar(&questions, "questions", false, "list every open question with its log and entry")
	return c
}

// fleetKey reads a public key from text or a file; "" gives nil.
func fleetKey(s string) (ed25519.PublicKey, error) {
	if s == "" {
		return nil, nil
	}
	if b, err := os.ReadFile(s); err == nil {
		s = string(b)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("--fleet: %q is neither a file that holds a fleet key nor 44 characters of base64", s)
	}
	return key, nil
}

func printJSON(out io.Writer, r audit.Report) error {
	balances := map[string]ledger.Paise{}
	for a, p := range r.Books.Balances {
		balances[a] = p
	}
	type question struct {
		book.Question
		Log   string `json:"log"`
		Index uint64 `json:"index"`
	}
	questions := []question{}
	for _, q := range r.Books.Questions {
		questions = append(questions, question{q, q.At.Log.String(), q.At.Index})
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{
		"ok": len(r.Findings) == 0, "fleet": base64.StdEncoding.EncodeToString(r.Fleet), "fleet_from_export": !r.FleetOurs,
		"logs": r.Logs, "branches": r.Branches, "entries": r.Entries, "files": r.Files, "balances_paise": balances, "questions": questions, "findings": r.Findings,
	})
}

func printReport(out io.Writer, r audit.Report, took time.Duration, questions bool) {
	fmt.Fprintf(out, "%d logs, %d entries, %d files in %s\n", r.Logs, r.Entries, r.Files, took.Round(time.Millisecond))
	if r.Branches > 0 {
		fmt.Fprintf(out, "%d further branches: logs whose writer made more than one history. All count, and each is asked about.\n", r.Branches)
	}
	if !r.FleetOurs {
		fmt.Fprintf(out, "The fleet's key was taken from the export itself: %s\nCompare it with one that you have from elsewhere, or give --fleet.\n", base64.StdEncoding.EncodeToString(r.Fleet))
	}
	for _, f := range r.Findings {
		fmt.Fprintln(out, "WRONG:", f)
	}
	var accounts []string
	sum := ledger.Paise(0)
	for a, p := range r.Books.Balances {
		accounts = append(accounts, a)
		sum += p
	}
	sort.Strings(accounts)
	for _, a := range accounts {
		if p := r.Books.Balances[a]; p != 0 {
			fmt.Fprintf(out, "%20s  %s\n", lang.INR(int64(p)), a)
		}
	}
	fmt.Fprintf(out, "%20s  sum of all accounts\n", lang.INR(int64(sum)))
	printQuestions(out, r.Books.Questions, questions)
	if len(r.Findings) > 0 {
		fmt.Fprintf(out, "%d findings: the export does NOT verify.\n", len(r.Findings))
		return
	}
	fmt.Fprintln(out, "Everything verifies: trees, checkpoints, signatures, books.")
}

// printQuestions counts the open questions by their kind, and lists them where each is
// wanted.
func printQuestions(out io.Writer, list []book.Question, each bool) {
	if len(list) == 0 {
		fmt.Fprintln(out, "No open questions.")
		return
	}
	kinds := map[string]int{}
	for _, q := range list {
		kinds[string(q.Reason)]++
		if each {
			fmt.Fprintf(out, "open question: %s %s %s: log %s, entry %d\n", q.Entry, q.Reason, lang.INR(int64(q.Amount)), q.At.Log, q.At.Index)
		}
	}
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		counts = append(counts, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	fmt.Fprintf(out, "%d open questions: %s.\n", len(list), strings.Join(counts, ", "))
	if !each {
		fmt.Fprintln(out, "--questions lists each with its log and entry.")
	}
}

func receiptCommand(out io.Writer) *cobra.Command {
	var fleet string
	c := &cobra.Command{
		Use:   "receipt 'QR TEXT'",
		Short: "verify a receipt by its QR code's text and the fleet's public key",
		Long: `Verifies the text of a receipt's QR code: that a kiosk of the fleet took this
money for this consumer. "-" reads the text from standard input. Whether the kiosk
was revoked since is not checked: nobody can, offline.`,
		Example: `  zbarimg --raw -q receipt.png | rasid-audit receipt - --fleet fleet.pub`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := fleetKey(fleet)
			if err != nil {
				return err
			}
			if key == nil {
				return errors.New("--fleet is missing: " + fleetHelp)
			}
			text := args[0]
			if text == "-" {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
				if err != nil {
					return fmt.Errorf("couldn't read standard input: %w", err)
				}
				text = string(b)
			}
			return verifyReceipt(out, key, strings.TrimRight(text, "\r\n"))
		},
	}
	c.Flags().StringVar(&fleet, "fleet", "", fleetHelp)
	return c
}

func verifyReceipt(out io.Writer, fleet ed25519.PublicKey, text string) error {
	proof, err := receipt.ParseText(text)
	if err == nil {
		var v receipt.Verified
		if v, err = proof.Verify(fleet); err == nil {
			printReceipt(out, v, proof.Consumer)
			return nil
		}
	}
	if errors.Is(err, receipt.ErrRefused) {
		fmt.Fprintf(out, "NOT VALID: %v\n", err)
	} else {
		fmt.Fprintf(out, "NOT READABLE: %v\nScan the code again; if this stays, the code is damaged or is not Rasid's.\n", err)
	}
	return errFound
}

func printReceipt(out io.Writer, v receipt.Verified, consumer string) {
	fmt.Fprintf(out, "VALID  receipt %s of kiosk %d\n", v.Number, v.Machine.Slot)
	when := lang.DateTime(lang.English, time.UnixMilli(int64(v.Entry.Time.WallMs)))
	if v.Entry.Time.Quality == ledger.TimeNone {
		when += " (time uncertain)"
	}
	fmt.Fprintf(out, "written   %s IST\n", when)
	if consumer != "" {
		fmt.Fprintf(out, "consumer  %s\n", consumer)
	}
	switch b := v.Body.(type) {
	case *event.PaymentCommitted:
		fmt.Fprintf(out, "biller    %s\npaid in   %s\nto bill   %s of %s\nsurplus   %s\n", b.Biller, lang.INR(int64(b.Tendered)), lang.INR(int64(b.Applied)), lang.INR(int64(b.Due)), lang.INR(int64(b.Surplus)))
	case *event.SlipIssued:
		fmt.Fprintf(out, "credit slip over %s: not applied to a bill\n", lang.INR(int64(b.Amount)))
	case *event.NoteUnresolved:
		fmt.Fprintln(out, "claim about a note in doubt: decided when the cash box is counted")
	}
	fmt.Fprintf(out, "log       %s, entry %d, under checkpoint %d\n", v.Claim.Log, v.Claim.Index, v.Claim.Size)
	fmt.Fprintln(out, "Whether the kiosk was revoked is not checked offline.")
}
