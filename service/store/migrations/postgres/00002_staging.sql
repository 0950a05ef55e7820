-- +goose Up

-- One row. Resources and versions whose numbers are begins or more are written ahead of the
-- write that brings them in, and are not there yet for any reader. With none, begins is the
-- largest number. The key lets the value be read from its index.
CREATE TABLE horizon (
  begins  BIGINT PRIMARY KEY,
  staging BIGINT NOT NULL, -- counts up with every owner
  expires BIGINT NOT NULL  -- microseconds UTC; after that the owner is taken for dead
);
INSERT INTO horizon (begins, staging, expires) VALUES (9223372036854775807, 0, 0);

-- The rows of resource that are to come; number is both the rid and the seq.
CREATE TABLE staged (
  number  BIGINT PRIMARY KEY,
  type    BIGINT NOT NULL,
  id      BYTEA  NOT NULL,
  updated BIGINT NOT NULL
);
