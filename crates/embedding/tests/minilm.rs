//! The real model: does it compute what others compute, and does it understand incidents?
//!
//! The model is fetched on first use; `KUBERNAUT_MODEL_DIR` names a directory that has it already.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests fail loudly, as tests do"
)]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use embedding::{
    Embedder, EmbedderOptions, LoadError, MiniLm, Model, Parts, Precision, canonical_query, canonical_text,
    check_vector, cosine_similarity,
};
use serde::Deserialize;

fn model_dir() -> PathBuf {
    devstack::fetch_model(
        &devstack::cache_directory().unwrap(),
        devstack::Progress::detect(),
    )
    .unwrap()
}

/// Loaded once for all tests: it is the slow part.
fn model() -> MutexGuard<'static, MiniLm> {
    static MODEL: OnceLock<Mutex<MiniLm>> = OnceLock::new();
    let model = MODEL.get_or_init(|| Mutex::new(MiniLm::load(&model_dir(), Precision::Float32).unwrap()));
    // A failed assertion of another test does not damage the model.
    model.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn embed(text: &str) -> Vec<f32> {
    model().embed(&[text.to_owned()]).unwrap().remove(0)
}

#[derive(Deserialize)]
struct Fixture {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    text: String,
    vector: Vec<f32>,
}

/// Made by `fixtures/make_minilm_vectors.py` with PyTorch and transformers.
fn fixture() -> Vec<Entry> {
    serde_json::from_str::<Fixture>(include_str!("fixtures/minilm_vectors.json"))
        .unwrap()
        .entries
}

#[test]
fn it_says_which_model_it_is() {
    let model = model();
    assert_eq!(model.info().name, "all-MiniLM-L6-v2");
    assert_eq!(model.info().version, "53aa51172d14");
    assert_eq!(model.info().dimension, 384);
}

#[test]
fn it_agrees_with_pytorch() {
    let entries = fixture();
    assert_eq!(entries.len(), 20);
    for entry in entries {
        let vector = embed(&entry.text);
        assert_eq!(check_vector(&vector, 384), Ok(()));
        let cosine = cosine_similarity(&vector, &entry.vector);
        let worst = vector
            .iter()
            .zip(&entry.vector)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{cosine:.9} {worst:.1e} {:.60}", entry.text);
        assert!(
            cosine >= 0.9999 && worst < 1e-4,
            "{cosine} {worst} for {:?}",
            entry.text
        );
    }
}

/// The niceness of the threads whose name begins so, as Linux tells it: the 19th field of `stat`, the 2nd of which is the
/// name in parentheses.
#[cfg(target_os = "linux")]
fn niceness_of(name: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        // A thread of another test may have ended meanwhile.
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok())
        .filter_map(|stat| {
            let (head, fields) = stat.rsplit_once(") ")?;
            let (_, thread) = head.split_once('(')?;
            let nice = fields.split(' ').nth(19 - 3).unwrap().parse().unwrap();
            thread.starts_with(name).then_some(nice)
        })
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn its_threads_give_way_to_others() {
    drop(embed("CrashLoopBackOff"));
    let began = std::time::Instant::now();
    let cores = std::thread::available_parallelism().unwrap().get();
    // Threads may still be starting, those of the models of other tests among them.
    loop {
        let found = niceness_of("embedder-");
        if found.len() >= cores && found.iter().all(|nice| *nice == 10) {
            break;
        }
        assert!(began.elapsed().as_secs() < 10, "{found:?}");
        std::thread::yield_now();
    }
    assert!(
        !niceness_of("its_threads").contains(&10),
        "the thread that asks gives way too"
    );
}

#[test]
fn a_text_does_not_depend_on_its_company() {
    let texts: Vec<String> = fixture().into_iter().map(|entry| entry.text).collect();
    let together = model().embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(vector, &embed(text), "{text:?}");
    }
    let backwards: Vec<String> = texts.iter().rev().cloned().collect();
    let mut turned = model().embed(&backwards).unwrap();
    turned.reverse();
    assert_eq!(together, turned);
}

/// On a processor that cannot do it, it must say so rather than compute something.
#[test]
fn in_8_bits_it_is_another_model_with_nearly_the_same_vectors() {
    let mut int8 = match MiniLm::load(&model_dir(), Precision::Int8) {
        Ok(model) => model,
        Err(error) => {
            assert!(matches!(error, LoadError::Precision), "{error}");
            return;
        }
    };
    assert_eq!(int8.info().name, "all-MiniLM-L6-v2");
    assert_eq!(int8.info().version, "53aa51172d14-int8");

    let mut texts: Vec<String> = fixture().into_iter().map(|entry| entry.text).collect();
    // The hardest: nothing but a word or a mark.
    texts.extend(["!", "...", "?", "no", "kill", "either.", "日本"].map(str::to_owned));
    let together = int8.embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(check_vector(vector, 384), Ok(()));
        let cosine = cosine_similarity(vector, &embed(text));
        println!("{cosine:.5} {text:.60}");
        assert!((0.99..0.9999).contains(&cosine), "{cosine} for {text:?}");
        assert_eq!(
            vector,
            &int8.embed(std::slice::from_ref(text)).unwrap()[0],
            "{text:?}"
        );
    }
}

#[test]
fn vectors_have_length_one() {
    for text in ["", " ", "disk full", "🚀🚀🚀", &"long ".repeat(10_000)] {
        let length: f32 = embed(text).iter().map(|component| component * component).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length} for {text:.20?}");
    }
    assert!(model().embed(&[]).unwrap().is_empty());
}

/// Records as the writer sees them, and what somebody on call would ask.
#[test]
fn questions_find_their_incidents() {
    let records = [
        Parts {
            signal: Some("PodOOMKilled"),
            reason: Some("OOMKilled"),
            message: Some("Container app in pod api-7d9c8b6f5-x2x9p exceeded its memory limit of 512Mi"),
            error: Some("exit code 137"),
            action: Some("increase_memory_limit"),
            ..Parts::default()
        },
        Parts {
            signal: Some("KubeNodeDiskPressure"),
            reason: Some("DiskPressure"),
            message: Some("Node ip-10-0-3-17.ec2.internal has 94% of its filesystem in use, evicting pods"),
            action: Some("prune_images"),
            ..Parts::default()
        },
        Parts {
            signal: Some("CertificateExpiringSoon"),
            message: Some("TLS certificate shop-tls expires in 6 days and was not renewed"),
            error: Some("x509: certificate has expired or is not yet valid"),
            action: Some("renew_certificate"),
            ..Parts::default()
        },
        Parts {
            signal: Some("KubeDeploymentReplicasMismatch"),
            reason: Some("ImagePullBackOff"),
            message: Some("Back-off pulling image registry.example.org/shop/cart:1.4.2: not found"),
            error: Some("ErrImagePull"),
            action: Some("rollback_deployment"),
            ..Parts::default()
        },
    ];
    let vectors: Vec<Vec<f32>> = records
        .iter()
        .map(|parts| embed(&canonical_text(parts).unwrap()))
        .collect();
    for (question, expected) in [
        ("containers keep dying because they use too much memory", 0),
        ("OOMKilled", 0),
        ("the disk of a node is filling up", 1),
        ("certificate about to run out", 2),
        ("x509 error", 2),
        ("ImagePullBackOff", 3),
    ] {
        let query = embed(&canonical_query(question).unwrap());
        let scores: Vec<f64> = vectors
            .iter()
            .map(|vector| cosine_similarity(&query, vector))
            .collect();
        println!("{question:60} {scores:.3?}");
        for (index, score) in scores.iter().enumerate() {
            assert!(
                index == expected || scores[expected] > score + 0.05,
                "{question}: {scores:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_embedder_runs_it() {
    let embedder = Embedder::start(
        MiniLm::load(&model_dir(), Precision::Float32).unwrap(),
        EmbedderOptions::default(),
    )
    .unwrap();
    let entries = fixture();
    let mut tasks = Vec::new();
    for entry in &entries {
        let (embedder, text) = (embedder.clone(), entry.text.clone());
        tasks.push(tokio::spawn(async move { embedder.embed(text).await }));
    }
    for (entry, task) in entries.iter().zip(tasks) {
        assert!(cosine_similarity(&entry.vector, &task.await.unwrap().unwrap()) >= 0.9999);
    }
}

#[test]
fn an_unusable_directory_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = || MiniLm::load(directory.path(), Precision::Float32).unwrap_err();
    let copy = |name: &str| std::fs::copy(model_dir().join(name), directory.path().join(name)).unwrap();
    let write = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
    let says = |error: &LoadError, words: &[&str]| {
        let message = error.to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };

    says(
        &refusal(),
        &["cannot read", "config.json", "a model directory holds"],
    );

    write("config.json", "{}");
    says(&refusal(), &["config.json", "model_type"]);
    let config = std::fs::read_to_string(model_dir().join("config.json")).unwrap();
    write(
        "config.json",
        &config.replace("\"hidden_size\": 384", "\"hidden_size\": 768"),
    );
    says(&refusal(), &["config.json", "hidden_size is 768, not 384"]);

    copy("config.json");
    says(&refusal(), &["cannot read", "tokenizer.json"]);
    write("tokenizer.json", "not JSON");
    says(&refusal(), &["tokenizer.json is not a usable tokenizer"]);

    copy("tokenizer.json");
    says(&refusal(), &["cannot read", "model.safetensors"]);
    truncated_copy(
        &model_dir().join("model.safetensors"),
        &directory.path().join("model.safetensors"),
    );
    says(&refusal(), &["model.safetensors", "incomplete download"]);
}

fn truncated_copy(from: &Path, to: &Path) {
    let content = std::fs::read(from).unwrap();
    std::fs::write(to, &content[..content.len() / 2]).unwrap();
}
