-- What live memories speak of, and the relations that they state: read from text and metadata by the program, at every write.

CREATE TABLE mentions (
    tenant text NOT NULL,
    memory uuid NOT NULL,
    key    text NOT NULL,                  -- equal for the same entity of a scope
    scope  bigint NOT NULL,
    name   text NOT NULL,
    type   text NOT NULL,
    PRIMARY KEY (tenant, memory, key),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);
CREATE INDEX mentions_by_key ON mentions (tenant, scope, key, memory);

CREATE TABLE relations (
    tenant     text NOT NULL,
    memory     uuid NOT NULL,
    n          integer NOT NULL,           -- place within the memory, from 1
    scope      bigint NOT NULL,
    subject    text NOT NULL,              -- keys of entities
    predicate  text NOT NULL,
    object     text NOT NULL,
    statement  text NOT NULL,              -- as it was written, with since when and until when it holds
    PRIMARY KEY (tenant, memory, n),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);
CREATE INDEX relations_by_subject ON relations (tenant, scope, subject, memory);
CREATE INDEX relations_by_object ON relations (tenant, scope, object, memory);

-- Older memories are read in the background. Their owner is let through for as long as it takes to note them.
ALTER TABLE memories NO FORCE ROW LEVEL SECURITY;
INSERT INTO outbox (tier, tenant, memory)
SELECT 'mentions', tenant, id FROM memories WHERE forgotten IS NULL AND superseded_by IS NULL ORDER BY tenant, id;
ALTER TABLE memories FORCE ROW LEVEL SECURITY;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mentions', 'relations'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I USING (tenant = nullif(current_setting(''app.tenant'', true), '''')) '
            'WITH CHECK (tenant = nullif(current_setting(''app.tenant'', true), ''''))', name);
    END LOOP;
END $$;
