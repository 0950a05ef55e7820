-- +goose Up

-- The auditor's log: one record for each interaction, in the order of commits and without gaps. What a
-- leaf is, the package audit says. Rows are added; nothing of them is changed but that the key is taken
-- away when a record is erased, or retired to a sealed file. The leaf stays, since the tree is made of it.
CREATE TABLE log (
  pos      INTEGER PRIMARY KEY, -- from 1
  recorded INTEGER NOT NULL,    -- microseconds since 1970, never less than in the row before
  leaf     BLOB,
  key      BLOB
) STRICT;

-- Of each subject of records (a pseudonym of a patient): how many there are, the last one's position,
-- and that of the one before it, or 0.
CREATE TABLE log_subject (
  subject BLOB    PRIMARY KEY,
  n       INTEGER NOT NULL,
  pos     INTEGER NOT NULL,
  before  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The Merkle tree over the leaves, in tiles of height 8: what golang.org/x/mod/sumdb/tlog calls tile
-- (level, n) of a width. The last tile of a level is replaced as it grows.
CREATE TABLE log_tile (
  level INTEGER NOT NULL,
  n     INTEGER NOT NULL,
  width INTEGER NOT NULL,
  data  BLOB    NOT NULL,
  PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

-- Signed checkpoints: how many records the tree had, when, and the signed note.
CREATE TABLE log_checkpoint (
  size INTEGER PRIMARY KEY,
  made INTEGER NOT NULL, -- microseconds since 1970
  note BLOB    NOT NULL
) STRICT;

-- What records can be found by: the hash of a search parameter and a value, and the position.
CREATE TABLE log_term (
  term INTEGER NOT NULL,
  pos  INTEGER NOT NULL,
  PRIMARY KEY (term, pos)
) STRICT, WITHOUT ROWID;

-- The position up to which log_term goes.
CREATE TABLE log_indexed (pos INTEGER NOT NULL) STRICT;
INSERT INTO log_indexed VALUES (0);

-- Which records were retired to sealed files, whose keys are no longer here.
CREATE TABLE log_segment (
  first   INTEGER PRIMARY KEY,
  last    INTEGER NOT NULL,
  sealed  INTEGER NOT NULL, -- microseconds since 1970
  sha256  BLOB    NOT NULL, -- of the file
  name    TEXT    NOT NULL
) STRICT;
