// Package bench measures whole requests: a real HTTP client, the API and the service in one
// process, on a SQLite file and on a PostgreSQL server of its own beside it, both of which sync at
// every commit. Run it with
//
//	go test -bench . ./bench
//
// Every benchmark runs with the auditor's log and without, and with 1, 8 and 32 clients, and reports the median and the 99th
// percentile of a request beside its throughput.
package bench
