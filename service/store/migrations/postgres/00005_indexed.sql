-- What this is for stands in the folder of the other engine.

-- +goose Up

CREATE TABLE indexed (
  type        BYTEA    NOT NULL,
  code        BYTEA    NOT NULL,
  fingerprint BYTEA    NOT NULL, -- of what defines the rows
  state       SMALLINT NOT NULL, -- 0 rows are missing or old, 1 all are there, 2 all are there and are to be made again
  PRIMARY KEY (type, code)
);

-- The key lets the generation be read from its index.
CREATE TABLE indexing (
  generation BIGINT PRIMARY KEY,
  swept      BIGINT NOT NULL
);
INSERT INTO indexing (generation, swept) VALUES (0, 0);

CREATE TABLE reindexing (
  type  BYTEA  PRIMARY KEY,
  asked BIGINT NOT NULL, -- counts up when it has to begin again
  after BIGINT NOT NULL,
  upto  BIGINT NOT NULL,
  done  BIGINT NOT NULL  -- resources, since it began
);
