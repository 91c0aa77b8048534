-- Times are microseconds since 1970 UTC; ids are the 16 bytes of a UUID.
-- A memory is live while forgotten and superseded_by are both NULL.

CREATE TABLE scopes (
    number    INTEGER PRIMARY KEY,
    tenant    TEXT NOT NULL,
    namespace TEXT NOT NULL,
    revision  INTEGER NOT NULL DEFAULT 0,  -- moves with every write to the scope
    UNIQUE (tenant, namespace)
) STRICT;

CREATE TABLE actors (
    number INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    user   TEXT NOT NULL,
    agent  TEXT NOT NULL,
    source TEXT NOT NULL,
    UNIQUE (client, user, agent, source)
) STRICT;

CREATE TABLE memories (
    number        INTEGER PRIMARY KEY,
    id            BLOB NOT NULL UNIQUE,
    scope         INTEGER NOT NULL REFERENCES scopes (number),
    content       TEXT NOT NULL,
    kind          TEXT NOT NULL,
    domain        TEXT NOT NULL,
    tags          TEXT NOT NULL,           -- JSON list of strings
    metadata      TEXT NOT NULL,           -- JSON object
    key           TEXT NOT NULL,
    session_id    TEXT NOT NULL,
    importance    REAL NOT NULL,
    confidence    REAL NOT NULL,
    short_term    INTEGER NOT NULL,        -- 1: retention short_term; 0: long_term
    created       INTEGER NOT NULL,
    updated       INTEGER,                 -- NULL: created
    occurred      INTEGER,
    valid_from    INTEGER,                 -- NULL: occurred, else created
    valid_to      INTEGER,
    expires       INTEGER,
    superseded_by BLOB,
    forgotten     INTEGER,
    fingerprint   BLOB NOT NULL,
    salt          BLOB NOT NULL,           -- keys this memory's digests in the log; gone once it is erased
    actor         INTEGER NOT NULL REFERENCES actors (number),
    change        INTEGER NOT NULL,        -- the scope's revision when this row last changed
    operation     INTEGER NOT NULL         -- the operation that made its present form
) STRICT;

CREATE UNIQUE INDEX one_live_twin ON memories (scope, fingerprint) WHERE forgotten IS NULL AND superseded_by IS NULL;
CREATE UNIQUE INDEX one_live_key ON memories (scope, key) WHERE key <> '' AND forgotten IS NULL AND superseded_by IS NULL;
CREATE INDEX by_change ON memories (scope, change);
CREATE INDEX by_time ON memories (scope, coalesce(occurred, created)) WHERE forgotten IS NULL AND superseded_by IS NULL;

CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    active INTEGER NOT NULL DEFAULT 0      -- 1 for the one that new vectors are made in
) STRICT;

CREATE TABLE vectors (
    memory INTEGER PRIMARY KEY REFERENCES memories (number) ON DELETE CASCADE,
    epoch  INTEGER NOT NULL REFERENCES epochs (number),
    vector BLOB NOT NULL                   -- d little-endian float16
) STRICT;

CREATE VIRTUAL TABLE words USING fts5 (
    scope, body, labels,
    content = '', contentless_delete = 1,
    tokenize = 'porter ascii'              -- words.py has folded and split them; every other character belongs to its word
);
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);

CREATE TABLE uses (
    memory   INTEGER PRIMARY KEY REFERENCES memories (number) ON DELETE CASCADE,
    recalled INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;

CREATE TABLE versions (
    memory    INTEGER NOT NULL REFERENCES memories (number) ON DELETE CASCADE,
    n         INTEGER NOT NULL,            -- from 1, oldest first
    operation INTEGER NOT NULL,            -- the one that replaced this form
    replaced  INTEGER NOT NULL,
    content   TEXT,                        -- NULL: that of the next form, or of the memory
    form      TEXT NOT NULL,               -- JSON object: every other column that can change
    epoch     INTEGER,                     -- with the vector, kept where the content changed
    vector    BLOB,
    PRIMARY KEY (memory, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    number    INTEGER PRIMARY KEY,
    scope     INTEGER NOT NULL REFERENCES scopes (number),
    at        INTEGER NOT NULL,
    action    TEXT NOT NULL,
    subjects  BLOB NOT NULL,               -- per memory: its id, then 12 bytes keyed digest of its new content
    actor     INTEGER NOT NULL REFERENCES actors (number),
    undoes    INTEGER,
    hash      BLOB NOT NULL                -- over this entry and the hash of the one before it
) STRICT;
CREATE UNIQUE INDEX undone_once ON operations (undoes) WHERE undoes IS NOT NULL;

CREATE TABLE outbox (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: a settled note is not mistaken for a newer one
    tier     TEXT NOT NULL,
    memory   INTEGER NOT NULL REFERENCES memories (number) ON DELETE CASCADE,
    due      INTEGER NOT NULL,             -- free to be claimed from then on: later by a lease or a delay
    attempts INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tier, memory)
) STRICT;
CREATE INDEX outbox_by_due ON outbox (tier, due);

CREATE TABLE idempotency (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    digest  BLOB NOT NULL,
    receipt TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
