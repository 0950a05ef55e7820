-- What this is for stands in the folder of the other engine.

-- +goose Up

CREATE TABLE client (
  id          TEXT     PRIMARY KEY,
  name        TEXT     NOT NULL,
  jwks        BYTEA    NOT NULL,
  jwks_uri    TEXT     NOT NULL,
  scope       TEXT     NOT NULL,
  break_glass SMALLINT NOT NULL,
  created     BIGINT   NOT NULL,
  revoked     BIGINT   NOT NULL
);

CREATE TABLE assertion (
  client  TEXT   NOT NULL,
  jti     TEXT   NOT NULL,
  expires BIGINT NOT NULL, -- microseconds UTC
  PRIMARY KEY (client, jti)
);
CREATE INDEX assertion_by_time ON assertion (expires);
