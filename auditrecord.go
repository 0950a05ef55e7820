package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os/user"
	"strings"
	"time"

	"aftercare/config"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// openLog opens the auditor's log of a store, for commands that have no service; nil where none is kept.
func openLog(ctx context.Context, cfg config.Config, db *store.Store) (*service.Log, error) {
	secret, err := logSecret(cfg)
	if secret == nil || err != nil {
		return nil, err
	}
	log, err := service.OpenLog(ctx, db, secret, time.Now)
	if err != nil {
		return nil, err
	}
	key, err := logKey(cfg, cfg.BaseURLAt(nil))
	if err != nil {
		return nil, err
	}
	return log, log.SignWith(key)
}

// recordOf begins a record of what a command does. The agents are the program and the user of the
// operating system who runs it. Details are names and values by turns; those without a value are left
// out.
func recordOf(code, command string, details ...string) audit.Record {
	r := audit.Record{Code: code, Status: http.StatusOK, Agent: audit.Agent{Client: "aftercare " + command, Subject: "unknown"}}
	if u, err := user.Current(); err == nil {
		r.Agent.Subject = cmp.Or(u.Username, u.Uid, "unknown")
	}
	for ; len(details) > 1; details = details[2:] {
		if details[1] != "" {
			r.Details = append(r.Details, audit.Detail{Name: details[0], Value: details[1]})
		}
	}
	return r
}

// unlogged says what is done about something that the auditor's log cannot have: the error where the log is
// required; else it is told.
func (p *program) unlogged(cfg config.Config, err error) error {
	if err == nil {
		return nil
	}
	if cfg.Audit == config.AuditRequired {
		return fmt.Errorf("the auditor's log: %w", err)
	}
	fmt.Fprintln(p.stderr, "aftercare: this is not in the auditor's log:", err)
	return nil
}

// noteLife logs that the service started or stopped, under which settings.
func (p *program) noteLife(ctx context.Context, svc *service.Service, cfg config.Config, code string) error {
	return p.unlogged(cfg, svc.Log().Note(ctx, recordOf(code, "serve", "version", versionName(), "auth", cfg.Auth, "audit", cfg.Audit, "settings", digest(cfg))))
}

// digest tells settings from others, without what is secret in them.
func digest(cfg config.Config) string {
	if scheme, rest, ok := strings.Cut(cfg.Database, "://"); ok {
		if _, host, ok := strings.Cut(rest, "@"); ok {
			rest = host
		}
		cfg.Database = scheme + "://" + rest
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", cfg))
	return "sha256:" + hex.EncodeToString(sum[:])
}
