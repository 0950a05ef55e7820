-- +goose Up

CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE symbol (
  id   INTEGER PRIMARY KEY,
  text BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE resource (
  rid     INTEGER PRIMARY KEY,
  type    INTEGER NOT NULL,
  id      BLOB    NOT NULL,
  version INTEGER NOT NULL,
  updated INTEGER NOT NULL, -- microseconds UTC
  deleted INTEGER NOT NULL, -- 0 or 1
  seq     INTEGER NOT NULL, -- of the newest version
  UNIQUE (type, id)
) STRICT;
CREATE INDEX resource_by_type ON resource (type, deleted, rid);

-- body is NULL for the version that a deletion made.
CREATE TABLE version (
  seq     INTEGER PRIMARY KEY,
  rid     INTEGER NOT NULL,
  version INTEGER NOT NULL,
  type    INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  method  TEXT    NOT NULL,
  body    BLOB,
  UNIQUE (rid, version)
) STRICT;
CREATE INDEX version_by_type ON version (type, seq);
CREATE INDEX version_by_time ON version (updated, seq);

-- Every index table is kept by resource (to replace its rows and to check one resource) and
-- by value (to find resources). Both orders hold whole rows, so neither needs the other.
CREATE TABLE index_token (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  value  BLOB    NOT NULL,
  system INTEGER NOT NULL, -- symbol, 0 for none stated
  PRIMARY KEY (rid, param, value, system)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_token_by_value ON index_token (param, value, rid, system);

CREATE TABLE index_reference (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  target BLOB    NOT NULL, -- id, or the URL where type is 0
  type   INTEGER NOT NULL,
  PRIMARY KEY (rid, param, target, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_reference_by_target ON index_reference (param, target, rid, type);

CREATE TABLE index_date (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  low   INTEGER NOT NULL, -- microseconds UTC, included
  high  INTEGER NOT NULL, -- excluded
  PRIMARY KEY (rid, param, low, high)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_date_by_value ON index_date (param, low, high, rid);

CREATE TABLE index_string (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  value BLOB    NOT NULL,
  PRIMARY KEY (rid, param, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_string_by_value ON index_string (param, value, rid);

CREATE TABLE index_uri (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  value BLOB    NOT NULL,
  PRIMARY KEY (rid, param, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_uri_by_value ON index_uri (param, value, rid);

CREATE TABLE index_number (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  low    REAL    NOT NULL,
  high   REAL    NOT NULL,
  unit   BLOB    NOT NULL,
  system INTEGER NOT NULL,
  PRIMARY KEY (rid, param, low, high, unit, system)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_number_by_value ON index_number (param, low, high, unit, system, rid);
