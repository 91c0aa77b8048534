-- Times are microseconds since 1970 UTC. A memory is live while forgotten and superseded_by are both NULL.
-- Everything of a tenant lies under row-level security and has the tenant first in its keys, so that another tenant's
-- id is an unknown id. What lies outside of it (tenants, epochs, outbox) holds names, ids and hashes alone.

CREATE TABLE tenants (
    name       text PRIMARY KEY,
    operations bigint NOT NULL DEFAULT 0,  -- number of the newest entry of its log; every write locks this row
    hash       bytea NOT NULL DEFAULT ''   -- of that entry
);

CREATE TABLE epochs (
    number    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL UNIQUE,
    active    boolean NOT NULL DEFAULT false,  -- the one that new vectors are made in
    dimension integer                          -- numbers in a vector; NULL until there is one
);

CREATE TABLE scopes (
    tenant    text NOT NULL REFERENCES tenants (name),
    namespace text NOT NULL,
    number    bigint GENERATED ALWAYS AS IDENTITY,
    revision  bigint NOT NULL DEFAULT 0,  -- moves with every write to the scope
    PRIMARY KEY (tenant, namespace),
    UNIQUE (tenant, number)
);

CREATE TABLE memories (
    tenant        text NOT NULL,
    id            uuid NOT NULL,
    scope         bigint NOT NULL,
    content       text NOT NULL,
    kind          text NOT NULL,
    domain        text NOT NULL,
    tags          text[] NOT NULL,
    metadata      json NOT NULL,           -- not jsonb: that one rewrites numbers
    key           text NOT NULL,
    session_id    text NOT NULL,
    importance    double precision NOT NULL,
    confidence    double precision NOT NULL,
    short_term    boolean NOT NULL,
    created       bigint NOT NULL,
    updated       bigint NOT NULL,
    occurred      bigint,
    valid_from    bigint NOT NULL,
    valid_to      bigint,
    expires       bigint,
    superseded_by uuid,
    forgotten     bigint,
    fingerprint   bytea NOT NULL,
    salt          bytea NOT NULL,          -- keys this memory's digests in the log; gone once it is erased
    actor         text[] NOT NULL,         -- client, user, agent, source
    change        bigint NOT NULL,         -- the scope's revision when this row last changed
    operation     bigint NOT NULL,         -- the operation that made its present form
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, scope) REFERENCES scopes (tenant, number)
);

CREATE UNIQUE INDEX one_live_twin ON memories (tenant, scope, fingerprint) WHERE forgotten IS NULL AND superseded_by IS NULL;
CREATE UNIQUE INDEX one_live_key ON memories (tenant, scope, key) WHERE key <> '' AND forgotten IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_by_change ON memories (tenant, scope, change);
CREATE INDEX memories_by_time ON memories (tenant, scope, coalesce(occurred, created) DESC, id)
    WHERE forgotten IS NULL AND superseded_by IS NULL;

-- A row for each passage; beside it what a search filters by, so that nothing has to be joined while searching.
CREATE TABLE vectors (
    tenant  text NOT NULL,
    memory  uuid NOT NULL,
    passage smallint NOT NULL,
    scope   bigint NOT NULL,
    epoch   integer NOT NULL REFERENCES epochs (number),
    live    boolean NOT NULL,
    kind    text NOT NULL,
    domain  text NOT NULL,
    tags    text[] NOT NULL,
    at      bigint NOT NULL,               -- occurred, else created
    expires bigint,
    vector  halfvec NOT NULL,
    PRIMARY KEY (tenant, memory, passage),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);
CREATE INDEX vectors_by_scope ON vectors (tenant, scope, epoch) WHERE live;

-- The words of live memories, folded, split and stemmed by the program, with a word that holds a scope together.
CREATE TABLE words (
    tenant text NOT NULL,
    memory uuid NOT NULL,
    scope  bigint NOT NULL,
    length integer NOT NULL,               -- words in text and labels
    words  tsvector NOT NULL,
    PRIMARY KEY (tenant, memory),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);
CREATE INDEX words_by_scope ON words (tenant, scope);

CREATE TABLE uses (
    tenant   text NOT NULL,
    memory   uuid NOT NULL,
    recalled bigint NOT NULL,
    last     bigint NOT NULL,
    PRIMARY KEY (tenant, memory),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
) WITH (fillfactor = 70);

CREATE TABLE versions (
    tenant    text NOT NULL,
    memory    uuid NOT NULL,
    n         integer NOT NULL,            -- from 1, oldest first
    operation bigint NOT NULL,             -- the one that replaced this form
    replaced  bigint NOT NULL,
    content   text,                        -- NULL: that of the next form, or of the memory
    form      json NOT NULL,               -- every other column that can change
    epoch     integer,                     -- with the vectors, kept where the content changed
    vectors   halfvec[],
    PRIMARY KEY (tenant, memory, n),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);

CREATE TABLE operations (
    tenant   text NOT NULL,
    number   bigint NOT NULL,              -- from 1 in each tenant, without a gap
    scope    bigint NOT NULL,
    at       bigint NOT NULL,
    action   text NOT NULL,
    subjects bytea NOT NULL,               -- per memory: its id, then 12 bytes keyed digest of its new content
    actor    text[] NOT NULL,
    undoes   bigint,
    hash     bytea NOT NULL,               -- over this entry and the hash of the one before it
    PRIMARY KEY (tenant, number),
    FOREIGN KEY (tenant, scope) REFERENCES scopes (tenant, number)
);
CREATE UNIQUE INDEX undone_once ON operations (tenant, undoes) WHERE undoes IS NOT NULL;

CREATE TABLE idempotency (
    tenant  text NOT NULL REFERENCES tenants (name),
    key     text NOT NULL,
    digest  bytea NOT NULL,
    receipt json NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_by_age ON idempotency (tenant, at);

CREATE TABLE outbox (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never used twice: a settled note is not mistaken for a newer one
    tier     text NOT NULL,
    tenant   text NOT NULL,
    memory   uuid NOT NULL,
    due      bigint NOT NULL DEFAULT 0,    -- free to be claimed from then on: later by a lease or a delay
    attempts integer NOT NULL DEFAULT 0,
    UNIQUE (tenant, memory, tier),
    FOREIGN KEY (tenant, memory) REFERENCES memories (tenant, id) ON DELETE CASCADE
);
CREATE INDEX outbox_by_due ON outbox (tier, due, number);

-- nullif: after a transaction's own setting has ended, it is '' and not NULL
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['scopes', 'memories', 'vectors', 'words', 'uses', 'versions', 'operations', 'idempotency'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I USING (tenant = nullif(current_setting(''app.tenant'', true), '''')) '
            'WITH CHECK (tenant = nullif(current_setting(''app.tenant'', true), ''''))', name);
    END LOOP;
END $$;

-- Under a policy the server may not look into a GIN index before it has looked at the row's tenant, since the operator
-- could tell of rows that are hidden. So words are found by functions of the owner's, who alone is let through the policy,
-- and which name the tenant of the transaction themselves. Built as text, so that the plan follows the words that are asked.
CREATE INDEX words_by_word ON words USING gin (words) WITH (gin_pending_list_limit = 512);

DO $$ BEGIN
    EXECUTE format('CREATE POLICY owner_finds ON words FOR SELECT TO %I USING (true)', current_user);
END $$;

CREATE FUNCTION found_words(within tsquery, asked tsquery) RETURNS TABLE (memory uuid, length integer, words tsvector)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = memory_mcp, public, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT w.memory, w.length, w.words FROM words w WHERE w.words @@ $1 AND w.tenant = $2'
        USING within && asked, nullif(current_setting('app.tenant', true), '');
END $$;

CREATE FUNCTION counted_words(within tsquery, asked tsquery[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = memory_mcp, public, pg_temp AS $$
DECLARE
    one tsquery;
    seen bigint;
    counts bigint[] := '{}';
BEGIN
    FOREACH one IN ARRAY asked LOOP
        EXECUTE 'SELECT count(*) FROM words w WHERE w.words @@ $1 AND w.tenant = $2' INTO seen
            USING within && one, nullif(current_setting('app.tenant', true), '');
        counts := counts || seen;
    END LOOP;
    RETURN counts;
END $$;

REVOKE EXECUTE ON FUNCTION found_words, counted_words FROM PUBLIC;
