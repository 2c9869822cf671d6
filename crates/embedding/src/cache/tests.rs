use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, mpsc};

use super::*;
use crate::embedder::EmbedderOptions;
use crate::hashed::Hashed;
use crate::model::{Model, ModelError, ModelInfo};

const DIMENSION: usize = 8;

/// Counts its calls and waits for the gate, if there is one.
struct Counted {
    inner: Hashed,
    calls: Arc<AtomicUsize>,
    gate: Option<mpsc::Receiver<()>>,
    failures: usize,
}

impl Model for Counted {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        if call < self.failures {
            Err(ModelError::new("told to"))
        } else {
            self.inner.embed(texts)
        }
    }
}

struct Fixture {
    embedder: Embedder,
    calls: Arc<AtomicUsize>,
    gate: Option<mpsc::Sender<()>>,
}

fn fixture(gated: bool, failures: usize) -> Fixture {
    let calls = Arc::new(AtomicUsize::new(0));
    let (open, gate) = mpsc::channel();
    let model = Counted {
        inner: Hashed::new(DIMENSION),
        calls: Arc::clone(&calls),
        gate: gated.then_some(gate),
        failures,
    };
    let embedder = Embedder::start(model, EmbedderOptions::default()).unwrap();
    Fixture {
        embedder,
        calls,
        gate: gated.then_some(open),
    }
}

impl Fixture {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn called(&self) {
        while self.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn hashed(text: &str) -> Vec<f32> {
    Hashed::new(DIMENSION)
        .embed(&[text.to_owned()])
        .unwrap()
        .remove(0)
}

/// The vector of a text, if it is in memory. Not counted, and asks nobody.
async fn remembered(cache: &EmbeddingCache, text: &str) -> Option<Arc<[f32]>> {
    cache.shared.vectors.get(&text_sha256(text)).await
}

#[test]
fn the_hash_is_the_sha256_of_the_text() {
    let hex: String = text_sha256("abc")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[tokio::test]
async fn a_text_is_embedded_once() {
    let fixture = fixture(false, 0);
    let cache = EmbeddingCache::new(fixture.embedder.clone(), CacheOptions::default());
    assert!(remembered(&cache, "disk full").await.is_none());
    for _ in 0..3 {
        assert_eq!(
            *cache.get_or_embed("disk full").await.unwrap(),
            *hashed("disk full")
        );
    }
    assert!(remembered(&cache, "disk full").await.is_some());
    assert_eq!(fixture.calls(), 1);
    assert_eq!(
        cache.stats(),
        CacheStats {
            hits: 2,
            misses: 1,
            found: 0,
            embedded: 1
        }
    );
}

#[tokio::test]
async fn concurrent_misses_of_one_text_share_the_work() {
    let mut fixture = fixture(true, 0);
    let cache = EmbeddingCache::new(fixture.embedder.clone(), CacheOptions::default());
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get_or_embed("disk full").await })
        })
        .collect();
    fixture.called().await;
    fixture.gate = None;
    for task in tasks {
        assert_eq!(*task.await.unwrap().unwrap(), *hashed("disk full"));
    }
    assert_eq!(fixture.calls(), 1);
    assert_eq!(
        cache.stats(),
        CacheStats {
            hits: 0,
            misses: 20,
            found: 0,
            embedded: 1
        }
    );
}

#[tokio::test]
async fn the_first_caller_may_give_up() {
    let mut fixture = fixture(true, 0);
    let cache = EmbeddingCache::new(fixture.embedder.clone(), CacheOptions::default());
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_embed("disk full").await }
    });
    fixture.called().await;
    let second = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_embed("disk full").await }
    });
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    fixture.gate = None;
    assert_eq!(*second.await.unwrap().unwrap(), *hashed("disk full"));
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn work_nobody_waits_for_ends_in_the_cache() {
    let mut fixture = fixture(true, 0);
    let cache = EmbeddingCache::new(fixture.embedder.clone(), CacheOptions::default());
    let hasty = tokio::time::timeout(Duration::from_millis(5), cache.get_or_embed("disk full")).await;
    assert!(hasty.is_err());
    fixture.gate = None;
    while remembered(&cache, "disk full").await.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn the_lookup_is_asked_before_the_embedder() {
    let fixture = fixture(false, 0);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let known = [
        (text_sha256("known"), vec![0.5; DIMENSION]),
        (text_sha256("of another model"), vec![0.5; DIMENSION + 1]),
    ];
    let log = Arc::clone(&asked);
    let cache = EmbeddingCache::with_lookup(
        fixture.embedder.clone(),
        CacheOptions::default(),
        move |hash: [u8; 32]| {
            log.lock().unwrap().push(hash);
            let answer = known
                .iter()
                .find(|(known, _)| *known == hash)
                .map(|(_, vector)| vector.clone());
            async move { answer }
        },
    );

    assert_eq!(*cache.get_or_embed("known").await.unwrap(), [0.5; DIMENSION]);
    assert_eq!(*cache.get_or_embed("known").await.unwrap(), [0.5; DIMENSION]);
    assert_eq!(fixture.calls(), 0);
    assert_eq!(*cache.get_or_embed("new").await.unwrap(), *hashed("new"));
    assert_eq!(
        *cache.get_or_embed("of another model").await.unwrap(),
        *hashed("of another model")
    );

    let hashes = ["known", "new", "of another model"].map(text_sha256);
    assert_eq!(*asked.lock().unwrap(), hashes);
    assert_eq!(
        cache.stats(),
        CacheStats {
            hits: 1,
            misses: 3,
            found: 1,
            embedded: 2
        }
    );
}

#[tokio::test]
async fn a_panicking_lookup_fails_its_callers_only() {
    let fixture = fixture(false, 0);
    let cache = EmbeddingCache::with_lookup(
        fixture.embedder.clone(),
        CacheOptions::default(),
        |hash: [u8; 32]| async move {
            assert!(hash != text_sha256("bad"), "told to");
            None
        },
    );
    assert!(matches!(
        cache.get_or_embed("bad").await,
        Err(EmbedError::Panicked)
    ));
    assert_eq!(*cache.get_or_embed("good").await.unwrap(), *hashed("good"));
}

#[tokio::test]
async fn errors_are_not_remembered() {
    let fixture = fixture(false, 1);
    let cache = EmbeddingCache::new(fixture.embedder.clone(), CacheOptions::default());
    assert!(matches!(
        cache.get_or_embed("disk full").await,
        Err(EmbedError::Model(_))
    ));
    assert_eq!(
        *cache.get_or_embed("disk full").await.unwrap(),
        *hashed("disk full")
    );
}

#[tokio::test]
async fn entries_expire() {
    let fixture = fixture(false, 0);
    let options = CacheOptions {
        ttl: Duration::from_millis(20),
        ..CacheOptions::default()
    };
    let cache = EmbeddingCache::new(fixture.embedder.clone(), options);
    cache.get_or_embed("disk full").await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(remembered(&cache, "disk full").await.is_none());
    cache.get_or_embed("disk full").await.unwrap();
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn memory_is_bounded_and_the_newest_stay() {
    let fixture = fixture(false, 0);
    let options = CacheOptions {
        max_bytes: 10 * (ENTRY_OVERHEAD_BYTES as u64 + 32),
        ..CacheOptions::default()
    };
    let cache = EmbeddingCache::new(fixture.embedder.clone(), options);
    for number in 0..100 {
        cache.get_or_embed(&format!("text {number}")).await.unwrap();
    }
    cache.shared.vectors.run_pending_tasks().await;
    assert_eq!(cache.shared.vectors.entry_count(), 10);
    assert!(remembered(&cache, "text 99").await.is_some());
    assert!(remembered(&cache, "text 0").await.is_none());
}
