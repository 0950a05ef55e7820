-- +goose Up

-- One row. Resources and versions whose numbers are begins or more are written ahead of the
-- write that brings them in, and are not there yet for any reader. With none, begins is the
-- largest number.
CREATE TABLE horizon (
  begins  INTEGER NOT NULL,
  staging INTEGER NOT NULL, -- counts up with every owner
  expires INTEGER NOT NULL  -- microseconds UTC; after that the owner is taken for dead
) STRICT;
INSERT INTO horizon (begins, staging, expires) VALUES (9223372036854775807, 0, 0);

-- The rows of resource that are to come; number is both the rid and the seq.
CREATE TABLE staged (
  number  INTEGER PRIMARY KEY,
  type    INTEGER NOT NULL,
  id      BLOB    NOT NULL,
  updated INTEGER NOT NULL
) STRICT;
