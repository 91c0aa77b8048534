-- What was written again and again is written once. The functions are the program's own, see `database.migrate`.

-- Who does what in which scope, and from where: an entry of the log says only which of these it is.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY,
    scope  INTEGER NOT NULL REFERENCES scopes (number),
    action TEXT NOT NULL,
    actor  INTEGER NOT NULL REFERENCES actors (number),
    origin TEXT                            -- JSON list of address, role, token; NULL in entries from before there were any
) STRICT;
CREATE UNIQUE INDEX one_act ON acts (scope, action, actor, coalesce(origin, ''));
INSERT INTO acts (scope, action, actor, origin) SELECT DISTINCT scope, action, actor, origin FROM operations;

CREATE TABLE entries (
    number    INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    act       INTEGER NOT NULL REFERENCES acts (number),
    subjects  BLOB NOT NULL,               -- per memory: 4 bytes of its number, then 12 bytes keyed digest of its new content
    undoes    INTEGER,
    details   TEXT,                        -- JSON object, or ''; NULL in entries from before there were any
    hash      BLOB NOT NULL                -- over this entry, with the ids of its memories, and the hash of the one before it
) STRICT;
INSERT INTO entries (number, at, act, subjects, undoes, details, hash)
SELECT o.number, o.at, c.number, by_number(o.subjects), o.undoes, o.details, o.hash
FROM operations o JOIN acts c ON (c.scope, c.action, c.actor, coalesce(c.origin, '')) = (o.scope, o.action, o.actor, coalesce(o.origin, ''))
ORDER BY o.number;
DROP TABLE operations;
ALTER TABLE entries RENAME TO operations;
CREATE UNIQUE INDEX undone_once ON operations (undoes) WHERE undoes IS NOT NULL;

-- What memories speak of, each once in a scope for every form that it is written in.
CREATE TABLE entities (
    number INTEGER PRIMARY KEY,
    scope  INTEGER NOT NULL REFERENCES scopes (number),
    key    TEXT NOT NULL,                  -- equal for the same entity of a scope
    name   TEXT NOT NULL,                  -- '': the key itself
    type   TEXT NOT NULL
) STRICT;
CREATE INDEX entities_by_key ON entities (scope, key);
INSERT INTO entities (scope, key, name, type) SELECT DISTINCT scope, key, iif(name = key, '', name), type FROM mentions;

CREATE TABLE spoken_of (
    entity INTEGER NOT NULL REFERENCES entities (number),
    memory INTEGER NOT NULL REFERENCES memories (number) ON DELETE CASCADE,
    PRIMARY KEY (entity, memory)
) STRICT, WITHOUT ROWID;
INSERT INTO spoken_of SELECT e.number, x.memory FROM mentions x JOIN entities e
ON (e.scope, e.key, e.name, e.type) = (x.scope, x.key, iif(x.name = x.key, '', x.name), x.type) ORDER BY 1, 2;
DROP TABLE mentions;
ALTER TABLE spoken_of RENAME TO mentions;
CREATE INDEX mentions_by_memory ON mentions (memory);

-- A word's place takes two bytes less in the first column, which is where nearly all of them stand.
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5 (
    body, labels, scope,
    content = '', contentless_delete = 1,
    tokenize = 'porter ascii'              -- words.py has folded and split them; every other character belongs to its word
);
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
INSERT INTO words (rowid, body, labels, scope)
SELECT number, indexed_body(content), indexed_labels(tags, key, metadata), indexed_scope(scope)
FROM memories WHERE forgotten IS NULL AND superseded_by IS NULL ORDER BY number;
