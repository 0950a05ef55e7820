// Package store keeps resources: durable, versioned and searchable.
//
// The nouns:
//
//   - A version is one immutable state of a resource, with the method that made it. Its
//     sequence number (seq) is its place in the order of all commits.
//   - A resource is the row that points to the newest version. Its row id (rid) grows in
//     order of creation and is the order of every search.
//   - An index row is one searchable value of the newest version. There is one table per
//     kind of search parameter. Rows of a composite have a part in common. A deleted resource has
//     none.
//   - A symbol is a small number for a text that repeats: a resource type, a parameter, the
//     system of a code or a unit.
//   - A place is where a resource stands in a sort: the values of its keys, and its rid. To walk
//     is to read the index of the first key in order; to gather is to find all candidates and
//     sort them.
//   - A cursor is where the next page starts: after a resource and, in a sort, as of the seq at
//     which the first page was read. It is signed, holds numbers alone, and is good only for the
//     query that made it.
//   - A word is what the full-text index finds. Go cuts texts into words, for both engines.
//   - The committer is the one goroutine that writes. It runs the writes that wait as one
//     group, undoes those that fail, and syncs the log once for all the others. So a read
//     inside a write sees everything written before it, and nothing is written in between.
//   - A staging is a set of new resources that is written in small steps, and brought in by
//     one write at the end. What is staged lies beyond the horizon, a number above all rids
//     and sequence numbers in use; nobody sees beyond it.
//   - A lease is the right to do something that one process at a time may do, such as to stage.
//     Its holder shows by a beat, a number that counts up, that it is alive.
//
// A write that was answered without an error is on disk. A write that was answered with an
// error left nothing.
//
// All errors are *fhir.Error. Those of kind Unavailable may be tried again.
//
// Texts are kept and compared as bytes, times are microseconds UTC. The same statements are
// meant for every engine; what differs by engine is how a database is opened, its migrations
// folder, and its error codes.
package store
