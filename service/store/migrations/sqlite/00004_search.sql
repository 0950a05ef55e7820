-- +goose Up

-- part tells the rows of a composite parameter's components that belong together; it is 0 for
-- the rows of all other parameters. The order by value is one of value and rid, so that the
-- resources with a value, and all of a parameter, are read in the order of a search.

DROP INDEX index_token_by_value;
ALTER TABLE index_token RENAME TO index_token_old;
CREATE TABLE index_token (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  part   INTEGER NOT NULL DEFAULT 0,
  value  BLOB    NOT NULL,
  system INTEGER NOT NULL, -- symbol, 0 for none stated
  PRIMARY KEY (rid, param, part, value, system)
) STRICT, WITHOUT ROWID;
INSERT INTO index_token SELECT rid, param, 0, value, system FROM index_token_old;
DROP TABLE index_token_old;
CREATE INDEX index_token_by_value ON index_token (param, value, rid, system);

DROP INDEX index_reference_by_target;
ALTER TABLE index_reference RENAME TO index_reference_old;
CREATE TABLE index_reference (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  part   INTEGER NOT NULL DEFAULT 0,
  target BLOB    NOT NULL, -- id, or the URL where type is 0
  type   INTEGER NOT NULL,
  PRIMARY KEY (rid, param, part, target, type)
) STRICT, WITHOUT ROWID;
INSERT INTO index_reference SELECT rid, param, 0, target, type FROM index_reference_old;
DROP TABLE index_reference_old;
CREATE INDEX index_reference_by_target ON index_reference (param, target, rid, type);

DROP INDEX index_date_by_value;
ALTER TABLE index_date RENAME TO index_date_old;
CREATE TABLE index_date (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  part  INTEGER NOT NULL DEFAULT 0,
  low   INTEGER NOT NULL, -- microseconds UTC, included
  high  INTEGER NOT NULL, -- excluded
  PRIMARY KEY (rid, param, part, low, high)
) STRICT, WITHOUT ROWID;
INSERT INTO index_date SELECT rid, param, 0, low, high FROM index_date_old;
DROP TABLE index_date_old;
CREATE INDEX index_date_by_value ON index_date (param, low, rid, high);
-- The few that are longer than two days: where all others end is known from where they begin.
CREATE INDEX index_date_long ON index_date (param, high, rid, low) WHERE high > low + 172800000000;

DROP INDEX index_string_by_value;
ALTER TABLE index_string RENAME TO index_string_old;
CREATE TABLE index_string (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  part  INTEGER NOT NULL DEFAULT 0,
  value BLOB    NOT NULL, -- folded
  exact BLOB    NOT NULL DEFAULT x'', -- as written, empty where it is the same
  PRIMARY KEY (rid, param, part, value, exact)
) STRICT, WITHOUT ROWID;
INSERT INTO index_string SELECT rid, param, 0, value, x'' FROM index_string_old;
DROP TABLE index_string_old;
CREATE INDEX index_string_by_value ON index_string (param, value, rid);

DROP INDEX index_uri_by_value;
ALTER TABLE index_uri RENAME TO index_uri_old;
CREATE TABLE index_uri (
  rid   INTEGER NOT NULL,
  param INTEGER NOT NULL,
  part  INTEGER NOT NULL DEFAULT 0,
  value BLOB    NOT NULL,
  PRIMARY KEY (rid, param, part, value)
) STRICT, WITHOUT ROWID;
INSERT INTO index_uri SELECT rid, param, 0, value FROM index_uri_old;
DROP TABLE index_uri_old;
CREATE INDEX index_uri_by_value ON index_uri (param, value, rid);

DROP INDEX index_number_by_value;
ALTER TABLE index_number RENAME TO index_number_old;
CREATE TABLE index_number (
  rid    INTEGER NOT NULL,
  param  INTEGER NOT NULL,
  part   INTEGER NOT NULL DEFAULT 0,
  low    REAL    NOT NULL, -- included
  high   REAL    NOT NULL, -- included
  unit   BLOB    NOT NULL,
  system INTEGER NOT NULL,
  PRIMARY KEY (rid, param, part, low, high, unit, system)
) STRICT, WITHOUT ROWID;
INSERT INTO index_number SELECT rid, param, 0, low, high, unit, system FROM index_number_old;
DROP TABLE index_number_old;
CREATE INDEX index_number_by_value ON index_number (param, low, rid, high, unit, system);
-- The few that are no single number.
CREATE INDEX index_number_wide ON index_number (param, high, rid, low, unit, system) WHERE high > low;

-- The words of a resource, by its rid: those of its narrative and those of all its texts. The
-- words are cut in Go, and none has a character that this tokenizer would cut at.
CREATE VIRTUAL TABLE index_text USING fts5 (narrative, content, content = '', contentless_delete = 1, tokenize = 'ascii');

-- All versions of a type by time, for the order of _lastUpdated.
DROP INDEX version_by_time;
CREATE INDEX version_by_time ON version (type, updated, rid, seq);
-- What was changed, without what was created: a search that goes on asks for what has changed
-- since it began.
CREATE INDEX version_changed ON version (type, seq, rid) WHERE version > 1;
