package store

import (
	"context"
	"time"
)

// LogTile gives the data of a tile of the log's tree, nil where there is none.
func (r *Reader) LogTile(ctx context.Context, level int, n int64) (data []byte, err error) {
	_, err = r.row(ctx, "SELECT data FROM log_tile WHERE level = $1 AND n = $2", []any{level, n}, &data)
	return data, err
}

// PutLogTile stores a tile of the log's tree, in place of what it was before it grew.
func (tx *Tx) PutLogTile(ctx context.Context, level int, n int64, width int, data []byte) error {
	return tx.exec(ctx, `INSERT INTO log_tile (level, n, width, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (level, n) DO UPDATE SET width = excluded.width, data = excluded.data`, level, n, width, data)
}

// LogCheckpoint is a signed checkpoint of the log: how many records it is of, when it was made, and the
// signed note.
type LogCheckpoint struct {
	Size int64
	Made time.Time
	Note []byte
}

const checkpointColumns = "SELECT size, made, note FROM log_checkpoint "

func readCheckpoint(scan func(...any) error) (c LogCheckpoint, err error) {
	var micros int64
	err = scan(&c.Size, &micros, &c.Note)
	c.Made = time.UnixMicro(micros).UTC()
	return c, err
}

// NewestCheckpoint is the last one of the log; its size is 0 where there is none.
func (r *Reader) NewestCheckpoint(ctx context.Context) (c LogCheckpoint, err error) {
	err = r.rows(ctx, checkpointColumns+"ORDER BY size DESC LIMIT 1", nil, func(scan func(...any) error) (err error) {
		c, err = readCheckpoint(scan)
		return err
	})
	return c, err
}

// Checkpoints are those of more records than a size, n of them at most, the smallest first.
func (r *Reader) Checkpoints(ctx context.Context, after int64, n int) (all []LogCheckpoint, err error) {
	err = r.rows(ctx, checkpointColumns+"WHERE size > $1 ORDER BY size LIMIT $2 + 0", []any{after, n}, func(scan func(...any) error) error {
		c, err := readCheckpoint(scan)
		all = append(all, c)
		return err
	})
	return all, err
}

// PutCheckpoint stores a checkpoint, or another note for one that is there.
func (tx *Tx) PutCheckpoint(ctx context.Context, c LogCheckpoint) error {
	return tx.exec(ctx, `INSERT INTO log_checkpoint (size, made, note) VALUES ($1, $2, $3)
		ON CONFLICT (size) DO UPDATE SET note = excluded.note`, c.Size, c.Made.UnixMicro(), c.Note)
}

// ThinCheckpoints removes, of the checkpoints that were made before a time, all but the last one of each
// period.
func (tx *Tx) ThinCheckpoints(ctx context.Context, before time.Time, period time.Duration) error {
	return tx.exec(ctx, `DELETE FROM log_checkpoint WHERE made < $1 AND made / $2 =
		(SELECT later.made / $2 FROM log_checkpoint later WHERE later.size > log_checkpoint.size ORDER BY later.size LIMIT 1)`,
		before.UnixMicro(), period.Microseconds())
}

// LogSubject is how many records of the log a subject has, and the position of the last one; 0 for a
// subject that has none.
func (r *Reader) LogSubject(ctx context.Context, subject []byte) (n, position int64, err error) {
	_, err = r.row(ctx, "SELECT n, pos FROM log_subject WHERE subject = $1", []any{subject}, &n, &position)
	return n, position, err
}

// LoggedAt is the row of the log at a position; its position is 0 where there is none.
func (r *Reader) LoggedAt(ctx context.Context, position int64) (l Logged, err error) {
	var micros int64
	_, err = r.row(ctx, "SELECT pos, recorded, leaf, key FROM log WHERE pos = $1", []any{position}, &l.Position, &micros, &l.Leaf, &l.Key)
	l.Recorded = time.UnixMicro(micros).UTC()
	return l, err
}

// LogTiles is how many hashes the tiles of leaves have.
func (r *Reader) LogTiles(ctx context.Context, width int64) (hashes int64, err error) {
	_, err = r.row(ctx, "SELECT n * $1 + width FROM log_tile WHERE level = 0 ORDER BY n DESC LIMIT 1", []any{width}, &hashes)
	return hashes, err
}

// LogSubjects calls each with the subjects after one, n of them at most, in order, and with how many
// records each has and the position of the last. The bytes are good until each returns.
func (r *Reader) LogSubjects(ctx context.Context, after []byte, limit int, each func(subject []byte, n, position int64) error) error {
	return r.rows(ctx, "SELECT subject, n, pos FROM log_subject WHERE subject > $1 ORDER BY subject LIMIT $2 + 0", []any{after, limit}, func(scan func(...any) error) error {
		var subject []byte
		var n, position int64
		if err := scan(&subject, &n, &position); err != nil {
			return err
		}
		return each(subject, n, position)
	})
}
