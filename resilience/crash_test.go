package resilience

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"aftercare/service/store/postgrestest"
)

// kills is how often each engine is killed.
func kills(t *testing.T) int {
	text := os.Getenv("AFTERCARE_KILLS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("AFTERCARE_KILLS is %q, which is no number from 1 on", text)
	}
	return n
}

// checks is how often a run of many kills stops to look at everything.
const checks = 4

// TestCrash kills the program while many write to it, starts it again, and so on.
func TestCrash(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		url := "sqlite:" + filepath.Join(t.TempDir(), "crash.db")
		crash(t, url, func(t *testing.T, p *program) { p.kill() })
	})
	t.Run("postgres", func(t *testing.T) {
		server := postgrestest.Start(t, "fsync=on")
		url := server.Database(t)
		crash(t, url, func(t *testing.T, p *program) {
			switch n := rand.IntN(4); {
			case n == 0:
				server.Kill(t)
				if rand.IntN(2) == 0 { // both at once
					p.kill()
				}
				server.Restart(t)
			case n == 1:
				server.KillSession(t, "aftercare")
			default:
				p.kill()
			}
		})
	})
}

func crash(t *testing.T, url string, kill func(*testing.T, *program)) {
	p := newProgram(t, url)
	p.start(t)
	ledger, heard := newLedger(), newReceived()
	n := kills(t)
	rounds := max(1, min(checks, n/10))
	for round := range rounds {
		c := p.client(t)
		c.heard = heard.note
		load := startLoad(t, c, ledger, "crash"+strconv.Itoa(round))
		for range (n*(round+1))/rounds - (n*round)/rounds {
			time.Sleep(time.Duration(50+rand.IntN(600)) * time.Millisecond)
			kill(t, p)
			if p.process == nil {
				p.revive(t)
			}
		}
		time.Sleep(200 * time.Millisecond)
		load.stop()
		settle(t, p, url)
		ledger.check(t, p.client(t))
		p.stop(t)
		checkTables(t, url)
		heard.checkLog(t, url)
		p.start(t)
	}
	t.Logf("%d kills", n)
	p.stop(t)
}

// revive starts the program, and sometimes kills it once more while it starts.
func (p *program) revive(t *testing.T) {
	t.Helper()
	if rand.IntN(5) == 0 {
		if _, err := p.launch(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		p.kill()
	}
	p.restart(t)
}

// settle starts the program again, and waits until nothing is staged any more of what a write could
// not remove that was killed, or had lost its database. The lease of that write has to end first.
func settle(t *testing.T, p *program, url string) {
	t.Helper()
	p.kill()
	p.restart(t)
	db := openTables(t, url)
	eventually(t, "nothing is staged", func() bool {
		var n int
		return db.QueryRowContext(t.Context(), `SELECT count(*) FROM horizon WHERE begins <> 9223372036854775807`).Scan(&n) == nil && n == 0
	})
}
