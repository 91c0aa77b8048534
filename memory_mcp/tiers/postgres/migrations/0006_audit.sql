-- From where, by what right, and what else an entry says. NULL in entries from before: their hashes run over the rest alone.
ALTER TABLE operations ADD COLUMN origin text[];  -- address, role, token
ALTER TABLE operations ADD COLUMN details text;   -- JSON object, or ''

-- Entries that are gone: the chain goes on from the hash of the last. The newest pruning's entry vouches for all of them.
CREATE TABLE pruned (
    tenant text NOT NULL REFERENCES tenants (name),
    first  bigint NOT NULL,
    last   bigint NOT NULL,
    hash   bytea NOT NULL,
    PRIMARY KEY (tenant, first)
);
ALTER TABLE pruned ENABLE ROW LEVEL SECURITY;
ALTER TABLE pruned FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON pruned USING (tenant = nullif(current_setting('app.tenant', true), ''))
    WITH CHECK (tenant = nullif(current_setting('app.tenant', true), ''));

-- The serving role may only add to the log. What is old it has taken away by this function of the owner's, which leaves the
-- entries of the last day alone, whoever asks; row-level security holds for the owner, too.
CREATE FUNCTION prune_operations(numbers bigint[]) RETURNS TABLE (number bigint, hash bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = memory_mcp, public, pg_temp AS $$
    DELETE FROM operations o
    WHERE o.tenant = nullif(current_setting('app.tenant', true), '') AND o.number = ANY(numbers)
      AND o.at < extract(epoch FROM now() - interval '1 day') * 1000000
    RETURNING o.number, o.hash
$$;
REVOKE EXECUTE ON FUNCTION prune_operations FROM PUBLIC;
