package main

import (
	"bytes"
	"strings"
	"testing"

	"aftercare/config"
	"aftercare/service/audit"
)

// An account has words for what happened, and text of others stays text in it.
func TestDisclosuresAreInPlainWords(t *testing.T) {
	cfg, err := config.Load(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	words, err := wordsOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shown := []audit.Version{{Type: "Procedure", ID: "1"}, {Type: "CarePlan", ID: "2"}, {Type: "Procedure", ID: "3"}, {Type: "Basic", ID: "4"}}
	for want, r := range map[string]*audit.Record{
		"not known|an entry that was erased|": nil,
		"Practitioner/7, a program ehr (nurse)|looked at your care plan, your operations|to treat you": {Code: "read", Status: 200, Agent: audit.Agent{Client: "ehr", Subject: "u", User: "Practitioner/7", Roles: []string{"nurse"}}, Shown: shown, Purposes: []string{"TREAT"}},
		"ehr|searched and saw|in an emergency, by overriding the usual limits: <b>collapse</b>":        {Code: "search-type", Type: "Observation", Status: 200, Agent: audit.Agent{Client: "ehr"}, Emergency: "<b>collapse</b>"},
		"not known|deleted your operations and procedures (was refused)|":                              {Code: "delete", Type: "Procedure", Status: 403},
		"not known|frobnicate your record|":                                                            {Code: "frobnicate", Status: 200},
	} {
		row := words.row(r)
		parts := strings.Split(want, "|")
		if row.Who != parts[0] || !strings.HasPrefix(row.What, parts[1]) && r != nil && len(r.Shown) == 0 || row.Why != parts[2] {
			t.Errorf("%+v, want %s", row, want)
		}
		if r != nil && len(r.Shown) > 0 && (!strings.HasPrefix(row.What, "looked at ") || strings.Count(row.What, "operations") != 1 || !strings.Contains(row.What, "your care plan") || !strings.Contains(row.What, "Basic")) {
			t.Errorf("%+v", row)
		}
		account := disclosures{Patient: "p", Rows: []disclosure{row}}
		var page, text bytes.Buffer
		if err := account.write(&page, true); err != nil || strings.Contains(page.String(), "<b>") || !strings.Contains(page.String(), "Who used your record") {
			t.Errorf("%s, %v", page.String(), err)
		}
		account.Rows[0].Who += "\x1b[2J\n"
		if err := account.write(&text, false); err != nil || strings.Contains(text.String(), "\x1b") || strings.Count(text.String(), "\n") != 2 {
			t.Errorf("%q, %v", text.String(), err)
		}
	}
	command, _ := audited(t)
	for args, want := range map[string]string{"--patient p1": "looked into the log about", "--patient p1 --html": "<td>", "--patient p1 --to 2000-01-01": "WHEN"} {
		if code, out, errs := command("audit disclosures " + args); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d %s%s", args, code, out, errs)
		}
	}
	if code, _, errs := command("audit disclosures"); code != exitUsage || !strings.Contains(errs, "--patient") {
		t.Error(errs)
	}
}
