-- Keys that callers gave their requests, so that a key names one request for as long as it is remembered. A row is made
-- by the transaction that stores the request's records, or not at all.
CREATE TABLE idempotency_keys (
    caller         text        NOT NULL,
    key            text        NOT NULL,
    request_sha256 bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    -- Which request has this key? Asked by every write that carries one.
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller, key),
    CONSTRAINT idempotency_keys_request_sha256_length CHECK (octet_length(request_sha256) = 32)
);

COMMENT ON TABLE idempotency_keys IS 'Idempotency-Key headers of stored requests, until they expire.';
COMMENT ON COLUMN idempotency_keys.caller IS 'Identity of the writer; two writers may use the same key.';
COMMENT ON COLUMN idempotency_keys.key IS 'The key, as the caller gave it.';
COMMENT ON COLUMN idempotency_keys.request_sha256 IS 'SHA-256 of the request it stands for, taken after redaction.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When the key was given first.';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'From when on the key may stand for another request.';

-- Which keys have expired? Asked by the task that removes them.
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
