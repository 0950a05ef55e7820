package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"
)

// samples are the made-up patients of the demonstration, as an integration engine would
// send them.
//
//go:embed testdata/surgery/*.json
var samples embed.FS

// The patient whose plan is shown.
const (
	shownName       = "Grace Adeyemi"
	shownIdentifier = "https://fhir.nhs.uk/Id/nhs-number|9990001170"
)

// demo serves a database that lasts as long as the process does, loaded with the
// samples. With exit it stops once it has printed.
func (p *program) demo(ctx context.Context, cfg config.Config, exit bool) (err error) {
	cfg.Auth = "none" // of data that nobody has to protect, on an address that nobody else reaches
	if host, _, _ := net.SplitHostPort(cfg.Listen); host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return errors.New("AFTERCARE_LISTEN: the demonstration runs without authentication, on a loopback address alone, such as 127.0.0.1:8080")
	}
	folder, err := os.MkdirTemp("", "aftercare-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	cfg.Database = "sqlite:" + filepath.Join(folder, "aftercare.db")
	if taken(ctx, cfg.Listen) {
		fmt.Fprintf(p.stderr, "%s is taken; the demonstration uses a free port instead\n", cfg.Listen)
		host, _, _ := net.SplitHostPort(cfg.Listen) // checked by config
		cfg.Listen, cfg.BaseURL = net.JoinHostPort(host, "0"), ""
	}

	if p.file == "" && lookup(p.environ, "AFTERCARE_LOG_LEVEL") == "" {
		cfg.LogLevel = slog.LevelWarn // the log would stand between the lines of the table
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return p.serve(ctx, cfg, func(ctx context.Context, s *service.Service, base string) error {
		if err := p.loadSamples(ctx, s); err != nil {
			return err
		}
		if err := p.show(ctx, s, base); err != nil {
			return err
		}
		if exit {
			cancel()
		} else {
			fmt.Fprintln(p.stdout, "\nServing until Ctrl-C. Nothing of this is kept.")
		}
		return nil
	})
}

// taken reports whether somebody else listens on the address.
func taken(ctx context.Context, address string) bool {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return errors.Is(err, syscall.EADDRINUSE)
	}
	l.Close()
	return false
}

func (p *program) loadSamples(ctx context.Context, s *service.Service) error {
	files, err := fs.Glob(samples, "testdata/surgery/*.json")
	if err != nil {
		return err
	}
	l := &loader{service: s, report: p.stderr}
	for _, file := range files {
		body, err := samples.ReadFile(file)
		if err != nil {
			return err
		}
		if err := l.bundle(ctx, body, func(i int) string { return fmt.Sprintf("%s: Bundle.entry[%d]", file, i) }); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if l.refused > 0 {
		return fmt.Errorf("%d entries of the samples were refused", l.refused)
	}
	fmt.Fprintf(p.stdout, "Loaded %d sample files: %s.\n\n", len(files), l.tally)
	return nil
}

// show prints one care plan and what to try.
func (p *program) show(ctx context.Context, s *service.Service, base string) error {
	body, err := s.Search(ctx, service.Anonymous, "CarePlan", []search.Pair{{Name: "patient.identifier", Value: shownIdentifier}}, false)
	if err != nil {
		return err
	}
	found, err := fhir.Parse(body)
	if err != nil {
		return err
	}
	plans := found.Each("entry", "resource")
	if len(plans) != 1 {
		return fmt.Errorf("%d care plans were found for %s, not one", len(plans), shownName)
	}
	fmt.Fprintf(p.stdout, "%s, made-up patient. %s\n\n%s\n", shownName, plans[0].Str("title"), planTable(plans[0]))
	p.suggest(base, plans[0].Str("id"))
	return nil
}

// suggest prints requests to try.
func (p *program) suggest(base, plan string) {
	patient := "patient.identifier=" + tokenValue(shownIdentifier)
	fmt.Fprintln(p.stdout, "Try:")
	for _, t := range []struct{ what, path string }{
		{"this patient's care plans", "/CarePlan?" + patient},
		{"this plan's history", "/CarePlan/" + plan + "/_history"},
		{"pain scores", "/Observation?" + patient + "&code=" + tokenValue("http://loinc.org|72514-3")},
		{"what others have to do, such as the GP", "/Task?" + patient},
		{"who has asked about this patient", "/AuditEvent?" + patient},
		{"all that the server can do", "/metadata"},
	} {
		fmt.Fprintf(p.stdout, "  # %s\n  curl -s '%s%s'\n", t.what, base, t.path)
	}
}

// tokenValue is a search value "system|code" as a URL takes it.
func tokenValue(value string) string { return strings.ReplaceAll(value, "|", "%7C") }
