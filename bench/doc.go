// Package bench measures whole requests: a real HTTP client, the API, the service and a
// SQLite file that is synced at every commit, all in one process. Run it with
//
//	go test -bench . ./bench
//
// Every benchmark runs with 1, 8 and 32 clients and reports the median and the 99th
// percentile of a request beside its throughput.
package bench
