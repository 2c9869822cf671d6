//! Showing people that something slow goes on.

use std::{io::IsTerminal, time::Duration};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How progress is shown, always on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A bar that redraws itself; for a terminal.
    Bars,
    /// One line when something begins and one when it ends; for logs.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// Bars when standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bars
        } else {
            Self::Lines
        }
    }

    /// Begins a download of `bytes`.
    pub(crate) fn download(self, what: &str, bytes: u64) -> Task {
        match self {
            Self::Bars => {
                let bar = ProgressBar::new(bytes);
                // A bar in the library's default style is still a bar.
                if let Ok(style) =
                    ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {elapsed}")
                {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_message(format!("Fetching {what}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                Task { bar: Some(bar) }
            }
            Self::Lines => {
                eprintln!("Fetching {what} ({})", HumanBytes(bytes));
                Task { bar: None }
            }
            Self::Silent => Task { bar: None },
        }
    }

    /// Says one thing.
    pub(crate) fn say(self, line: &str) {
        if self != Self::Silent {
            eprintln!("{line}");
        }
    }
}

/// A download under way; its bar disappears when this is dropped.
pub(crate) struct Task {
    bar: Option<ProgressBar>,
}

impl Task {
    /// Shows how many bytes there are so far.
    pub(crate) fn reached(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
