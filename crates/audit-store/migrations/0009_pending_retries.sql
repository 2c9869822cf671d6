-- Texts that wait for their vectors are tried again at a time of their own, so that one that cannot be embedded holds
-- up no other and an embedder that is away is not hammered.
ALTER TABLE incident_embeddings
    ADD COLUMN attempts        integer     NOT NULL DEFAULT 0,
    ADD COLUMN refusals        integer     NOT NULL DEFAULT 0,
    -- A row that says nothing is due at once.
    ADD COLUMN next_attempt_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN last_error      text,
    ADD CONSTRAINT incident_embeddings_attempts_not_negative CHECK (attempts >= 0),
    ADD CONSTRAINT incident_embeddings_refusals_not_negative CHECK (refusals >= 0),
    ADD CONSTRAINT incident_embeddings_last_error_short CHECK (char_length(last_error) <= 200);

COMMENT ON COLUMN incident_embeddings.attempts IS 'How often the text was claimed by the worker that embeds late texts, a claim that never ended included. The number of a claim: a worker whose lease ran out may no longer report a failure.';
COMMENT ON COLUMN incident_embeddings.refusals IS 'How many of these attempts ended with an error that may come from the text itself; from 5 on it counts as poisoned and is tried once an hour. An error that will not pass counts as 5.';
COMMENT ON COLUMN incident_embeddings.next_attempt_at IS 'When a pending text is due: the time it was recorded at first; while a worker holds it, the end of that lease; after a failure, the end of the pause. Means nothing once the vector is stored.';
COMMENT ON COLUMN incident_embeddings.last_error IS 'Why the last attempt failed, at most 200 characters; NULL before the first failure and once the vector is stored.';

UPDATE incident_embeddings SET next_attempt_at = created_at WHERE embedding IS NULL;

-- Due pending texts of a model, newest first and oldest first: the claim of the worker that embeds late texts.
CREATE INDEX incident_embeddings_due ON incident_embeddings (model, next_attempt_at, id) WHERE embedding IS NULL;
-- It served the claim that walked pending texts by id.
DROP INDEX incident_embeddings_pending;
