-- What this is for stands in the folder of the other engine. Here the columns that are new come
-- last, for the tables are not written anew.

-- +goose Up

ALTER TABLE index_token ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_token DROP CONSTRAINT index_token_pkey;
ALTER TABLE index_token ADD PRIMARY KEY (rid, param, part, value, system);

ALTER TABLE index_reference ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_reference DROP CONSTRAINT index_reference_pkey;
ALTER TABLE index_reference ADD PRIMARY KEY (rid, param, part, target, type);

ALTER TABLE index_date ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_date DROP CONSTRAINT index_date_pkey;
ALTER TABLE index_date ADD PRIMARY KEY (rid, param, part, low, high);
DROP INDEX index_date_by_value;
CREATE INDEX index_date_by_value ON index_date (param, low, rid, high);
CREATE INDEX index_date_long ON index_date (param, high, rid, low) WHERE high > low + 172800000000;

ALTER TABLE index_string ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_string ADD COLUMN exact BYTEA NOT NULL DEFAULT '';
ALTER TABLE index_string DROP CONSTRAINT index_string_pkey;
ALTER TABLE index_string ADD PRIMARY KEY (rid, param, part, value, exact);

ALTER TABLE index_uri ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_uri DROP CONSTRAINT index_uri_pkey;
ALTER TABLE index_uri ADD PRIMARY KEY (rid, param, part, value);

ALTER TABLE index_number ADD COLUMN part SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE index_number DROP CONSTRAINT index_number_pkey;
ALTER TABLE index_number ADD PRIMARY KEY (rid, param, part, low, high, unit, system);
DROP INDEX index_number_by_value;
CREATE INDEX index_number_by_value ON index_number (param, low, rid, high, unit, system);
CREATE INDEX index_number_wide ON index_number (param, high, rid, low, unit, system) WHERE high > low;

-- A long text has several rows, each with some words of the one before: an engine's vector keeps
-- a limited number of places.
CREATE TABLE index_text (
  rowid     BIGINT   NOT NULL,
  part      SMALLINT NOT NULL,
  narrative TSVECTOR NOT NULL,
  content   TSVECTOR NOT NULL,
  PRIMARY KEY (rowid, part)
);
CREATE INDEX index_text_by_word ON index_text USING gin (narrative, content);

-- The rids of texts with a phrase. The index can be read by a bitmap only, which is switched off
-- where these are called.
-- +goose StatementBegin
CREATE FUNCTION text_with(in_narrative BOOLEAN, phrase TSQUERY, most BIGINT) RETURNS SETOF BIGINT
  LANGUAGE plpgsql STABLE ROWS 100
  SET enable_bitmapscan = on SET enable_indexscan = off SET enable_indexonlyscan = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  IF in_narrative THEN
    RETURN QUERY SELECT t.rowid FROM index_text t WHERE t.narrative @@ phrase LIMIT most;
  ELSE
    RETURN QUERY SELECT t.rowid FROM index_text t WHERE t.content @@ phrase LIMIT most;
  END IF;
END $$;
-- +goose StatementEnd

DROP INDEX version_by_time;
CREATE INDEX version_by_time ON version (type, updated, rid, seq);
CREATE INDEX version_changed ON version (type, seq, rid) WHERE version > 1;
