//! A Redis for tests, for real.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use devstack::{Progress, Redis, fetch_redis};

use crate::support::directory;

/// What it answers to commands, each on a line of its own.
fn ask(redis: &Redis, commands: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).ok()?;
    let url = redis.url();
    let password = url.split([':', '@']).nth(2).unwrap();
    let all = format!("AUTH {password}\r\n{commands}QUIT\r\n");
    stream.write_all(all.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

#[test]
fn it_is_stopped_and_started_again_on_its_port_and_forgets_everything() {
    let mut redis = Redis::start().unwrap();
    assert_eq!(
        ask(&redis, "SET a 1\r\nGET a\r\n").unwrap(),
        "+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n"
    );
    redis.stop();
    assert_eq!(ask(&redis, ""), None);
    redis.start_again().unwrap();
    assert_eq!(ask(&redis, "GET a\r\n").unwrap(), "+OK\r\n$-1\r\n+OK\r\n");
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_package_has_the_version_that_is_pinned() {
    let cache = directory();
    let program = fetch_redis(cache.path(), Progress::Lines).unwrap();
    let output = Command::new(program).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(version.starts_with("Redis server v=6.2.14 "), "{version}");
}
