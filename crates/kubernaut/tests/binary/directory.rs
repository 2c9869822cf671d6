//! Temporary directories, and who works in them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

/// A new directory that everybody may enter, as the user that PostgreSQL runs as must.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("kubernaut-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// The command lines of all processes that name the directory, or work in it where that can be seen.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let text = directory.to_str().unwrap();
    if !cfg!(target_os = "linux") {
        let output = std::process::Command::new("ps")
            .args(["-axww", "-o", "command="])
            .output()
            .unwrap();
        return String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect();
    }
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| {
            let command_line = std::fs::read(process.path().join("cmdline")).ok()?;
            let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
            let works_in = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
            (command_line.contains(text) || works_in.starts_with(directory)).then_some(command_line)
        })
        .collect()
}
