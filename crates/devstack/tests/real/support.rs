//! What these tests share.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use devstack::{Major, PostgresPackage, Progress};
use tempfile::TempDir;

/// PostgreSQL from the real cache directory: only the test of fetching fetches anew.
pub(crate) fn package() -> &'static PostgresPackage {
    static PACKAGE: OnceLock<PostgresPackage> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let cache = devstack::cache_directory().unwrap();
        devstack::fetch_postgres(&cache, Progress::detect()).unwrap()
    })
}

/// A new directory that everybody may enter, as the user that PostgreSQL runs as must.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("devstack-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// What a statement answers.
pub(crate) fn query(major: Major, url: &str, sql: &str) -> String {
    let output = psql(major, url, sql);
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn psql(major: Major, url: &str, sql: &str) -> Output {
    Command::new(package().program(major, "psql"))
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            url,
            "-c",
            sql,
        ])
        .output()
        .unwrap()
}

/// This test program again, to run one of its tests that are ignored otherwise: for what needs a process of its own.
pub(crate) fn again(program: &Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", test, "--nocapture", "--test-threads=1"]);
    command.current_dir("/").stdin(Stdio::null());
    command
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Waits until something holds; how long that took.
pub(crate) fn wait_until(what: &str, limit: Duration, holds: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

/// Whether a process is there, dead and unreaped ones aside.
pub(crate) fn lives(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok(),
    }
}
