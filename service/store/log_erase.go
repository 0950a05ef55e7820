package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// eraseAtOnce is how many records one statement erases.
const eraseAtOnce = 500

// EraseLogged takes away the keys of the records at some positions of the log, and what they are found
// by.
func (tx *Tx) EraseLogged(ctx context.Context, positions []int64) error {
	for some := range slices.Chunk(positions, eraseAtOnce) {
		texts := make([]string, len(some))
		for i, position := range some {
			texts[i] = strconv.FormatInt(position, 10)
		}
		these := " IN (" + strings.Join(texts, ",") + ")"
		if err := tx.exec(ctx, "UPDATE log SET key = NULL WHERE pos"+these); err != nil {
			return err
		}
		if err := tx.exec(ctx, "DELETE FROM log_term WHERE pos"+these); err != nil {
			return err
		}
	}
	return nil
}
