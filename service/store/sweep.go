package store

import "context"

// sweepStep is how many resources one write removes the rows of a former parameter of.
const sweepStep = 200

// sweep removes the rows of parameters that are not there any more.
func (b *builder) sweep(ctx context.Context) error {
	swept := false
	var left []leftover
	if err := b.store.View(ctx, func(ctx context.Context, r *Reader) error {
		if err := r.sameGeneration(ctx); err != nil {
			return err
		}
		if _, err := r.row(ctx, `SELECT swept = generation FROM indexing`, nil, &swept); err != nil || swept {
			return err
		}
		var err error
		left, err = r.leftovers(ctx)
		return err
	}); err != nil || swept {
		return err
	}
	for _, l := range left {
		for more := true; more; {
			if err := b.Write(ctx, func(ctx context.Context, tx *Tx) (err error) {
				more, err = tx.remove(ctx, l)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return b.Write(ctx, func(ctx context.Context, tx *Tx) error {
		return tx.exec(ctx, `UPDATE indexing SET swept = generation`)
	})
}

// leftover is a parameter, by its symbol, that has rows in a table and no fingerprint.
type leftover struct {
	table string
	param int64
}

func (r *Reader) leftovers(ctx context.Context) (left []leftover, err error) {
	declared := map[string]bool{}
	if err := r.rows(ctx, `SELECT type, code FROM indexed`, nil, func(scan func(...any) error) error {
		var typ, code []byte
		err := scan(&typ, &code)
		declared[string(typ)+"."+string(code)] = true
		return err
	}); err != nil {
		return nil, err
	}
	for _, table := range tableNames {
		// One parameter after the other, by the index that begins with it.
		for param := int64(-1); ; {
			var next int64
			var name []byte
			found, err := r.row(ctx, `SELECT x.param, coalesce(s.text, '') FROM (SELECT param FROM `+table+` WHERE param > $1 ORDER BY param LIMIT 1) x
				LEFT JOIN symbol s ON s.id = x.param`, []any{param}, &next, &name)
			if err != nil {
				return nil, err
			}
			if !found {
				break
			}
			if param = next; !declared[string(name)] {
				left = append(left, leftover{table, param})
			}
		}
	}
	return left, nil
}

// remove takes rows of a parameter away, and reports whether there are more.
func (tx *Tx) remove(ctx context.Context, l leftover) (more bool, err error) {
	if err := tx.exec(ctx, `DELETE FROM `+l.table+` WHERE param = $1 AND rid IN (SELECT rid FROM `+l.table+` WHERE param = $1 ORDER BY param LIMIT $2)`,
		l.param, sweepStep); err != nil {
		return false, err
	}
	var rid int64
	return tx.row(ctx, `SELECT rid FROM `+l.table+` WHERE param = $1 LIMIT 1`, []any{l.param}, &rid)
}
