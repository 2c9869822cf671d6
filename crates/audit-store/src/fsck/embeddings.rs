//! Texts and their vectors.

use sqlx::PgConnection;

use super::Options;
use super::report::{Check, Report, ask};
use crate::StoreError;

const CHECKS: [(Check, &str); 7] = [
    (
        Check::error(
            "embeddings.reference",
            "every text that the ledger or the read model points to exists",
        ),
        "SELECT p.subject, 'text ' || p.embedding_id || ' does not exist'
         FROM (SELECT 'audit_events ' || id AS subject, embedding_id FROM audit_events
               UNION ALL SELECT 'resource_action_traces ' || id, embedding_id FROM resource_action_traces
               UNION ALL SELECT 'ai_analyses ' || id, embedding_id FROM ai_analyses
               UNION ALL SELECT 'workflow_executions ' || id, embedding_id FROM workflow_executions
               UNION ALL SELECT 'action_executions ' || id, embedding_id FROM action_executions) p
         WHERE p.embedding_id IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM incident_embeddings v WHERE v.id = p.embedding_id)",
    ),
    (
        Check::error("embeddings.text_hash", "text_sha256 is the SHA-256 of the text"),
        "SELECT 'incident_embeddings ' || id, 'text_sha256 is that of another text' FROM incident_embeddings
         WHERE text_sha256 <> sha256(convert_to(text, 'UTF8')) ORDER BY id",
    ),
    (
        Check::error(
            "embeddings.dimension",
            "every vector has the dimension of store_properties",
        ),
        "SELECT 'incident_embeddings ' || v.id,
                vector_dims(v.embedding) || ' dimensions instead of ' || p.embedding_dimension
         FROM incident_embeddings v, store_properties p
         WHERE vector_dims(v.embedding) <> p.embedding_dimension ORDER BY v.id",
    ),
    (
        // Single precision: the squares of 2,000 components sum up to 1 within some 1e-4.
        Check::error(
            "embeddings.unit_length",
            "every vector is finite and of unit length, within 0.001",
        ),
        "SELECT 'incident_embeddings ' || id, 'length ' || vector_norm(embedding) FROM incident_embeddings
         WHERE embedding IS NOT NULL AND NOT vector_norm(embedding) BETWEEN 0.999 AND 1.001 ORDER BY id",
    ),
    (
        Check::error(
            "embeddings.embedded_at",
            "a text has a time of embedding if and only if it has a vector",
        ),
        "SELECT 'incident_embeddings ' || id, 'has only one of vector and embedded_at' FROM incident_embeddings
         WHERE (embedding IS NULL) <> (embedded_at IS NULL) ORDER BY id",
    ),
    (
        Check::warning("embeddings.model", "every text is of the model of store_properties"),
        "SELECT 'incident_embeddings ' || v.id, 'of model ' || v.model
         FROM incident_embeddings v, store_properties p WHERE v.model <> p.embedding_model ORDER BY v.id",
    ),
    (
        Check::warning("embeddings.orphan", "some event points to every text"),
        "SELECT 'incident_embeddings ' || v.id, 'no event points to it' FROM incident_embeddings v
         WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.embedding_id = v.id) ORDER BY v.id",
    ),
];

pub(super) async fn run(
    connection: &mut PgConnection,
    options: &Options,
    report: &mut Report,
) -> Result<(), StoreError> {
    for (check, faults) in CHECKS {
        report
            .checks
            .push(ask(connection, check, options.examples, faults).await?);
    }
    Ok(())
}
