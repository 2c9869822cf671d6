-- One row per distinct text and model: the thousandth crash loop of one deployment adds no vector.
CREATE TABLE incident_embeddings (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    model       text        NOT NULL,
    text_sha256 bytea       NOT NULL,
    text        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    embedded_at timestamptz,
    CONSTRAINT incident_embeddings_pkey PRIMARY KEY (id),
    CONSTRAINT incident_embeddings_text_key UNIQUE (model, text_sha256),
    CONSTRAINT incident_embeddings_text_sha256_length CHECK (octet_length(text_sha256) = 32)
);

-- The dimension is a property of the model, so it is a setting of the migration run.
DO $$
BEGIN
    EXECUTE format('ALTER TABLE incident_embeddings ADD COLUMN embedding vector(%s)',
                   current_setting('kubernaut.embedding_dimension')::integer);
END
$$;

ALTER TABLE incident_embeddings
    ADD CONSTRAINT incident_embeddings_embedded_at_with_vector CHECK ((embedding IS NULL) = (embedded_at IS NULL));

COMMENT ON TABLE incident_embeddings IS 'Distinct canonical texts of records, with their vectors.';
COMMENT ON COLUMN incident_embeddings.id IS 'Surrogate key; records point here.';
COMMENT ON COLUMN incident_embeddings.model IS 'Model that makes the vector.';
COMMENT ON COLUMN incident_embeddings.text_sha256 IS 'SHA-256 of the text.';
COMMENT ON COLUMN incident_embeddings.text IS 'Canonical text: what happened and why, without names, numbers and times.';
COMMENT ON COLUMN incident_embeddings.created_at IS 'When the text was first recorded.';
COMMENT ON COLUMN incident_embeddings.embedded_at IS 'When the vector was stored; NULL while it is pending.';
COMMENT ON COLUMN incident_embeddings.embedding IS 'The vector, of unit length; NULL while it is pending.';

-- Semantic search. m and ef_construction are pgvector's defaults, written out because recall depends on them.
CREATE INDEX incident_embeddings_nearest ON incident_embeddings
    USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64);

-- Work list of the worker that embeds what could not be embedded in time.
CREATE INDEX incident_embeddings_pending ON incident_embeddings (id) WHERE embedding IS NULL;
