-- +goose Up

-- What one process at a time may do, and which one does. A holder that is alive makes the beat
-- another one again and again; no clock is written down, for those of two machines differ.
CREATE TABLE lease (
  name   TEXT    PRIMARY KEY,
  holder INTEGER NOT NULL, -- drawn at random each time that somebody takes it, 0 for nobody
  beat   INTEGER NOT NULL  -- counts up
) STRICT, WITHOUT ROWID;
