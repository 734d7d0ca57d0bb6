-- The truth: entries by group, blocks of usage, price lists.

CREATE TABLE billing_group (
  number    INTEGER PRIMARY KEY,
  name      TEXT NOT NULL UNIQUE,   -- the account that pays
  version   INTEGER NOT NULL,       -- how many entries it has
  hash      BLOB NOT NULL,          -- the end of their chain
  due_at    TEXT,                   -- what time does next, and when
  due_duty  INTEGER
) STRICT;

CREATE TABLE entry (
  number       INTEGER PRIMARY KEY, -- the order of all commits
  group_number INTEGER NOT NULL REFERENCES billing_group,
  version      INTEGER NOT NULL,
  hash         BLOB NOT NULL,
  record       BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_by_group ON entry (group_number, version);

CREATE TABLE usage_block (
  partition   INTEGER NOT NULL,
  number      INTEGER NOT NULL,
  events      INTEGER NOT NULL,
  recorded_at TEXT NOT NULL,
  hash        BLOB NOT NULL,        -- the end of the partition's chain
  bytes       BLOB NOT NULL,
  PRIMARY KEY (partition, number)
) STRICT;

-- What follows from entries and blocks, and need not be worked out again: counters, the index of identities. All of it
-- can be thrown away.
CREATE TABLE derived (
  space INTEGER NOT NULL,
  key   BLOB NOT NULL,
  value BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX derived_by_key ON derived (space, key);

CREATE TABLE catalogue (
  number    INTEGER PRIMARY KEY,
  id        TEXT NOT NULL,
  effective TEXT NOT NULL,          -- '' since ever
  published TEXT NOT NULL,
  text      TEXT NOT NULL,
  UNIQUE (id, effective)
) STRICT;

CREATE TABLE catalogue_part (
  catalogue INTEGER NOT NULL REFERENCES catalogue,
  name      TEXT NOT NULL,
  text      TEXT NOT NULL,
  PRIMARY KEY (catalogue, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE clock (
  number INTEGER PRIMARY KEY CHECK (number = 1),
  at     TEXT NOT NULL              -- everything due has been done up to here
) STRICT;

CREATE TABLE answer (
  key    TEXT PRIMARY KEY,
  wish   INTEGER NOT NULL,          -- a hash of what was wished
  at     TEXT NOT NULL,
  answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE access_key (
  id         TEXT PRIMARY KEY,
  hash       BLOB NOT NULL,         -- of the secret, which is nowhere
  label      TEXT NOT NULL,
  role       TEXT NOT NULL,
  account    TEXT,                  -- whose tree it is for; NULL: every account
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  revoked    TEXT,
  revoked_by TEXT,
  used       TEXT                   -- to the hour or so
) STRICT, WITHOUT ROWID;

-- What people read. Times are UTC; columns that end in _e8 are whole numbers of 0.00000001 of the currency (a text
-- where one is too large for 64 bits); units are decimals, or fractions such as 16/31.

CREATE TABLE account (
  account         TEXT PRIMARY KEY,
  payer           TEXT NOT NULL,
  title           TEXT NOT NULL,
  currency        TEXT NOT NULL,
  zone            TEXT NOT NULL,
  opened          TEXT NOT NULL,
  tier            TEXT,
  arrears_since   TEXT,
  suspended_since TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX account_by_payer ON account (payer) WHERE payer <> account;

CREATE TABLE subscription (
  account    TEXT NOT NULL,
  name       TEXT NOT NULL,
  catalogue  TEXT NOT NULL,
  plan       TEXT NOT NULL,
  mode       TEXT NOT NULL,
  start      TEXT NOT NULL,
  "end"      TEXT,
  quantity   INTEGER NOT NULL,
  state      TEXT NOT NULL,
  PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE bill (
  account        TEXT NOT NULL,
  month          TEXT NOT NULL,
  month_end      TEXT NOT NULL,
  id             TEXT NOT NULL,
  lines          INTEGER NOT NULL,
  total_e8       ANY NOT NULL,
  paid_e8        ANY NOT NULL,
  coupons_e8     ANY NOT NULL,
  credited_e8    ANY NOT NULL,
  written_off_e8 ANY NOT NULL,
  due_e8         ANY NOT NULL,
  issued         TEXT,
  PRIMARY KEY (account, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE line (
  payer        TEXT NOT NULL,
  month        TEXT NOT NULL,       -- the bill's
  id           TEXT NOT NULL,
  account      TEXT NOT NULL,
  kind         TEXT NOT NULL,
  subscription TEXT,
  plan         TEXT NOT NULL,
  description  TEXT NOT NULL,
  quantity     TEXT NOT NULL,
  unit         TEXT NOT NULL,
  list_e8      ANY NOT NULL,
  discount_e8  ANY NOT NULL,
  amount_e8    ANY NOT NULL,
  start        TEXT NOT NULL,       -- the time that it is for
  "end"        TEXT NOT NULL,
  posted       TEXT NOT NULL,
  corrects     TEXT,
  formula      TEXT NOT NULL,
  explanation  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX line_by_bill ON line (payer, month, id);

CREATE TABLE posting (
  account  TEXT NOT NULL,
  version  INTEGER NOT NULL,        -- the entry of the group
  number   INTEGER NOT NULL,        -- the movement within it
  at       TEXT NOT NULL,
  memo     TEXT NOT NULL,
  ledger   TEXT NOT NULL,
  unit     TEXT NOT NULL,
  value_e8 ANY,                     -- of money; above zero is a debit
  units    TEXT                     -- of a quota
) STRICT;
CREATE UNIQUE INDEX posting_by_account ON posting (account, version, number);

CREATE TABLE balance (
  account  TEXT NOT NULL,
  ledger   TEXT NOT NULL,
  unit     TEXT NOT NULL,
  value_e8 ANY,
  units    TEXT,
  PRIMARY KEY (account, ledger)
) STRICT, WITHOUT ROWID;

CREATE TABLE package (
  payer        TEXT NOT NULL,
  bucket       TEXT NOT NULL,
  account      TEXT NOT NULL,
  subscription TEXT NOT NULL,
  title        TEXT NOT NULL,
  unit         TEXT NOT NULL,
  start        TEXT NOT NULL,
  "end"        TEXT NOT NULL,
  expires      TEXT NOT NULL,
  granted      TEXT NOT NULL,
  available    TEXT NOT NULL,
  held         TEXT NOT NULL,
  drawn        TEXT NOT NULL,
  expired      TEXT NOT NULL,
  PRIMARY KEY (payer, bucket)
) STRICT, WITHOUT ROWID;
