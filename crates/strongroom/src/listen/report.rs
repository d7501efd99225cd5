//! Tells the log of a shortage, at most once in a while.

use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Shortages;

const INTERVAL: Duration = Duration::from_secs(10);

/// What the log was told of one port.
pub(super) struct Report {
    port: &'static str,
    told: Shortages,
    told_at: Option<Instant>,
}

impl Report {
    pub(super) fn new(port: &'static str) -> Self {
        Self { port, told: Shortages::default(), told_at: None }
    }

    /// Warns of what is new.
    pub(super) fn tell(&mut self, shortages: Shortages, now: Instant) {
        let Some(Shortages { refused, evicted, accept_failed }) = self.news(shortages, now) else { return };
        let port = self.port;
        if accept_failed > 0 {
            tracing::warn!(port, accept_failed, "connections wait because the process has no more file descriptors");
        }
        if refused > 0 || evicted > 0 {
            tracing::warn!(port, refused, evicted, "the port is full: it refuses connections, or closes those that wait longest");
        }
    }

    /// What came since the last report, where the next one is due.
    fn news(&mut self, shortages: Shortages, now: Instant) -> Option<Shortages> {
        let is_due = self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= INTERVAL);
        if shortages == self.told || !is_due {
            return None;
        }
        let told = std::mem::replace(&mut self.told, shortages);
        self.told_at = Some(now);
        Some(Shortages {
            refused: shortages.refused - told.refused,
            evicted: shortages.evicted - told.evicted,
            accept_failed: shortages.accept_failed - told.accept_failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_told_at_once_and_then_every_ten_seconds_while_it_lasts() {
        let (mut report, mut news) = (Report::new("s3"), Vec::new());
        for second in 0..25 {
            let shortages = Shortages { refused: if second < 2 { 0 } else { second }, ..Shortages::default() };
            if let Some(Shortages { refused, .. }) = report.news(shortages, Instant::now()) {
                news.push((second, refused));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(news, [(2, 2), (12, 10), (22, 10)]);
        assert!(report.news(report.told, Instant::now() + INTERVAL).is_none(), "nothing is told twice");
    }
}
