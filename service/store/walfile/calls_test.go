//go:build linux

package walfile

import (
	"context"
	"maps"
	"path/filepath"
	"syscall"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

type pwrite = func(tls *libc.TLS, fd int32, buf uintptr, n sqlite3.Tsize_t, off sqlite3.Toff_t) sqlite3.Tssize_t

// instead has SQLite call another function to write to files, until the test ends
// (https://sqlite.org/c3ref/vfs.html, xSetSystemCall).
func instead(t *testing.T, call pwrite) {
	t.Helper()
	must(t, Register())
	tls := libc.NewTLS()
	t.Cleanup(tls.Close)
	name, err := libc.CString("pwrite")
	must(t, err)
	usual := sqlite3.Xsqlite3_vfs_find(tls, 0)
	set := function[func(tls *libc.TLS, vfs, name, call uintptr) int32](at[sqlite3.Tsqlite3_vfs](usual).FxSetSystemCall)
	if rc := set(tls, usual, name, pointer(call)); rc != sqlite3.SQLITE_OK {
		t.Fatal("SQLite writes in another way: ", rc)
	}
	t.Cleanup(func() { set(tls, usual, name, 0) })
}

func TestFewCalls(t *testing.T) {
	w := database(t, filepath.Join(t.TempDir(), "a"), true)
	defer w.Close()
	exec(t, w, "CREATE TABLE kept (k INTEGER PRIMARY KEY, v BLOB)")
	calls, size := 0, 0
	instead(t, func(tls *libc.TLS, fd int32, buf uintptr, n sqlite3.Tsize_t, off sqlite3.Toff_t) sqlite3.Tssize_t {
		calls, size = calls+1, size+int(n)
		return libc.Xpwrite(tls, fd, buf, n, off)
	})
	exec(t, w, "INSERT INTO kept VALUES (1, randomblob(400000))")
	const frame = frameHeader + 4096
	if pages := size / frame; pages < 97 || size%frame != 0 || calls > size/limit+1 {
		t.Errorf("%d bytes, which are %d pages, were written in %d calls", size, pages, calls)
	}
	if found := content(t, w); !maps.Equal(found, map[int]int{1: 400000}) {
		t.Errorf("found %v", found)
	}
}

// TestFullDisk checks that a transaction that cannot be written is not there, whichever of its writes
// fails, and that the next one is.
func TestFullDisk(t *testing.T) {
	for fail := 1; fail <= 4; fail++ {
		path := filepath.Join(t.TempDir(), "a")
		w := database(t, path, true, "cache_size(10)")
		defer w.Close()
		exec(t, w, "CREATE TABLE kept (k INTEGER PRIMARY KEY, v BLOB)")
		exec(t, w, "INSERT INTO kept VALUES (1, randomblob(10))")
		before := map[int]int{1: 10}
		calls := 0
		full := true
		instead(t, func(tls *libc.TLS, fd int32, buf uintptr, n sqlite3.Tsize_t, off sqlite3.Toff_t) sqlite3.Tssize_t {
			if calls++; full && calls >= fail {
				if part := n / 2; part > 0 && calls == fail { // some of it has room
					return libc.Xpwrite(tls, fd, buf, part, off)
				}
				*at[int32](libc.X__errno_location(tls)) = int32(syscall.ENOSPC)
				return -1
			}
			return libc.Xpwrite(tls, fd, buf, n, off)
		})
		if _, err := w.ExecContext(context.Background(), "INSERT INTO kept VALUES (2, randomblob(500000))"); err == nil {
			t.Fatalf("call %d failed, and nobody was told", fail)
		}
		full = false
		if found := crashed(t, path, path+"-copy"); !maps.Equal(found, before) {
			t.Errorf("after a crash, %v is there", found)
		}
		if found := content(t, w); !maps.Equal(found, before) {
			t.Errorf("call %d failed, and %v is there", fail, found)
		}
		exec(t, w, "INSERT INTO kept VALUES (3, randomblob(30000))")
		after := map[int]int{1: 10, 3: 30000}
		if found := crashed(t, path, path+"-copy"); !maps.Equal(found, after) {
			t.Errorf("after a crash, %v is there", found)
		}
		if found := content(t, w); !maps.Equal(found, after) {
			t.Errorf("then %v is there", found)
		}
	}
}
