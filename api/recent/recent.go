// Package recent has a map of bounded size, for what callers from outside make entries of.
package recent

import "sync"

// Map is a map that forgets what was not used lately, so that it has a bounded size. It is safe
// for concurrent use.
type Map[K comparable, V any] struct {
	mu       sync.Mutex
	half     int
	new, old map[K]V
}

// New makes a map that keeps at least half of most entries, and never more than most.
func New[K comparable, V any](most int) *Map[K, V] {
	return &Map[K, V]{half: most / 2, new: map[K]V{}}
}

// Get gives what is there, and counts as a use of it.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.new[key]
	if ok {
		return v, true
	}
	if v, ok = m.old[key]; ok {
		m.keep(key, v)
	}
	return v, ok
}

// Put sets an entry.
func (m *Map[K, V]) Put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(key, v)
}

// GetOrPut gives what is there, or puts what value makes.
func (m *Map[K, V]) GetOrPut(key K, value func() V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.new[key]
	if ok {
		return v
	}
	if v, ok = m.old[key]; !ok {
		v = value()
	}
	m.keep(key, v)
	return v
}

func (m *Map[K, V]) keep(key K, v V) {
	if len(m.new) >= m.half {
		m.old, m.new = m.new, make(map[K]V, m.half)
	}
	m.new[key] = v
}

// Remove takes an entry away.
func (m *Map[K, V]) Remove(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.new, key)
	delete(m.old, key)
}
