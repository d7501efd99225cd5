//! One key: its versions are looked at, newest first, and what is due is deleted.
//!
//! Each deletion expects the latest version, and the revision of the version that goes, to be what was looked at. So what was overwritten,
//! restored or given other tags meanwhile is looked at again, by the rules as they are by then.

use std::sync::Arc;

use strongroom_catalog::{
    Bucket as Row, BucketId, CatalogError, Deleted, Deletion, Expect, ListEntry, ListQuery, UnixMillis, VersionEntry, VersionId,
    VersionSelector, Versioning,
};

use super::{
    Lifecycle, LifecycleNumbers, Subject,
    due::{Days, of_current, of_marker_alone, of_noncurrent, of_upload},
};
use crate::{
    Engine, Error,
    api::Bucket,
    events::{Cause, Removal},
    ids,
    jobs::{Stop, Task, Throttle},
    lifecycle::Expire,
};

/// How often a key that changes meanwhile is looked at again.
const MAX_LOOKS: usize = 8;
/// So many deletions of a key are planned at a time.
const MAX_PLANNED: usize = 1000;
/// The first page of a key is small, since most keys have few versions.
const PAGES: [usize; 3] = [4, 64, 1000];

/// What a look at a key needs.
pub(super) struct Look<'a> {
    pub(super) task: &'a Task<Expire>,
    pub(super) throttle: &'a Throttle,
    pub(super) bucket: BucketId,
    pub(super) bucket_name: &'a str,
    pub(super) key: &'a str,
}

/// A version that is due.
struct Due {
    version_id: VersionId,
    revision: u64,
    size_bytes: u64,
}

/// What is to be done with a key.
#[derive(Default)]
struct Plan {
    /// The latest version, and whether it is a delete marker.
    latest: Option<(Due, UnixMillis, bool)>,
    expires: bool,
    noncurrent: Vec<Due>,
    versions: usize,
    locked: u64,
    /// More versions follow that were not looked at.
    is_cut: bool,
}

/// How a deletion ended.
enum Ended {
    Done,
    Locked,
    Changed,
}

impl Look<'_> {
    fn engine(&self) -> &Arc<Engine> {
        &self.task.engine
    }

    /// Deletes what is due of the key.
    pub(super) async fn expire(&self) -> Result<Result<LifecycleNumbers, Error>, Stop> {
        let mut numbers = LifecycleNumbers::default();
        for _ in 0..MAX_LOOKS {
            match self.once(&mut numbers).await? {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(numbers)),
                Err(error) => return Ok(Err(error)),
            }
        }
        // It changes all the time, so it is not forgotten: the next version of it is looked at in its turn.
        Ok(Ok(numbers))
    }

    /// Whether to look again.
    async fn once(&self, numbers: &mut LifecycleNumbers) -> Result<Result<bool, Error>, Stop> {
        let Some((bucket, rules)) = (match self.present_rules().await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        }) else {
            return Ok(Ok(false));
        };
        let days = Days::of(&self.engine().options().lifecycle);
        let now = self.engine().lifecycle_clock().now();
        let plan = match self.plan(&bucket, &rules, days, now).await {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error)),
        };
        numbers.locked += plan.locked;
        self.carry_out(plan, &bucket, &rules, days, now, numbers).await
    }

    /// The bucket and its rules as they are now; none where either is gone.
    async fn present_rules(&self) -> Result<Option<(Bucket, Arc<Lifecycle>)>, Error> {
        let row = self.engine().catalog().bucket(self.bucket_name).await?;
        let Some(row) = row.filter(|row: &Row| row.id == self.bucket) else { return Ok(None) };
        let bucket = self.engine().trusted(row)?;
        let rules = self.engine().lifecycle_of(&bucket).await?;
        Ok(rules.map(|rules| (bucket, rules)))
    }

    async fn plan(&self, bucket: &Bucket, rules: &Lifecycle, days: Days, now: UnixMillis) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let mut since = 0;
        let mut marker = None;
        for page in 0.. {
            let limit = PAGES.get(page).or(PAGES.last()).copied().unwrap_or(1);
            let (versions, is_last) = self.versions(bucket, marker, limit).await?;
            for version in versions {
                marker = Some(VersionSelector::Id(version.version_id));
                self.look_at(bucket, rules, days, now, &version, since, &mut plan)?;
                since = version.modified;
                if plan.noncurrent.len() == MAX_PLANNED {
                    plan.is_cut = true;
                    return Ok(plan);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(plan)
    }

    #[allow(clippy::too_many_arguments, reason = "all of it is what one step of the plan looks at")]
    fn look_at(
        &self,
        bucket: &Bucket,
        rules: &Lifecycle,
        days: Days,
        now: UnixMillis,
        version: &VersionEntry,
        since: UnixMillis,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        // The record vouches for size and date; a delete marker has none, and nothing is lost with one.
        let tags = if version.is_delete_marker { Vec::new() } else { self.engine().record_of_entry(bucket, version)?.tags };
        let subject = Subject { key: self.key, size_bytes: version.size_bytes, tags: &tags };
        let due = Due { version_id: version.version_id, revision: version.revision, size_bytes: version.size_bytes };
        let newer = i64::try_from(plan.versions).unwrap_or(i64::MAX) - 1;
        plan.versions += 1;
        if plan.latest.is_none() {
            let expiry = of_current(&rules.rules, days, subject, version.modified).filter(|_| !version.is_delete_marker);
            // What a clock that ran ahead has written waits for that time, also where its rule names a date.
            plan.expires = expiry.is_some_and(|expiry| expiry.at_ms <= now && version.modified <= now);
            plan.latest = Some((due, version.modified, version.is_delete_marker));
            return Ok(());
        }
        if of_noncurrent(&rules.rules, days, subject, since, newer, now) {
            if version.lock.holds(now, false) {
                plan.locked += 1;
            } else {
                plan.noncurrent.push(due);
            }
        }
        Ok(())
    }

    /// Versions of the key behind the marker, newest first, and whether these are the last.
    async fn versions(&self, bucket: &Bucket, marker: Option<VersionSelector>, limit: usize) -> Result<(Vec<VersionEntry>, bool), Error> {
        if bucket.versioning == Versioning::Unversioned {
            let found = self.engine().catalog().find_version(self.bucket_name, self.key, VersionSelector::Latest).await?;
            let found = found.filter(|(row, _)| row.id == self.bucket).and_then(|(_, version)| version).map(VersionEntry::from);
            return Ok((found.into_iter().collect(), true));
        }
        let query = ListQuery {
            bucket_id: self.bucket,
            prefix: self.key.to_owned(),
            delimiter: None,
            after: marker.map(|_| self.key.to_owned()),
            limit,
        };
        let page = self.engine().catalog().list_versions(query, marker).await?;
        let items = page.entries.into_iter().filter_map(|entry| match entry {
            ListEntry::Item(version) => Some(version),
            ListEntry::Prefix { .. } => None,
        });
        let versions: Vec<VersionEntry> = items.take_while(|version| version.key == self.key).collect();
        let is_last = !page.truncated || versions.len() < limit;
        Ok((versions, is_last))
    }

    async fn carry_out(
        &self,
        plan: Plan,
        bucket: &Bucket,
        rules: &Lifecycle,
        days: Days,
        now: UnixMillis,
        numbers: &mut LifecycleNumbers,
    ) -> Result<Result<bool, Error>, Stop> {
        let Some((latest, modified, is_marker)) = plan.latest else { return Ok(Ok(false)) };
        let expect = Expect::Latest(latest.version_id);
        let (mut left, mut again) = (plan.versions, plan.is_cut);
        for due in &plan.noncurrent {
            match self.delete(bucket, VersionSelector::Id(due.version_id), due, expect, now).await? {
                Ok(Ended::Done) => (numbers.noncurrent, left) = (numbers.noncurrent + 1, left - 1),
                Ok(Ended::Locked) => numbers.locked += 1,
                Ok(Ended::Changed) => return Ok(Ok(true)),
                Err(error) => return Ok(Err(error)),
            }
        }
        if plan.expires {
            match self.delete(bucket, VersionSelector::Latest, &latest, expect, now).await? {
                Ok(Ended::Done) => numbers.expired += 1,
                Ok(Ended::Locked) => numbers.locked += 1,
                Ok(Ended::Changed) => again = true,
                Err(error) => return Ok(Err(error)),
            }
        }
        // Nothing can come below a version, so a marker that is alone stays so until something is put on it.
        if is_marker && left == 1 && !again && of_marker_alone(&rules.rules, days, self.key, modified, now) {
            match self.delete(bucket, VersionSelector::Id(latest.version_id), &latest, expect, now).await? {
                Ok(Ended::Done) => numbers.markers += 1,
                Ok(Ended::Locked) => numbers.locked += 1,
                Ok(Ended::Changed) => again = true,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(again))
    }

    /// A deletion as a client's, with no right to pass over a lock.
    async fn delete(
        &self,
        bucket: &Bucket,
        which: VersionSelector,
        due: &Due,
        expect: Expect,
        now: UnixMillis,
    ) -> Result<Result<Ended, Error>, Stop> {
        self.task.live.unless_stopped(self.throttle.turn()).await?;
        let marker = ids::new_version_id(now);
        let removal = Removal { key: self.key, which, marker, at: now };
        let events = match self.engine().events_of_deletion(Cause::Lifecycle, bucket, &removal).await {
            Ok(events) => events,
            Err(error) => return Ok(Err(error)),
        };
        let told = [events.removed.clone(), events.marked.clone()].into_iter().flatten();
        let deletion = Deletion {
            bucket_id: self.bucket,
            key: self.key.to_owned(),
            which,
            expect,
            seen: Some(due.revision),
            marker,
            modified: now,
            bypass: false,
            events,
        };
        let engine = self.engine();
        let deleted = engine.ringing(told, engine.making_room(|| engine.catalog().delete_version(deletion.clone()))).await;
        let ended = match deleted {
            Ok(Deleted::Removed { .. } | Deleted::MarkerAdded { .. }) => Ended::Done,
            Ok(Deleted::Nothing) | Err(CatalogError::PreconditionFailed | CatalogError::NoSuchVersion | CatalogError::NoSuchBucket) => {
                Ended::Changed
            }
            Err(CatalogError::Locked(_)) => Ended::Locked,
            Err(error) => return Ok(engine.settled(Err(error)).await),
        };
        if let Ended::Done = ended {
            let (bucket, key, size_bytes) = (self.bucket_name, self.key, due.size_bytes);
            tracing::debug!(bucket, key, version_id = %due.version_id, size_bytes, ?which, "a lifecycle rule deleted a version");
        }
        Ok(Ok(ended))
    }
}

impl Engine {
    /// Aborts an upload if it is due by the rules as they are now. Whether it was.
    pub(super) async fn expire_upload(&self, bucket: &Bucket, upload: strongroom_catalog::Upload) -> Result<bool, Error> {
        let Some(rules) = self.lifecycle_of(bucket).await? else { return Ok(false) };
        let days = Days::of(&self.options().lifecycle);
        let due = of_upload(&rules.rules, days, &upload.key, upload.initiated);
        if due.is_none_or(|due| due.at_ms > self.lifecycle_clock().now()) {
            return Ok(false);
        }
        // The record vouches for the date.
        let found = self.opened_upload(bucket.clone(), upload)?;
        let (key, upload_id) = (found.upload.key, found.upload.upload_id);
        match self.making_room(|| self.catalog().abort_upload(bucket.id, &key, upload_id)).await {
            Err(CatalogError::NoSuchUpload | CatalogError::NoSuchBucket) => Ok(false),
            other => self.settled(other).await.map(|()| true),
        }
    }
}
