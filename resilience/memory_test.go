package resilience

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The memory that the process is given, and what it may have taken at most, SQLite and stacks
// included. Without bounds each of the parts below takes more than that alone.
const (
	givenMemory = "512MiB"
	mostMemory  = 512 << 20
)

// TestMemoryIsBounded sends at the same time more than fits into memory several times over, in
// each way that a caller can: large Bundles, small ones that ask for much, and clients that are
// slow to send or to read. Each is answered rightly or told to come again, small requests go on,
// and the process stays as small as it was told to be.
func TestMemoryIsBounded(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the memory of a process is read from /proc, which is not here")
	}
	p := newProgram(t, "sqlite:"+t.TempDir()+"/memory.db", "AFTERCARE_MEMORY="+givenMemory, "AFTERCARE_REQUEST_LIMIT=2m")
	p.start(t)
	c := p.client(t)
	for i := range 24 {
		r := c.send("PUT /fhir/Observation/big"+strconv.Itoa(i), wordy("big"+strconv.Itoa(i), 1000<<10))
		if r.status != http.StatusCreated {
			t.Fatalf("a large resource: %d %s %v", r.status, r.body, r.err)
		}
	}
	if r := c.send("PUT /fhir/Patient/small", `{"resourceType":"Patient","id":"small"}`); r.status != http.StatusCreated {
		t.Fatalf("a small resource: %d %s %v", r.status, r.body, r.err)
	}

	many := bundleOf("transaction", 1500, `{"resource":`+wordy("", 16000)+`,"request":{"method":"POST","url":"Observation"}}`)
	empty := bundleOf("transaction", 500_000, `{"resource":{"a":{}}}`)
	dense := `{"resourceType":"Patient","name":[` + strings.Repeat("{},", 2_600_000) + `{}]}`
	searches := bundleOf("batch", 300, `{"request":{"method":"GET","url":"Observation?_count=1000"}}`)
	histories := bundleOf("batch", 300, `{"request":{"method":"GET","url":"_history?_count=1000"}}`)
	asked := []struct {
		name, line, body string
		times            int
		right            func(answer) bool
	}{
		{"large transactions", "POST /fhir", many, 5, func(r answer) bool { return strings.Count(string(r.body), "201 Created") == 1500 }},
		{"Bundles of many values", "POST /fhir", empty, 4, func(r answer) bool { return r.status == http.StatusRequestEntityTooLarge }},
		{"a resource of many values", "POST /fhir/Patient", dense, 4, func(r answer) bool { return r.status == http.StatusBadRequest }},
		{"batches of searches", "POST /fhir", searches, 4, isCut},
		{"batches of histories", "POST /fhir", histories, 4, isCut},
		{"large pages", "GET /fhir/Observation?_count=1000", "", 8, func(r answer) bool {
			return r.status == http.StatusOK && strings.Contains(string(r.body), `"relation":"next"`)
		}},
	}

	var others, all sync.WaitGroup
	done := make(chan struct{})
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				if n == 0 {
					t.Error("no small request was sent meanwhile")
				}
				return
			default:
			}
			if r := c.send("GET /fhir/Patient/small", ""); r.status != http.StatusOK {
				t.Errorf("a small request meanwhile: %d %s %v", r.status, r.body, r.err)
				return
			}
			if r := c.send("POST /fhir/Patient", `{"resourceType":"Patient"}`); r.status != http.StatusCreated {
				t.Errorf("a small write meanwhile: %d %s %v", r.status, r.body, r.err)
				return
			}
		}
	})
	defer slowClients(t, p.address.Load().(string), many[:20<<20])()
	for _, a := range asked {
		served := make([]bool, a.times)
		for i := range a.times {
			all.Go(func() {
				for try := 0; try < 2; try++ {
					r := c.send(a.line, a.body)
					switch {
					case r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "":
						time.Sleep(100 * time.Millisecond)
						continue
					case !a.right(r):
						t.Errorf("%s: %d %.300s %v", a.name, r.status, r.body, r.err)
					}
					served[i] = true
					return
				}
			})
		}
		all.Wait()
		if n := count(served); n == 0 {
			t.Errorf("%s: none was served", a.name)
		}
		t.Logf("%s: %d of %d served; the most memory by now is %d MiB", a.name, count(served), a.times, p.peak(t)>>20)
	}
	close(done)
	others.Wait()
	if got := p.peak(t); got > mostMemory {
		t.Errorf("the process had %d MiB at its largest, and %d are all that it may have", got>>20, int64(mostMemory)>>20)
	}
}

// isCut reports whether the answer to a batch has those of all its entries, of which some were
// refused since all together are too much.
func isCut(r answer) bool {
	n := strings.Count(string(r.body), `"200 OK"`)
	m := strings.Count(string(r.body), "too-costly") + strings.Count(string(r.body), "throttled")
	return r.status == http.StatusOK && m > 0 && n+m == 300
}

// wordy is a valid Observation whose text has about n bytes.
func wordy(id string, n int) string {
	member := ""
	if id != "" {
		member = `"id":"` + id + `",`
	}
	return fmt.Sprintf(`{"resourceType":"Observation",%s"status":"final","code":{"text":"t"},"subject":{"reference":"Patient/small"},"note":[{"text":"%s"}]}`,
		member, strings.Repeat("x", n))
}

func bundleOf(kind string, n int, entry string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Repeat(entry+",", n-1) + entry + `]}`
}

// slowClients opens connections that announce 60 MiB and send the beginning, and others that ask
// for a large page and do not read it. The function that is returned closes them.
func slowClients(t *testing.T, address, beginning string) func() {
	t.Helper()
	var open []net.Conn
	var sending sync.WaitGroup
	for i := range 60 {
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		request := "GET /fhir/Observation?_count=1000 HTTP/1.1\r\nHost: x\r\n\r\n"
		if i%3 == 0 {
			request = "POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nContent-Length: 62914560\r\n\r\n" + beginning
		}
		sending.Go(func() {
			_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // it may be that nobody reads
			_, _ = c.Write([]byte(request))
		})
	}
	sending.Wait()
	return func() {
		for _, c := range open {
			_ = c.Close()
		}
	}
}

func count(list []bool) (n int) {
	for _, yes := range list {
		if yes {
			n++
		}
	}
	return n
}

// peak is the most memory that the process has had resident, in bytes.
func (p *program) peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		t.Fatal("the status of the process does not tell its memory")
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
