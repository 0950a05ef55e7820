package resilience

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load writes from many goroutines until it is stopped, and enters the answers into the ledger.
type load struct {
	client  *client
	ledger  *ledger
	surgery string // a Bundle of one operation
	name    string // in front of all marks
	count   atomic.Int64

	stop func()
	done sync.WaitGroup
}

// writers is how many write at once.
const writers = 12

// startLoad starts writing; name is in all marks, so that several loads can share a database.
func startLoad(t testing.TB, c *client, l *ledger, name string) *load {
	t.Helper()
	surgery, err := os.ReadFile("../testdata/surgery/single-stage-femur-left.json")
	if err != nil {
		t.Fatal(err)
	}
	w := &load{client: c, ledger: l, surgery: string(surgery), name: name}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = func() { stop(); w.done.Wait() }
	t.Cleanup(w.stop)
	for i := range writers {
		w.done.Go(func() {
			me := writer{load: w, number: i}
			for ctx.Err() == nil {
				if me.write() == 0 {
					time.Sleep(5 * time.Millisecond) // nobody is there
				}
			}
		})
	}
	return w
}

// writer is one goroutine of the load.
type writer struct {
	*load
	number int
	pair   int // how often it has tried to write its pair
}

const system = "urn:resilience"

// mark is a new mark.
func (w *writer) mark(kind string) string {
	return fmt.Sprintf("%s-%s-%d", w.name, kind, w.count.Add(1))
}

func marked(resource, mark string) string {
	return strings.Replace(resource, "MARK", fmt.Sprintf(`"identifier":[{"system":%q,"value":%q}]`, system, mark), 1)
}

const (
	patient     = `{"resourceType":"Patient",MARK,"active":true,"name":[{"family":"Éclair","given":["Ann"]}],"birthDate":"1970-02-03"}`
	observation = `{"resourceType":"Observation",MARK,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}]},` +
		`"subject":{"reference":"urn:uuid:28eb64ec-d816-5b09-b47d-2c7cf126e34a"},"effectiveDateTime":"2026-01-02T03:04:05Z","valueQuantity":{"value":3,"unit":"{score}","system":"http://unitsofmeasure.org","code":"{score}"}}`
	basic = `{"resourceType":"Basic",IDMARK,"code":{"text":"made for a test"}}`
)

// named is a Basic with an id of ours.
func named(id, mark string) string {
	return marked(strings.Replace(basic, "ID", `"id":"`+id+`",`, 1), mark)
}

// write makes one write, of a kind that chance chooses, and returns the status of its answer.
func (w *writer) write() int {
	switch n := rand.IntN(100); {
	case n < 25:
		return w.create()
	case n < 40:
		return w.createOnce()
	case n < 55:
		return w.update()
	case n < 65:
		return w.patch()
	case n < 75:
		return w.remove()
	case n < 85:
		return w.transaction(3)
	case n < 93:
		return w.both()
	case w.number == 0 && n < 97: // one writer alone, since others wait for its turn to end
		return w.transaction(300) // stored ahead, out of sight
	default:
		return w.operate()
	}
}

// expect is the outcome of an answer that has one of the statuses, or says that there is no
// service at the moment.
func (w *writer) expect(what string, a answer, statuses ...int) outcome {
	for _, status := range append(statuses, 0, http.StatusBadGateway, http.StatusServiceUnavailable) {
		if a.status == status {
			return a.outcome()
		}
	}
	w.ledger.unexpected(what, a)
	return unknown
}

func (w *writer) create() int {
	mark := w.mark("create")
	a := w.client.send("POST /fhir/Patient", marked(patient, mark))
	o := w.expect("create", a, 201)
	ref := ""
	if o == stored {
		var number int
		ref, number = fromLocation(a.header.Get("Location"))
		w.ledger.wrote(ref, number, fact{body: a.body})
	}
	w.ledger.promised(mark, o, 1, ref)
	return a.status
}

// createOnce creates what several others create at the same moment.
func (w *writer) createOnce() int {
	mark := fmt.Sprintf("%s-once-%d", w.name, w.count.Load()/16)
	a := w.client.send("POST /fhir/Patient", marked(patient, mark), "If-None-Exist: identifier="+system+"|"+mark)
	o := w.expect("conditional create", a, 200, 201)
	ref := ""
	if o == stored {
		var number int
		ref, number = fromLocation(a.header.Get("Location"))
		w.ledger.wrote(ref, number, fact{body: a.body})
	}
	w.ledger.promised(mark, o, 1, ref)
	return a.status
}

// update reads what all writers update and writes it again, if nobody was faster.
func (w *writer) update() int {
	id := fmt.Sprintf("%s-shared-%d", w.name, rand.IntN(6))
	now := w.client.send("GET /fhir/Basic/"+id, "")
	condition := "If-Match: " + now.header.Get("ETag")
	switch w.expect("read", now, 200, 404) {
	case unknown:
		return now.status
	case refused:
		condition = "If-None-Match: *"
	}
	mark := w.mark("update")
	a := w.client.send("PUT /fhir/Basic/"+id, named(id, mark), condition)
	if w.expect("update", a, 200, 201, 409, 412) == stored {
		w.ledger.wrote("Basic/"+id, a.version(), fact{body: a.body})
		if now.status == 200 && a.version() != now.version()+1 {
			w.ledger.unexpected(fmt.Sprintf("an update of version %d made version %d", now.version(), a.version()), a)
		}
	}
	return a.status
}

// patch adds a mark to what many patch.
func (w *writer) patch() int {
	id := fmt.Sprintf("%s-patched-%d", w.name, w.count.Load()/500)
	mark := w.mark("patch")
	send := func() answer {
		return w.client.send("PATCH /fhir/Basic/"+id,
			fmt.Sprintf(`[{"op":"add","path":"/identifier/-","value":{"system":%q,"value":%q}}]`, system, mark),
			"Content-Type: application/json-patch+json")
	}
	a := send()
	if a.status == 404 {
		first := w.client.send("PUT /fhir/Basic/"+id, named(id, "first"), "If-None-Match: *")
		w.expect("the first version", first, 201, 412)
		a = send()
	}
	o := w.expect("patch", a, 200, 404)
	if o == stored {
		w.ledger.wrote("Basic/"+id, a.version(), fact{body: a.body})
	}
	w.ledger.patched(mark, o)
	return a.status
}

// remove makes a resource, deletes it, and sometimes brings it back.
func (w *writer) remove() int {
	id := w.mark("deleted")
	for _, step := range []string{"PUT", "DELETE", "PUT"}[:2+rand.IntN(2)] {
		body := ""
		if step == "PUT" {
			body = named(id, "kept")
		}
		a := w.client.send(step+" /fhir/Basic/"+id, body)
		if w.expect(step, a, 200, 201, 204) != stored {
			return a.status
		}
		w.ledger.wrote("Basic/"+id, a.version(), fact{a.body, step == "DELETE"}.told())
	}
	return 200
}

// told is f without a body that is empty.
func (f fact) told() fact {
	if f.deleted || len(f.body) == 0 {
		f.body = nil
	}
	return f
}

func bundle(entries ...string) string {
	return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
}

func entry(request, resource, more string) string {
	method, url, _ := strings.Cut(request, " ")
	return fmt.Sprintf(`{%s"resource":%s,"request":{"method":%q,"url":%q}}`, more, resource, method, url)
}

// transaction sends a patient and so many observations of him.
func (w *writer) transaction(n int) int {
	mark := w.mark("together")
	entries := []string{entry("POST Patient", marked(patient, mark), `"fullUrl":"urn:uuid:28eb64ec-d816-5b09-b47d-2c7cf126e34a",`)}
	for range n {
		entries = append(entries, entry("POST Observation", marked(observation, mark), ""))
	}
	a := w.client.send("POST /fhir", bundle(entries...), "Prefer: return=representation")
	o := w.expect("transaction", a, 200)
	w.ledger.promised(mark, o, n+1, "")
	w.together(o, a)
	return a.status
}

// together enters the members of a Bundle that was stored.
func (w *writer) together(o outcome, a answer) {
	if o != stored {
		return
	}
	for _, location := range a.all("entry.response.location") {
		ref, number := fromLocation(location)
		w.ledger.wrote(ref, number, fact{})
	}
}

// both writes the same mark into two resources, which always have the same.
func (w *writer) both() int {
	w.pair++
	mark := w.mark("both")
	one, two := fmt.Sprintf("%s-one-%d", w.name, w.number), fmt.Sprintf("%s-two-%d", w.name, w.number)
	a := w.client.send("POST /fhir", bundle(
		entry("PUT Basic/"+one, named(one, mark), ""),
		entry("PUT Basic/"+two, named(two, mark), "")))
	o := w.expect("pair", a, 200)
	w.together(o, a)
	w.ledger.mu.Lock()
	w.ledger.count(o)
	w.ledger.mu.Unlock()
	return a.status
}

// operate reports an operation, from which a plan follows, and again, which changes nothing.
func (w *writer) operate() int {
	mark := w.mark("operation")
	text := strings.NewReplacer("9990001170", mark, "ssf1-", mark+"-").Replace(w.surgery)
	for range 1 + rand.IntN(2) {
		a := w.client.send("POST /fhir", text)
		o := w.expect("operation", a, 200)
		w.ledger.promised(mark, o, 1, "")
		w.together(o, a)
		if o != stored {
			return a.status
		}
	}
	return 200
}
