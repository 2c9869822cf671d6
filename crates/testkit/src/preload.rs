//! Libraries that are preloaded into a process and let the system lie to it: a disk that is full, a clock that is set.
//!
//! Linux only, and a C compiler `cc` is needed. What the process makes of the lie is its own, real behaviour.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

const NO_SPACE: &str = include_str!("preload/no_space.c");
const CLOCK_STEP: &str = include_str!("preload/clock_step.c");

/// A disk of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Of tables and indexes.
    Data,
    /// Of the write-ahead log.
    Wal,
}

/// Fills the disks of a PostgreSQL at will: its files grow no more. No file system is filled.
#[derive(Debug)]
pub struct FullDisks {
    directory: PathBuf,
    library: PathBuf,
}

impl FullDisks {
    /// Compiles the library into a directory, in which later flag files say which disk is full. The user that
    /// PostgreSQL runs as must be able to enter it.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            library: compile(directory, "no_space", NO_SPACE),
        }
    }

    /// Variables of the server's environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("NO_SPACE_FOR_DATA", self.flag(Disk::Data)),
            ("NO_SPACE_FOR_WAL", self.flag(Disk::Wal)),
        ]
        .map(|(name, path)| (name.to_owned(), text(&path)))
        .into()
    }

    /// From now on there is no room.
    pub fn fill(&self, disk: Disk) {
        fs::write(self.flag(disk), "").expect("a flag file");
    }

    /// From now on there is room.
    pub fn make_room(&self, disk: Disk) {
        match fs::remove_file(self.flag(disk)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("the flag file stays: {error}"),
            _ => {}
        }
    }

    fn flag(&self, disk: Disk) -> PathBuf {
        self.directory.join(match disk {
            Disk::Data => "data-is-full",
            Disk::Wal => "wal-is-full",
        })
    }
}

/// Sets the wall clock of a process, as long as it runs.
#[derive(Debug)]
pub struct SteppedClock {
    library: PathBuf,
    offset: PathBuf,
}

impl SteppedClock {
    /// Compiles the library into a directory. The clock is right until it is set.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let clock = Self {
            library: compile(directory, "clock_step", CLOCK_STEP),
            offset: directory.join("clock-offset"),
        };
        fs::write(&clock.offset, 0_i64.to_ne_bytes()).expect("a file for the offset");
        clock
    }

    /// Variables of the process's environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [("LD_PRELOAD", &self.library), ("CLOCK_STEP_FILE", &self.offset)]
            .map(|(name, path)| (name.to_owned(), text(path)))
            .into()
    }

    /// From now on the clock is so many seconds ahead of the machine's, or behind it.
    pub fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt as _;
        // In place: the process has this file mapped.
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&self.offset)
            .expect("the file of the offset");
        file.write_all_at(&seconds.to_ne_bytes(), 0)
            .expect("the offset is written");
    }
}

fn compile(directory: &Path, name: &str, source: &str) -> PathBuf {
    let (file, library) = (
        directory.join(format!("{name}.c")),
        directory.join(format!("{name}.so")),
    );
    fs::write(&file, source).expect("a file for the source");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &file])
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{name}.c was not compiled");
    library
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
