//! Real servers: made, stopped, found again, refused.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use crate::support::{again, directory, is_root, lives, package, psql, query, wait_until};
use devstack::{Durability, Major, Postgres, PostgresError, PostgresOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User},
};

/// The environment variable through which a test tells its child where to work.
const DIRECTORY: &str = "DEVSTACK_TEST_DIRECTORY";

fn start(options: &PostgresOptions) -> Postgres {
    Postgres::start(package(), options).unwrap_or_else(|error| panic!("{error}"))
}

/// For tests that say nothing about durability, since syncing is slow.
fn disposable(directory: impl Into<PathBuf>) -> PostgresOptions {
    PostgresOptions {
        durability: Durability::Disposable,
        ..PostgresOptions::new(Major::V18, directory)
    }
}

fn refusal(options: &PostgresOptions) -> PostgresError {
    Postgres::start(package(), options)
        .map(|server| server.url())
        .unwrap_err()
}

fn both_versions_serve(major: Major, version: &str) {
    let directory = directory();
    let server = start(&PostgresOptions::new(major, directory.path().join("pg")));
    let url = server.url();
    assert!(query(major, &url, "SHOW server_version").starts_with(version));
    assert_eq!(
        query(
            major,
            &url,
            "CREATE EXTENSION vector; SELECT '[1,2]'::vector <-> '[1,4]'::vector"
        ),
        "2"
    );
    assert_eq!(
        query(major, &url, "SELECT current_user, current_database()"),
        "kubernaut|kubernaut"
    );
    assert_eq!(query(major, &url, "SHOW fsync"), "on");
    assert_eq!(query(major, &url, "SHOW server_encoding"), "UTF8");
    assert_eq!(query(major, &url, "SHOW timezone"), "UTC");
    let wrong = psql(major, &server.url_as("kubernaut", "wrong"), "SELECT 1");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("password authentication failed"));
    server.stop().unwrap();
    assert!(!psql(major, &url, "SELECT 1").status.success());
}

#[test]
fn version_18_serves_vectors_to_those_with_the_password() {
    both_versions_serve(Major::V18, "18.");
}

#[test]
fn version_16_serves_vectors_to_those_with_the_password() {
    both_versions_serve(Major::V16, "16.");
}

#[test]
fn data_password_and_port_survive_a_restart() {
    let directory = directory();
    let options = disposable(directory.path().join("pg"));
    let server = start(&options);
    let url = server.url();
    query(Major::V18, &url, "CREATE TABLE kept AS SELECT 42 AS answer");
    let password = server.directory().join("password");
    assert_eq!(
        fs::metadata(&password).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(server);

    let server = start(&options);
    assert_eq!(server.url(), url);
    assert_eq!(query(Major::V18, &url, "SELECT answer FROM kept"), "42");
    server.stop().unwrap();

    fs::remove_file(&password).unwrap();
    let server = start(&options);
    assert_ne!(server.url(), url, "a lost password is made anew");
    assert_eq!(query(Major::V18, &server.url(), "SELECT answer FROM kept"), "42");
}

#[test]
fn a_taken_port_is_named_before_anything_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = directory();
    let mut options = disposable(directory.path().join("pg"));
    options.port = Some(listener.local_addr().unwrap().port());
    let error = refusal(&options);
    assert!(
        matches!(error, PostgresError::PortTaken { port } if Some(port) == options.port),
        "{error}"
    );
    assert!(!options.directory.join("data").exists());
}

#[test]
fn a_directory_that_is_not_ours_is_left_untouched() {
    let directory = directory();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let error = refusal(&disposable(directory.path()));
    assert!(
        matches!(error, PostgresError::NotADataDirectory { .. }),
        "{error}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_is_in_use_or_of_another_version_is_refused() {
    let directory = directory();
    let options = disposable(directory.path().join("pg"));
    let server = start(&options);
    let error = refusal(&options);
    assert!(matches!(error, PostgresError::HeldByProcess { .. }), "{error}");
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
    server.stop().unwrap();

    let error = refusal(&PostgresOptions {
        major: Major::V16,
        ..options.clone()
    });
    assert!(
        matches!(&error, PostgresError::OtherMajor { found, .. } if found == "18"),
        "{error}"
    );

    // Half of what makes a data directory.
    fs::remove_file(options.directory.join("data/PG_VERSION")).unwrap();
    let error = refusal(&options);
    assert!(
        matches!(error, PostgresError::NotADataDirectory { .. }),
        "{error}"
    );
}

#[test]
fn a_server_that_somebody_else_started_is_not_touched() {
    let directory = directory();
    let options = disposable(directory.path().join("pg"));
    start(&options).stop().unwrap();
    let data = options.directory.join("data");
    let mut command = std::process::Command::new(package().program(Major::V18, "postgres"));
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-k", ""]);
    if is_root() {
        use std::os::unix::fs::MetadataExt;
        let owner = fs::metadata(&data).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut foreign = command
        .current_dir("/")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = data.join("postmaster.pid");
    wait_until("the foreign server is ready", Duration::from_secs(10), || {
        fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
    });
    let error = refusal(&options);
    let pid = foreign.id().cast_signed();
    assert!(
        matches!(error, PostgresError::InUse { pid: found, .. } if found == pid),
        "{error}"
    );
    assert!(foreign.try_wait().unwrap().is_none());

    // Killed, it leaves its pid file, which must not be in the way.
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(pid_file.exists());
    start(&options).stop().unwrap();
}

#[test]
fn a_server_whose_owner_was_killed_is_taken_over() {
    let directory = directory();
    let mut owner = again(
        &std::env::current_exe().unwrap(),
        "postgres::child_owns_a_server_until_it_is_killed",
    )
    .env(DIRECTORY, directory.path().join("pg"))
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    let ready = directory.path().join("pg/ready");
    wait_until("the child's server is ready", Duration::from_secs(20), || {
        ready.exists()
    });
    owner.kill().unwrap();
    owner.wait().unwrap();
    let pid_file = fs::read_to_string(directory.path().join("pg/data/postmaster.pid")).unwrap();
    let orphan = pid_file.lines().next().unwrap().parse().unwrap();
    assert!(lives(orphan), "the server outlives its owner");

    let server = start(&PostgresOptions::new(Major::V18, directory.path().join("pg")));
    assert!(!lives(orphan));
    assert_eq!(query(Major::V18, &server.url(), "SELECT answer FROM kept"), "42");
}

#[test]
#[ignore = "a child of a_server_whose_owner_was_killed_is_taken_over"]
fn child_owns_a_server_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = PathBuf::from(directory);
    let server = start(&PostgresOptions::new(Major::V18, &directory));
    query(
        Major::V18,
        &server.url(),
        "CREATE TABLE kept AS SELECT 42 AS answer",
    );
    fs::write(directory.join("ready"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_server_that_dies_is_noticed_and_recovers() {
    let directory = directory();
    let options = PostgresOptions::new(Major::V18, directory.path().join("pg"));
    let mut server = start(&options);
    query(
        Major::V18,
        &server.url(),
        "CREATE TABLE kept AS SELECT 42 AS answer",
    );
    assert!(server.try_wait().unwrap().is_none());
    let pid = server.pid().unwrap().cast_signed();
    assert_eq!(
        nix::unistd::getpgid(Some(Pid::from_raw(pid))).unwrap().as_raw(),
        pid,
        "Ctrl-C must not reach it"
    );
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("the end is noticed", Duration::from_secs(5), || !lives(pid));
    assert!(server.try_wait().unwrap().is_some());
    drop(server);

    let server = start(&options);
    assert_eq!(query(Major::V18, &server.url(), "SELECT answer FROM kept"), "42");
}

#[test]
fn a_failed_start_shows_what_the_server_said() {
    let directory = directory();
    let mut options = disposable(directory.path().join("pg"));
    options.settings.push(("shared_buffers".into(), "many".into()));
    let error = refusal(&options).to_string();
    assert!(
        error.contains("invalid value for parameter \"shared_buffers\""),
        "{error}"
    );
    assert!(error.contains("server.log"), "{error}");
}

#[test]
fn for_root_a_directory_that_others_cannot_enter_is_named() {
    if !is_root() {
        eprintln!("SKIPPED: only root runs PostgreSQL as somebody else");
        return;
    }
    let directory = directory();
    let private = directory.path().join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    let error = refusal(&disposable(private.join("pg")));
    assert!(
        matches!(&error, PostgresError::Unreachable { blocked, .. } if *blocked == private),
        "{error}"
    );
}

#[test]
fn an_ordinary_user_runs_a_server_and_root_takes_it_over() {
    if !is_root() {
        eprintln!("SKIPPED: only root becomes another user; all other tests ran as an ordinary one");
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let directory = directory();
    // The build directory may be out of reach for others.
    let program = directory.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let output = again(&program, "postgres::child_is_an_ordinary_user")
        .env(DIRECTORY, home.join("pg"))
        .env("KUBERNAUT_CACHE_DIR", devstack::cache_directory().unwrap())
        .uid(nobody.uid.as_raw())
        .gid(nobody.gid.as_raw())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let server = start(&disposable(home.join("pg")));
    assert_eq!(
        query(Major::V18, &server.url(), "SELECT who FROM kept"),
        nobody.uid.as_raw().to_string()
    );
}

#[test]
#[ignore = "a child of an_ordinary_user_runs_a_server_and_root_takes_it_over"]
fn child_is_an_ordinary_user() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let user = nix::unistd::geteuid();
    assert!(!user.is_root());
    let server = start(&disposable(directory));
    query(
        Major::V18,
        &server.url(),
        &format!("CREATE TABLE kept AS SELECT {user} AS who"),
    );
    server.stop().unwrap();
}

fn a_replica_follows(major: Major) {
    let limit = Duration::from_secs(20);
    let directory = directory();
    let options = |name| PostgresOptions {
        major,
        settings: vec![("fsync".into(), "off".into())],
        ..PostgresOptions::new(major, directory.path().join(name))
    };
    let primary = start(&options("primary"));
    query(
        major,
        &primary.url(),
        "CREATE TABLE t AS SELECT generate_series(1, 10) n",
    );
    let replicate = || {
        Postgres::start_replica(package(), &options("standby"), &primary)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let standby = replicate();
    // The copy of its own address: the password is the primary's.
    assert_eq!(query(major, &standby.url(), "SELECT pg_is_in_recovery()"), "t");
    let counted = |standby: &Postgres| query(major, &standby.url(), "SELECT count(*) FROM t");
    wait_until("the copy", limit, || counted(&standby) == "10");
    query(major, &primary.url(), "INSERT INTO t VALUES (11)");
    wait_until("the row", limit, || counted(&standby) == "11");
    let refused = psql(major, &standby.url(), "INSERT INTO t VALUES (12)");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("read-only transaction"));

    // A later start copies nothing and goes on from where it was.
    standby.stop().unwrap();
    query(major, &primary.url(), "INSERT INTO t VALUES (12)");
    let standby = replicate();
    wait_until("what it had missed", limit, || counted(&standby) == "12");
    primary.stop().unwrap();
    assert_eq!(counted(&standby), "12");
}

#[test]
fn a_replica_of_version_18_follows_and_serves_without_its_primary() {
    a_replica_follows(Major::V18);
}

#[test]
fn a_replica_of_version_16_follows_and_serves_without_its_primary() {
    a_replica_follows(Major::V16);
}
