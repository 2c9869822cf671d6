//! The shared server lives as long as any process that uses it, and not much longer.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{again, directory, lives, package, query, wait_until};
use devstack::{Major, SharedServer};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The environment variable through which a test tells its child where the servers are.
const CACHE: &str = "DEVSTACK_TEST_CACHE";

/// Shorter than usual, for these tests not to take too long.
const GRACE: Duration = Duration::from_secs(5);

/// The grace, one second to notice, and time to stop on a busy machine.
const GONE_WITHIN: Duration = Duration::from_secs(11);

/// A process that holds the shared server until it is killed.
struct Holder {
    child: Child,
    url: String,
}

impl Holder {
    fn start(cache: &Path) -> Self {
        let mut child = Self::command(cache).spawn().unwrap();
        let url = Self::url_of(&mut child);
        Self { child, url }
    }

    fn command(cache: &Path) -> Command {
        let mut command = again(
            &std::env::current_exe().unwrap(),
            "shared_test_server::child_holds_the_server_until_it_is_killed",
        );
        command.env(CACHE, cache).stdout(Stdio::piped());
        command.env("KUBERNAUT_TEST_SERVER_GRACE_SECONDS", GRACE.as_secs().to_string());
        command
    }

    fn url_of(child: &mut Child) -> String {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("URL ").map(str::to_owned));
        url.expect("the child says the address")
    }

    /// Kills it and leaves it unreaped, as a container's first process may.
    fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a child of the other tests"]
fn child_holds_the_server_until_it_is_killed() {
    let Some(cache) = std::env::var_os(CACHE) else {
        return;
    };
    let server = SharedServer::acquire_in(&PathBuf::from(cache), package(), Major::V18).unwrap();
    println!("\nURL {}", server.url());
    std::thread::sleep(Duration::from_secs(120));
}

/// The directories of servers, and the process ids of their PostgreSQLs.
fn servers(cache: &Path) -> Vec<(PathBuf, Option<i32>)> {
    let entries = fs::read_dir(cache.join("test-servers"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_dir())
        .map(|path| {
            let pid_file = fs::read_to_string(path.join("postgres/data/postmaster.pid"));
            let pid = pid_file
                .ok()
                .and_then(|text| text.lines().next()?.trim().parse().ok());
            (path, pid)
        })
        .collect()
}

fn only_server(cache: &Path) -> (PathBuf, i32) {
    let servers = servers(cache);
    assert_eq!(servers.len(), 1, "{servers:?}");
    (servers[0].0.clone(), servers[0].1.expect("a running server"))
}

#[test]
fn processes_share_it_and_it_goes_after_the_last_was_killed() {
    let cache = directory();
    // At once, so that they race for making it.
    let mut children: Vec<_> = (0..3)
        .map(|_| Holder::command(cache.path()).spawn().unwrap())
        .collect();
    let urls: Vec<_> = children.iter_mut().map(Holder::url_of).collect();
    let mut holders: Vec<_> = children
        .into_iter()
        .zip(urls)
        .map(|(child, url)| Holder { child, url })
        .collect();
    assert!(holders.iter().all(|holder| holder.url == holders[0].url));
    let (server, pid) = only_server(cache.path());

    holders[0].kill();
    holders[1].kill();
    // Longer than the grace: one holder is enough.
    std::thread::sleep(Duration::from_secs(2) + GRACE);
    assert!(lives(pid));
    assert_eq!(query(Major::V18, &holders[2].url, "SHOW fsync"), "off");

    let supervisor = fs::read_to_string(server.join("supervisor")).unwrap();
    holders[2].kill();
    let took = wait_until("the server is gone", GONE_WITHIN, || !server.exists());
    eprintln!("gone {took:?} after the last holder");
    assert!(
        took > GRACE - Duration::from_secs(1),
        "the next test binary must have time to come"
    );
    assert!(!lives(pid));
    let supervisor = supervisor.split('.').next().unwrap().parse().unwrap();
    wait_until("the supervisor ended", Duration::from_secs(3), || {
        !lives(supervisor)
    });
}

#[test]
fn the_next_process_joins_in_time_and_dead_servers_are_replaced() {
    let cache = directory();
    let began = Instant::now();
    let mut first = Holder::start(cache.path());
    eprintln!("started in {:?}", began.elapsed());
    first.kill();
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let second = Holder::start(cache.path());
    eprintln!("joined in {:?}", began.elapsed());
    assert_eq!(second.url, first.url);

    // A server that crashed is not given to anybody, and goes with its holders.
    let (dead, pid) = only_server(cache.path());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("it is dead", Duration::from_secs(5), || !lives(pid));
    let third = Holder::start(cache.path());
    assert_ne!(third.url, second.url);
    assert_eq!(query(Major::V18, &third.url, "SELECT 1"), "1");

    // A supervisor that is told to end, as when the machine shuts down, ends at once and tidies up.
    let (current, pid) = servers(cache.path())
        .into_iter()
        .find(|(path, _)| *path != dead)
        .expect("the third's server");
    let supervisor = fs::read_to_string(current.join("supervisor")).unwrap();
    let supervisor: i32 = supervisor.split('.').next().unwrap().parse().unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGTERM).unwrap();
    wait_until("its server is gone", Duration::from_secs(8), || !current.exists());
    assert!(!lives(pid.unwrap()));

    drop((first, second, third));
    wait_until("the dead server's directory is gone", GONE_WITHIN, || {
        !dead.exists()
    });
}

#[test]
fn a_server_whose_supervisor_was_killed_is_removed_by_the_next_process() {
    let cache = directory();
    let mut first = Holder::start(cache.path());
    let (abandoned, pid) = only_server(cache.path());
    let supervisor = fs::read_to_string(abandoned.join("supervisor")).unwrap();
    let supervisor = supervisor.split('.').next().unwrap().parse().unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    wait_until("the supervisor is dead", Duration::from_secs(5), || {
        !lives(supervisor)
    });
    first.kill();
    wait_until("the holder is dead", Duration::from_secs(5), || {
        !lives(first.child.id().cast_signed())
    });

    let second = Holder::start(cache.path());
    assert_ne!(second.url, first.url);
    assert!(!abandoned.exists());
    assert!(!lives(pid));
    let (current, _) = only_server(cache.path());
    drop(second);
    wait_until("the second server is gone", GONE_WITHIN, || !current.exists());
}
