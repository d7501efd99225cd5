//! The targets that the operator has configured, as far as the engine has to know them.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Notify;

use super::document::Known;
use crate::Error;

/// So many events may wait for a target that is not configured any more.
const MAX_QUEUED_BY_DEFAULT: u64 = 1_000_000;

/// Where events can go.
#[derive(Clone, Debug, Default)]
pub struct NotificationOptions {
    /// The region that ARNs and records name.
    pub region: String,
    /// The targets there are.
    pub targets: Vec<NotificationTarget>,
}

/// A target, without its address: that is for who delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationTarget {
    /// Its name.
    pub name: String,
    /// The buckets that may use it: names, or beginnings of names followed by `*`.
    pub buckets: Vec<String>,
    /// So many events may be queued; further ones are dropped, and counted.
    pub max_queued: u64,
    /// So many dead events are kept, the newest.
    pub max_dead: u64,
}

/// The targets, a bell for each, and the configurations that were read.
pub(crate) struct Targets {
    region: String,
    by_name: BTreeMap<String, (NotificationTarget, Arc<Notify>)>,
    pub(super) known: Known,
}

impl Targets {
    pub(crate) fn new(options: &NotificationOptions) -> Self {
        let by_name = options.targets.iter().map(|target| (target.name.clone(), (target.clone(), Arc::default()))).collect();
        Self { region: options.region.clone(), by_name, known: Known::default() }
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn find(&self, name: &str) -> Option<&NotificationTarget> {
        self.by_name.get(name).map(|(target, _)| target)
    }

    pub(super) fn max_queued(&self, name: &str) -> u64 {
        self.find(name).map_or(MAX_QUEUED_BY_DEFAULT, |target| target.max_queued)
    }

    /// Rung when an event of the target was committed.
    pub(super) fn bell(&self, name: &str) -> Option<Arc<Notify>> {
        self.by_name.get(name).map(|(_, bell)| Arc::clone(bell))
    }

    /// The target that an ARN names, if the bucket may use it: `arn:strongroom:sqs:REGION:NAME:webhook`. MinIO's partition is taken as well, and
    /// a region that is left out.
    pub(super) fn of_arn(&self, arn: &str, bucket: &str) -> Result<&NotificationTarget, Error> {
        let refused =
            |why: &str| Error::InvalidArgument(format!("Unable to validate the following destination configurations: {arn}: {why}"));
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", "strongroom" | "minio", "sqs" | "sns" | "lambda", region, name, "webhook"] = parts[..] else {
            return Err(refused("the ARN must be arn:strongroom:sqs:REGION:NAME:webhook, with the name of a target of this server."));
        };
        if !region.is_empty() && region != self.region {
            return Err(refused(&format!("the region of this server is {}.", self.region)));
        }
        // Whether there is a target that the bucket may not use is not told.
        let found = self.find(name).filter(|target| target.admits(bucket));
        found.ok_or_else(|| refused("this bucket has no such target. The server's operator configures targets (notification_targets)."))
    }
}

impl NotificationTarget {
    fn admits(&self, bucket: &str) -> bool {
        self.buckets.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => bucket.starts_with(beginning),
            None => bucket == pattern,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        let target = |name: &str, buckets: &[&str]| NotificationTarget {
            name: name.to_owned(),
            buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
            max_queued: 5,
            max_dead: 5,
        };
        let targets = vec![target("all", &["*"]), target("some", &["logs-*", "exact"])];
        Targets::new(&NotificationOptions { region: "eu-1".to_owned(), targets })
    }

    #[test]
    fn an_arn_names_a_target_of_this_region_by_either_partition() {
        let targets = targets();
        for arn in ["arn:strongroom:sqs:eu-1:all:webhook", "arn:minio:sqs::all:webhook", "arn:strongroom:lambda:eu-1:all:webhook"] {
            assert_eq!(targets.of_arn(arn, "b").unwrap().name, "all", "{arn}");
        }
        for arn in [
            "",
            "all",
            "arn:aws:sqs:eu-1:all:webhook",
            "arn:strongroom:sqs:eu-2:all:webhook",
            "arn:strongroom:sqs:eu-1:none:webhook",
            "arn:strongroom:sqs:eu-1:all:amqp",
            "arn:strongroom:sqs:eu-1:all:webhook:more",
            "arn:strongroom:s3:eu-1:all:webhook",
        ] {
            let error = targets.of_arn(arn, "b").unwrap_err().to_string();
            assert!(error.starts_with("Unable to validate the following destination configurations"), "{arn}: {error}");
        }
    }

    #[test]
    fn a_bucket_has_only_the_targets_that_admit_it_and_hears_nothing_of_the_others() {
        let targets = targets();
        for (bucket, admitted) in [("logs-a", true), ("exact", true), ("exact2", false), ("other", false)] {
            assert_eq!(targets.of_arn("arn:strongroom:sqs::some:webhook", bucket).is_ok(), admitted, "{bucket}");
        }
        let told = |name: &str| targets.of_arn(&format!("arn:strongroom:sqs::{name}:webhook"), "other").unwrap_err().to_string();
        assert_eq!(told("some").replace("some", "none"), told("none"));
    }
}
