// Package resilience shows what the program keeps when something under it fails: the program
// itself as processes of its own, SQLite files and PostgreSQL servers on a real disk, and kill -9.
// It has tests alone.
//
//   - crash_test.go kills the program and PostgreSQL at random moments under load, ten times per
//     engine, or as often as AFTERCARE_KILLS says.
//   - replicas_test.go runs three processes on one database.
//   - failover_test.go loses a primary and promotes its standby.
//   - staging_test.go kills and stops processes in the middle of large transactions, runs other
//     commands beside the service, and has commits that the database does not answer.
//   - clock_test.go sets the clock forward and back.
//   - states_test.go has a row for each way in which a database can be away, slow, full or
//     read-only, and says what the service and its probes answer then.
//
// load_test.go is the load, and ledger_test.go what was promised to it: a write that was answered
// as stored is there, one that was answered as not stored is not, and one whose answer was lost is
// there as a whole or not at all. invariants_test.go holds the service against the ledger over
// HTTP, log_test.go holds the auditor's log against each answer that was received and each version that
// is stored, tables_test.go looks at the tables themselves, and damage_test.go shows that these checks
// can fail.
//
// Where PostgreSQL is not installed its tests are skipped, or fail if the environment has CI set.
package resilience
