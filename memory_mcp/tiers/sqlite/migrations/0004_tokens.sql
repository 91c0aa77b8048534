-- Bearer tokens by their hashes. A token is what tells the tenant, so that they belong to no scope.

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,       -- SHA-256
    tenant     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    role       TEXT NOT NULL,
    namespaces TEXT NOT NULL,              -- JSON list of strings; empty: all
    created    INTEGER NOT NULL,
    expires    INTEGER,
    revoked    INTEGER
) STRICT, WITHOUT ROWID;
