//! Times the built-in model on the texts on which `onnxruntime.py` times ONNX Runtime, in the same way.
//!
//! ```sh
//! cargo run --release --package embedding --example compare [-- <texts, one a line>]
//! ```
//!
//! The model uses a thread for each core, or as many as `RAYON_NUM_THREADS` says.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use embedding::{MiniLm, Model, Precision};

/// Messages of the demo history.
const TEXTS: &str = include_str!("texts.txt");

/// So many texts are embedded again and again for each figure.
const TEXTS_TIMED: usize = 64;

const TIME: Duration = Duration::from_secs(4);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let directory = devstack::fetch_model(&devstack::cache_directory()?, devstack::Progress::detect())?;
    let texts = match arguments.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => TEXTS.to_owned(),
    };
    let texts: Vec<String> = texts.lines().take(TEXTS_TIMED).map(str::to_owned).collect();

    for precision in [Precision::Float32, Precision::Int8] {
        let begin = Instant::now();
        let mut model = MiniLm::load(&directory, precision)?;
        println!(
            "{precision:?}, loaded in {:.0} ms",
            begin.elapsed().as_secs_f64() * 1e3
        );
        for size in [1, 8, 32] {
            if size <= texts.len() {
                println!("  {}", measure(&mut model, &texts, size)?);
            }
        }
    }
    Ok(())
}

/// Embeds all texts, so many at once, in rounds. What counts for a batch is the shortest of its times, so that other
/// work of the machine matters little; the mean of all is told beside it.
fn measure(model: &mut MiniLm, texts: &[String], size: usize) -> Result<String, Box<dyn Error>> {
    let batches: Vec<&[String]> = texts.chunks_exact(size).collect();
    let mut shortest = vec![Duration::MAX; batches.len()];
    let (begin, mut rounds) = (Instant::now(), 0);
    while rounds < 2 || begin.elapsed() < TIME {
        for (batch, shortest) in batches.iter().zip(&mut shortest) {
            let begin = Instant::now();
            model.embed(batch)?;
            *shortest = begin.elapsed().min(*shortest);
        }
        rounds += 1;
    }
    let count = batches.len() * size;
    let each = shortest.iter().sum::<Duration>().as_secs_f64() / count as f64;
    let mean = (rounds * count) as f64 / begin.elapsed().as_secs_f64();
    Ok(format!(
        "{size:3} at once: {:7.1} texts/s, {:7.3} ms a text, {:7.1} ms a batch; mean {mean:7.1} texts/s, {rounds} rounds",
        1.0 / each,
        1e3 * each,
        1e3 * each * size as f64,
    ))
}
