package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/store"
)

const loadHelp = `Loads files into the configured database, without HTTP.

A .json file holds a Bundle of type transaction or batch, or one resource. A .ndjson or .jsonl file holds
one resource a line. A resource with an id is put under that id; one without is created unless its
identifier is known; one with neither is refused, for loading it twice would store it twice.

What is refused is reported with its file, line and reason, and the rest is loaded. The exit code is then 1.

` + restoreHelp

// A transaction has this many ndjson lines, or bytes of them, at most; one line may have more
// bytes.
const (
	chunkSize  = 200
	chunkBytes = 4 << 20
)

// load puts files, or the folder of an export, into the database and prints a summary.
func (p *program) load(ctx context.Context, cfg config.Config, files []string) (err error) {
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.IsDir() {
			continue
		}
		if len(files) > 1 {
			return fmt.Errorf("%s is a folder; load it alone", file)
		}
		return p.restore(ctx, cfg, file)
	}
	limitMemory(cfg, p.environ)
	svc, db, err := open(ctx, cfg, cfg.BaseURLAt(nil), true, store.Options{Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	if err := buildIndex(ctx, svc, db, p.stderr); err != nil { // conditions need it
		return err
	}
	l := &loader{service: svc, report: p.stderr, maxBody: cfg.MaxBody, maxBundle: cfg.MaxBundle}
	for i, file := range files {
		before := l.tally
		if err := l.file(ctx, file); err != nil {
			l.refuse(file, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped at %s; what was loaded before it is kept, and loading again is safe", file)
		}
		fmt.Fprintf(p.stderr, "%d/%d %s: %s\n", i+1, len(files), file, l.since(before))
	}
	fmt.Fprintf(p.stdout, "%d files: %s\n", len(files), l.tally)
	if l.refused > 0 {
		return fmt.Errorf("%d refused", l.refused)
	}
	return nil
}

// tally counts entries by what became of them.
type tally struct{ created, present, refused int }

func (t tally) since(before tally) tally {
	return tally{t.created - before.created, t.present - before.present, t.refused - before.refused}
}

func (t tally) String() string {
	return fmt.Sprintf("%d created, %d updated or known before, %d refused", t.created, t.present, t.refused)
}

// loader feeds Bundles to the service and keeps count.
type loader struct {
	service *service.Service
	report  io.Writer // a line for each thing refused
	// maxBody limits a line, maxBundle a file that is no ndjson, in bytes; 0 means no limit.
	maxBody, maxBundle int64
	tally
}

// refuse reports one thing that was not loaded; at is its file, and line where known.
func (l *loader) refuse(at string, err error) {
	l.refused++
	fmt.Fprintf(l.report, "refused: %s: %v\n", at, err)
}

func (l *loader) file(ctx context.Context, path string) error {
	if ext := filepath.Ext(path); ext == ".ndjson" || ext == ".jsonl" {
		return l.lines(ctx, path)
	}
	data, err := readWhole(path, l.maxBundle)
	if err != nil {
		return err
	}
	n, err := fhir.Parse(data)
	if err != nil {
		return err
	}
	if n.Str("resourceType") == "Bundle" {
		return l.bundle(ctx, data, func(i int) string { return path + ": Bundle.entry[" + strconv.Itoa(i) + "]" })
	}
	e, err := asEntry(n)
	if err != nil {
		return err
	}
	return l.bundle(ctx, asBundle("batch", []line{{entry: e}}), func(int) string { return path })
}

// readWhole reads a file of at most limit bytes.
func readWhole(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if limit > 0 && info.Size() > limit {
		return nil, fmt.Errorf("it is larger than the %d bytes of AFTERCARE_MAX_BUNDLE; an ndjson file may have any size", limit)
	}
	return os.ReadFile(path)
}

// bundle processes one Bundle; place names its entries in reports.
func (l *loader) bundle(ctx context.Context, body []byte, place func(i int) string) error {
	trail := service.NewTrail(recordOf("transaction", "load"))
	ctx = service.WithTrail(ctx, trail)
	answer, err := l.service.Process(ctx, service.Anonymous, body, "")
	status := http.StatusOK
	if err != nil {
		status = fhir.KindOf(err).Status()
	}
	if err := errors.Join(err, l.service.LogTrail(ctx, trail, status, err)); err != nil {
		return err
	}
	n, err := fhir.Parse(answer)
	if err != nil {
		return err
	}
	for i, response := range n.Each("entry", "response") {
		switch status := response.Str("status"); {
		case strings.HasPrefix(status, "201"):
			l.created++
		case strings.HasPrefix(status, "2"):
			l.present++
		default:
			l.refuse(place(i), errors.New(outcomeText(response.Get("outcome"), status)))
		}
	}
	return nil
}

// line is one line of an ndjson file as a Bundle entry.
type line struct {
	number int
	entry  []byte
}

// lines loads an ndjson file in chunks.
func (l *loader) lines(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var chunk []line
	size := 0
	r := bufio.NewReader(f)
	for number := 1; ; number++ {
		text, err := readLine(r, l.maxBody)
		last := errors.Is(err, io.EOF)
		if err != nil && !last && !errors.Is(err, errLongLine) {
			return err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 || errors.Is(err, errLongLine) {
			var entry []byte
			if err == nil || last {
				entry, err = parseEntry(text)
			}
			if err != nil {
				l.refuse(fmt.Sprintf("%s: line %d", path, number), err)
			} else {
				chunk = append(chunk, line{number, entry})
				size += len(entry)
			}
		}
		if len(chunk) == chunkSize || size >= chunkBytes || last && len(chunk) > 0 {
			if err := l.chunk(ctx, path, chunk); err != nil {
				return err
			}
			chunk, size = chunk[:0], 0
		}
		if last || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

var errLongLine = errors.New("the line is longer than AFTERCARE_MAX_BODY")

// readLine reads a line of at most limit bytes (0: of any length), with its end. A longer one is passed over:
// the error is errLongLine then. It is io.EOF at the last line.
func readLine(r *bufio.Reader, limit int64) ([]byte, error) {
	var text []byte
	for long := false; ; {
		part, err := r.ReadSlice('\n')
		if long = long || limit > 0 && int64(len(text)+len(part)) > limit; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errLongLine
		default:
			return text, err
		}
	}
}

// chunk loads some lines in one transaction. If that is refused, each line is tried
// alone, so that one bad line does not keep out its neighbours.
func (l *loader) chunk(ctx context.Context, path string, lines []line) error {
	place := func(i int) string { return fmt.Sprintf("%s: line %d", path, lines[i].number) }
	err := l.bundle(ctx, asBundle("transaction", lines), place)
	if err == nil || fhir.KindOf(err) == fhir.Internal {
		return err
	}
	return l.bundle(ctx, asBundle("batch", lines), place)
}

func parseEntry(text []byte) ([]byte, error) {
	n, err := fhir.Parse(text)
	if err != nil {
		return nil, err
	}
	return asEntry(n)
}

// asEntry wraps a resource as an entry that can be repeated without harm.
func asEntry(n *fhir.Node) ([]byte, error) {
	typ, id := n.Str("resourceType"), n.Str("id")
	if _, ok := fhir.Served(typ); !ok {
		return nil, errors.New("this is not a resource of a type that is served")
	}
	if id != "" {
		return fmt.Appendf(nil, `{"resource":%s,"request":{"method":"PUT","url":%q}}`, n.Raw, typ+"/"+id), nil
	}
	for _, identifier := range n.Each("identifier") {
		if system, value := identifier.Str("system"), identifier.Str("value"); system != "" && value != "" {
			query := "identifier=" + url.QueryEscape(searchEscape.Replace(system)+"|"+searchEscape.Replace(value))
			return fmt.Appendf(nil, `{"resource":%s,"request":{"method":"POST","url":%q,"ifNoneExist":%q}}`, n.Raw, typ, query), nil
		}
	}
	return nil, fmt.Errorf("the %s has neither an id nor an identifier with system and value; add one", typ)
}

// searchEscape protects the characters that divide a search value
// (https://hl7.org/fhir/R4/search.html#escaping).
var searchEscape = strings.NewReplacer(`\`, `\\`, `|`, `\|`, `,`, `\,`, `$`, `\$`)

func asBundle(kind string, lines []line) []byte {
	b := []byte(`{"resourceType":"Bundle","type":"` + kind + `","entry":[`)
	for i, l := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, l.entry...)
	}
	return append(b, `]}`...)
}

// outcomeText is what an OperationOutcome says, or status where it says nothing.
func outcomeText(outcome *fhir.Node, status string) string {
	var texts []string
	for _, issue := range outcome.Each("issue") {
		text := issue.Str("details", "text")
		for _, place := range issue.Each("expression") {
			text = place.Text + ": " + text
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return status
	}
	return strings.Join(texts, "; ")
}
