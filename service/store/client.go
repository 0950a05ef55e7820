package store

import (
	"bytes"
	"context"
	"time"

	"aftercare/fhir"
)

// Client is a program that may ask the service for tokens.
type Client struct {
	ID, Name string
	// JWKS are its public keys, nil where they are at JWKSURI.
	JWKS    []byte
	JWKSURI string
	// Scope is the most that it is given, a list with spaces.
	Scope      string
	BreakGlass bool
	Created    time.Time
	// Revoked is when it was revoked, the zero time for never.
	Revoked time.Time
}

// Clients gives all clients, revoked ones too, by id.
func (r *Reader) Clients(ctx context.Context) (all []Client, err error) {
	err = r.rows(ctx, `SELECT id, name, jwks, jwks_uri, scope, break_glass, created, revoked FROM client ORDER BY id`, nil, func(scan func(...any) error) error {
		var c Client
		var breakGlass, created, revoked int64
		if err := scan(&c.ID, &c.Name, &c.JWKS, &c.JWKSURI, &c.Scope, &breakGlass, &created, &revoked); err != nil {
			return err
		}
		if c.JWKS = bytes.Clone(c.JWKS); len(c.JWKS) == 0 {
			c.JWKS = nil
		}
		c.BreakGlass, c.Created = breakGlass == 1, fromMicros(created)
		if revoked != 0 {
			c.Revoked = fromMicros(revoked)
		}
		all = append(all, c)
		return nil
	})
	return all, err
}

// AddClient adds a client. The error is Conflict if the id was ever used.
func (tx *Tx) AddClient(ctx context.Context, c Client) error {
	if found, err := tx.hasClient(ctx, c.ID); err != nil || found {
		if err == nil {
			err = fhir.Errorf(fhir.Conflict, "duplicate", "", "There is, or was, a client with this id; an id stands for one client for good, so choose another.")
		}
		return err
	}
	breakGlass, revoked := 0, int64(0)
	if c.BreakGlass {
		breakGlass = 1
	}
	if !c.Revoked.IsZero() {
		revoked = c.Revoked.UnixMicro()
	}
	if c.JWKS == nil {
		c.JWKS = []byte{}
	}
	return tx.exec(ctx, `INSERT INTO client (id, name, jwks, jwks_uri, scope, break_glass, created, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.ID, c.Name, c.JWKS, c.JWKSURI, c.Scope, breakGlass, c.Created.UnixMicro(), revoked)
}

// RevokeClient marks a client as revoked, unless it is already. The error is NotFound if there is
// none with that id.
func (tx *Tx) RevokeClient(ctx context.Context, id string, now time.Time) error {
	if found, err := tx.hasClient(ctx, id); err != nil || !found {
		if err == nil {
			err = fhir.Errorf(fhir.NotFound, "not-found", "", "There is no client with this id.")
		}
		return err
	}
	return tx.exec(ctx, `UPDATE client SET revoked = $1 WHERE id = $2 AND revoked = 0`, now.UnixMicro(), id)
}

func (r *Reader) hasClient(ctx context.Context, id string) (bool, error) {
	var has string
	return r.row(ctx, `SELECT id FROM client WHERE id = $1`, []any{id}, &has)
}

// forgetStep is how many expired assertions are forgotten with each new one, so that none is kept
// for long and no write does much.
const forgetStep = 100

// UseAssertion notes that a client has used an assertion that expires then, and reports whether it
// was new. Those that have expired are forgotten.
func (tx *Tx) UseAssertion(ctx context.Context, client, jti string, expires, now time.Time) (first bool, err error) {
	var until int64
	used, err := tx.row(ctx, `SELECT expires FROM assertion WHERE client = $1 AND jti = $2`, []any{client, jti}, &until)
	if err != nil || used && until > now.UnixMicro() {
		return false, err
	}
	if err := tx.exec(ctx, `DELETE FROM assertion WHERE (client, jti) IN (SELECT client, jti FROM assertion WHERE expires <= $1 ORDER BY expires LIMIT $2)`,
		now.UnixMicro(), forgetStep); err != nil {
		return false, err
	}
	return true, tx.exec(ctx, `INSERT INTO assertion (client, jti, expires) VALUES ($1, $2, $3)
		ON CONFLICT (client, jti) DO UPDATE SET expires = excluded.expires`, client, jti, expires.UnixMicro())
}
