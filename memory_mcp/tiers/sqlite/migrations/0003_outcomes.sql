-- What became of a memory when it was put to use, counted beside it like its uses.

CREATE TABLE outcomes (
    memory  INTEGER PRIMARY KEY REFERENCES memories (number) ON DELETE CASCADE,
    good    INTEGER NOT NULL,
    bad     INTEGER NOT NULL,
    seconds REAL NOT NULL,                 -- what the timed ones of the good ones took, together
    timed   INTEGER NOT NULL,
    last    INTEGER NOT NULL
) STRICT;

-- What was asked of a scope of late, and whether anything was found.
CREATE TABLE questions (
    scope      INTEGER NOT NULL REFERENCES scopes (number),
    text       TEXT NOT NULL,
    times      INTEGER NOT NULL,
    unanswered INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    PRIMARY KEY (scope, text)
) STRICT, WITHOUT ROWID;
CREATE INDEX questions_by_age ON questions (scope, last);
