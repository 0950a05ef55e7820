package audit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The details of the record of an erasure.
const (
	erasedSubject   = "subject"
	erasedPositions = "records"
	erasedReason    = "reason"
)

// Erasure is what the log says of records about a patient whose keys were taken away: the pseudonym, the
// positions, which go up, and why. It does not name the patient, so that it need never be erased itself.
func Erasure(s Subject, positions []int64, reason string) []Detail {
	return []Detail{{erasedSubject, hex.EncodeToString(s[:])}, {erasedPositions, Runs(positions)}, {erasedReason, reason}}
}

// Runs writes positions, which go up, as "3,5-7".
func Runs(positions []int64) string {
	var b strings.Builder
	for i := 0; i < len(positions); {
		j := i
		for j+1 < len(positions) && positions[j+1] == positions[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		if fmt.Fprint(&b, positions[i]); j > i {
			fmt.Fprintf(&b, "-%d", positions[j])
		}
		i = j + 1
	}
	return b.String()
}

// Retirement is what the log says of records whose keys were taken away because they are in a file now.
func Retirement(first, last int64, file, sha256, reason string) []Detail {
	return []Detail{{erasedPositions, fmt.Sprintf("%d-%d", first, last)}, {"file", file}, {"sha256", sha256}, {erasedReason, reason}}
}

// shredded are the positions of the record of an erasure, first and last of each run.
func (r *Record) shredded() (runs [][2]int64) {
	for _, d := range r.Details {
		if d.Name != erasedPositions {
			continue
		}
		for run := range strings.SplitSeq(d.Value, ",") {
			from, to, more := strings.Cut(run, "-")
			first, err := strconv.ParseInt(from, 10, 64)
			last := first
			if err == nil && more {
				last, err = strconv.ParseInt(to, 10, 64)
			}
			if err == nil {
				runs = append(runs, [2]int64{first, last})
			}
		}
	}
	return runs
}
