package main

import (
	"runtime/debug"
	"slices"
	"strings"

	"aftercare/config"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// defaultMemory is what the process may use where nothing limits it, in bytes.
	defaultMemory = 1 << 30
	// ownMemory is what of the heap is not for requests, in bytes: the definitions, and the
	// pages that are read from the database at the same time.
	ownMemory = 128 << 20
	// gcPercent lets the heap grow further than Go's 100 between two collections. Each costs
	// the requests that are under way, and the limit of the heap keeps it within bounds.
	gcPercent = 200
)

// limitMemory sets how the garbage collector works, where GOMEMLIMIT and GOGC do not, and
// gives the memory that requests may hold together, in bytes. The rest of what the process may
// use is for SQLite's caches, for stacks, and for what the heap takes beyond its limit, which
// is a soft one.
func limitMemory(cfg config.Config, environ []string) int64 {
	process := cfg.Memory
	if process == 0 {
		process = defaultMemory
		if n, err := memlimit.FromCgroup(); err == nil && n > 0 && n < 1<<50 {
			process = int64(n)
		}
	}
	heap := process/4*3 - 64<<20
	if !isSet(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(heap)
	} else if n := debug.SetMemoryLimit(-1); n < 1<<50 { // "off" is more
		heap = n
	}
	if !isSet(environ, "GOGC") {
		debug.SetGCPercent(gcPercent)
	}
	return max(heap-ownMemory, heap/2)
}

func isSet(environ []string, name string) bool {
	return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}
