-- What these are for stands in the folder of the other engine.

-- +goose Up

CREATE TABLE log (
  pos      BIGINT PRIMARY KEY,
  recorded BIGINT NOT NULL,
  leaf     BYTEA,
  key      BYTEA
);

CREATE TABLE log_subject (
  subject BYTEA  PRIMARY KEY,
  n       BIGINT NOT NULL,
  pos     BIGINT NOT NULL,
  before  BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE log_tile (
  level BIGINT NOT NULL,
  n     BIGINT NOT NULL,
  width BIGINT NOT NULL,
  data  BYTEA  NOT NULL,
  PRIMARY KEY (level, n)
);

CREATE TABLE log_checkpoint (
  size BIGINT PRIMARY KEY,
  made BIGINT NOT NULL,
  note BYTEA  NOT NULL
);

CREATE TABLE log_term (
  term BIGINT NOT NULL,
  pos  BIGINT NOT NULL,
  PRIMARY KEY (term, pos)
);

CREATE TABLE log_indexed (pos BIGINT NOT NULL);
INSERT INTO log_indexed VALUES (0);

CREATE TABLE log_segment (
  first  BIGINT PRIMARY KEY,
  last   BIGINT NOT NULL,
  sealed BIGINT NOT NULL,
  sha256 BYTEA  NOT NULL,
  name   TEXT   NOT NULL
);
