package service

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/service/audit/tree"
	"aftercare/service/store"

	notes "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// counter is a witness: it cosigns what is consistent with what it cosigned before.
type counter struct {
	t      *testing.T
	log    notes.Verifier
	key    ed25519.PrivateKey
	mu     sync.Mutex
	size   int64
	root   tlog.Hash
	status map[int]int
	// answer replaces what it would answer, if set.
	answer func(w http.ResponseWriter)
}

func newCounter(t *testing.T, log string) (*counter, Witness) {
	t.Helper()
	v, err := notes.NewVerifier(log)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{t: t, log: v, key: private, status: map[int]int{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	data := append([]byte{4}, public...)
	return c, Witness{Key: fmt.Sprintf("%s+%08x+%s", c.name(), c.id(), base64.StdEncoding.EncodeToString(data)), URL: server.URL + "/w/"}
}

func (c *counter) name() string { return "witness.example/w1" }

func (c *counter) id() uint32 {
	sum := sha256.Sum256(append([]byte(c.name()+"\n\x04"), c.key.Public().(ed25519.PublicKey)...))
	return binary.BigEndian.Uint32(sum[:])
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil {
		c.answer(w)
		return
	}
	status, answer := c.judge(r)
	c.status[status]++
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (c *counter) judge(r *http.Request) (status int, answer string) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint" {
		return http.StatusNotFound, ""
	}
	head, signed, ok := strings.Cut(string(body), "\n\n")
	if !ok {
		return http.StatusBadRequest, ""
	}
	lines := strings.Split(head, "\n")
	var older, size int64
	if _, err := fmt.Sscanf(lines[0], "old %d", &older); err != nil {
		return http.StatusBadRequest, ""
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return http.StatusBadRequest, ""
		}
		proof = append(proof, h)
	}
	n, err := notes.Open([]byte(signed), notes.VerifierList(c.log))
	if err != nil || len(n.UnverifiedSigs) > 0 {
		return http.StatusForbidden, ""
	}
	text := strings.Split(n.Text, "\n")
	if _, err := fmt.Sscan(text[1], &size); err != nil || text[0] != c.log.Name() || older > size {
		return http.StatusBadRequest, ""
	}
	root, err := tlog.ParseHash(text[2])
	switch {
	case err != nil:
		return http.StatusBadRequest, ""
	case older != c.size, older == size && root != c.root:
		return http.StatusConflict, fmt.Sprintf("%d\n", c.size)
	case (older == 0 || older == size) && len(proof) > 0, older > 0 && older < size && tlog.CheckTree(proof, size, root, older, c.root) != nil:
		return http.StatusUnprocessableEntity, ""
	}
	c.size, c.root = size, root
	at := binary.BigEndian.AppendUint64(nil, 1_800_000_000)
	signature := ed25519.Sign(c.key, []byte("cosignature/v1\ntime 1800000000\n"+n.Text))
	return http.StatusOK, "— " + c.name() + " " + base64.StdEncoding.EncodeToString(append(append(binary.BigEndian.AppendUint32(nil, c.id()), at...), signature...)) + "\n"
}

// A witness cosigns each checkpoint that it is shown, also when it has seen others meanwhile, and says so
// when the log is not the one that it knows.
func TestCheckpointsAreWitnessed(t *testing.T) {
	s := open(t, withTree(t))
	first, w1 := newCounter(t, s.auditLog.Verifier())
	down := Witness{URL: "http://127.0.0.1:1"}
	v, err := tree.NewWitness(w1.Key)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	know := func() []*witnessing {
		return []*witnessing{
			{log: s.auditLog, url: strings.TrimSuffix(w1.URL, "/") + "/add-checkpoint", key: v, client: client},
			{log: s.auditLog, url: down.URL, key: v, client: client},
		}
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	s.store.Hold(ctx, witnessLease, func(ctx context.Context, l *store.Lease) {
		defer end()
		ask := func(all []*witnessing) {
			t.Helper()
			if err := s.witnessNewest(ctx, l, all); err != nil {
				t.Error(err)
			}
		}
		cosigned := func() bool {
			t.Helper()
			var newest store.LogCheckpoint
			if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
				newest, err = r.NewestCheckpoint(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := tree.Open(newest.Note, s.auditLog.Verifier()); err != nil {
				t.Error(err)
			}
			n, err := notes.Open(newest.Note, notes.VerifierList(v))
			return err == nil && len(n.Sigs) == 1
		}
		all := know()
		ask(all) // nothing is there
		for _, n := range []int{1, 5, 300} {
			note(t, s, n)
			integrated(t, s)
			if cosigned() {
				t.Error("it is cosigned already")
			}
			ask(all)
			if !cosigned() {
				t.Error("it is not cosigned")
			}
		}
		ask(all)
		if first.status[http.StatusOK] != 3 || len(first.status) != 1 {
			t.Errorf("the witness answered %v", first.status)
		}
		note(t, s, 7)
		integrated(t, s)
		ask(know()) // as after a start
		if !cosigned() || first.status[http.StatusConflict] != 1 {
			t.Errorf("it is not cosigned: %v", first.status)
		}
		note(t, s, 7)
		integrated(t, s)
		says := map[string]bool{"another key of the log": true, "it does not know the log": true, "the log was changed": true, "status 500": true, "records were lost": true}
		for name, answer := range map[string]func(w http.ResponseWriter){
			"nothing":           func(http.ResponseWriter) {},
			"a line of another": func(w http.ResponseWriter) { fmt.Fprintln(w, "— other.example AAAAAAAA") },
			"no line":           func(w http.ResponseWriter) { fmt.Fprintln(w, "well done") },
			"a signature that is none": func(w http.ResponseWriter) {
				fmt.Fprintf(w, "— %s %s\n", first.name(), base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, first.id()), make([]byte, 72)...)))
			},
			"far too much":             func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("— a AAAA\n"), 10_000)) },
			"another key of the log":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
			"it does not know the log": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
			"the log was changed":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnprocessableEntity) },
			"status 500":               func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
			"another way": func(w http.ResponseWriter) {
				w.Header().Set("Location", w1.URL)
				w.WriteHeader(http.StatusTemporaryRedirect)
			},
			"records were lost":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict); fmt.Fprintln(w, 100_000) },
			"a conflict for ever":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict); fmt.Fprintln(w, 1) },
			"a conflict without size": func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict); fmt.Fprintln(w, "x") },
		} {
			first.answer = answer
			one := know()[0]
			var newest store.LogCheckpoint
			if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
				newest, err = r.NewestCheckpoint(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			lines, err := one.ask(ctx, newest)
			if err == nil || says[name] && !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %q, %v", name, lines, err)
			}
			ask([]*witnessing{one})
			if cosigned() {
				t.Errorf("%s: it is cosigned", name)
			}
		}
	})
}

func TestKeysOfWitnesses(t *testing.T) {
	_, w := newCounter(t, "log+"+strings.SplitN(newLogKey(t, "log").Verifier(), "+", 2)[1])
	if _, err := tree.NewWitness(w.Key); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"", "a+b", newLogKey(t, "log").Verifier(), w.Key + "A", strings.Replace(w.Key, "w1+", "w2+", 1), "+" + w.Key} {
		if _, err := tree.NewWitness(key); err == nil {
			t.Errorf("%q is taken", key)
		}
	}
}
