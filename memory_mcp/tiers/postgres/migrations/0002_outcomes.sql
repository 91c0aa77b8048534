-- What became of a memory when it was put to use, counted beside it like its uses.

CREATE TABLE outcomes (
    tenant  text NOT NULL,
    memory  uuid NOT NULL,
    good    bigint NOT NULL,
    bad     bigint NOT NULL,
    seconds double precision NOT NULL,     -- what the timed ones of the good ones took, together
    timed   bigint NOT NULL,
    last    bigint NOT NULL,
    PRIMARY KEY (tenant, memory),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
) WITH (fillfactor = 70);

-- What was asked of a scope of late, and whether anything was found.
CREATE TABLE questions (
    tenant     text NOT NULL,
    scope      bigint NOT NULL,
    text       text NOT NULL,
    times      bigint NOT NULL,
    unanswered bigint NOT NULL,
    last       bigint NOT NULL,
    PRIMARY KEY (tenant, scope, text),
    FOREIGN KEY (tenant, scope) REFERENCES scopes (tenant, number)
) WITH (fillfactor = 70);
CREATE INDEX questions_by_age ON questions (tenant, scope, last);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outcomes', 'questions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I USING (tenant = nullif(current_setting(''app.tenant'', true), '''')) '
            'WITH CHECK (tenant = nullif(current_setting(''app.tenant'', true), ''''))', name);
    END LOOP;
END $$;
