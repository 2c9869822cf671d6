//! The model that the binary embeds with.

use std::sync::OnceLock;

use audit_store::compatibility::ModelIdentity;
use devstack::Progress;
use embedding::{MiniLm, Model, Precision};

/// Its identity, which a schema is migrated for.
pub(crate) fn minilm() -> ModelIdentity {
    static IDENTITY: OnceLock<ModelIdentity> = OnceLock::new();
    IDENTITY
        .get_or_init(|| {
            let cache = devstack::cache_directory().unwrap();
            let directory = devstack::fetch_model(&cache, Progress::detect()).unwrap();
            let model = MiniLm::load(&directory, Precision::Float32).unwrap();
            let info = model.info();
            ModelIdentity {
                name: info.name.clone(),
                version: info.version.clone(),
                dimension: info.dimension,
            }
        })
        .clone()
}
