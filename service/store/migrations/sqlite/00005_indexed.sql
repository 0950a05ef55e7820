-- +goose Up

-- What the rows of the index tables rest on. One row for each key under which rows are stored,
-- such as Patient and birthdate, or Observation and code:text.
CREATE TABLE indexed (
  type        BLOB    NOT NULL,
  code        BLOB    NOT NULL,
  fingerprint BLOB    NOT NULL, -- of what defines the rows
  state       INTEGER NOT NULL, -- 0 rows are missing or old, 1 all are there, 2 all are there and are to be made again
  PRIMARY KEY (type, code)
) STRICT, WITHOUT ROWID;

-- One row. A program whose fingerprints are others counts the generation up, and those that know
-- an earlier one write nothing any more. swept is the last generation in which rows of parameters
-- that are not there any more were removed.
CREATE TABLE indexing (
  generation INTEGER PRIMARY KEY,
  swept      INTEGER NOT NULL
) STRICT;
INSERT INTO indexing (generation, swept) VALUES (0, 0);

-- The types whose resources are to be indexed again: those after a rid and up to another. What was
-- created later had its rows from the start.
CREATE TABLE reindexing (
  type  BLOB    PRIMARY KEY,
  asked INTEGER NOT NULL, -- counts up when it has to begin again
  after INTEGER NOT NULL,
  upto  INTEGER NOT NULL,
  done  INTEGER NOT NULL  -- resources, since it began
) STRICT, WITHOUT ROWID;
