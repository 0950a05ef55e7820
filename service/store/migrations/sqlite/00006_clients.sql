-- +goose Up

-- The programs that may ask this service for tokens. A row is never removed: an id stands for one
-- program for good.
CREATE TABLE client (
  id          TEXT    PRIMARY KEY,
  name        TEXT    NOT NULL, -- for people
  jwks        BLOB    NOT NULL, -- its public keys, empty where they are at jwks_uri
  jwks_uri    TEXT    NOT NULL,
  scope       TEXT    NOT NULL, -- the most that it is given
  break_glass INTEGER NOT NULL, -- 1 if it may break the glass
  created     INTEGER NOT NULL, -- microseconds UTC
  revoked     INTEGER NOT NULL  -- since when it gets nothing any more, 0 for never
) STRICT, WITHOUT ROWID;

-- The assertions that clients have used, until they expire: none is good twice.
CREATE TABLE assertion (
  client  TEXT    NOT NULL,
  jti     TEXT    NOT NULL,
  expires INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (client, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertion_by_time ON assertion (expires);
