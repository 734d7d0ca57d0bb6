-- Blocks of usage that were moved to files of the folder `archive`, which belong to the store.

CREATE TABLE usage_archive (
  file   TEXT PRIMARY KEY,          -- its name in the folder `archive`
  made   TEXT NOT NULL,             -- the store's clock when it was made
  before TEXT NOT NULL,             -- all usage in it is timed before this moment
  size   INTEGER NOT NULL,          -- bytes
  hash   BLOB NOT NULL              -- BLAKE3 over the file
) STRICT, WITHOUT ROWID;

CREATE TABLE archived_block (
  partition   INTEGER NOT NULL,
  number      INTEGER NOT NULL,
  events      INTEGER NOT NULL,
  recorded_at TEXT NOT NULL,
  hash        BLOB NOT NULL,        -- the end of the partition's chain with it
  file        TEXT NOT NULL REFERENCES usage_archive,
  place       INTEGER NOT NULL,     -- its group of rows in the file
  PRIMARY KEY (partition, number)
) STRICT, WITHOUT ROWID;
