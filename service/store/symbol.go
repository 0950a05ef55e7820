package store

import (
	"context"
	"sync"
)

// symbols caches the table of symbols. Symbols are never changed or removed, so what is in the
// cache is true for ever; only committed ones go in.
type symbols struct {
	mu sync.RWMutex
	id map[string]int64
}

// symbolLimit bounds the cache: systems come from callers and may be any number of texts.
const symbolLimit = 1 << 16

func (s *symbols) get(text string) (int64, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.id[text]
	return id, ok
}

func (s *symbols) put(text string, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.id) < symbolLimit {
		s.id[text] = id
	}
}

func (s *symbols) load(ctx context.Context, c *conn) error {
	s.id = map[string]int64{}
	return c.rows(ctx, `SELECT id, text FROM symbol ORDER BY id LIMIT $1`, []any{symbolLimit}, func(scan func(...any) error) error {
		var id int64
		var text []byte
		err := scan(&id, &text)
		s.id[string(text)] = id
		return err
	})
}

// symbol looks text up. The symbol of "" is 0. Where there is none, nothing stored has it.
func (r *Reader) symbol(ctx context.Context, text string) (id int64, found bool, err error) {
	if text == "" {
		return 0, true, nil
	}
	if id, ok := r.store.symbols.get(text); ok {
		return id, true, nil
	}
	found, err = r.row(ctx, `SELECT id FROM symbol WHERE text = $1`, []any{key(text)}, &id)
	return id, found, err
}

// intern is symbol for writing: it makes the symbol where there is none.
func (tx *Tx) intern(ctx context.Context, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if id, ok := tx.store.symbols.get(text); ok {
		return id, nil
	}
	if id, ok := tx.fresh[text]; ok {
		return id, nil
	}
	var id int64
	tx.conn.changes++
	_, err := tx.row(ctx, `INSERT INTO symbol (text) VALUES ($1) ON CONFLICT (text) DO UPDATE SET text = excluded.text RETURNING id`, []any{key(text)}, &id)
	if err == nil {
		tx.fresh[text] = id
	}
	return id, err
}
