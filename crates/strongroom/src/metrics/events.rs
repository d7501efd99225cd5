//! Events that wait for webhooks, and what became of them.

use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_engine::events::OutboxTarget;
use strongroom_notify::DeliveryNumbers;

use super::exposition::Family;

/// What is known of a target.
pub(crate) struct EventNumbers {
    pub(crate) held: OutboxTarget,
    pub(crate) deliveries: DeliveryNumbers,
}

/// What a metric says of a target.
type Value<'a> = &'a dyn Fn(&EventNumbers) -> u64;

/// Appends what is known of each target; where there is none, the names of the metrics alone.
pub(crate) fn render(text: &mut String, targets: &[EventNumbers]) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let age = |of: &EventNumbers| of.held.oldest.map_or(0, |oldest| u64::try_from(now_ms.saturating_sub(oldest) / 1000).unwrap_or(0));
    let families: [(&str, &str, &str, Value<'_>); 7] = [
        ("strongroom_events_queued", "gauge", "Events that wait for their delivery", &|of| of.held.queued),
        ("strongroom_events_oldest_seconds", "gauge", "Age of the event that waits longest", &age),
        ("strongroom_events_dead", "gauge", "Events that were given up, and are kept", &|of| of.held.dead),
        ("strongroom_events_dropped_total", "counter", "Events that were dropped since there were too many", &|of| of.held.dropped),
        ("strongroom_events_delivered_total", "counter", "Events that the receiver has taken", &|of| of.deliveries.delivered),
        ("strongroom_events_failed_attempts_total", "counter", "Attempts to deliver that failed", &|of| of.deliveries.failed),
        ("strongroom_events_given_up_total", "counter", "Events that were given up", &|of| of.deliveries.died),
    ];
    for (name, kind, help, value) in families {
        let mut family = Family::new(text, name, kind, help);
        for target in targets {
            family.sample(&[("target", &target.held.target)], value(target));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_told_with_what_waits_and_what_was_delivered() {
        let held = OutboxTarget { target: "hook".to_owned(), queued: 1, dead: 2, dropped: 3, oldest: Some(0) };
        let deliveries = DeliveryNumbers { delivered: 4, failed: 5, died: 6, ..DeliveryNumbers::default() };
        let mut text = String::new();
        render(&mut text, &[EventNumbers { held, deliveries }]);
        for line in [
            "strongroom_events_queued{target=\"hook\"} 1",
            "strongroom_events_dead{target=\"hook\"} 2",
            "strongroom_events_dropped_total{target=\"hook\"} 3",
            "strongroom_events_delivered_total{target=\"hook\"} 4",
            "strongroom_events_failed_attempts_total{target=\"hook\"} 5",
            "strongroom_events_given_up_total{target=\"hook\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let age = text.lines().find_map(|line| line.strip_prefix("strongroom_events_oldest_seconds{target=\"hook\"} "));
        assert!(age.is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age > 1_700_000_000)), "{text}");
        text.clear();
        render(&mut text, &[]);
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}
