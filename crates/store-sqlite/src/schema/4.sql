-- Erasures: accounts whose personal values were made unreadable, and what was redacted for that.

-- The hash of what an entry or a block is now, where it was redacted; its `hash` stays that of what was written.
ALTER TABLE entry ADD COLUMN redacted BLOB;
ALTER TABLE usage_block ADD COLUMN redacted BLOB;
ALTER TABLE archived_block ADD COLUMN redacted BLOB;

CREATE TABLE erasure (
  account TEXT PRIMARY KEY,
  payer   TEXT NOT NULL,            -- in whose chain of entries it is told
  actor   TEXT NOT NULL,            -- the key that wished it
  began   TEXT NOT NULL,
  ended   TEXT,                     -- empty while it goes on
  secret  BLOB,                     -- what tokens are made with while it goes on
  entries INTEGER NOT NULL,         -- that were redacted
  blocks  INTEGER NOT NULL,
  events  INTEGER NOT NULL,         -- pieces of usage in them
  files   INTEGER NOT NULL,         -- of the archive that were written anew
  answers INTEGER NOT NULL,         -- that are no longer kept
  digest  BLOB                      -- over its redactions in their order
) STRICT, WITHOUT ROWID;

CREATE TABLE redaction (
  place    INTEGER PRIMARY KEY,     -- the order of all
  erasure  TEXT NOT NULL,           -- the account
  chain    TEXT NOT NULL,           -- `group:` and its name, `usage:` and the partition
  number   INTEGER NOT NULL,        -- of the entry or block in it
  original BLOB NOT NULL,           -- the hash of the chain with it
  before   BLOB NOT NULL,           -- BLAKE3 over its bytes, before and after
  after    BLOB NOT NULL
) STRICT;
