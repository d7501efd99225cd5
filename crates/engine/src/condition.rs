//! Conditional requests.

use strongroom_catalog::{Bucket, Expect, Version, VersionEntry, VersionSelector};

use crate::{
    Engine, Error,
    api::{DeleteCondition, IfRange, ReadConditions, WriteCondition},
    record::{ObjectRecord, VersionBinding},
};

/// How often a conditional write looks again after a concurrent write, before it gives up.
pub(crate) const MAX_ATTEMPTS: usize = 4;

/// RFC 9110, section 13.2.2, as S3 combines it: `If-Match` decides over `If-Unmodified-Since`, `If-None-Match` over `If-Modified-Since`.
pub(crate) fn check_read(conditions: &ReadConditions, etag: &str, modified_ms: i64) -> Result<(), Error> {
    let modified = modified_ms.div_euclid(1000);
    match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(etags), _) if !any_matches(etags, etag) => return Err(Error::PreconditionFailed),
        (None, Some(since)) if modified > since => return Err(Error::PreconditionFailed),
        _ => {}
    }
    match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(etags), _) if any_matches(etags, etag) => Err(Error::NotModified),
        (None, Some(since)) if modified <= since => Err(Error::NotModified),
        _ => Ok(()),
    }
}

/// As [`check_read`] for the source of a copy, where every failure is a failed precondition.
pub(crate) fn check_copy_source(conditions: &ReadConditions, etag: &str, modified_ms: i64) -> Result<(), Error> {
    check_read(conditions, etag, modified_ms).map_err(|_| Error::PreconditionFailed)
}

/// Whether the range of a read is still meant (RFC 9110, section 13.1.5): without `If-Range`, or where its validator is exactly the object's.
pub(crate) fn range_is_meant(if_range: Option<&IfRange>, etag: &str, modified_ms: i64) -> bool {
    match if_range {
        None => true,
        Some(IfRange::Etag(expected)) => expected == etag,
        Some(IfRange::Modified(seconds)) => *seconds == modified_ms.div_euclid(1000),
        Some(IfRange::Never) => false,
    }
}

fn any_matches(etags: &[String], etag: &str) -> bool {
    etags.iter().any(|candidate| candidate == "*" || candidate == etag)
}

impl Engine {
    /// What the commit of a conditional write must find. ETags are sealed, so they are compared here and the commit then
    /// expects the version that was looked at.
    pub(crate) async fn expectation(&self, condition: &WriteCondition, bucket: &str, key: &str) -> Result<Expect, Error> {
        match condition {
            WriteCondition::None => return Ok(Expect::Any),
            WriteCondition::Absent => return Ok(Expect::Absent),
            WriteCondition::Matches(_) | WriteCondition::Differs(_) => {}
        }
        let (bucket, version) = self.catalog().find_version(bucket, key, VersionSelector::Latest).await?.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted(bucket)?;
        let Some(version) = version.filter(|version| !version.is_delete_marker) else {
            let differs = matches!(condition, WriteCondition::Differs(_));
            return if differs { Ok(Expect::Absent) } else { Err(Error::NoSuchKey) };
        };
        let etag = || Ok::<_, Error>(self.record_of(&bucket, &version)?.etag.shown);
        let holds = match condition {
            WriteCondition::Matches(wanted) => wanted == "*" || *wanted == etag()?,
            WriteCondition::Differs(unwanted) => !any_matches(unwanted, &etag()?),
            WriteCondition::None | WriteCondition::Absent => true,
        };
        if holds { Ok(Expect::Latest(version.version_id)) } else { Err(Error::PreconditionFailed) }
    }

    /// What a delete takes away, and what it must find then: the very version that was compared. [`Error::NoSuchKey`] or
    /// [`Error::NoSuchVersion`] where there is none to compare.
    pub(crate) async fn deletion_of(
        &self,
        condition: &DeleteCondition,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<(VersionSelector, Expect), Error> {
        if *condition == DeleteCondition::default() {
            return Ok((which, Expect::Any));
        }
        let (bucket, version) = self.catalog().find_version(bucket, key, which).await?.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted(bucket)?;
        let missing = if which == VersionSelector::Latest { Error::NoSuchKey } else { Error::NoSuchVersion };
        let version = version.ok_or(missing)?;
        self.check_delete(condition, &bucket, &version)?;
        Ok(match which {
            VersionSelector::Latest => (which, Expect::Latest(version.version_id)),
            // What is compared of a version never changes, so it is enough that this one is taken away and no other.
            VersionSelector::Null | VersionSelector::Id(_) => (VersionSelector::Id(version.version_id), Expect::Any),
        })
    }

    /// A delete marker has a date, and neither ETag nor size. The record vouches for size and date too.
    fn check_delete(&self, condition: &DeleteCondition, bucket: &Bucket, version: &Version) -> Result<(), Error> {
        let record = if version.is_delete_marker { None } else { Some(self.record_of(bucket, version)?) };
        let (etag, size) = (record.as_ref().map(|record| &record.etag.shown), record.as_ref().map(|_| version.size_bytes));
        let same_etag = condition.etag.as_ref().is_none_or(|wanted| wanted == "*" || Some(wanted) == etag);
        let same_size = condition.size_bytes.is_none_or(|wanted| Some(wanted) == size);
        let same_date = condition.modified.is_none_or(|wanted| wanted == version.modified.div_euclid(1000));
        if same_etag && same_size && same_date { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// The failure of a conditional write before its body is read: sparing a large upload that cannot succeed.
    pub(crate) async fn check_write_early(&self, condition: &WriteCondition, bucket: &str, key: &str) -> Result<(), Error> {
        if *condition == WriteCondition::Absent {
            let found = self.catalog().find_version(bucket, key, VersionSelector::Latest).await?;
            let present = found.and_then(|(_, version)| version).is_some_and(|version| !version.is_delete_marker);
            return if present { Err(Error::PreconditionFailed) } else { Ok(()) };
        }
        self.expectation(condition, bucket, key).await.map(|_| ())
    }

    /// The open metadata record of a version.
    pub(crate) fn record_of(&self, bucket: &Bucket, version: &Version) -> Result<ObjectRecord, Error> {
        let binding = VersionBinding::of(bucket.id, version);
        ObjectRecord::open(self.store_key(), &binding, &version.record)
            .map_err(|error| self.integrity().note(error, &bucket.name, &version.key))
    }

    /// The record of a version as listings have it.
    pub(crate) fn record_of_entry(&self, bucket: &Bucket, entry: &VersionEntry) -> Result<ObjectRecord, Error> {
        ObjectRecord::open(self.store_key(), &VersionBinding::of_entry(bucket.id, entry), &entry.record)
            .map_err(|error| self.integrity().note(error, &bucket.name, &entry.key))
    }
}
