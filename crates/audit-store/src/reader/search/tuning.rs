//! The knobs of a search by vector, measured: `docs/adr/0034-recall-safe-search.md` has method and figures.

/// How a search by vector goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Up to this many incidents that pass the filter are compared one by one.
    pub exact_up_to: i64,
    /// Try after try, how many of the nearest texts are expanded to incidents; after the last try all incidents that
    /// pass the filter are compared.
    pub tries: [Try; 3],
    /// Whether the nearest texts are found by the vector index; if not, by comparing all of them.
    pub index: bool,
}

/// One step of a search from texts to incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// How many nearest texts are taken.
    pub texts: i64,
    /// Texts that the scan of the vector index keeps in view (`hnsw.ef_search`), 1 to 1000.
    pub ef_search: i32,
    /// Texts that the scan visits at most (`hnsw.max_scan_tuples`).
    pub scanned: i32,
}

impl Tuning {
    /// What serves searches.
    pub const MEASURED: Self = Self {
        exact_up_to: 2_000,
        tries: [
            Try {
                texts: 100,
                ef_search: 200,
                scanned: 20_000,
            },
            Try {
                texts: 1_000,
                ef_search: 1_000,
                scanned: 20_000,
            },
            // Beyond its list the scan goes on as long as it is asked for more.
            Try {
                texts: 10_000,
                ef_search: 1_000,
                scanned: 40_000,
            },
        ],
        index: true,
    };

    /// What a search is held against: nothing in it is approximate.
    pub const EXACT: Self = Self {
        index: false,
        ..Self::MEASURED
    };
}
