//! A pass: all buckets with rules, one after the other, and in each the versions that became old enough since the last pass.
//!
//! Versions are walked in the order of commit, which is that of their age. For each number of days that a rule waits, the walk goes on from where
//! the last pass ended to the first version that is too young. So a pass costs in proportion to what came of age, and a PUT costs nothing. What a
//! version's age does not tell - it became current again, got other tags, or its lock ended - a full walk finds: always in small buckets, after a
//! change of the rules, and every seventh day.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};
use strongroom_catalog::{CommittedRow, ListEntry, ListQuery, UnixMillis};

use super::{
    Expiration, Lifecycle, LifecycleNumbers,
    due::Days,
    key::Look,
    progress::{BucketState, ExpireProgress, Place},
};
use crate::{
    Engine, Error,
    api::Bucket,
    bucket::{Changed, DocumentKind},
    jobs::{Jobs, Patience, Stop, Task, Throttle, Worker, passes, reason},
};

/// So many rows are looked at between two checkpoints.
const PAGE: usize = 256;
/// So many keys are looked at at a time: their deletions share commits.
const CONCURRENCY: usize = 16;
/// Buckets with so many rows or fewer are always walked fully.
const SMALL: u64 = 10_000;
/// The others are, every so many days.
const FULL_DAYS: i64 = 7;
/// How often a bucket is begun anew because its rules changed.
const MAX_RESTARTS: usize = 4;

/// Carrying out lifecycle rules, as a kind of work.
pub(crate) struct Expire;

impl Worker for Expire {
    const KIND: &'static str = "lifecycle";
    const MAX_RUNNING: usize = 1;
    type Progress = ExpireProgress;

    fn jobs(engine: &Engine) -> &Jobs<Self> {
        engine.expiries()
    }

    async fn walk(task: Arc<Task<Self>>) -> Result<(), Stop> {
        let throttle = Throttle::new(task.engine.options().lifecycle.max_deletes_per_second);
        Arc::new(Runner { days: Days::of(&task.engine.options().lifecycle), task, throttle }).walk().await
    }
}

struct Runner {
    task: Arc<Task<Expire>>,
    throttle: Throttle,
    days: Days,
}

/// A bucket whose rules are carried out.
struct AtWork {
    name: String,
    bucket: Bucket,
    rules: Arc<Lifecycle>,
    /// The revision that wrote the rules.
    revision: u64,
}

/// How a walk through a bucket ended.
#[derive(PartialEq, Eq)]
enum Walked {
    ToItsEnd,
    /// The rules changed, or the bucket is gone.
    Changed,
}

impl Runner {
    async fn walk(self: Arc<Self>) -> Result<(), Stop> {
        loop {
            self.believed()?;
            let after = self.task.live.snapshot().after;
            let page = self.task.asking(|| self.task.engine.catalog().list_buckets("", after.as_deref(), PAGE)).await?.unwrap_or_default();
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                let name = row.name.clone();
                // An altered row is reported as damage, and its objects stay.
                let has_rules = self.task.engine.trusted(row).is_ok_and(|bucket| rules_revision(&bucket).is_some());
                if has_rules {
                    self.walk_bucket(&name).await?;
                }
                self.task.live.change(|progress| {
                    progress.after = Some(name);
                    progress.place = None;
                    progress.pass.numbers.buckets += u64::from(has_rules);
                });
            }
            self.task.pass_checkpoint(false).await;
        }
    }

    async fn walk_bucket(self: &Arc<Self>, name: &str) -> Result<(), Stop> {
        for _ in 0..MAX_RESTARTS {
            let Some(at_work) = self.look_up(name).await? else { return Ok(()) };
            if self.walk_uploads(&at_work).await? == Walked::ToItsEnd && self.walk_versions(&at_work).await? == Walked::ToItsEnd {
                return Ok(());
            }
            self.task.live.change(|progress| progress.place = None);
        }
        Ok(())
    }

    /// The bucket and its rules as they are now; none where either is gone.
    async fn look_up(&self, name: &str) -> Result<Option<Arc<AtWork>>, Stop> {
        let looked = self.patiently(name, || async {
            let bucket = match self.task.engine.bucket(name).await {
                Err(Error::NoSuchBucket) => return Ok(None),
                other => other?,
            };
            let (Some(rules), Some(revision)) = (self.task.engine.lifecycle_of(&bucket).await?, rules_revision(&bucket)) else {
                return Ok(None);
            };
            Ok(Some(Arc::new(AtWork { name: name.to_owned(), bucket, rules, revision })))
        });
        Ok(looked.await?.flatten())
    }

    /// Whether bucket and rules are still what the walk began with.
    async fn is_current(&self, at_work: &AtWork) -> Result<bool, Stop> {
        let present = self.look_up(&at_work.name).await?;
        Ok(present.is_some_and(|present| present.bucket.id == at_work.bucket.id && present.revision == at_work.revision))
    }

    // ---- versions

    async fn walk_versions(self: &Arc<Self>, at_work: &Arc<AtWork>) -> Result<Walked, Stop> {
        let now = self.believed()?;
        let classes = classes(&at_work.rules, now);
        let saved = self.patiently(&at_work.name, || async {
            Ok(self.task.engine.bucket_document::<BucketState>(&at_work.name, DocumentKind::LifecycleState).await?.1)
        });
        let saved = saved.await?.flatten().unwrap_or_default();
        if classes.is_empty() {
            return Ok(Walked::ToItsEnd);
        }
        let mut place = self.begin(at_work, &saved, &classes, now);
        let failed_before = self.task.live.snapshot().pass.numbers.failed;
        let again = self.task.engine.lifecycle_again().take(at_work.bucket.id);
        if place.is_full {
            if self.walk_classes(at_work, &mut place, &classes, now).await? == Walked::Changed {
                return Ok(Walked::Changed);
            }
            place.state.full_at = now;
        } else {
            self.task.live.change(|progress| progress.pass.numbers.looked_at += again.len() as u64);
            self.expire_all(at_work, again).await?;
            for class in &classes {
                place.position = place.state.places.get(class).copied().unwrap_or_default();
                if self.walk_classes(at_work, &mut place, &[*class].into(), now).await? == Walked::Changed {
                    return Ok(Walked::Changed);
                }
            }
        }
        if self.task.live.snapshot().pass.numbers.failed > failed_before {
            // What failed is behind the places now, so the next walk is a full one.
            place.state.full_at = 0;
        }
        self.save_state(at_work, saved, place.state).await?;
        Ok(Walked::ToItsEnd)
    }

    /// Where the walk begins, or goes on after a restart.
    fn begin(&self, at_work: &AtWork, saved: &BucketState, classes: &BTreeSet<i64>, now: UnixMillis) -> Place {
        let progress = self.task.live.snapshot();
        if let Some(place) = progress.place
            && place.bucket == at_work.bucket.id
            && place.state.rules == at_work.revision
        {
            return place;
        }
        let is_old = self.days.youngest_due(now, FULL_DAYS) >= saved.full_at || saved.full_at > now;
        let is_full = progress.pass.full || saved.rules != at_work.revision || saved.full_rows <= SMALL || is_old;
        let places = if is_full { BTreeMap::new() } else { saved.places.clone() };
        let places = classes.iter().map(|class| (*class, places.get(class).copied().unwrap_or_default())).collect();
        let full_rows = if is_full { 0 } else { saved.full_rows };
        let state = BucketState { rules: at_work.revision, places, full_at: saved.full_at, full_rows };
        Place { bucket: at_work.bucket.id, is_full, position: 0, state }
    }

    /// Looks at everything from the place on that is old enough for one of the classes.
    async fn walk_classes(
        self: &Arc<Self>,
        at_work: &Arc<AtWork>,
        place: &mut Place,
        classes: &BTreeSet<i64>,
        now: UnixMillis,
    ) -> Result<Walked, Stop> {
        let Some(first) = classes.first() else { return Ok(Walked::ToItsEnd) };
        loop {
            let (after, id) = (place.position, at_work.bucket.id);
            let Some(rows) = self.task.asking(|| self.task.engine.catalog().committed_after(id, after, PAGE)).await? else {
                return Ok(Walked::Changed);
            };
            let credible = self.days.latest_credible(now);
            let is_end = rows.len() < PAGE;
            let youngest = self.days.youngest_due(now, *first);
            // A full walk passes over what is too young: a clock that was set back has put older ones behind it.
            let is_over = |row: &CommittedRow| !place.is_full && row.modified > youngest && row.modified <= credible;
            let old: Vec<CommittedRow> = rows.into_iter().take_while(|row| !is_over(row)).collect();
            let looked_at = old.len();
            let due = old.iter().filter(|row| row.modified <= youngest && is_meant(&at_work.rules, row));
            let keys: BTreeSet<String> = due.filter_map(|row| row.key.clone()).collect();
            self.expire_all(at_work, keys).await?;
            let damaged = old.iter().filter(|row| row.key.is_none()).count() as u64;
            for row in &old {
                for class in classes {
                    let at = place.state.places.entry(*class).or_default();
                    // Up to the first that is too young, and no further.
                    if *at == place.position && (row.modified <= self.days.youngest_due(now, *class) || row.modified > credible) {
                        *at = row.position;
                    }
                }
                place.position = row.position;
            }
            if place.is_full {
                place.state.full_rows += looked_at as u64;
            }
            self.task.live.change(|progress| {
                progress.place = Some(place.clone());
                progress.pass.numbers.looked_at += looked_at as u64;
                progress.pass.numbers.failed += damaged;
            });
            self.task.pass_checkpoint(false).await;
            if is_end || looked_at < PAGE {
                return Ok(Walked::ToItsEnd);
            }
            self.believed()?;
            if !self.is_current(at_work).await? {
                return Ok(Walked::Changed);
            }
        }
    }

    async fn expire_all(self: &Arc<Self>, at_work: &Arc<AtWork>, keys: BTreeSet<String>) -> Result<(), Stop> {
        let each = keys.into_iter().map(|key| {
            let (runner, at_work) = (Arc::clone(self), Arc::clone(at_work));
            async move { runner.expire_key(&at_work, &key).await }
        });
        // Also after one has stopped, the others come to an end: what is being committed is counted.
        let ended: Vec<_> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        ended.into_iter().collect()
    }

    async fn expire_key(&self, at_work: &AtWork, key: &str) -> Result<(), Stop> {
        let bucket_name = at_work.name.as_str();
        let look = Look { task: &self.task, throttle: &self.throttle, bucket: at_work.bucket.id, bucket_name, key };
        let mut patience = Patience::default();
        loop {
            self.task.live.go_on()?;
            match look.expire().await? {
                Ok(numbers) => {
                    self.task.outage.succeeded();
                    if numbers.locked > 0 {
                        self.task.engine.lifecycle_again().remember(at_work.bucket.id, key);
                    }
                    self.task.live.change(|progress| progress.pass.numbers.add(numbers));
                    return Ok(());
                }
                Err(error) if passes(&error) && !self.task.outage.is_its_own(&patience) => self.task.wait(&mut patience, &error).await?,
                Err(error) => {
                    self.failed(bucket_name, key, &error);
                    return Ok(());
                }
            }
        }
    }

    /// Keeps how far the rules were carried out, if that is something new.
    async fn save_state(&self, at_work: &AtWork, saved: BucketState, state: BucketState) -> Result<(), Stop> {
        let is_new =
            if state.full_rows <= SMALL { BucketState { full_at: saved.full_at, ..state.clone() } != saved } else { state != saved };
        if !is_new {
            return Ok(());
        }
        let content = serde_json::to_vec(&state).map_err(|error| Stop::Failed(error.to_string()))?;
        let change = |bucket: &Bucket| {
            if bucket.id != at_work.bucket.id {
                return Err(Error::NoSuchBucket);
            }
            Ok(Changed { documents: vec![(DocumentKind::LifecycleState, Some(content.clone()))], ..Changed::from(bucket) })
        };
        match self.task.engine.change_bucket(&at_work.name, change).await {
            Ok(()) | Err(Error::NoSuchBucket) => {}
            // On a full disk the deletions matter more: the next pass looks at the same once more.
            Err(error) => tracing::warn!(bucket = at_work.name, %error, "how far the lifecycle rules were carried out could not be saved"),
        }
        Ok(())
    }

    // ---- uploads

    async fn walk_uploads(&self, at_work: &AtWork) -> Result<Walked, Stop> {
        if !at_work.rules.rules.iter().any(|rule| rule.enabled && rule.abort_days.is_some()) {
            return Ok(Walked::ToItsEnd);
        }
        let mut after = None;
        loop {
            self.believed()?;
            let (key, upload_id) = after.clone().unzip();
            let query = ListQuery { bucket_id: at_work.bucket.id, prefix: String::new(), delimiter: None, after: key, limit: PAGE };
            let page = self.task.asking(|| self.task.engine.catalog().list_uploads(query.clone(), upload_id)).await?;
            let Some(page) = page else { return Ok(Walked::Changed) };
            for entry in page.entries {
                let ListEntry::Item(upload) = entry else { continue };
                after = Some((upload.key.clone(), upload.upload_id));
                let was_due = self.patiently(&upload.key, || self.task.engine.expire_upload(&at_work.bucket, upload.clone()));
                if was_due.await?.unwrap_or_default() {
                    self.task.live.change(|progress| progress.pass.numbers.uploads += 1);
                    self.task.live.unless_stopped(self.throttle.turn()).await?;
                }
            }
            if !page.truncated {
                return Ok(Walked::ToItsEnd);
            }
            if !self.is_current(at_work).await? {
                return Ok(Walked::Changed);
            }
        }
    }

    // ---- both

    /// Asks until there is an answer; none, and a failure counted, where it is not the store that is away.
    async fn patiently<T, F>(&self, what: &str, mut ask: impl FnMut() -> F) -> Result<Option<T>, Stop>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut patience = Patience::default();
        loop {
            self.task.live.go_on()?;
            match ask().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if passes(&error) && !self.task.outage.is_its_own(&patience) => self.task.wait(&mut patience, &error).await?,
                Err(error) => {
                    self.failed(what, "", &error);
                    return Ok(None);
                }
            }
        }
    }

    fn failed(&self, bucket: &str, key: &str, error: &Error) {
        tracing::warn!(bucket, key, error = reason(error), "a lifecycle rule could not be carried out");
        self.task.live.change(|progress| progress.pass.numbers.add(LifecycleNumbers { failed: 1, ..LifecycleNumbers::default() }));
    }

    fn believed(&self) -> Result<UnixMillis, Stop> {
        self.task.engine.lifecycle_clock().believed().map_err(Stop::Failed)
    }
}

fn rules_revision(bucket: &Bucket) -> Option<u64> {
    bucket.settings.revision_of(DocumentKind::Lifecycle)
}

/// How many days the rules wait, each number once; 0 where something may be due at once.
fn classes(rules: &Lifecycle, now: UnixMillis) -> BTreeSet<i64> {
    let of_rule = |rule: &super::LifecycleRule| {
        let current = match rule.expiration {
            Some(Expiration::Days(days)) => Some(days),
            Some(Expiration::Date(at)) => (at <= now).then_some(0),
            Some(Expiration::MarkersAlone(on)) => on.then_some(0),
            None => None,
        };
        // The number of newer versions changes with each write.
        let counted = rule.noncurrent.and_then(|noncurrent| noncurrent.newer_kept).map(|_| 0);
        [current, rule.noncurrent.map(|noncurrent| noncurrent.days), counted]
    };
    rules.rules.iter().filter(|rule| rule.enabled).flat_map(of_rule).flatten().collect()
}

/// Whether a rule may be about the key of this row. Of a version that is current and no marker, size and action tell more.
fn is_meant(rules: &Lifecycle, row: &CommittedRow) -> bool {
    let Some(key) = &row.key else { return false };
    rules.rules.iter().filter(|rule| rule.enabled && rule.filter.has_key(key)).any(|rule| {
        let current = row.is_latest && rule.expiration.is_some() && (row.is_delete_marker || rule.filter.has_size(row.size_bytes));
        current || rule.noncurrent.is_some() && (row.is_latest || rule.filter.has_size(row.size_bytes) || row.is_delete_marker)
    })
}
