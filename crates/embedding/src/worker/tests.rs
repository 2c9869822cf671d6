use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::embedder::{Embedder, EmbedderOptions};
use crate::hashed::Hashed;
use crate::model::ModelError;

/// Does what the text says, and tells which batches it saw.
struct Scripted {
    inner: Hashed,
    batches: Arc<Mutex<Vec<Vec<String>>>>,
    /// One message lets one call through; a closed channel lets all through.
    gate: Option<std_mpsc::Receiver<()>>,
    dropped: Option<oneshot::Sender<()>>,
}

struct Script {
    batches: Arc<Mutex<Vec<Vec<String>>>>,
    gate: Option<std_mpsc::Sender<()>>,
    dropped: oneshot::Receiver<()>,
}

impl Script {
    fn batches(&self) -> Vec<Vec<String>> {
        self.batches.lock().unwrap().clone()
    }

    fn open(&mut self) {
        self.gate = None;
    }

    /// Waits until the model has been called so often.
    async fn calls(&self, count: usize) {
        while self.batches().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn scripted(gated: bool) -> (Scripted, Script) {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let (open, gate) = std_mpsc::channel();
    let (dropped, was_dropped) = oneshot::channel();
    let model = Scripted {
        inner: Hashed::new(8),
        batches: Arc::clone(&batches),
        gate: gated.then_some(gate),
        dropped: Some(dropped),
    };
    (
        model,
        Script {
            batches,
            gate: gated.then_some(open),
            dropped: was_dropped,
        },
    )
}

impl Model for Scripted {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.batches.lock().unwrap().push(texts.to_vec());
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        assert!(!texts.iter().any(|text| text == "panic"), "told to");
        if texts.iter().any(|text| text == "fail") {
            return Err(ModelError::new("told to"));
        }
        let mut vectors = self.inner.embed(texts)?;
        for (text, vector) in texts.iter().zip(&mut vectors) {
            match text.as_str() {
                "nan" => vector[3] = f32::NAN,
                "zero" => vector.fill(0.0),
                "short" => vector.truncate(7),
                _ => {}
            }
        }
        if texts.iter().any(|text| text == "lose") {
            vectors.pop();
        }
        Ok(vectors)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let _ = self.dropped.take().unwrap().send(());
    }
}

fn hashed(text: &str) -> Vec<f32> {
    Hashed::new(8).embed(&[text.to_owned()]).unwrap().remove(0)
}

fn start(model: impl Model, max_batch: usize, queue: usize) -> Embedder {
    Embedder::start(model, EmbedderOptions { max_batch, queue }).unwrap()
}

/// Requests in their own tasks, queued in order.
async fn spawn_all(embedder: &Embedder, texts: &[&str]) -> Vec<tokio::task::JoinHandle<Answer>> {
    let mut tasks = Vec::new();
    for text in texts {
        let (embedder, text) = (embedder.clone(), (*text).to_owned());
        tasks.push(tokio::spawn(async move { embedder.embed(text).await }));
        // On the single-threaded test runtime this lets the task run up to its reply.
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test]
async fn a_text_becomes_its_vector() {
    let embedder = start(Hashed::new(8), 4, 4);
    assert_eq!(embedder.model().name, "hashed");
    assert_eq!(
        embedder.embed("disk full".to_owned()).await.unwrap(),
        hashed("disk full")
    );
}

#[tokio::test]
async fn what_waits_goes_together() {
    let (model, mut script) = scripted(true);
    let embedder = start(model, 4, 16);
    let first = spawn_all(&embedder, &["a"]).await;
    script.calls(1).await;
    let rest = spawn_all(&embedder, &["b", "c", "d", "e", "f"]).await;
    script.open();
    for task in first.into_iter().chain(rest) {
        task.await.unwrap().unwrap();
    }
    assert_eq!(script.batches(), [vec!["a"], vec!["b", "c", "d", "e"], vec!["f"]]);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_recovers() {
    let (model, mut script) = scripted(true);
    let embedder = start(model, 1, 2);
    let first = spawn_all(&embedder, &["a"]).await;
    script.calls(1).await;
    let waiting = spawn_all(&embedder, &["b", "c"]).await;
    assert!(matches!(
        embedder.embed("d".to_owned()).await,
        Err(EmbedError::Busy)
    ));
    script.open();
    for task in first.into_iter().chain(waiting) {
        task.await.unwrap().unwrap();
    }
    embedder.embed("d".to_owned()).await.unwrap();
}

#[tokio::test]
async fn one_bad_text_fails_alone() {
    for bad in ["fail", "panic", "lose", "nan", "zero", "short"] {
        let (model, mut script) = scripted(true);
        let embedder = start(model, 8, 8);
        let first = spawn_all(&embedder, &["a"]).await;
        script.calls(1).await;
        let rest = spawn_all(&embedder, &["b", bad, "c"]).await;
        script.open();
        let mut answers = Vec::new();
        for task in first.into_iter().chain(rest) {
            answers.push(task.await.unwrap());
        }
        assert_eq!(answers[1].as_ref().unwrap(), &hashed("b"), "next to {bad}");
        assert_eq!(answers[3].as_ref().unwrap(), &hashed("c"), "next to {bad}");
        let error = answers[2].as_ref().unwrap_err();
        let fits = match bad {
            "fail" => matches!(error, EmbedError::Model(_)),
            "panic" => matches!(error, EmbedError::Panicked),
            "lose" => matches!(
                error,
                EmbedError::Invalid(InvalidAnswer::Count { texts: 1, vectors: 0 })
            ),
            _ => matches!(error, EmbedError::Invalid(InvalidAnswer::Vector(_))),
        };
        assert!(fits, "{bad}: {error:?}");
        assert_eq!(
            embedder.embed("d".to_owned()).await.unwrap(),
            hashed("d"),
            "after {bad}"
        );
    }
}

#[tokio::test]
async fn texts_whose_caller_has_gone_are_skipped() {
    let (model, mut script) = scripted(true);
    let embedder = start(model, 8, 8);
    let first = spawn_all(&embedder, &["a"]).await;
    script.calls(1).await;
    let rest = spawn_all(&embedder, &["b", "c", "d"]).await;
    rest[1].abort();
    tokio::task::yield_now().await;
    script.open();
    for (index, task) in first.into_iter().chain(rest).enumerate() {
        assert_eq!(task.await.is_err(), index == 2);
    }
    assert_eq!(script.batches(), [vec!["a"], vec!["b", "d"]]);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_thread() {
    let (model, script) = scripted(false);
    let embedder = start(model, 4, 4);
    let clone = embedder.clone();
    drop(embedder);
    clone.embed("still here".to_owned()).await.unwrap();
    drop(clone);
    tokio::time::timeout(Duration::from_secs(10), script.dropped)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_runtime_goes_on_while_the_model_works() {
    let (model, mut script) = scripted(true);
    let embedder = start(model, 4, 4);
    let tasks = spawn_all(&embedder, &["a"]).await;
    script.calls(1).await;
    // A single-threaded runtime could not fire this timer if the model ran on it.
    tokio::time::sleep(Duration::from_millis(5)).await;
    script.open();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}
