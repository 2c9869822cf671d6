//! What other processes are: alive or not, and the same as before or not.
//!
//! A process id alone says little: after a reboot, or a day, it is another process, and in a container whose
//! first process reaps nobody a dead process keeps its id. So an [`identity`] is the id with the start time, and a
//! process that only waits to be reaped counts as dead. `supervisor.sh` makes the same identities.

use std::{fs, io, path::Path};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// `<process id>.<start time>` of a living process, without blanks; `None` when there is no such process, or it is
/// dead and not reaped.
pub(crate) fn identity(pid: i32) -> Option<String> {
    let start = if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        start_time(&stat)?.to_owned()
    } else {
        let shown = ps(pid, &["stat=", "lstart="])?;
        let (state, start) = shown.split_once(char::is_whitespace)?;
        if state.starts_with('Z') {
            return None;
        }
        start.split_whitespace().collect::<Vec<_>>().join("_")
    };
    Some(format!("{pid}.{start}"))
}

/// Whether the process with this identity still lives.
pub(crate) fn is_alive(identity_then: &str) -> bool {
    identity_then
        .split_once('.')
        .and_then(|(pid, _)| pid.parse().ok())
        .and_then(identity)
        .is_some_and(|identity_now| identity_now == identity_then)
}

/// Field 22 of `/proc/<pid>/stat`, in clock ticks since boot; `None` for a zombie.
fn start_time(stat: &str) -> Option<&str> {
    // The second field is the name in parentheses, which may itself have blanks and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)
}

/// The arguments of a living process, joined by blanks.
pub(crate) fn command_line(pid: i32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let bytes = fs::read(format!("/proc/{pid}/cmdline"))
            .ok()
            .filter(|bytes| !bytes.is_empty())?;
        Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
    } else {
        ps(pid, &["command="])
    }
}

/// Whether a process certainly works in another directory. Where that cannot be told, it is not certain.
pub(crate) fn works_elsewhere(pid: i32, directory: &Path) -> bool {
    match (
        fs::read_link(format!("/proc/{pid}/cwd")),
        directory.canonicalize(),
    ) {
        (Ok(working_directory), Ok(directory)) => working_directory != directory,
        _ => false,
    }
}

/// Sends a signal.
pub(crate) fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        // It ended by itself: all that any signal of ours asks for.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn ps(pid: i32, columns: &[&str]) -> Option<String> {
    let mut command = std::process::Command::new("ps");
    // The start time is shown in the language and zone of whoever asks.
    command.arg("-ww").env("LC_ALL", "C").env("TZ", "UTC");
    for column in columns {
        command.args(["-o", column]);
    }
    let output = command.args(["-p", &pid.to_string()]).output().ok()?;
    let shown = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_dead_child_that_nobody_reaped_is_not_alive() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = identity(pid).unwrap();
        assert!(is_alive(&identity));
        // Empty for an instant after it began.
        while !command_line(pid).is_some_and(|line| line.contains("sleep")) {
            std::thread::yield_now();
        }

        child.kill().unwrap();
        // Not waited for, so a zombie from here on; the kernel needs a moment.
        while is_alive(&identity) {
            std::thread::yield_now();
        }
        assert!(command_line(pid).is_none());
        child.wait().unwrap();
    }

    #[test]
    fn the_same_id_with_another_start_is_another_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(is_alive(&identity(pid).unwrap()));
        assert!(!is_alive(&format!("{pid}.1")));
    }

    #[test]
    fn a_process_name_may_have_blanks_and_parentheses() {
        let rest = (4..=30)
            .map(|field| field.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(start_time(&format!("7 (a) b) S {rest}")), Some("22"));
        assert_eq!(start_time(&format!("7 (a) Z {rest}")), None);
    }
}
