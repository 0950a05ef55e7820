package store

import "context"

// LastOf is the position, in the order of commits, of the last version of any resource of a type,
// deletions included; 0 without any.
func (r *Reader) LastOf(ctx context.Context, typ string) (position int64, err error) {
	symbol, known, err := r.symbol(ctx, typ)
	if err != nil || !known {
		return 0, err
	}
	_, err = r.row(ctx, `SELECT coalesce((SELECT v.seq FROM version v WHERE v.type = $1 AND v.seq`+beforeHorizon+` ORDER BY v.seq DESC LIMIT 1), 0)`, []any{symbol}, &position)
	return position, err
}
