//! What can go wrong in the store, in the terms of a caller who must decide whether to try again.

use sqlx::error::ErrorKind;

use crate::compatibility::ModelIdentity;

/// An error of the store. It says nothing of HTTP.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or broke the connection. The same call may succeed later.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The transaction lost against a concurrent one (deadlock, serialization, a lock not had in time). The same call
    /// may succeed at once.
    #[error("the transaction lost against a concurrent one")]
    Contention(#[source] sqlx::Error),
    /// The database has no space left. The same call may succeed once somebody has made room.
    #[error("the database has no space left")]
    Full(#[source] sqlx::Error),
    /// A statement took longer than it may.
    #[error("the statement was cancelled by its timeout")]
    Timeout(#[source] sqlx::Error),
    /// The database refused the data: a constraint or a type. The same call fails again.
    #[error("the database refused the data{}", .constraint.as_deref().map(|name| format!(" (constraint {name})")).unwrap_or_default())]
    Rejected {
        /// Name of the violated constraint, where the database gave one.
        constraint: Option<String>,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The idempotency key of the request stands for another request.
    #[error("the idempotency key stands for another request")]
    KeyReused,
    /// The database has moved to another embedding model, so vectors of the configured one say nothing about it.
    #[error("the database has moved to vectors of {0}: restart with that model")]
    OtherModel(ModelIdentity),
    /// The database holds something the code does not expect: a bug in one of the two.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// Anything else the driver reports.
    #[error("the database driver failed")]
    Driver(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call can succeed soon without anything being changed in it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contention(_))
    }

    /// [`Self::Unavailable`] for want of an answer in time.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                match code.as_str() {
                    // serialization_failure, deadlock_detected, lock_not_available
                    "40001" | "40P01" | "55P03" => Self::Contention(error),
                    // query_canceled
                    "57014" => Self::Timeout(error),
                    // disk_full
                    "53100" => Self::Full(error),
                    // idle_in_transaction_session_timeout, transaction_timeout: the session is gone.
                    "25P03" | "25P04" => Self::Unavailable(error),
                    // Class 22: data exceptions. Class 23: integrity constraints. Class 54: program limits.
                    _ if database.kind() != ErrorKind::Other
                        || ["22", "23", "54"].iter().any(|class| code.starts_with(class)) =>
                    {
                        Self::Rejected {
                            constraint: database.constraint().map(str::to_owned),
                            source: error,
                        }
                    }
                    // Class 08: connection; 53: resources, such as memory or too many connections;
                    // 57: operator intervention, such as shutdown; 58: system errors; 28 and 3D: the password or the
                    // database changed under a running service; 25006: a read-only standby.
                    "25006" => Self::Unavailable(error),
                    _ if ["08", "28", "3D", "53", "57", "58"]
                        .iter()
                        .any(|class| code.starts_with(class)) =>
                    {
                        Self::Unavailable(error)
                    }
                    _ => Self::Driver(error),
                }
            }
            _ => Self::Driver(error),
        }
    }
}
