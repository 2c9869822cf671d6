//! Unpacks a wheel, which is a zip archive, and tells a complete directory from a damaged one.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use zip::{ZipArchive, result::ZipError};

use super::FetchError;
use crate::packages::Package;

/// A line for each file: its size in bytes, a tab, its path.
const MANIFEST: &str = ".manifest";

/// Unpacks what the package keeps into `target`, a new directory. The result is readable by everybody.
pub(super) fn unpack(package: &Package, archive: &Path, target: &Path) -> Result<(), FetchError> {
    let file = File::open(archive).map_err(FetchError::io("open", archive))?;
    let damaged = |reason: String| FetchError::Archive {
        archive: archive.to_owned(),
        reason,
    };
    let broken = |error: ZipError| match error {
        ZipError::Io(source) => FetchError::io("read", archive)(source),
        other => damaged(other.to_string()),
    };
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    let mut manifest = String::new();
    super::create_readable_directories(target).map_err(FetchError::io("create", target))?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        if entry.is_dir() || !is_wanted(package, &name) {
            continue;
        }
        // The sum was right, so this cannot happen; but a path out of the directory must never be written.
        let Some(inside) = entry.enclosed_name() else {
            return Err(damaged(format!("it has the unsafe path {name}")));
        };
        let path = target.join(inside);
        if let Some(parent) = path.parent() {
            super::create_readable_directories(parent).map_err(FetchError::io("create", parent))?;
        }
        let mut output = File::create(&path).map_err(FetchError::io("create", &path))?;
        let size = io::copy(&mut entry, &mut output).map_err(FetchError::io("write", &path))?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0) || name.contains("/bin/");
        set_mode(&path, if executable { 0o755 } else { 0o644 })
            .map_err(FetchError::io("make readable", &path))?;
        manifest.push_str(&format!("{size}\t{name}\n"));
    }
    if manifest.is_empty() {
        return Err(damaged("it has none of the expected files".to_owned()));
    }
    let path = target.join(MANIFEST);
    fs::write(&path, manifest).map_err(FetchError::io("write", &path))?;
    set_mode(&path, 0o644).map_err(FetchError::io("make readable", &path))
}

fn is_wanted(package: &Package, name: &str) -> bool {
    package.keep.iter().any(|prefix| name.starts_with(prefix))
        && !package.skip.iter().any(|part| name.contains(part))
}

/// Whether every file of an unpacked package is there in its full size. A few milliseconds for a thousand files;
/// a file system that lost power may keep the name of a file and lose its content.
pub(super) fn is_complete(directory: &Path) -> bool {
    let Ok(manifest) = fs::read_to_string(directory.join(MANIFEST)) else {
        return false;
    };
    !manifest.is_empty()
        && manifest.lines().all(|line| {
            line.split_once('\t').is_some_and(|(size, name)| {
                fs::metadata(directory.join(name)).is_ok_and(|metadata| metadata.len().to_string() == size)
            })
        })
}

pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    const PACKAGE: Package = Package {
        name: "sample",
        version: "1",
        content: "a sample",
        wheels: &[],
        pip_tag: crate::packages::Platform::pip_tag,
        keep: &["sample/"],
        skip: &["/include/"],
    };

    fn archive(path: &Path) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, mode) in [
            ("sample/bin/tool", 0o600),
            ("sample/share/text", 0o600),
            ("sample/include/header", 0o600),
            ("other/file", 0o644),
        ] {
            zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))
                .unwrap();
            zip.write_all(b"content").unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn what_is_kept_is_readable_and_programs_are_executable() {
        let directory = tempfile::tempdir().unwrap();
        let (wheel, target) = (directory.path().join("wheel"), directory.path().join("target"));
        archive(&wheel);
        unpack(&PACKAGE, &wheel, &target).unwrap();
        let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("sample/bin/tool"), 0o755);
        assert_eq!(mode("sample/share/text"), 0o644);
        assert_eq!(mode("sample"), 0o755);
        assert!(!target.join("other").exists());
        assert!(!target.join("sample/include").exists());
    }

    #[test]
    fn a_truncated_or_missing_file_makes_it_incomplete() {
        let directory = tempfile::tempdir().unwrap();
        let (wheel, target) = (directory.path().join("wheel"), directory.path().join("target"));
        assert!(!is_complete(&target));
        archive(&wheel);
        unpack(&PACKAGE, &wheel, &target).unwrap();
        assert!(is_complete(&target));
        File::create(target.join("sample/share/text")).unwrap();
        assert!(!is_complete(&target));
        fs::remove_file(target.join("sample/share/text")).unwrap();
        assert!(!is_complete(&target));
    }
}
