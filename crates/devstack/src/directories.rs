//! Where things are kept.
//!
//! | | variable | Linux | macOS | root |
//! |---|---|---|---|---|
//! | cache: packages, test servers | `KUBERNAUT_CACHE_DIR` | `$XDG_CACHE_HOME/kubernaut`, `~/.cache/kubernaut` | `~/Library/Caches/kubernaut` | `/var/cache/kubernaut` |
//! | data: what must survive | `KUBERNAUT_DATA_DIR` | `$XDG_DATA_HOME/kubernaut`, `~/.local/share/kubernaut` | `~/Library/Application Support/kubernaut` | `/var/lib/kubernaut` |
//!
//! Root has places of its own because PostgreSQL refuses to run as root: it runs as another user, who could
//! not enter root's home.

use std::{ffi::OsString, io, path::PathBuf};

/// Why a directory could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Neither the variable nor a home directory is set.
    #[error(
        "there is no place for kubernaut's {what}: neither {variable} nor HOME is set; set {variable} to a directory"
    )]
    NoHome {
        /// What the directory is for.
        what: &'static str,
        /// The variable that decides.
        variable: &'static str,
    },
    /// A relative path was given and the working directory cannot be read.
    #[error(
        "{variable} is a relative path and the working directory cannot be read ({source}); use an absolute path"
    )]
    Relative {
        /// The variable that decides.
        variable: &'static str,
        /// Why the working directory cannot be read.
        source: io::Error,
    },
}

/// What sets the two directories apart.
struct Kind {
    what: &'static str,
    variable: &'static str,
    xdg_variable: &'static str,
    below_home: &'static str,
    of_root: &'static str,
}

const CACHE: Kind = Kind {
    what: "cache",
    variable: "KUBERNAUT_CACHE_DIR",
    xdg_variable: "XDG_CACHE_HOME",
    below_home: if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    },
    of_root: "/var/cache/kubernaut",
};

const DATA: Kind = Kind {
    what: "data",
    variable: "KUBERNAUT_DATA_DIR",
    xdg_variable: "XDG_DATA_HOME",
    below_home: if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    },
    of_root: "/var/lib/kubernaut",
};

/// The directory for what can be fetched or made again; absolute, not created.
///
/// # Errors
/// [`DirectoryError`] when the environment names no place.
pub fn cache_directory() -> Result<PathBuf, DirectoryError> {
    choose(&CACHE, nix::unistd::geteuid().is_root(), |name| {
        std::env::var_os(name)
    })
}

/// The directory for what must survive; absolute, not created. A command-line flag comes before it.
///
/// # Errors
/// [`DirectoryError`] when the environment names no place.
pub fn data_directory() -> Result<PathBuf, DirectoryError> {
    choose(&DATA, nix::unistd::geteuid().is_root(), |name| {
        std::env::var_os(name)
    })
}

fn choose(
    kind: &Kind,
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, DirectoryError> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = set(kind.variable) {
        // Child processes run in another working directory, so a relative path would change its meaning.
        return std::path::absolute(path).map_err(|source| DirectoryError::Relative {
            variable: kind.variable,
            source,
        });
    }
    if is_root {
        return Ok(PathBuf::from(kind.of_root));
    }
    // The XDG specification says to ignore relative paths.
    let base = match set(kind.xdg_variable).filter(|path| path.is_absolute()) {
        Some(base) if !cfg!(target_os = "macos") => base,
        _ => set("HOME")
            .ok_or(DirectoryError::NoHome {
                what: kind.what,
                variable: kind.variable,
            })?
            .join(kind.below_home),
    };
    Ok(base.join("kubernaut"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(kind: &Kind, is_root: bool, environment: &[(&str, &str)]) -> Result<PathBuf, DirectoryError> {
        choose(kind, is_root, |name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_variable_comes_first_even_for_root() {
        let environment = [("KUBERNAUT_CACHE_DIR", "/elsewhere"), ("HOME", "/home/a")];
        assert_eq!(
            chosen(&CACHE, true, &environment).unwrap(),
            PathBuf::from("/elsewhere")
        );
        assert_eq!(
            chosen(&CACHE, false, &environment).unwrap(),
            PathBuf::from("/elsewhere")
        );
    }

    #[test]
    fn root_has_system_directories() {
        assert_eq!(
            chosen(&CACHE, true, &[("HOME", "/root")]).unwrap(),
            PathBuf::from("/var/cache/kubernaut")
        );
        assert_eq!(
            chosen(&DATA, true, &[("HOME", "/root")]).unwrap(),
            PathBuf::from("/var/lib/kubernaut")
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_user_has_the_xdg_directories() {
        let home = ("HOME", "/home/a");
        assert_eq!(
            chosen(&CACHE, false, &[home]).unwrap(),
            PathBuf::from("/home/a/.cache/kubernaut")
        );
        assert_eq!(
            chosen(&DATA, false, &[home]).unwrap(),
            PathBuf::from("/home/a/.local/share/kubernaut")
        );
        let xdg = ("XDG_DATA_HOME", "/big");
        assert_eq!(
            chosen(&DATA, false, &[home, xdg]).unwrap(),
            PathBuf::from("/big/kubernaut")
        );
        let relative = ("XDG_DATA_HOME", "big");
        assert_eq!(
            chosen(&DATA, false, &[home, relative]).unwrap(),
            PathBuf::from("/home/a/.local/share/kubernaut")
        );
    }

    #[test]
    fn without_a_home_the_error_names_the_variable_to_set() {
        let error = chosen(&DATA, false, &[]).unwrap_err().to_string();
        assert!(error.contains("set KUBERNAUT_DATA_DIR to a directory"), "{error}");
    }
}
