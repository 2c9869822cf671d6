//! A PostgreSQL of the system, of whatever version it is.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use crate::directory::directory;
use campaign::process::wait_until;

/// A running server that lets everybody in.
pub(crate) struct SystemPostgres {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl SystemPostgres {
    /// The major version on PATH.
    pub(crate) fn major() -> Option<u32> {
        let output = Command::new("postgres").arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
    }

    pub(crate) async fn start() -> Self {
        let directory = directory();
        let home = directory.path().join("home");
        fs::create_dir(&home).unwrap();
        let somebody = somebody();
        if let Some(user) = &somebody {
            std::os::unix::fs::chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let data = home.join("data");
        let run = |program: PathBuf| {
            let mut command = Command::new(program);
            if let Some(user) = &somebody {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            command.arg("-D").arg(&data).current_dir("/").stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = run("initdb".into())
            .args(["--auth=trust", "--username=kubernaut", "--no-sync"])
            .status()
            .unwrap();
        assert!(made.success());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = run("postgres".into())
            .args(["-F", "-k", "", "-h", "127.0.0.1", "-p", &port.to_string()])
            .spawn()
            .unwrap();
        wait_until("PostgreSQL of the system", async || is_ready(&data)).await;
        Self {
            child,
            port,
            _directory: directory,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://kubernaut@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for SystemPostgres {
    fn drop(&mut self) {
        // There is nothing in it to lose, and its children notice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whom root runs PostgreSQL as, which refuses to run as root.
fn somebody() -> Option<User> {
    let user = |name| User::from_name(name).unwrap();
    geteuid()
        .is_root()
        .then(|| user("postgres").or_else(|| user("nobody")).unwrap())
}

fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.contains("ready"))
}
