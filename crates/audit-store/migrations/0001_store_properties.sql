-- What this database was made with. One row; both services compare it with what they were built for.
CREATE TABLE store_properties (
    singleton               boolean     PRIMARY KEY DEFAULT true,
    contract_version        integer     NOT NULL,
    embedding_model         text        NOT NULL,
    embedding_model_version text        NOT NULL,
    embedding_dimension     integer     NOT NULL,
    created_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT store_properties_one_row CHECK (singleton),
    -- pgvector's HNSW indexes take at most 2,000 dimensions of type vector.
    CONSTRAINT store_properties_dimension_range CHECK (embedding_dimension BETWEEN 1 AND 2000)
);

COMMENT ON TABLE store_properties IS 'What this database was made with: the contract its views keep and the model its vectors come from.';
COMMENT ON COLUMN store_properties.singleton IS 'Always true: the primary key that keeps this a table of one row.';
COMMENT ON COLUMN store_properties.contract_version IS 'Version of the context views. A reader refuses a version it does not know.';
COMMENT ON COLUMN store_properties.embedding_model IS 'Name of the model whose vectors are stored.';
COMMENT ON COLUMN store_properties.embedding_model_version IS 'Version of that model (of its weights).';
COMMENT ON COLUMN store_properties.embedding_dimension IS 'Number of components of every stored vector.';
COMMENT ON COLUMN store_properties.created_at IS 'When the schema was made.';

-- The model is a setting of the migration run, because a database belongs to one model from its first day.
INSERT INTO store_properties (contract_version, embedding_model, embedding_model_version, embedding_dimension)
VALUES (
    1,
    current_setting('kubernaut.embedding_model'),
    current_setting('kubernaut.embedding_model_version'),
    current_setting('kubernaut.embedding_dimension')::integer
);
