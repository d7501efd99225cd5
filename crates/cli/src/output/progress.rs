//! The bar of a job under way, on standard error, where that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

/// A job's progress.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} objects  {msg}  {eta} left") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows where the job stands.
    pub(crate) fn show(&self, job: &Value) {
        let count = |name: &str| job[name].as_u64().unwrap_or(0);
        self.0.set_length(count("total"));
        self.0.set_position(count("done") + count("skipped") + count("failed"));
        let rate = job["rate_per_second"].as_f64().unwrap_or(0.0);
        self.0.set_message(format!("{rate:.0}/s, {} failed", count("failed")));
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
