-- Bearer tokens by their hashes. A token is what tells the tenant, so that they lie outside of row-level security.

CREATE TABLE tokens (
    id         text PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE,  -- SHA-256
    tenant     text NOT NULL,
    subject    text NOT NULL,
    role       text NOT NULL,
    namespaces text[] NOT NULL,        -- empty: all
    created    bigint NOT NULL,
    expires    bigint,
    revoked    bigint
);
