package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"github.com/spf13/cobra"
)

//go:embed auditdisclosures.html
var disclosuresPage string

// disclosureWords is the CodeSystem with the words of the account.
const disclosureWords = fhir.Canonical + "/CodeSystem/disclosure-words"

// disclosures is an account for a patient of who used the record.
type disclosures struct {
	Patient, From, To, Zone string
	Rows                    []disclosure
}

// disclosure is a row of it, in words.
type disclosure struct{ When, Who, What, Why, ID string }

func (p *program) auditDisclosuresCommand() *cobra.Command {
	var x auditExport
	var html bool
	c := &cobra.Command{
		Use: "disclosures --patient ID", Short: "tell a patient who used the record, when, for what", Args: cobra.NoArgs,
		Long: `Prints all that the auditor's log has about the Patient with an id, in words that a patient can read: when, who, what
sort of data, and why. The words are those of CodeSystem/disclosure-words, which a hospital can replace. That the account
was made is put into the log first.`,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error {
			if !fhir.ValidID(x.patient) {
				return misused("--patient: give the id of a Patient")
			}
			return p.discloseAudit(ctx, cfg, x, html)
		}),
	}
	c.Flags().StringVar(&x.patient, "patient", "", "`ID` of the Patient")
	c.Flags().StringVar(&x.from, "from", "", "only from this `TIME` on, such as 2026-11-01")
	c.Flags().StringVar(&x.to, "to", "", "only before this `TIME`")
	c.Flags().StringVar(&x.out, "out", "", "`FILE` to write, which must not be there yet; the standard output by default")
	c.Flags().BoolVar(&html, "html", false, "write a page of HTML")
	return c
}

func (p *program) discloseAudit(ctx context.Context, cfg config.Config, x auditExport, html bool) error {
	from, to, err := x.during(cfg.Zone)
	if err != nil {
		return err
	}
	words, err := wordsOf(cfg)
	if err != nil {
		return err
	}
	return p.withStore(ctx, cfg, func(db *store.Store) (err error) {
		log, err := p.usedLog(ctx, cfg, db, "audit disclosures", x.patient, "from", x.from, "to", x.to)
		if err != nil {
			return err
		}
		account := disclosures{Patient: x.patient, From: x.from, To: x.to, Zone: cfg.Zone.String()}
		if err := log.Export(ctx, service.LogExport{From: from, To: to, Patient: x.patient,
			Start: func(tree.Checkpoint, []byte) error { return nil },
			Record: func(of service.LogProof, r *audit.Record) error {
				row := words.row(r)
				row.ID = strconv.FormatInt(of.Row.Position, 10)
				row.When = of.Row.Recorded.In(cfg.Zone).Format("2 January 2006, 15:04:05")
				account.Rows = append(account.Rows, row)
				return nil
			},
		}); err != nil {
			return err
		}
		out, done, err := p.output(x.out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done(err)) }()
		return account.write(out, html)
	})
}

func (d *disclosures) write(out io.Writer, html bool) error {
	if html {
		page, err := template.New("disclosures").Parse(disclosuresPage)
		if err != nil {
			return err
		}
		return page.Execute(out, d)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tWHO\tWHAT\tWHY\tENTRY")
	for _, r := range d.Rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(r.When), printable(r.Who), printable(r.What), printable(r.Why), r.ID)
	}
	return w.Flush()
}

// printable is a text without what moves a terminal's cursor or a column.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// plainWords are words by code.
type plainWords map[string]string

func wordsOf(cfg config.Config) (plainWords, error) {
	known, err := loadDefinitions(cfg)
	if err != nil {
		return nil, err
	}
	words := plainWords{}
	for _, n := range known {
		if n.Str("resourceType") != "CodeSystem" || n.Str("url") != disclosureWords {
			continue
		}
		for _, c := range n.Each("concept") {
			words[c.Str("code")] = c.Str("display")
		}
	}
	return words, nil
}

// of are the words for a code, or the code where there are none.
func (w plainWords) of(code string) string { return cmp.Or(w[code], code) }

// row tells of a record, nil for one that cannot be opened.
func (w plainWords) row(r *audit.Record) (d disclosure) {
	if r == nil {
		return disclosure{Who: w.of("unknown"), What: w.of("unreadable")}
	}
	who := cmp.Or(r.Agent.User, r.Agent.Subject, r.Agent.Client, w.of("unknown"))
	if client := r.Agent.Client; client != "" && client != who {
		who += ", " + w.of("program") + " " + client
	}
	if len(r.Agent.Roles) > 0 {
		who += " (" + strings.Join(r.Agent.Roles, ", ") + ")"
	}
	var what []string
	for _, v := range r.Shown {
		if words := w.of(v.Type); !slices.Contains(what, words) {
			what = append(what, words)
		}
	}
	if len(what) == 0 {
		what = []string{w.of(cmp.Or(r.Type, "no-data"))}
	}
	slices.Sort(what)
	d.Who, d.What = who, w.of(r.Code)+" "+strings.Join(what, ", ")
	if !r.Succeeded() {
		d.What += " (" + w.of("refused") + ")"
	}
	var why []string
	for _, purpose := range r.Purposes {
		why = append(why, w.of(purpose))
	}
	if r.Emergency != "" {
		why = append(why, w.of("BTG")+": "+r.Emergency)
	}
	d.Why = strings.Join(why, "; ")
	return d
}
