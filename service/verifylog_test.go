package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"

	"pgregory.net/rapid"
)

// aboutByTurns are those that the records of a tampered log are about, by turns.
var aboutByTurns = [][]string{{"p"}, {"p", "q"}, {"q"}, {"r"}}

// tampered is a log to be tampered with: its records, and what it was at some sizes.
type tampered struct {
	*Service
	database string
	rows     []store.Logged // by position less 1
	kept     []byte         // the newest checkpoint
}

// tamperable makes a log with records, checkpoints at some sizes, and records after the last of these.
func tamperable(t testing.TB, records int, sizes ...int) *tampered {
	t.Helper()
	l := &tampered{}
	l.Service, l.database = openTamperable(t, withTree(t))
	at := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	l.auditLog.now = func() time.Time { at = at.Add(time.Second); return at }
	sizes = append(sizes, records)
	done := 0
	for i, size := range sizes {
		if err := l.store.WriteLog(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for n := done; n < size; n++ {
				if err := l.auditLog.Append(ctx, tx, audit.Record{Code: "read", Status: 200, Type: "Patient", Target: fmt.Sprint(n), Patients: aboutByTurns[n%len(aboutByTurns)]}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if done = size; i < len(sizes)-1 {
			integrated(t, l.Service)
		}
	}
	if err := l.logIndex.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		c, err := r.NewestCheckpoint(ctx)
		if err != nil {
			return err
		}
		l.kept = c.Note
		return r.Logged(ctx, 0, records, func(row store.Logged) error {
			row.Leaf, row.Key = bytes.Clone(row.Leaf), bytes.Clone(row.Key)
			l.rows = append(l.rows, row)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

var logTables = []string{"log", "log_subject", "log_tile", "log_checkpoint", "log_term", "log_indexed"}

// keep lets restore make the log what it is now.
func (l *tampered) keep(t testing.TB) {
	t.Helper()
	for _, table := range logTables {
		tamper(t, l.database, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
		t.Cleanup(func() { tamper(t, l.database, "DROP TABLE kept_"+table) })
	}
}

func (l *tampered) restore(t testing.TB) {
	t.Helper()
	var text strings.Builder
	for _, table := range logTables {
		fmt.Fprintf(&text, "DELETE FROM %[1]s; INSERT INTO %[1]s SELECT * FROM kept_%[1]s;", table)
	}
	tamper(t, l.database, text.String())
}

func (l *tampered) verify(t testing.TB, kept ...[]byte) (LogState, error) {
	return VerifyLog(t.Context(), l.store, LogCheck{Sealer: l.auditLog.sealer, Terms: l.logIndex.terms, Verifier: l.auditLog.Verifier(), Kept: kept})
}

func (l *tampered) leaf(position int) []byte { return l.rows[position-1].Leaf }

// forge seals a record anew, as one who has the secret of the log can.
func (l *tampered) forge(t testing.TB, position int64, sealer *audit.Sealer, recorded time.Time) (leaf, key []byte) {
	t.Helper()
	old, err := audit.ParseLeaf(l.leaf(int(position)))
	if err != nil {
		t.Fatal(err)
	}
	leaf, key, err = sealer.Seal(position, &audit.Record{Recorded: recorded, Code: "read", Status: 200, Target: "other", Patients: aboutByTurns[(position-1)%int64(len(aboutByTurns))]}, old.Links)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, key
}

// rebuild brings all records into a new tree, with checkpoints at some sizes, as one who has the key can.
func (l *tampered) rebuild(t testing.TB, sizes ...int64) {
	t.Helper()
	tamper(t, l.database, "DELETE FROM log_tile")
	tamper(t, l.database, "DELETE FROM log_checkpoint")
	var hashes []tree.Hash
	if err := l.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		return r.Logged(ctx, 0, 1000, func(row store.Logged) error {
			hashes = append(hashes, tree.LeafHash(row.Leaf))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	none := func(int, int64) ([]byte, error) { return nil, errors.New("no tile") }
	for _, size := range sizes {
		root, tiles, err := tree.Grow(0, tree.Hash{}, none, hashes[:size])
		if err != nil {
			t.Fatal(err)
		}
		signed, err := l.auditLog.key.Sign(size, root)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.store.WriteLog(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for _, tile := range tiles {
				if err := tx.PutLogTile(ctx, tile.Level, tile.N, len(tile.Data)/32, tile.Data); err != nil {
					return err
				}
			}
			return tx.PutCheckpoint(ctx, store.LogCheckpoint{Size: size, Made: time.UnixMicro(1), Note: signed})
		}); err != nil {
			t.Fatal(err)
		}
	}
}

const newRow = "INSERT INTO log (pos, recorded, leaf, key) VALUES ($1, $2, $3, $4)"

// Whatever is done to the log in the database, the first record that is not as it was is named.
func TestTamperingIsFound(t *testing.T) {
	const records, last = 280, 270
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	l := tamperable(t, records, 10, 100, 256, last)
	l.keep(t)
	for name, c := range map[string]struct {
		do   func(t *testing.T, l *tampered)
		want string
	}{
		"nothing": {func(*testing.T, *tampered) {}, ""},
		"a leaf was changed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = $1 WHERE pos = 57", flip(l.leaf(57), 60))
		}, "record 57 was not written"},
		"a record was removed":         {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log WHERE pos = 57") }, "record 57 is missing"},
		"the first record was removed": {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log WHERE pos = 1") }, "record 1 is missing"},
		"the last record was removed":  {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log WHERE pos = 280") }, "record 280 is missing"},
		"all records were removed":     {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log") }, "record 1 is missing"},
		"the content was removed":      {func(t *testing.T, l *tampered) { tamper(t, l.database, "UPDATE log SET leaf = NULL WHERE pos = 57") }, "record 57 has no content"},
		"the content was said to be in an archive": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = NULL WHERE pos = 57")
			tamper(t, l.database, "INSERT INTO log_segment (first, last, sealed, sha256, name) VALUES (1, 100, 1, $1, 'x')", make([]byte, 32))
			t.Cleanup(func() { tamper(t, l.database, "DELETE FROM log_segment") })
		}, "record 57 has no content"},
		"a key was removed": {func(t *testing.T, l *tampered) { tamper(t, l.database, "UPDATE log SET key = NULL WHERE pos = 57") }, "record 57 has no key"},
		"a key was changed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET key = $1 WHERE pos = 57", flip(l.rows[56].Key, 3))
		}, "record 57 cannot be opened"},
		"a key is of no length of a key": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET key = $1 WHERE pos = 57", []byte{1})
		}, "record 57 cannot be opened"},
		"a leaf was removed from its end": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = $1 WHERE pos = 57", l.leaf(57)[:40])
		}, "record 57 was not written"},
		"a record was put at the end": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, newRow, 281, l.rows[279].Recorded.UnixMicro(), []byte("x"), []byte("y"))
		}, "record 281 was not written"},
		"a copy was put at the end": {func(t *testing.T, l *tampered) {
			r := l.rows[279]
			tamper(t, l.database, newRow, 281, r.Recorded.UnixMicro(), r.Leaf, r.Key)
		}, "record 281 was not written"},
		"a record of another log was put at the end": {func(t *testing.T, l *tampered) {
			other, err := audit.NewSealer(make([]byte, audit.SecretSize))
			if err != nil {
				t.Fatal(err)
			}
			leaf, key := l.forge(t, 280, other, l.rows[279].Recorded)
			tamper(t, l.database, newRow, 281, l.rows[279].Recorded.UnixMicro(), leaf, key)
		}, "record 281 was not written"},
		"a record was put far behind the end": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, newRow, 300, l.rows[279].Recorded.UnixMicro(), l.leaf(280), l.rows[279].Key)
		}, "record 281 is missing"},
		"a record was put between others": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET pos = -pos - 1 WHERE pos >= 57")
			tamper(t, l.database, "UPDATE log SET pos = -pos WHERE pos < 0")
			r := l.rows[55]
			tamper(t, l.database, newRow, 57, r.Recorded.UnixMicro(), r.Leaf, r.Key)
		}, "record 57 was not written"},
		"two contents were swapped": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 57", l.leaf(61), l.rows[60].Key)
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 61", l.leaf(57), l.rows[56].Key)
		}, "record 57 was not written"},
		"two records were swapped": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET pos = -1 WHERE pos = 57")
			tamper(t, l.database, "UPDATE log SET pos = 57 WHERE pos = 61")
			tamper(t, l.database, "UPDATE log SET pos = 61 WHERE pos = -1")
		}, "record 57 was not written"},
		"two keys were swapped": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET key = $1 WHERE pos = 57", l.rows[57].Key)
			tamper(t, l.database, "UPDATE log SET key = $1 WHERE pos = 58", l.rows[56].Key)
		}, "record 57 cannot be opened"},
		"the time was moved back": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET recorded = recorded - 1 WHERE pos = 57")
		}, "record 57 says that it was recorded"},
		"the time was moved far back": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET recorded = recorded - 86400000000 WHERE pos = 57")
		}, "record 57 says that it was recorded before"},
		"the time was moved ahead": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET recorded = recorded + 1 WHERE pos = 280")
		}, "record 280 says"},
		"the time of all was moved": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET recorded = recorded - 86400000000")
		}, "record 1 says"},
		"the time in the leaf was moved": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = $1, recorded = recorded + 1 WHERE pos = 57", flip(l.leaf(57), 8))
		}, "record 57 was not written"},
		"an older leaf was put again": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 61", l.leaf(57), l.rows[56].Key)
		}, "record 61 was not written"},
		"the end was cut off": {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log WHERE pos > 200") }, "record 201 is missing"},
		"the end was cut off with its checkpoints": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "DELETE FROM log WHERE pos > 200")
			tamper(t, l.database, "DELETE FROM log_checkpoint WHERE size > 200")
		}, "record 201 is missing"},
		"the end was cut off with its checkpoints and the tree": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "DELETE FROM log WHERE pos > 200")
			l.rebuild(t, 10, 100, 200)
		}, "record 201 is missing"},
		"checkpoints were removed":     {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log_checkpoint WHERE size > 100") }, "checkpoint of 270 records is missing"},
		"all checkpoints were removed": {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log_checkpoint") }, "checkpoint of 270 records is missing"},
		"a checkpoint was changed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_checkpoint SET note = $1 WHERE size = 100", flip(l.kept, 5))
		}, "checkpoint of 100 records cannot be trusted"},
		"a checkpoint was moved": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_checkpoint SET size = 101 WHERE size = 100")
		}, "checkpoint of 101 records says"},
		"a checkpoint was signed by another": {func(t *testing.T, l *tampered) {
			signed, err := newLogKey(t, l.auditLog.key.Name()).Sign(100, tree.Hash{1})
			if err != nil {
				t.Fatal(err)
			}
			tamper(t, l.database, "UPDATE log_checkpoint SET note = $1 WHERE size = 100", signed)
		}, "checkpoint of 100 records cannot be trusted"},
		"a tile was removed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "DELETE FROM log_tile WHERE level = 0 AND n = 0")
		}, "record 1 is not the one"},
		"a tile was cut": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_tile SET data = $1 WHERE level = 0 AND n = 1", make([]byte, 31))
		}, "record 257 is not the one"},
		"the upper tile was changed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_tile SET data = $1 WHERE level = 1", make([]byte, 32))
		}, "one of the records 1 to 256 is not the one"},
		"where the chain of a patient ends was changed": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_subject SET n = n - 1 WHERE pos = 280")
		}, "record 280 is not the last"},
		"where the chain of a patient ends was removed": {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log_subject WHERE pos = 280") }, "record 280 is the last"},
		"a record was put ahead of the first": {func(t *testing.T, l *tampered) {
			r := l.rows[0]
			tamper(t, l.database, newRow, 0, r.Recorded.UnixMicro(), r.Leaf, r.Key)
		}, "record 1 is there twice, or in another place"},
		"a record was taken out of the index": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "DELETE FROM log_term WHERE pos = 57")
		}, "record 57 is not found by what it says"},
		"a term of a record was taken out of the index": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "DELETE FROM log_term WHERE pos = 57 AND term = (SELECT max(term) FROM log_term WHERE pos = 57)")
		}, "record 57 is not found by what it says"},
		"the index was emptied": {func(t *testing.T, l *tampered) { tamper(t, l.database, "DELETE FROM log_term") }, "record 1 is not found by what it says"},
		"a term was added to the index": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "INSERT INTO log_term (term, pos) VALUES (5, 280)")
		}, "record 280 is not found by what it says"},
		"entries of two records were swapped": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_term SET pos = -1 WHERE pos = 57 AND term NOT IN (SELECT term FROM log_term WHERE pos = 59)")
			tamper(t, l.database, "UPDATE log_term SET pos = 57 WHERE pos = 59 AND term NOT IN (SELECT term FROM log_term WHERE pos = 57)")
			tamper(t, l.database, "UPDATE log_term SET pos = 59 WHERE pos = -1")
		}, "record 57 is not found by what it says"},
		"the index was said to go further": {func(t *testing.T, l *tampered) {
			tamper(t, l.database, "UPDATE log_indexed SET pos = 281")
		}, "record 281 is missing"},
		"one with the secret wrote a record anew": {func(t *testing.T, l *tampered) {
			leaf, key := l.forge(t, 57, l.auditLog.sealer, l.rows[56].Recorded)
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 57", leaf, key)
		}, "record 57 is not the one that the tree was built over"},
		"one with the secret wrote another patient into a record": {func(t *testing.T, l *tampered) {
			leaf, key, err := l.auditLog.sealer.Seal(57, &audit.Record{Recorded: l.rows[56].Recorded, Code: "read", Status: 200, Patients: []string{"x"}}, []audit.Link{{Subject: l.auditLog.sealer.Subject("p"), N: 29, Before: 54}})
			if err != nil {
				t.Fatal(err)
			}
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 57", leaf, key)
		}, "record 57 is linked for another patient"},
		"one with the secret took a record out of a chain": {func(t *testing.T, l *tampered) {
			leaf, key, err := l.auditLog.sealer.Seal(57, &audit.Record{Recorded: l.rows[56].Recorded, Code: "read", Status: 200}, nil)
			if err != nil {
				t.Fatal(err)
			}
			tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 57", leaf, key)
		}, "record 58 says that it is number 30 about a patient, after record 57"},
	} {
		t.Run(name, func(t *testing.T) {
			l.restore(t)
			c.do(t, l)
			found, err := l.verify(t)
			switch {
			case c.want == "" && (err != nil || found != LogState{Records: records, Integrated: last, Checkpoints: 4, Opened: records, Subjects: 3}):
				t.Errorf("%+v, %v", found, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %s", err, c.want)
			case c.want != "" && !errors.As(err, new(*audit.Fault)) && !errors.As(err, new(*audit.CheckpointFault)):
				t.Errorf("%T", err)
			}
		})
	}
}

// Who has the secret can write a record anew and change the tree with it; then the checkpoints disagree.
// Who has the key as well can sign others; then one that was kept disagrees.
func TestACheckpointThatWasKeptFindsWhoHasTheKeys(t *testing.T) {
	l := tamperable(t, 280, 10, 100, 256, 270)
	leaf, key := l.forge(t, 57, l.auditLog.sealer, l.rows[56].Recorded)
	tamper(t, l.database, "UPDATE log SET leaf = $1, key = $2 WHERE pos = 57", leaf, key)
	tamper(t, l.database, "DELETE FROM log_term")
	tamper(t, l.database, "UPDATE log_indexed SET pos = 0")
	if err := l.logIndex.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var notes []store.LogCheckpoint
	if err := l.store.View(t.Context(), func(ctx context.Context, r *store.Reader) (err error) {
		notes, err = r.Checkpoints(ctx, 0, 10)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l.rebuild(t, 10, 100, 256, 270)
	if _, err := l.verify(t); err != nil {
		t.Fatalf("this was not thorough: %v", err)
	}
	if _, err := l.verify(t, l.kept); err == nil || err.Error() != "one of the records 257 to 270 is not the one that was there when the checkpoint of 270 records was signed" {
		t.Error(err)
	}
	for i, kept := range notes {
		if _, err := l.verify(t, kept.Note); (err != nil) != (i > 0) {
			t.Errorf("the checkpoint of %d records: %v", kept.Size, err)
		}
	}
	// The checkpoints alone.
	for _, kept := range notes {
		tamper(t, l.database, "UPDATE log_checkpoint SET note = $1 WHERE size = $2", kept.Note, kept.Size)
	}
	if _, err := l.verify(t); err == nil || !strings.Contains(err.Error(), "one of the records 11 to 100 ") {
		t.Error(err)
	}
	l = tamperable(t, 280, 10, 100, 256, 270)
	tamper(t, l.database, "DELETE FROM log WHERE pos > 200")
	tamper(t, l.database, "DELETE FROM log_subject")
	l.rebuild(t, 200)
	if _, err := l.verify(t, l.kept); err == nil || !strings.Contains(err.Error(), "record 201 is missing") {
		t.Error(err)
	}
}

// However a log is tampered with, it is noticed.
func TestAllTamperingIsFound(t *testing.T) {
	l := tamperable(t, 40, 7, 32)
	l.keep(t)
	rapid.Check(t, func(rt *rapid.T) {
		l.restore(t)
		at := rapid.IntRange(1, 40).Draw(rt, "record")
		other := rapid.IntRange(1, 40).Filter(func(n int) bool { return n != at }).Draw(rt, "other")
		bytesOf := func(b []byte) []byte {
			b = bytes.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			return b
		}
		var changes []func()
		change := func(text string, args ...any) {
			changes = append(changes, func() { tamper(t, l.database, text, args...) })
		}
		switch rapid.IntRange(0, 9).Draw(rt, "how") {
		case 0:
			change("UPDATE log SET leaf = $1 WHERE pos = $2", bytesOf(l.leaf(at)), at)
		case 1:
			change("UPDATE log SET key = $1 WHERE pos = $2", bytesOf(l.rows[at-1].Key), at)
		case 2:
			change("DELETE FROM log WHERE pos = $1", at)
		case 3:
			change("UPDATE log SET leaf = $1, key = $2, recorded = $3 WHERE pos = $4", l.leaf(other), l.rows[other-1].Key, l.rows[other-1].Recorded.UnixMicro(), at)
		case 4:
			change("UPDATE log SET recorded = recorded + $1 WHERE pos = $2", rapid.SampledFrom([]int64{-10_000_000, -1, 1, 10_000_000}).Draw(rt, "by"), at)
		case 5:
			change("DELETE FROM log WHERE pos >= $1", at)
			if rapid.Bool().Draw(rt, "with checkpoints") {
				change("DELETE FROM log_checkpoint WHERE size >= $1", at)
			}
		case 6:
			change("UPDATE log SET pos = -pos WHERE pos = $1", at)
			change("UPDATE log SET pos = $1 WHERE pos = $2", at, other)
			change("UPDATE log SET pos = $1 WHERE pos < 0", other)
		case 7:
			changed := bytesOf(l.kept)
			if _, err := tree.Open(changed, l.auditLog.Verifier()); err == nil {
				return // a bit that base64 does not use: it is the same checkpoint
			}
			change("UPDATE log_checkpoint SET note = $1 WHERE size = 32", changed)
		case 8:
			change("UPDATE log_checkpoint SET size = size + 1 WHERE size = $1", rapid.SampledFrom([]int{7, 32}).Draw(rt, "size"))
		case 9:
			var data []byte
			if err := l.store.View(t.Context(), func(ctx context.Context, r *store.Reader) (err error) {
				data, err = r.LogTile(ctx, 0, 0)
				return err
			}); err != nil {
				rt.Fatal(err)
			}
			change("UPDATE log_tile SET data = $1", bytesOf(slices.Clone(data)))
		}
		for _, do := range changes {
			do()
		}
		if _, err := l.verify(t); err == nil {
			rt.Fatal("it was not noticed")
		}
	})
}

// A log is verified while it grows.
func TestALogThatGrowsIsVerified(t *testing.T) {
	l := tamperable(t, 300, 100)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			note(t, l.Service, 5, "p", "s")
			integrated(t, l.Service)
		}
	}()
	for range 10 {
		if found, err := l.verify(t); err != nil || found.Records < 300 {
			t.Errorf("%+v, %v", found, err)
		}
	}
	end()
	<-done
}
