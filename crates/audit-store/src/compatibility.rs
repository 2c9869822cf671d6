//! Refusing a database that the code cannot serve, in words that say what to do.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::migrate::MIGRATOR;
use crate::{SchemaName, StoreError, WriteStore};

/// Oldest PostgreSQL served: the read path relies on features of 15, and 15 is untested.
pub const MIN_POSTGRES_MAJOR: u32 = 16;
/// Oldest pgvector served: 0.8.0 brought iterative index scans, without which a filtered search loses rows.
pub const MIN_PGVECTOR: PgvectorVersion = PgvectorVersion(0, 8, 0);
/// Oldest pgvector without a known defect in concurrent INSERT and VACUUM of HNSW indexes (fixed up to 0.8.4).
pub const SAFE_PGVECTOR: PgvectorVersion = PgvectorVersion(0, 8, 4);
/// Version of the context views this code was written for.
pub const CONTRACT_VERSION: i32 = 3;

/// A version of pgvector: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PgvectorVersion(pub u32, pub u32, pub u32);

impl PgvectorVersion {
    /// Parses `major.minor` or `major.minor.patch`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(|part| part.parse::<u32>().ok());
        let major = numbers.next()??;
        let minor = numbers.next()??;
        let patch = numbers.next().unwrap_or(Some(0))?;
        numbers.next().is_none().then_some(Self(major, minor, patch))
    }
}

impl std::fmt::Display for PgvectorVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The model whose vectors a database holds, or is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// Name, such as `all-MiniLM-L6-v2`.
    pub name: String,
    /// Version of the weights.
    pub version: String,
    /// Number of components of a vector.
    pub dimension: usize,
}

impl ModelIdentity {
    /// The dimension as the database keeps it.
    pub(crate) fn stored_dimension(&self) -> i32 {
        i32::try_from(self.dimension).unwrap_or(i32::MAX)
    }
}

impl std::fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            version,
            dimension,
        } = self;
        write!(f, "{name} version {version} ({dimension} dimensions)")
    }
}

/// Why a database cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Incompatible {
    /// The server is too old.
    #[error(
        "PostgreSQL {found} is too old: version {MIN_POSTGRES_MAJOR} or newer is needed. Upgrade the server, or point DATABASE_URL to another one"
    )]
    PostgresTooOld {
        /// The server's version.
        found: String,
    },
    /// The database cannot hold every text.
    #[error(
        "the database's encoding is {found}: UTF8 is needed. Make a database with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
    )]
    NotUtf8 {
        /// The database's encoding.
        found: String,
    },
    /// pgvector is not installed on the server.
    #[error(
        "the server has no pgvector: install pgvector {MIN_PGVECTOR} or newer for its PostgreSQL version, for example the package postgresql-NN-pgvector or the image pgvector/pgvector"
    )]
    PgvectorNotInstalled,
    /// pgvector is there, but not enabled in this database.
    #[error(
        "the extension vector is not enabled in this database: run `kubernaut migrate` as a superuser, or `CREATE EXTENSION vector SCHEMA public`"
    )]
    ExtensionMissing,
    /// pgvector lives in a schema that the services do not search.
    #[error("the extension vector is in schema {found}: run `ALTER EXTENSION vector SET SCHEMA public`")]
    ExtensionElsewhere {
        /// Where it is.
        found: String,
    },
    /// pgvector is too old.
    #[error(
        "pgvector {found} is too old: version {MIN_PGVECTOR} or newer is needed. Install it and run `ALTER EXTENSION vector UPDATE`"
    )]
    PgvectorTooOld {
        /// The extension's version.
        found: String,
    },
    /// The schema is not there, or not up to date.
    #[error("schema {schema} is at migration {found}, this version needs {needed}: run `kubernaut migrate`")]
    NotMigrated {
        /// The data schema.
        schema: String,
        /// Newest migration applied; 0 for none.
        found: i64,
        /// Newest migration of this version.
        needed: i64,
    },
    /// The database was migrated by a newer version.
    #[error(
        "schema {schema} is at migration {found}, newer than the {known} this version knows: upgrade this service"
    )]
    MigratedFurther {
        /// The data schema.
        schema: String,
        /// Newest migration applied.
        found: i64,
        /// Newest migration of this version.
        known: i64,
    },
    /// The context schema is not there, or this role may not use it.
    #[error(
        "the context schema {schema} does not exist or this role may not read it: run `kubernaut migrate`, and log in as the reader role it grants"
    )]
    NoContract {
        /// The context schema.
        schema: String,
    },
    /// The views keep another contract.
    #[error(
        "the context schema keeps contract version {found}, this version knows {CONTRACT_VERSION}: run the same version of all services, Data Storage's migration first"
    )]
    UnknownContract {
        /// The version found.
        found: i32,
    },
    /// The database's vectors come from another model.
    #[error(
        "the database holds vectors of {database}, but the configured model is {configured}: configure that model, or move the database with `kubernaut reembed`"
    )]
    OtherModel {
        /// The model the database was made with.
        database: ModelIdentity,
        /// The model of the configuration.
        configured: ModelIdentity,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for Incompatible {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Refuses a server that is too old or has no pgvector that could be enabled.
///
/// # Errors
/// [`Incompatible`], saying what to do.
pub async fn require_server(connection: &mut PgConnection) -> Result<(), Incompatible> {
    let server = sqlx::query!(
        r#"SELECT current_setting('server_version') AS "version!", current_setting('server_version_num')::integer AS "number!",
                  current_setting('server_encoding') AS "encoding!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if u32::try_from(server.number / 10_000).unwrap_or(0) < MIN_POSTGRES_MAJOR {
        return Err(Incompatible::PostgresTooOld {
            found: server.version,
        });
    }
    if server.encoding != "UTF8" {
        return Err(Incompatible::NotUtf8 {
            found: server.encoding,
        });
    }
    let available = sqlx::query_scalar!(
        r#"SELECT coalesce(installed_version, default_version) AS "version!" FROM pg_available_extensions WHERE name = 'vector'"#
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(Incompatible::PgvectorNotInstalled)?;
    require_pgvector(&available)
}

fn require_pgvector(found: &str) -> Result<(), Incompatible> {
    match PgvectorVersion::parse(found) {
        Some(version) if version >= MIN_PGVECTOR => {
            if version < SAFE_PGVECTOR {
                tracing::warn!(%version, "pgvector before {SAFE_PGVECTOR} can corrupt HNSW indexes when INSERT meets VACUUM: update it");
            }
            Ok(())
        }
        _ => Err(Incompatible::PgvectorTooOld {
            found: found.to_owned(),
        }),
    }
}

/// Refuses a database in which the extension is not enabled where the services look for it.
///
/// # Errors
/// [`Incompatible`], saying what to do.
pub async fn require_extension(connection: &mut PgConnection) -> Result<(), Incompatible> {
    let extension = sqlx::query!(
        r#"SELECT e.extversion AS version, n.nspname::text AS "schema!"
           FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"#
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(Incompatible::ExtensionMissing)?;
    if extension.schema != "public" {
        return Err(Incompatible::ExtensionElsewhere {
            found: extension.schema,
        });
    }
    require_pgvector(&extension.version)
}

impl WriteStore {
    /// Refuses a server, a schema or a model that this version cannot write.
    ///
    /// # Errors
    /// [`Incompatible`], saying what to do.
    pub async fn require_compatible(&self, model: &ModelIdentity) -> Result<(), Incompatible> {
        let mut connection = self.pool().acquire().await?;
        require_database(&mut connection, self.schema()).await?;
        let (contract_version, database) = properties(&mut connection).await?;
        require_properties(contract_version, database, model)
    }

    /// The model whose vectors the database holds now: a re-embedding changes it under a running service.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached.
    pub async fn model(&self) -> Result<ModelIdentity, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(properties(&mut connection).await?.1)
    }
}

/// Refuses a server or a data schema that this version cannot write.
pub(crate) async fn require_database(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<(), Incompatible> {
    require_server(connection).await?;
    require_extension(connection).await?;
    require_migrations(connection, schema).await
}

/// The contract that the database keeps, and its model.
pub(crate) async fn properties(connection: &mut PgConnection) -> Result<(i32, ModelIdentity), StoreError> {
    let properties = sqlx::query!(
        "SELECT contract_version, embedding_model, embedding_model_version, embedding_dimension FROM store_properties"
    )
    .fetch_one(connection)
    .await?;
    let model = ModelIdentity {
        name: properties.embedding_model,
        version: properties.embedding_model_version,
        dimension: dimension(properties.embedding_dimension),
    };
    Ok((properties.contract_version, model))
}

/// The model of a schema that the connection does not search. The name is a plain identifier.
pub(crate) async fn model_in(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<ModelIdentity, StoreError> {
    let (name, version, stored): (String, String, i32) = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT embedding_model, embedding_model_version, embedding_dimension FROM {schema}.store_properties"
    )))
    .fetch_one(connection)
    .await?;
    Ok(ModelIdentity {
        name,
        version,
        dimension: dimension(stored),
    })
}

/// Refuses a data schema that is not at the newest migration of this version.
pub(crate) async fn require_migrations(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<(), Incompatible> {
    let needed = MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let table = format!("{}._sqlx_migrations", schema.data());
    let exists = sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "exists!""#, table)
        .fetch_one(&mut *connection)
        .await?;
    let found = if exists {
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut *connection)
            .await?
    } else {
        0
    };
    if found < needed {
        Err(Incompatible::NotMigrated {
            schema: schema.to_string(),
            found,
            needed,
        })
    } else if found > needed {
        Err(Incompatible::MigratedFurther {
            schema: schema.to_string(),
            found,
            known: needed,
        })
    } else {
        Ok(())
    }
}

/// Refuses a contract this version does not know, or a database of another model.
pub(crate) fn require_properties(
    contract_version: i32,
    database: ModelIdentity,
    configured: &ModelIdentity,
) -> Result<(), Incompatible> {
    if contract_version != CONTRACT_VERSION {
        return Err(Incompatible::UnknownContract {
            found: contract_version,
        });
    }
    if database != *configured {
        return Err(Incompatible::OtherModel {
            database,
            configured: configured.clone(),
        });
    }
    Ok(())
}

/// The stored dimension, which a CHECK keeps between 1 and 2,000.
pub(crate) fn dimension(stored: i32) -> usize {
    usize::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_pgvector_compare_as_numbers() {
        let parse = |text| PgvectorVersion::parse(text);
        assert_eq!(parse("0.8.5"), Some(PgvectorVersion(0, 8, 5)));
        assert_eq!(parse("0.10"), Some(PgvectorVersion(0, 10, 0)));
        assert!(parse("0.10.0").unwrap() > parse("0.8.5").unwrap());
        for bad in ["", "1", "0.8.x", "0.8.5.1", "v0.8"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_old_pgvector_is_refused_and_says_what_to_do() {
        assert!(require_pgvector("0.8.0").is_ok());
        let message = require_pgvector("0.7.4").unwrap_err().to_string();
        assert_eq!(
            message,
            "pgvector 0.7.4 is too old: version 0.8.0 or newer is needed. Install it and run `ALTER EXTENSION vector UPDATE`"
        );
    }

    #[test]
    fn another_contract_or_model_is_refused() {
        let minilm = ModelIdentity {
            name: "all-MiniLM-L6-v2".into(),
            version: "1".into(),
            dimension: 384,
        };
        let large = ModelIdentity {
            name: "large".into(),
            version: "1".into(),
            dimension: 768,
        };
        assert!(require_properties(CONTRACT_VERSION, minilm.clone(), &minilm).is_ok());
        assert_eq!(
            require_properties(99, minilm.clone(), &minilm)
                .unwrap_err()
                .to_string(),
            "the context schema keeps contract version 99, this version knows 3: run the same version of all services, Data Storage's migration first"
        );
        let newer = ModelIdentity {
            version: "2".into(),
            ..minilm.clone()
        };
        assert_eq!(
            require_properties(CONTRACT_VERSION, minilm.clone(), &newer)
                .unwrap_err()
                .to_string(),
            "the database holds vectors of all-MiniLM-L6-v2 version 1 (384 dimensions), but the configured model is all-MiniLM-L6-v2 version 2 (384 dimensions): configure that model, or move the database with `kubernaut reembed`"
        );
        assert_eq!(
            require_properties(CONTRACT_VERSION, minilm, &large)
                .unwrap_err()
                .to_string(),
            "the database holds vectors of all-MiniLM-L6-v2 version 1 (384 dimensions), but the configured model is large version 1 (768 dimensions): configure that model, or move the database with `kubernaut reembed`"
        );
    }
}
