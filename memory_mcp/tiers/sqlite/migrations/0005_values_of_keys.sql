-- The same text under two keys is two memories: what is true of the one thing need not be of the other.
DROP INDEX one_live_twin;
CREATE UNIQUE INDEX one_live_twin ON memories (scope, fingerprint, key) WHERE forgotten IS NULL AND superseded_by IS NULL;

CREATE INDEX by_successor ON memories (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX by_key ON memories (scope, key) WHERE key <> '';
