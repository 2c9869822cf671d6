//! Many histories, one seed each, and the least that is left of one that fails.

use std::any::Any;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Display, Formatter};
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tokio::runtime::Runtime;

use crate::history::{Step, step};
use crate::model::Rule;
use crate::run::{Difference, run};
use crate::services::Services;
use crate::tally::Tally;

/// How long a history that fails is made smaller.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which histories are run: the seeds from `seed` on, each of so many steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hunt {
    pub(crate) seed: u64,
    pub(crate) cases: u64,
    pub(crate) steps: usize,
}

/// A history in which the services and the model differ.
#[derive(Debug)]
pub(crate) struct Found {
    seed: u64,
    /// How many histories it took.
    cases: u64,
    steps: usize,
    /// How often it was run to make it smaller.
    runs: usize,
    difference: Difference,
    pub(crate) history: Vec<Step>,
}

/// The services, and a runtime for them that outlives each history.
pub(crate) struct World {
    runtime: Runtime,
    services: RefCell<Services>,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let services = RefCell::new(runtime.block_on(Services::start()));
        Self { runtime, services }
    }

    /// Does something with the services.
    pub(crate) fn with<T>(&self, does: impl AsyncFnOnce(&mut Services) -> T) -> T {
        self.runtime.block_on(does(&mut self.services.borrow_mut()))
    }

    /// Runs histories until one fails. That one is made as small as possible.
    ///
    /// # Errors
    /// What is left of it.
    pub(crate) fn hunt(&self, hunt: Hunt, rule: Rule) -> Result<Tally, Box<Found>> {
        let mut total = Tally::default();
        for case in 0..hunt.cases {
            let seed = hunt.seed.wrapping_add(case);
            let mut config = Config::with_cases(1);
            config.rng_seed = RngSeed::Fixed(seed);
            let mut runner = TestRunner::new(config);
            let steps = step();
            let history: Vec<Taken> = (0..hunt.steps)
                .map(|_| Taken::new(steps.new_tree(&mut runner).expect("nothing is filtered out")))
                .collect();
            match self.run(&current(&history), rule) {
                Ok(tally) => total += tally,
                Err(difference) => {
                    let mut shrinking = Shrinking {
                        history,
                        difference,
                        runs: 0,
                        until: Instant::now() + PATIENCE,
                        run: |history: &[Step]| self.run(history, rule).err(),
                    };
                    shrinking.shrink();
                    return Err(Box::new(Found {
                        seed,
                        cases: case + 1,
                        steps: hunt.steps,
                        runs: shrinking.runs,
                        history: current(&shrinking.history),
                        difference: shrinking.difference,
                    }));
                }
            }
        }
        Ok(total)
    }

    /// Runs one history; a panic is a difference too.
    fn run(&self, history: &[Step], rule: Rule) -> Result<Tally, Difference> {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            self.with(async |services| run(services, history, rule).await)
        }));
        ran.unwrap_or_else(|panic| {
            Err(Difference {
                step: None,
                problem: format!("a panic: {}", message(&*panic)),
            })
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let services = self.services.get_mut();
        self.runtime.block_on(services.end());
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

/// A step that was made up, and what makes it simpler.
#[derive(Clone)]
struct Taken {
    step: Step,
    tree: Rc<RefCell<Box<dyn ValueTree<Value = Step>>>>,
}

impl Taken {
    fn new(tree: Box<dyn ValueTree<Value = Step>>) -> Self {
        Self {
            step: tree.current(),
            tree: Rc::new(RefCell::new(tree)),
        }
    }
}

fn current(history: &[Taken]) -> Vec<Step> {
    history.iter().map(|taken| taken.step.clone()).collect()
}

/// A history that fails, on its way to the least that fails. Whole steps go first: there are fewer of them than of what
/// can be simpler within them.
struct Shrinking<F> {
    history: Vec<Taken>,
    difference: Difference,
    runs: usize,
    until: Instant,
    run: F,
}

impl<F: Fn(&[Step]) -> Option<Difference>> Shrinking<F> {
    fn shrink(&mut self) {
        self.truncate();
        loop {
            let before = self.runs;
            let shorter = self.remove_steps();
            let simpler = self.simplify_steps();
            if !(shorter || simpler) || before == self.runs {
                return;
            }
        }
    }

    /// What comes after the difference does not matter.
    fn truncate(&mut self) {
        if let Some(step) = self.difference.step {
            self.history.truncate(step + 1);
        }
    }

    /// Runs another history, which is taken if it fails as well.
    fn fails(&mut self, history: Vec<Taken>) -> bool {
        if Instant::now() > self.until {
            return false;
        }
        self.runs += 1;
        let Some(difference) = (self.run)(&current(&history)) else {
            return false;
        };
        self.history = history;
        self.difference = difference;
        self.truncate();
        true
    }

    /// Leaves out steps, at first many at once. Tells whether any could be.
    fn remove_steps(&mut self) -> bool {
        let length = self.history.len();
        let mut together = length.div_ceil(2);
        while together > 0 {
            let mut start = 0;
            while start < self.history.len() {
                let end = (start + together).min(self.history.len());
                let mut history = self.history.clone();
                history.drain(start..end);
                if !self.fails(history) {
                    start = end;
                }
            }
            together /= 2;
        }
        self.history.len() < length
    }

    /// Makes each step simpler for as long as that fails. Tells whether any could be.
    fn simplify_steps(&mut self) -> bool {
        let mut any = false;
        let mut index = 0;
        while index < self.history.len() {
            let tree = Rc::clone(&self.history[index].tree);
            let mut tree = tree.borrow_mut();
            let mut more = tree.simplify();
            while more && Instant::now() <= self.until && index < self.history.len() {
                let mut history = self.history.clone();
                history[index].step = tree.current();
                more = if self.fails(history) {
                    any = true;
                    tree.simplify()
                } else {
                    tree.complicate()
                };
            }
            index += 1;
        }
        any
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.difference)?;
        writeln!(
            f,
            "That happens in history {}, of which {} runs have left this:",
            self.cases, self.runs
        )?;
        for (index, step) in self.history.iter().enumerate() {
            writeln!(f, "{:4}. {step}", index + 1)?;
        }
        write!(
            f,
            "Again: SIMULATION_SEED={} SIMULATION_CASES=1 SIMULATION_STEPS={} \
             cargo test --package testkit --test simulation the_services",
            self.seed, self.steps
        )
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
    )
}

/// A seed that nobody has chosen.
pub(crate) fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
