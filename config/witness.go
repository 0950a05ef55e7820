package config

import (
	"errors"
	"strings"

	"aftercare/service/audit/tree"
)

// Witness is a witness of the auditor's log: its key, and the URL that checkpoints are sent to.
type Witness struct{ Key, URL string }

// setWitnesses reads pairs of a key and a URL, with commas between them.
func setWitnesses(c *Config, v string) error {
	for pair := range strings.SplitSeq(v, ",") {
		parts := strings.Fields(pair)
		if len(parts) != 2 || !isHTTPS(parts[1]) {
			return errors.New("is no list of witnesses; give the key and the https:// URL of each, with a space between the two and commas between witnesses")
		}
		if _, err := tree.NewWitness(parts[0]); err != nil {
			return errors.New("has a key that is none of a witness; one is NAME+HASH+KEY, for Ed25519 cosignatures")
		}
		c.AuditWitnesses = append(c.AuditWitnesses, Witness{parts[0], parts[1]})
	}
	return nil
}
