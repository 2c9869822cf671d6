//! Prints how long texts take: `cargo run --release --package embedding --example how_long_it_takes`.

use std::error::Error;
use std::time::Instant;

use embedding::{MiniLm, Model};

/// How often each batch is embedded.
const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let short = "Kube Pod Crash Looping. Back-off # restarting failed container=app pod=api. exit code 137"
        .to_owned();
    let long = short.repeat(20);
    let directory = devstack::fetch_model(&devstack::cache_directory()?, devstack::Progress::detect())?;
    let begin = Instant::now();
    let mut model = MiniLm::load(&directory)?;
    println!("load {:?}", begin.elapsed());
    for (name, text, size) in [
        ("short", &short, 1),
        ("short", &short, 4),
        ("short", &short, 16),
        ("short", &short, 32),
        ("long", &long, 1),
        ("long", &long, 8),
    ] {
        let batch = vec![text.clone(); size];
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            model.embed(&batch)?;
            times.push(begin.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[ROUNDS / 2], times[0]);
        let per_text = median / f64::from(u32::try_from(size)?);
        println!(
            "{name} text, batch of {size:2}: median {median:7.2} ms, best {best:7.2} ms, {per_text:6.2} ms per text"
        );
    }
    Ok(())
}
