package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// configure reads the URL. What it says itself is left as it is.
func (e *postgresEngine) configure(url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("the PostgreSQL URL cannot be used: %s", withoutURL(err))
	}
	e.connections = min(4*runtime.NumCPU(), 32) + 1
	if most, given := config.RuntimeParams["pool_max_conns"]; given {
		delete(config.RuntimeParams, "pool_max_conns")
		if e.connections, err = strconv.Atoi(most); err != nil || e.connections < 2 {
			return errors.New("the PostgreSQL URL cannot be used: pool_max_conns is no number from 2 on")
		}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "aftercare"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		// Of several servers the primary, also after they have changed roles; and no reader is to
		// fall behind the writer. One that takes no writes for a while can still be read.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	// A query that has lost its caller is cancelled at the server, and the connection is kept.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 3 * time.Second}
	}
	e.read, e.write = config, config.Copy()
	setUp(e.read, readSettings)
	setUp(e.write, writeSettings)
	return nil
}

// withoutURL is the reason why a URL cannot be parsed, without the URL.
func withoutURL(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		return text[i+3:]
	}
	return "it is malformed"
}

// Settings of a connection, as SQL expressions of their values.
//
// Queries say themselves in which order tables are joined, and every step of theirs is a look
// into an index; the planner is kept from other ideas, which it would base on statistics that
// are old or missing. A transaction whose process hangs or is cut off loses its lock after a
// time, since all processes wait for it. What is answered as stored must be on disk.
var (
	readSettings = map[string]string{
		"jit":                                 "'off'",
		"join_collapse_limit":                 "'1'",
		"from_collapse_limit":                 "'1'",
		"enable_seqscan":                      "'off'",
		"enable_hashjoin":                     "'off'",
		"enable_mergejoin":                    "'off'",
		"enable_bitmapscan":                   "'off'",
		"enable_material":                     "'off'",
		"random_page_cost":                    "'1'",
		"plan_cache_mode":                     "'force_generic_plan'",
		"idle_in_transaction_session_timeout": "'60s'",
		"tcp_keepalives_idle":                 "'30'",
		"tcp_keepalives_interval":             "'10'",
		"tcp_keepalives_count":                "'3'",
	}
	writeSettings = with(readSettings, map[string]string{
		"idle_in_transaction_session_timeout": "'15s'",
		"lock_timeout":                        "'30s'",
		"statement_timeout":                   "'60s'",
		"synchronous_commit":                  "replace(current_setting('synchronous_commit'), 'off', 'on')",
	})
)

func with(base, more map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{base, more} {
		for name, value := range m {
			out[name] = value
		}
	}
	return out
}

// setUp makes the settings part of every connection, except those that the URL gives. They are
// not sent with the request to connect, where a proxy might refuse them.
func setUp(config *pgx.ConnConfig, settings map[string]string) {
	var calls []string
	for name, value := range settings {
		if _, given := config.RuntimeParams[name]; !given || name == "synchronous_commit" {
			calls = append(calls, "set_config('"+name+"', "+value+", false)")
		}
	}
	text := "SELECT " + strings.Join(calls, ", ")
	config.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		_, err := c.Exec(ctx, text).ReadAll()
		return err
	}
}
