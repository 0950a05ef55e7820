// Package walfile lets SQLite write a transaction to its write-ahead log in a few large pieces.
//
// SQLite writes the log (https://sqlite.org/fileformat2.html#walformat) in two calls of the operating
// system for each page: 24 bytes that stand before it, then the page. A transaction of 70 pages takes 140
// calls, and these take longer than all else in the commit but the sync. The VFS of this package
// (https://sqlite.org/vfs.html) is the usual one of the platform, but for the file of the log: what is
// written there one after the other waits in memory, and goes to the file in one call.
//
// A page of which SQLite believes that it is written, but waits, is one of a transaction that has not
// been committed. The frame that commits is recognised by its mark, and takes with it all that waits, so
// other connections and processes find what they expect, whatever PRAGMA synchronous says. So does each
// sync, read or truncation of the file. If a write fails, what waits goes on waiting: nothing that comes
// later in the file is written before it.
package walfile

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Name is the name of the VFS, once Register was called.
const Name = "aftercare-wal"

const (
	// frameHeader is the length of what stands before a page, in bytes. The bytes from 4 to 8 are the
	// mark of a commit: the size of the database, and 0 in all other frames.
	frameHeader = 24
	// limit is the most that waits. SQLite takes no more than this in one call of the system.
	limit = 0x1ffff
)

type (
	openFunc  = func(tls *libc.TLS, vfs, name, id uintptr, flags int32, out uintptr) int32
	closeFunc = func(tls *libc.TLS, id uintptr) int32
	moveFunc  = func(tls *libc.TLS, id, buf uintptr, n int32, off int64) int32
	truncFunc = func(tls *libc.TLS, id uintptr, size int64) int32
	syncFunc  = func(tls *libc.TLS, id uintptr, flags int32) int32
	sizeFunc  = func(tls *libc.TLS, id, size uintptr) int32
)

// vfs is the one that is registered, a copy of the usual one. SQLite keeps its address, so it is never
// freed; nor are the tables of methods.
var (
	vfs      sqlite3.Tsqlite3_vfs
	openFile openFunc // of the usual one

	mu     sync.Mutex
	tables = map[uintptr]*table{} // by the address of the methods that they stand in for
	files  sync.Map               // *file by the address that SQLite has for it
)

// Register makes the VFS known to SQLite. Calls after the first do nothing more.
var Register = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	usual := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if usual == 0 {
		return fmt.Errorf("SQLite has no way to open files here")
	}
	name, err := libc.CString(Name)
	if err != nil {
		return fmt.Errorf("name the files of SQLite: %w", err)
	}
	vfs = *at[sqlite3.Tsqlite3_vfs](usual)
	openFile = function[openFunc](vfs.FxOpen)
	vfs.FpNext, vfs.FzName, vfs.FxOpen = 0, name, pointer(open)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(&vfs)), 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register how SQLite writes its log: code %d", rc)
	}
	return nil
})

// table is what SQLite calls for a file of a log, and what this package calls in turn.
type table struct {
	methods sqlite3.Tsqlite3_io_methods
	close   closeFunc
	read    moveFunc
	write   moveFunc
	trunc   truncFunc
	sync    syncFunc
	size    sizeFunc
}

func tableFor(usual uintptr) *table {
	mu.Lock()
	defer mu.Unlock()
	if t := tables[usual]; t != nil {
		return t
	}
	m := *at[sqlite3.Tsqlite3_io_methods](usual)
	t := &table{
		methods: m,
		close:   function[closeFunc](m.FxClose), read: function[moveFunc](m.FxRead), write: function[moveFunc](m.FxWrite),
		trunc: function[truncFunc](m.FxTruncate), sync: function[syncFunc](m.FxSync), size: function[sizeFunc](m.FxFileSize),
	}
	t.methods.FxClose, t.methods.FxRead, t.methods.FxWrite = pointer(closeLog), pointer(read), pointer(write)
	t.methods.FxTruncate, t.methods.FxSync, t.methods.FxFileSize = pointer(truncate), pointer(syncLog), pointer(fileSize)
	tables[usual] = t
	return t
}

// file is an open file of a log. SQLite uses it for one connection, which one goroutine uses at a time.
type file struct {
	*table
	start   int64  // where what waits belongs
	waiting []byte // empty if nothing does
	commits bool   // whether the frame that waits last is one that commits
}

func open(tls *libc.TLS, vfs, name, id uintptr, flags int32, out uintptr) int32 {
	rc := openFile(tls, vfs, name, id, flags, out)
	if rc == sqlite3.SQLITE_OK && flags&sqlite3.SQLITE_OPEN_WAL != 0 {
		opened := at[sqlite3.Tsqlite3_file](id)
		t := tableFor(opened.FpMethods)
		files.Store(id, &file{table: t, waiting: make([]byte, 0, limit)})
		opened.FpMethods = uintptr(unsafe.Pointer(&t.methods))
	}
	return rc
}

func fileOf(id uintptr) *file {
	f, _ := files.Load(id)
	return f.(*file)
}

// closeLog drops what waits: it is not committed.
func closeLog(tls *libc.TLS, id uintptr) int32 {
	f := fileOf(id)
	files.Delete(id)
	return f.close(tls, id)
}

func write(tls *libc.TLS, id, buf uintptr, n int32, off int64) int32 {
	f := fileOf(id)
	follows := len(f.waiting) > 0 && off == f.start+int64(len(f.waiting))
	if !follows || len(f.waiting)+int(n) > limit {
		if rc := f.flush(tls, id); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	data := unsafe.Slice(at[byte](buf), n)
	header := n == frameHeader
	if header {
		f.commits = binary.BigEndian.Uint32(data[4:]) != 0
	}
	// What follows nothing waits only if it is the beginning of a frame after which more are to come.
	if !follows && (!header || f.commits) || int(n) > limit {
		return f.write(tls, id, buf, n, off)
	}
	if len(f.waiting) == 0 {
		f.start = off
	}
	f.waiting = append(f.waiting, data...)
	if f.commits && !header {
		return f.flush(tls, id)
	}
	return sqlite3.SQLITE_OK
}

// flush writes what waits, or leaves it waiting and gives the code of the failure.
func (f *file) flush(tls *libc.TLS, id uintptr) int32 {
	if len(f.waiting) == 0 {
		return sqlite3.SQLITE_OK
	}
	rc := f.write(tls, id, uintptr(unsafe.Pointer(&f.waiting[0])), int32(len(f.waiting)), f.start)
	if rc == sqlite3.SQLITE_OK {
		f.waiting = f.waiting[:0]
	}
	return rc
}

func read(tls *libc.TLS, id, buf uintptr, n int32, off int64) int32 {
	f := fileOf(id)
	if rc := f.flush(tls, id); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return f.read(tls, id, buf, n, off)
}

func truncate(tls *libc.TLS, id uintptr, size int64) int32 {
	f := fileOf(id)
	if rc := f.flush(tls, id); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return f.trunc(tls, id, size)
}

func syncLog(tls *libc.TLS, id uintptr, flags int32) int32 {
	f := fileOf(id)
	if rc := f.flush(tls, id); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return f.sync(tls, id, flags)
}

func fileSize(tls *libc.TLS, id, size uintptr) int32 {
	f := fileOf(id)
	if rc := f.flush(tls, id); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return f.size(tls, id, size)
}

// at is what an address of SQLite's memory holds.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer and function turn a function into what SQLite, translated to Go, calls by address, and back.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
