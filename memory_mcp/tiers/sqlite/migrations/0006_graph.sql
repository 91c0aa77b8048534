-- What live memories speak of, and the relations that they state: read from text and metadata by the program, at every write.

CREATE TABLE mentions (
    memory INTEGER NOT NULL REFERENCES memories (number) ON DELETE CASCADE,
    key    TEXT NOT NULL,                  -- equal for the same entity of a scope
    scope  INTEGER NOT NULL REFERENCES scopes (number),
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    PRIMARY KEY (memory, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_key ON mentions (scope, key, memory);

CREATE TABLE relations (
    number     INTEGER PRIMARY KEY,
    memory     INTEGER NOT NULL REFERENCES memories (number) ON DELETE CASCADE,
    scope      INTEGER NOT NULL REFERENCES scopes (number),
    subject    TEXT NOT NULL,              -- keys of entities
    predicate  TEXT NOT NULL,
    object     TEXT NOT NULL,
    statement  TEXT NOT NULL               -- as it was written, with since when and until when it holds
) STRICT;
CREATE INDEX relations_by_memory ON relations (memory);
CREATE INDEX relations_by_subject ON relations (scope, subject, memory);
CREATE INDEX relations_by_object ON relations (scope, object, memory);

-- Older memories are read in the background.
INSERT INTO outbox (tier, memory, due)
SELECT 'mentions', number, 0 FROM memories WHERE forgotten IS NULL AND superseded_by IS NULL ORDER BY number;
