//! The settings of a server, all on its command line: what runs is then what this version of the program means,
//! whatever an older one wrote into a file.

use std::path::Path;

use super::{Durability, PostgresOptions};

/// Marks the servers that were started here; also shown by `ps`.
pub(super) const CLUSTER_NAME: &str = "cluster_name=kubernaut";

/// Where Linux keeps POSIX shared memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// POSIX shared memory smaller than this, in bytes, is not used: building a vector index in parallel needs as much
/// as `maintenance_work_mem`, and containers often have 64 MiB.
const ENOUGH_SHARED_MEMORY: u64 = 1 << 30;

/// The arguments of `postgres`. Where a setting is there twice, the last counts.
pub(super) fn arguments(options: &PostgresOptions, port: u16) -> Vec<String> {
    let fixed = |settings: &[(&str, &str)]| -> Vec<String> {
        settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    let mut settings = fixed(&[("timezone", "UTC"), ("log_timezone", "UTC")]);
    settings.push(CLUSTER_NAME.to_owned());
    match options.durability {
        Durability::Durable => {
            if lacks_shared_memory(Path::new(SHARED_MEMORY)) {
                settings.extend(fixed(&[("dynamic_shared_memory_type", "mmap")]));
            }
        }
        Durability::Disposable => settings.extend(fixed(&[
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_connections", "400"),
            ("max_locks_per_transaction", "256"),
            ("shared_buffers", "128MB"),
            // Files in the data directory: unlike other kinds they go with it if the server is killed.
            ("dynamic_shared_memory_type", "mmap"),
        ])),
    }
    settings.extend(
        options
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    settings.push(format!("port={port}"));
    settings.extend(fixed(&[
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
    ]));
    settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect()
}

fn lacks_shared_memory(path: &Path) -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    // Both are unsigned; their width differs between platforms.
    #[expect(
        clippy::useless_conversion,
        reason = "the width of these fields differs between platforms"
    )]
    nix::sys::statvfs::statvfs(path).map_or(true, |file_system| {
        u64::from(file_system.blocks()) * u64::from(file_system.fragment_size()) < ENOUGH_SHARED_MEMORY
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Major;

    #[test]
    fn what_the_caller_sets_comes_after_the_defaults_and_before_what_must_hold() {
        let mut options = PostgresOptions::new(Major::V18, "/nowhere");
        options.durability = Durability::Disposable;
        options.settings = vec![
            ("max_connections".into(), "7".into()),
            ("listen_addresses".into(), "*".into()),
        ];
        let arguments = arguments(&options, 5000);
        let last = |name: &str| {
            arguments
                .iter()
                .rev()
                .find_map(|argument| argument.strip_prefix(&format!("{name}=")))
                .unwrap()
        };
        assert_eq!(last("max_connections"), "7");
        assert_eq!(last("listen_addresses"), "127.0.0.1");
        assert_eq!(last("port"), "5000");
    }

    #[test]
    fn a_durable_server_keeps_the_durable_defaults() {
        let arguments = arguments(&PostgresOptions::new(Major::V18, "/nowhere"), 5000).join(" ");
        assert!(
            !arguments.contains("fsync") && !arguments.contains("synchronous_commit"),
            "{arguments}"
        );
    }
}
