//! What the lifecycle pass did.

use strongroom_engine::{
    lifecycle::{LifecycleNumbers, LifecyclePass},
    rekey::JobState,
};

use super::exposition::Family;

/// Appends what is known of the pass that runs, or else of the last one; nothing before the first.
pub(crate) fn render(text: &mut String, pass: Option<&LifecyclePass>) {
    let Some(pass) = pass else { return };
    let seconds = |at: time::OffsetDateTime| u64::try_from(at.unix_timestamp()).unwrap_or_default();
    let plain = [
        ("strongroom_lifecycle_running", "1 while a lifecycle pass runs", u64::from(pass.state == JobState::Running)),
        ("strongroom_lifecycle_failed", "1 where the last lifecycle pass gave up", u64::from(pass.state == JobState::Failed)),
        ("strongroom_lifecycle_started_seconds", "When the last lifecycle pass began, seconds since 1970", seconds(pass.started)),
        ("strongroom_lifecycle_finished_seconds", "When it ended; 0 while it runs", pass.finished.map_or(0, seconds)),
        ("strongroom_lifecycle_buckets", "Buckets with rules that it has finished with", pass.numbers.buckets),
        ("strongroom_lifecycle_looked_at", "Versions that it looked at", pass.numbers.looked_at),
        ("strongroom_lifecycle_locked", "Versions that are due and kept by Object Lock", pass.numbers.locked),
        ("strongroom_lifecycle_errors", "What it could not look at or delete", pass.numbers.failed),
    ];
    for (name, help, value) in plain {
        Family::new(text, name, "gauge", help).sample(&[], value);
    }
    let LifecycleNumbers { expired, noncurrent, markers, uploads, .. } = pass.numbers;
    let mut family = Family::new(text, "strongroom_lifecycle_deleted", "gauge", "What it has deleted");
    for (what, count) in [("current", expired), ("noncurrent", noncurrent), ("marker", markers), ("upload", uploads)] {
        family.sample(&[("what", what)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_told_with_what_it_deleted() {
        let pass = LifecyclePass {
            job_id: String::new(),
            state: JobState::Completed,
            who: None,
            full: false,
            started: time::OffsetDateTime::UNIX_EPOCH,
            finished: Some(time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(7)),
            numbers: LifecycleNumbers { expired: 1, noncurrent: 2, uploads: 3, locked: 4, ..LifecycleNumbers::default() },
            error: None,
        };
        let mut text = String::new();
        render(&mut text, Some(&pass));
        for line in [
            "strongroom_lifecycle_running 0",
            "strongroom_lifecycle_finished_seconds 7",
            "strongroom_lifecycle_locked 4",
            "strongroom_lifecycle_deleted{what=\"current\"} 1",
            "strongroom_lifecycle_deleted{what=\"noncurrent\"} 2",
            "strongroom_lifecycle_deleted{what=\"upload\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        text.clear();
        render(&mut text, None);
        assert_eq!(text, "");
    }
}
