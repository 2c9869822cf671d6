//! Who PostgreSQL runs as. It refuses to run as root, so root runs it as somebody else.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, lchown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{Uid, User, geteuid};

use super::PostgresError;

/// The users to try, best first.
const UNPRIVILEGED: &[&str] = &["postgres", "nobody"];

/// The user that PostgreSQL's programs run as.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// Somebody else than this process; only root can do that.
    other: Option<Other>,
}

#[derive(Debug, Clone)]
struct Other {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// This process's user; for root, the owner of the data directory if there is one, else an unprivileged user.
    pub(super) fn choose(data: &Path) -> Result<Self, PostgresError> {
        let me = geteuid();
        let owner = fs::metadata(data)
            .ok()
            .map(|metadata| (metadata.uid(), metadata.gid()));
        if !me.is_root() {
            return match owner {
                Some((owner, _)) if owner != me.as_raw() => Err(PostgresError::WrongOwner {
                    directory: data.to_owned(),
                    owner,
                    user: me.as_raw(),
                }),
                _ => Ok(Self { other: None }),
            };
        }
        if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
            let name = match User::from_uid(Uid::from_raw(uid)) {
                Ok(Some(user)) => user.name,
                _ => uid.to_string(),
            };
            return Ok(Self {
                other: Some(Other { name, uid, gid }),
            });
        }
        let found = UNPRIVILEGED
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten());
        let user = found.ok_or(PostgresError::NoUnprivilegedUser)?;
        Ok(Self {
            other: Some(Other {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            }),
        })
    }

    /// A command that runs as this user, with nothing of our environment that could change what it does, and not in
    /// our working directory, which it may not be allowed to see.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(other) = &self.other {
            // Setting the user as root also drops root's supplementary groups.
            command.uid(other.uid).gid(other.gid);
        }
        command
    }

    /// Gives a directory and all below it to this user.
    pub(super) fn give(&self, path: &Path) -> Result<(), PostgresError> {
        let Some(other) = &self.other else { return Ok(()) };
        let metadata = fs::symlink_metadata(path).map_err(PostgresError::io("look at", path))?;
        if (metadata.uid(), metadata.gid()) != (other.uid, other.gid) {
            lchown(path, Some(other.uid), Some(other.gid)).map_err(PostgresError::io("give away", path))?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(PostgresError::io("list", path))? {
                self.give(&entry.map_err(PostgresError::io("list", path))?.path())?;
            }
        }
        Ok(())
    }

    /// Checks that this user can get to a directory or program and enter or run it, trying it as this user.
    pub(super) fn check_reach(&self, path: &Path) -> Result<(), PostgresError> {
        let Some(other) = &self.other else { return Ok(()) };
        let mut way: Vec<_> = path.ancestors().collect();
        way.reverse();
        let shell = Path::new("/bin/sh");
        let output = self
            .command(shell)
            .args([
                "-c",
                r#"for path; do [ -x "$path" ] || { printf %s "$path"; exit 1; }; done"#,
                "sh",
            ])
            .args(way)
            .output()
            .map_err(PostgresError::io("run as an unprivileged user", shell))?;
        if output.status.success() {
            return Ok(());
        }
        Err(PostgresError::Unreachable {
            user: other.name.clone(),
            blocked: PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned()),
            path: path.to_owned(),
        })
    }
}
