-- The retention horizon: usage timed before it that comes is not counted any more.

CREATE TABLE horizon (
  number INTEGER PRIMARY KEY CHECK (number = 1),
  at     TEXT NOT NULL              -- it never goes back
) STRICT;
