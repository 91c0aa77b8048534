-- The same text under two keys is two memories: what is true of the one thing need not be of the other.
DROP INDEX one_live_twin;
CREATE UNIQUE INDEX one_live_twin ON memories (tenant, scope, fingerprint, key) WHERE forgotten IS NULL AND superseded_by IS NULL;

CREATE INDEX memories_by_successor ON memories (tenant, superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX memories_by_key ON memories (tenant, scope, key) WHERE key <> '';
