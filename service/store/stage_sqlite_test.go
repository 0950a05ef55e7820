package store

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// TestKillWhileStaging kills a process that stages, at whatever step it is, and looks at what
// it left: all of a round or nothing, and no trace of the last one after a while.
func TestKillWhileStaging(t *testing.T) {
	if path := os.Getenv("STORE_TEST_STAGING"); path != "" {
		stageUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "test.db")
	revealed := 0
	for round := range 4 {
		child := exec.Command(os.Args[0], "-test.run=^TestKillWhileStaging$")
		child.Env = append(os.Environ(), "STORE_TEST_STAGING="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		steps := 0
		for lines.Scan() {
			switch {
			case strings.HasPrefix(lines.Text(), "revealed"):
				revealed++
			case strings.HasPrefix(lines.Text(), "step"):
				if steps++; steps == 3+5*round {
					if err := child.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		_ = child.Wait() // killed
		if steps < 3+5*round {
			t.Fatalf("the child made %d steps only", steps)
		}
		s := openTest(t, path, Options{beat: 50 * time.Millisecond})
		found := len(strings.Fields(ids(t, s, "Basic", clauseOf(basicCode, search.Value{AnySystem: true, Value: "staged"}))))
		if found%killedRound != 0 || found < revealed*killedRound {
			t.Errorf("%d are found, %d rounds of %d were acknowledged", found, revealed, killedRound)
		}
		revealed = found / killedRound // the last may have been revealed and not acknowledged
		housekeep(t, s)
		checkWhole(t, s)
		put(t, s, "Patient", fmt.Sprint("p", round))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

const killedRound = 60

func stageUntilKilled(t *testing.T, path string) {
	s, err := Open(t.Context(), "sqlite:"+path, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := draft(t, "Basic", `,"x":"`+strings.Repeat("y", 3000)+`"`)
	for round := range 100_000 {
		g, err := s.Stage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < killedRound; i += 10 {
			var news []New
			for k := range 10 {
				news = append(news, New{Draft: d, ID: fmt.Sprintf("%d-%d-%d", os.Getpid(), round, i+k), Method: "POST", Rows: []search.Row{{Param: basicCode, Value: "staged"}}})
			}
			if _, err := g.Add(context.Background(), t0, news); err != nil {
				t.Fatal(err)
			}
			fmt.Println("step")
		}
		if err := s.Write(context.Background(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, g) }); err != nil {
			t.Fatal(err)
		}
		fmt.Println("revealed")
	}
}

// TestFullDiskWhileStaging has no room for what is staged, and goes on.
func TestFullDiskWhileStaging(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := openTest(t, path, Options{maxPages: 150})
	put(t, s, "Basic", "before", search.Row{Param: basicCode, Value: "x"})
	big := draft(t, "Basic", `,"x":"`+strings.Repeat("y", 20000)+`"`)
	var news []New
	for i := range 100 {
		news = append(news, New{Draft: big, ID: fmt.Sprint("b", i), Method: "POST", Rows: []search.Row{{Param: basicCode, Value: "x"}}})
	}
	for range 2 {
		g, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Add(t.Context(), t0, news)
		wantKind(t, err, fhir.Unavailable)
		drop(t, g)
		if got := ids(t, s, "Basic", clauseOf(basicCode, search.Value{Value: "x"})); got != "before" {
			t.Errorf("found %q", got)
		}
		checkWhole(t, s)
	}
	reveal(t, s, stage(t, s, news[:3]...))
	if got := ids(t, s, "Basic"); got != "before b0 b1 b2" {
		t.Errorf("found %q", got)
	}
}
