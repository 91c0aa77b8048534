-- From where, by what right, and what else an entry says. NULL in entries from before: their hashes run over the rest alone.
ALTER TABLE operations ADD COLUMN origin TEXT;   -- JSON list of address, role, token
ALTER TABLE operations ADD COLUMN details TEXT;  -- JSON object, or ''

-- Entries that are gone: the chain goes on from the hash of the last. The newest pruning's entry vouches for all of them.
CREATE TABLE pruned (
    first INTEGER PRIMARY KEY,
    last  INTEGER NOT NULL,
    hash  BLOB NOT NULL
) STRICT;

-- The newest entry there ever was, so that a log that was cut short shows.
CREATE TABLE log_head (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT;
INSERT INTO log_head SELECT 1, coalesce(max(number), 0), coalesce((SELECT hash FROM operations ORDER BY number DESC LIMIT 1), x'')
FROM operations;
