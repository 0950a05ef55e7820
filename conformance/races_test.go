package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The faults that users of other FHIR servers report, one row each, and the test that this
// service has none of them:
//
//	30 conditional creates at once make duplicates        TestRow30…
//	31 two conditional updates of one identity in a       TestRow31…
//	   transaction: one is dropped in silence
//	32 updates are lost, a version number is given twice  TestRow32…
//	33 a race leaves what nobody can update any more      TestRow33…; kill -9: the program's own tests
//	34 a conflict inside a Bundle is answered as 500      TestRow34…
//	35 Bundles that update the same in parallel deadlock  TestRow35…
//	36 a large transaction holds up the small writes      BenchmarkRow36…

// clients is how many send at the same time.
const clients = 64

// atOnce runs do once per client, all let go at the same moment.
func atOnce(n int, do func(client int)) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for c := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			do(c)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
}

// tally counts answers by what names them, such as their status.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (y *tally) add(name string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.count == nil {
		y.count = map[string]int{}
	}
	y.count[name]++
}

func (y *tally) expect(t *testing.T, want map[string]int) {
	t.Helper()
	if fmt.Sprint(y.count) != fmt.Sprint(want) {
		t.Errorf("answers %v, want %v", y.count, want)
	}
}

// matches is how many Patients have an identifier.
func (s *server) matches(t *testing.T, value string) string {
	t.Helper()
	return s.must(t, 200, "GET /Patient?identifier=urn:conformance|"+value+"&_summary=count", "").at("total")
}

func TestRow30ConditionalCreateAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for round := range 5 {
			value := fmt.Sprintf("alone-%d", round)
			var statuses, locations tally
			atOnce(clients, func(int) {
				a := s.send(t, "POST /Patient", patient("", identified(value)), "If-None-Exist: identifier=urn:conformance|"+value)
				statuses.add(strconv.Itoa(a.status))
				locations.add(a.header.Get("Location"))
			})
			statuses.expect(t, map[string]int{"201": 1, "200": clients - 1})
			if len(locations.count) != 1 {
				t.Errorf("%d different Locations", len(locations.count))
			}
			if got := s.matches(t, value); got != "1" {
				t.Errorf("%s patients, want 1", got)
			}
			if a := s.send(t, "POST /Patient", patient("", identified(value)), "If-None-Exist: identifier=urn:conformance|"+value); a.status != 200 {
				t.Errorf("afterwards: %d", a.status)
			}
		}
	})
}

func TestRow30ConditionalCreateAtOnceInBundles(t *testing.T) {
	for _, kind := range []string{"transaction", "batch"} {
		t.Run(kind, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				for round := range 3 {
					value := fmt.Sprintf("bundle-%d", round)
					var statuses tally
					atOnce(clients, func(c int) {
						a := s.send(t, "POST ", bundle(kind,
							entry("POST Practitioner", `{"resourceType":"Practitioner"}`),
							named(urn1, entry("POST Patient", patient("", identified(value)), `"ifNoneExist":"identifier=urn:conformance|`+value+`"`)),
							entry("GET Patient?identifier=urn:conformance|"+value, "")))
						if found := len(strings.Split(a.at("entry.resource.entry.resource.id"), ",")); a.status == 200 && found != 1 {
							t.Errorf("the search in the Bundle of client %d finds %d", c, found)
						}
						statuses.add(a.at("entry.response.status"))
					})
					statuses.expect(t, map[string]int{"201 Created,201 Created,200 OK": 1, "201 Created,200 OK,200 OK": clients - 1})
					if got := s.matches(t, value); got != "1" {
						t.Errorf("%s patients, want 1", got)
					}
				}
			})
		})
	}
}

// Alone and in Bundles, by POST and by PUT, mixed.
func TestRow30AllConditionalWaysAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const query = "identifier=urn:conformance|mixed"
		body := patient("", identified("mixed"))
		var made tally
		atOnce(clients, func(c int) {
			var status string
			switch c % 4 {
			case 0:
				status = strconv.Itoa(s.send(t, "POST /Patient", body, "If-None-Exist: "+query).status)
			case 1:
				status = strconv.Itoa(s.send(t, "PUT /Patient?"+query, body).status)
			case 2:
				status = s.send(t, "POST ", bundle("transaction", entry("POST Patient", body, `"ifNoneExist":"`+query+`"`))).at("entry.response.status")
			default:
				status = s.send(t, "POST ", bundle("transaction", entry("PUT Patient?"+query, body))).at("entry.response.status")
			}
			status, _, _ = strings.Cut(status, " ")
			made.add(status)
		})
		made.expect(t, map[string]int{"201": 1, "200": clients - 1})
		a := s.must(t, 200, "GET /Patient?"+query, "")
		if got := a.at("entry.resource.meta.versionId"); got != "1" { // nothing changed after the first
			t.Errorf("versions %s, want one patient of version 1", got)
		}
	})
}

// What a Bundle refers to is the one that another Bundle has made in between.
func TestRow30ReferencesAtOnce(t *testing.T) {
	const rounds = 10
	onEachEngine(t, func(t *testing.T, s *server) {
		for round := range rounds {
			value := fmt.Sprintf("r%d", round)
			atOnce(clients, func(c int) {
				id := fmt.Sprintf("%s-%d", value, c)
				a := s.send(t, "POST ", bundle("transaction",
					named(urn1, entry("POST Patient", patient("", identified(value)), `"ifNoneExist":"identifier=urn:conformance|`+value+`"`)),
					entry("PUT Condition/"+id, condition(id, urn1, ""))))
				if a.status != 200 {
					t.Errorf("%d: %.300s", a.status, a.body)
				}
			})
			id := s.must(t, 200, "GET /Patient?identifier=urn:conformance|"+value, "").at("entry.resource.id")
			a := s.must(t, 200, "GET /Condition?_summary=count&subject=Patient/"+id, "")
			if got := a.at("total"); got != strconv.Itoa(clients) {
				t.Errorf("%s conditions are about the patient, want %d", got, clients)
			}
		}
	})
}

func TestRow31TwoConditionalUpdatesOfOneIdentityInATransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		put := func(query, value, members string) string {
			return entry("PUT Patient?"+query, patient("", identified(value)+members))
		}
		two := func(a, b string) answer { return s.send(t, "POST ", bundle("transaction", a, b)) }
		check := func(name string, a answer) {
			t.Helper()
			if (a.status != 400 && a.status != 422) || a.at("resourceType") != "OperationOutcome" || !strings.Contains(a.body, "Bundle.entry[1]") {
				t.Errorf("%s: %d %.400s", name, a.status, a.body)
			}
		}
		const one = "identifier=urn:conformance|1"
		check("none there", two(put(one, "1", ","+female), put(one, "1", ","+male)))
		check("none there, with another spelling", two(put(one, "1", ","+female), put("identifier=urn%3Aconformance%7C1", "1", ","+male)))
		if got := s.matches(t, "1"); got != "0" {
			t.Fatalf("%s patients after what was refused", got)
		}
		s.must(t, 201, "PUT /Patient/a", patient("a", `"identifier":[{"system":"urn:conformance","value":"1"},{"system":"urn:conformance","value":"2"}]`))
		check("one there", two(put(one, "1", ","+female), put(one, "1", ","+male)))
		check("one there, found by two queries", two(put(one, "1", ","+female), put("identifier=urn:conformance|2", "2", ","+male)))
		check("by query and by id", two(put(one, "1", ","+female), entry("PUT Patient/a", patient("a", male))))
		if got := s.must(t, 200, "GET /Patient/a", "").at("meta.versionId"); got != "1" {
			t.Errorf("version %s after what was refused", got)
		}
	})
}

func TestRow32UpdatesAtOnceGetEachTheirVersion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		var versions tally
		var created tally
		atOnce(clients, func(c int) {
			a := s.send(t, "PUT /Patient/a", patient("a", fmt.Sprintf(`"birthDate":"%d"`, 1900+c)))
			created.add(strconv.Itoa(a.status))
			versions.add(a.header.Get("ETag"))
			if a.at("birthDate") != strconv.Itoa(1900+c) {
				t.Errorf("client %d got another's answer: %s", c, a.body)
			}
		})
		created.expect(t, map[string]int{"201": 1, "200": clients - 1})
		want := map[string]int{}
		for v := range clients {
			want[fmt.Sprintf(`W/"%d"`, v+1)] = 1
		}
		versions.expect(t, want)
		a := s.must(t, 200, fmt.Sprintf("GET /Patient/a/_history?_count=%d", 2*clients), "")
		dates := strings.Split(a.at("entry.resource.birthDate"), ",")
		slices.Sort(dates)
		if len(slices.Compact(dates)) != clients {
			t.Errorf("the history has %d contents, want %d", len(dates), clients)
		}
	})
}

func TestRow32UpdatesOfOneVersionAtOnce(t *testing.T) {
	ways := map[string]func(s *server, t *testing.T, c int) string{
		"update": func(s *server, t *testing.T, c int) string {
			a := s.send(t, "PUT /Patient/a", patient("a", fmt.Sprintf(`"birthDate":"%d"`, 1900+c)), `If-Match: W/"1"`)
			return strconv.Itoa(a.status)
		},
		"patch": func(s *server, t *testing.T, c int) string {
			a := s.send(t, "PATCH /Patient/a", fmt.Sprintf(`[{"op":"add","path":"/birthDate","value":"%d"}]`, 1900+c), jsonPatch, `If-Match: W/"1"`)
			return strconv.Itoa(a.status)
		},
		"transaction": func(s *server, t *testing.T, c int) string {
			a := s.send(t, "POST ", bundle("transaction", entry("PUT Patient/a", patient("a", fmt.Sprintf(`"birthDate":"%d"`, 1900+c)), `"ifMatch":"W/\"1\""`)))
			return strconv.Itoa(a.status)
		},
		"batch": func(s *server, t *testing.T, c int) string {
			a := s.send(t, "POST ", bundle("batch", entry("PUT Patient/a", patient("a", fmt.Sprintf(`"birthDate":"%d"`, 1900+c)), `"ifMatch":"W/\"1\""`)))
			status, _, _ := strings.Cut(a.at("entry.response.status"), " ")
			return status
		},
		"delete": func(s *server, t *testing.T, c int) string {
			return strconv.Itoa(s.send(t, "DELETE /Patient/a", "", `If-Match: W/"1"`).status)
		},
		"create": func(s *server, t *testing.T, c int) string {
			a := s.send(t, "PUT /Patient/b", patient("b", fmt.Sprintf(`"birthDate":"%d"`, 1900+c)), `If-None-Match: *`)
			return strconv.Itoa(a.status)
		},
	}
	won := map[string]string{"delete": "204", "create": "201"}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				s.must(t, 201, "PUT /Patient/a", patient("a", ""))
				var statuses tally
				atOnce(clients, func(c int) {
					status := way(s, t, c)
					if status == "409" { // as good an answer as 412
						status = "412"
					}
					statuses.add(status)
				})
				win := won[name]
				if win == "" {
					win = "200"
				}
				statuses.expect(t, map[string]int{win: 1, "412": clients - 1})
			})
		})
	}
}

// Everybody reads, adds one and writes with If-Match until it is accepted: in the end all
// additions are there.
func TestRow32NoUpdateIsLost(t *testing.T) {
	const writers, each = 16, 5
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", `"multipleBirthInteger":0`))
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		atOnce(writers, func(int) {
			for done := 0; done < each && ctx.Err() == nil; {
				read := s.send(t, "GET /Patient/a", "")
				n, err := strconv.Atoi(read.at("multipleBirthInteger"))
				if err != nil {
					t.Error(err)
					return
				}
				a := s.send(t, "PUT /Patient/a", patient("a", fmt.Sprintf(`"multipleBirthInteger":%d`, n+1)), "If-Match: "+read.header.Get("ETag"))
				switch a.status {
				case http.StatusOK:
					done++
				case http.StatusPreconditionFailed, http.StatusConflict:
				default:
					t.Errorf("%d %.300s", a.status, a.body)
					return
				}
			}
		})
		a := s.must(t, 200, "GET /Patient/a", "")
		if got := a.at("multipleBirthInteger"); got != strconv.Itoa(writers*each) {
			t.Errorf("%s additions, want %d", got, writers*each)
		}
		if got := a.at("meta.versionId"); got != strconv.Itoa(writers*each+1) {
			t.Errorf("version %s, want %d", got, writers*each+1)
		}
	})
}

// Patches without If-Match are applied to what is there, alone and in Bundles, one after the
// other: each is accepted, as a version of its own.
func TestRow32NoPatchIsLost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", identified("1")+`,"name":[{"family":"Adeyemi","given":["given-00"]}]`))
		want := []string{"given-00"}
		for c := range clients {
			want = append(want, fmt.Sprintf("given-%02d", c+1))
		}
		var statuses tally
		atOnce(clients, func(c int) {
			given := want[c+1]
			json := `[{"op":"add","path":"/name/0/given/-","value":"` + given + `"}]`
			path := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},
			 {"name":"path","valueString":"Patient.name"},{"name":"name","valueString":"given"},{"name":"value","valueString":"` + given + `"}]}]}`
			var a answer
			switch c % 5 {
			case 0:
				a = s.send(t, "PATCH /Patient/a", json, jsonPatch)
			case 1:
				a = s.send(t, "PATCH /Patient/a", path)
			case 2:
				a = s.send(t, "PATCH /Patient?identifier=urn:conformance%7C1", json, jsonPatch)
			case 3:
				a = s.send(t, "POST ", bundle("transaction", entry("POST Patient", patient("", identified(given))), entry("PATCH Patient/a", path)))
			default:
				a = s.send(t, "POST ", bundle("batch", entry("PATCH Patient/a", path)))
				if a.at("entry.response.status") != "200 OK" {
					t.Errorf("%.300s", a.body)
				}
			}
			statuses.add(strconv.Itoa(a.status))
		})
		statuses.expect(t, map[string]int{"200": clients})
		a := s.must(t, 200, "GET /Patient/a", "")
		if got := a.sorted("name.given"); got != strings.Join(want, ",") {
			t.Errorf("there are %s", got)
		}
		if got := a.at("meta.versionId"); got != strconv.Itoa(clients+1) {
			t.Errorf("version %s, want %d", got, clients+1)
		}
	})
}

// Tags that many add to one resource at once are all there.
func TestRow32NoTagIsLost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", ""))
		var want []string
		for c := range clients {
			want = append(want, fmt.Sprintf("tag-%02d", c))
		}
		var statuses tally
		atOnce(clients, func(c int) {
			parameters := strings.Replace(metaParameters, `"code":"x"`, `"code":"`+want[c]+`"`, 1)
			if c%2 == 0 {
				statuses.add(strconv.Itoa(s.send(t, "POST /Patient/a/$meta-add", parameters).status))
			} else {
				statuses.add(strconv.Itoa(s.send(t, "POST ", bundle("transaction", entry("POST Patient/a/$meta-add", parameters))).status))
			}
		})
		statuses.expect(t, map[string]int{"200": clients})
		if got := s.must(t, 200, "GET /Patient/a", "").sorted("meta.tag.code"); got != strings.Join(want, ",") {
			t.Errorf("there are %s", got)
		}
	})
}

// After updates, patches, deletions and conditional writes of the same few resources at
// once, every one can still be read, written and deleted, and its history has no gap.
func TestRow33NothingIsLeftUnwritable(t *testing.T) {
	const patients, rounds = 4, 6
	onEachEngine(t, func(t *testing.T, s *server) {
		atOnce(clients, func(c int) {
			for r := range rounds {
				id := fmt.Sprintf("p%d", (c+r)%patients)
				body := patient(id, identified(id)+fmt.Sprintf(`,"birthDate":"%d"`, 1900+(c*rounds+r)%120))
				var a answer
				switch (c + r) % 7 {
				case 0:
					a = s.send(t, "DELETE /Patient/"+id, "")
				case 1:
					a = s.send(t, "PUT /Patient?identifier=urn:conformance|"+id, body)
				case 2:
					a = s.send(t, "PATCH /Patient/"+id, `[{"op":"add","path":"/active","value":true}]`, jsonPatch)
				case 3:
					a = s.send(t, "POST ", bundle("transaction", entry("PUT Patient/"+id, body), entry("GET Patient/"+id, "")))
				case 4:
					a = s.send(t, "DELETE /Patient?identifier=urn:conformance|"+id, "")
				case 5:
					a = s.send(t, "PUT /Patient/"+id, body, `If-Match: W/"3"`)
				default:
					a = s.send(t, "PUT /Patient/"+id, body)
				}
				// 400: a conditional update whose body's id was taken in between.
				if !slices.Contains([]int{200, 201, 204, 400, 404, 409, 410, 412}, a.status) {
					t.Errorf("%d %.300s", a.status, a.body)
				}
			}
		})
		for p := range patients {
			id := fmt.Sprintf("p%d", p)
			if a := s.send(t, "PUT /Patient/"+id, patient(id, identified(id)+`,"deceasedBoolean":false`)); a.status != 200 && a.status != 201 {
				t.Errorf("%s cannot be written: %d %.300s", id, a.status, a.body)
			}
			if a := s.send(t, "PUT /Patient?identifier=urn:conformance|"+id, patient(id, identified(id))); a.status != 200 {
				t.Errorf("%s cannot be found and written: %d %.300s", id, a.status, a.body)
			}
			a := s.must(t, 200, "GET /Patient/"+id+"/_history?_count=1000", "")
			tags := strings.Split(a.at("entry.response.etag"), ",")
			for i, tag := range tags {
				if tag != fmt.Sprintf(`W/"%d"`, len(tags)-i) {
					t.Fatalf("%s: version %s at place %d of %d", id, tag, i, len(tags))
				}
			}
			s.must(t, 204, "DELETE /Patient/"+id, "")
			s.must(t, 410, "GET /Patient/"+id, "")
		}
	})
}

func TestRow34AConflictInABundleIsToldWithItsPlace(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", identified("1")))
		s.must(t, 201, "PUT /Patient/b", patient("b", identified("1")))
		for name, bad := range map[string]string{
			"an old version":                 entry("PUT Patient/a", patient("a", ""), `"ifMatch":"W/\"9\""`),
			"an old version of a deletion":   entry("DELETE Patient/a", "", `"ifMatch":"W/\"9\""`),
			"an old version of a patch":      entry("PATCH Patient/a", fhirPathPatch("male"), `"ifMatch":"W/\"9\""`),
			"a version of what is not there": entry("PUT Patient/c", patient("c", ""), `"ifMatch":"W/\"1\""`),
			"several to update":              entry("PUT Patient?identifier=urn:conformance|1", patient("", identified("1"))),
			"several to delete":              entry("DELETE Patient?identifier=urn:conformance|1", ""),
			"several to patch":               entry("PATCH Patient?identifier=urn:conformance|1", fhirPathPatch("male")),
			"several that exist":             entry("POST Patient", patient("", ""), `"ifNoneExist":"identifier=urn:conformance|1"`),
			"several to refer to":            entry("POST Condition", condition("", "Patient?identifier=urn:conformance|1", "")),
		} {
			t.Run(name, func(t *testing.T) {
				a := s.send(t, "POST ", bundle("transaction", entry("PUT Practitioner/p", `{"resourceType":"Practitioner","id":"p"}`), bad))
				if a.status != 412 && a.status != 409 {
					t.Errorf("status %d, want 409 or 412: %.300s", a.status, a.body)
				}
				if got := a.at("issue.expression"); !strings.HasPrefix(got, "Bundle.entry[1]") {
					t.Errorf("the place is %q", got)
				}
				s.must(t, 404, "GET /Practitioner/p", "")
			})
		}
	})
}

func TestRow35BundlesInOppositeOrderDoNotDeadlock(t *testing.T) {
	const size, rounds = 8, 5
	onEachEngine(t, func(t *testing.T, s *server) {
		began := time.Now()
		var mu sync.Mutex
		seen := map[string]bool{}
		atOnce(clients, func(c int) {
			for r := range rounds {
				entries := make([]string, size)
				for i := range entries {
					id := fmt.Sprintf("p%d", i)
					entries[i] = entry("PUT Patient/"+id, patient(id, fmt.Sprintf(`"telecom":[{"system":"other","value":"%d-%d"}]`, c, r)))
				}
				switch c % 3 {
				case 0:
					slices.Reverse(entries)
				case 1:
					entries = append(entries[size/2:], entries[:size/2]...)
				}
				a := s.send(t, "POST ", bundle("transaction", entries...))
				if a.status == http.StatusConflict {
					continue
				}
				if a.status != http.StatusOK {
					t.Errorf("%d %.300s", a.status, a.body)
					continue
				}
				mu.Lock()
				for location := range strings.SplitSeq(a.at("entry.response.location"), ",") {
					if seen[location] {
						t.Errorf("%s was given twice", location)
					}
					seen[location] = true
				}
				mu.Unlock()
			}
		})
		// All patients were last written by the same Bundle.
		last := s.must(t, 200, "GET /Patient/p0", "")
		for i := range size {
			a := s.must(t, 200, fmt.Sprintf("GET /Patient/p%d", i), "")
			if a.at("telecom.value") != last.at("telecom.value") || a.at("meta.versionId") != last.at("meta.versionId") {
				t.Errorf("patient %d is of another Bundle: %s", i, a.body)
			}
		}
		if len(seen) == 0 {
			t.Error("no Bundle was accepted")
		}
		t.Logf("%d Bundles in %s", clients*rounds, time.Since(began).Round(time.Millisecond))
	})
}

// Bundles that read, search, follow conditions, call operations and patch, from many more
// clients than there are connections to the database: if one waited for a second connection
// while it holds a first, all would stand still. On PostgreSQL there are the fewest that a URL
// can ask for: one to read with and one to write with.
func TestNobodyWaitsForASecondConnection(t *testing.T) {
	few := map[string]string{"postgres": "&pool_max_conns=2"}
	test := func(t *testing.T, s *server) {
		s.must(t, 201, "PUT /Patient/a", patient("a", identified("1")+`,"gender":"other"`))
		atOnce(2*clients, func(c int) {
			id := fmt.Sprintf("c%d", c)
			a := s.send(t, "POST ", bundle("transaction",
				entry("GET Patient?identifier=urn:conformance|1", ""), entry("GET Patient/a", ""),
				entry("PUT Condition/"+id, condition(id, "Patient?identifier=urn:conformance|1", "")),
				entry("POST Patient", patient("", identified(id)), `"ifNoneExist":"identifier=urn:conformance|`+id+`"`),
				entry("PUT Practitioner?identifier=urn:conformance|"+id, `{"resourceType":"Practitioner",`+identified(id)+`}`),
				entry("PATCH Patient?identifier=urn:conformance|1", fhirPathPatch([]string{"male", "female"}[c%2]))))
			if a.status != 200 {
				t.Errorf("%d %.300s", a.status, a.body)
			}
			for _, line := range []string{"GET /Condition?subject=Patient/a&_count=1", "GET /Patient/a/$everything?_count=1", "GET /Patient/a/_history?_count=1"} {
				if a := s.send(t, line, ""); a.status != 200 {
					t.Errorf("%s: %d %.300s", line, a.status, a.body)
				}
			}
			read := s.send(t, "GET /Patient/a", "")
			if a := s.send(t, "GET /Patient/a", "", "If-Modified-Since: "+read.header.Get("Last-Modified")); a.status != 200 && a.status != 304 {
				t.Errorf("%d %.300s", a.status, a.body)
			}
		})
	}
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, start(t, e.new(t)+few[e.name])) })
	}
}
