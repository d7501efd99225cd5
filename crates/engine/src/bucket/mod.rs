//! Buckets as the engine believes them: what the catalog says of a bucket is authenticated, so nobody with the disk can exchange two buckets'
//! names, change an owner or take a setting away unnoticed.
//!
//! - [`settings`]: what is configured of a bucket, sealed in its row.
//! - [`documents`]: larger configuration, sealed in rows of its own by kind.
//! - [`access`]: what a bucket says of who may do what in it.
//! - [`former`]: rows that version 3 of the store wrote.

mod access;
mod documents;
mod former;
mod known;
mod known_cors;
mod settings;

use std::{ops::Deref, sync::Arc};

use strongroom_access::MAIN_ACCOUNT;
use strongroom_catalog::{BucketChange, Catalog, CatalogError, NewEvent, Versioning};

pub(crate) use access::KnownAccess;
pub(crate) use documents::DocumentKind;
pub(crate) use known::Known;
pub(crate) use known_cors::KnownCors;
pub(crate) use settings::{BucketEncryption, BucketEncryptionAlgorithm, Settings, Stated};

use crate::{Engine, Error, commit::Permits, lock_acts::LockAct};

/// How often a change of a bucket looks again after another change came between: of so many clients that change one bucket at once none fails.
const MAX_ATTEMPTS: usize = 64;

/// A bucket whose row was found genuine.
#[derive(Clone, Debug)]
pub struct Bucket {
    row: strongroom_catalog::Bucket,
    pub(crate) settings: Arc<Settings>,
}

impl Deref for Bucket {
    type Target = strongroom_catalog::Bucket;

    fn deref(&self) -> &Self::Target {
        &self.row
    }
}

impl Bucket {
    /// A bucket that is about to be created.
    pub(crate) fn new(row: strongroom_catalog::Bucket, settings: Settings) -> Self {
        Self { row, settings: Arc::new(settings) }
    }

    /// The account that it belongs to.
    pub fn account(&self) -> &str {
        self.settings.account.as_deref().unwrap_or(MAIN_ACCOUNT)
    }
}

impl From<Bucket> for strongroom_catalog::Bucket {
    fn from(bucket: Bucket) -> Self {
        bucket.row
    }
}

/// A bucket after a change.
pub(crate) struct Changed {
    pub(crate) versioning: Versioning,
    pub(crate) settings: Settings,
    /// Documents that are written; those without content are removed.
    pub(crate) documents: Vec<(DocumentKind, Option<Vec<u8>>)>,
    /// What tells of it.
    pub(crate) events: Vec<NewEvent>,
}

impl Changed {
    /// Nothing of it changed yet.
    pub(crate) fn from(bucket: &Bucket) -> Self {
        Self { versioning: bucket.versioning, settings: Settings::clone(&bucket.settings), documents: Vec::new(), events: Vec::new() }
    }

    fn is_nothing(&self, bucket: &Bucket) -> bool {
        self.versioning == bucket.versioning && self.settings == *bucket.settings && self.documents.is_empty() && self.events.is_empty()
    }
}

impl Engine {
    /// The bucket, if its row is genuine. Every bucket that the catalog gives comes through here before anything is done with it.
    pub(crate) fn trusted(&self, row: strongroom_catalog::Bucket) -> Result<Bucket, Error> {
        if let Some(settings) = self.known_buckets().settings_of(&row) {
            return Ok(Bucket { row, settings });
        }
        let settings = match &row.former {
            Some(former) if row.record.is_empty() => former::open(self.store_key(), &row, former),
            _ => Settings::open(self.store_key(), &row),
        };
        let settings = Arc::new(settings.map_err(|error| self.integrity().note(error, &row.name, ""))?);
        self.known_buckets().remember(&row, &settings);
        Ok(Bucket { row, settings })
    }

    /// As [`Engine::trusted`]; and its owner must be the one that the caller expects, where it says so.
    pub(crate) fn trusted_of(&self, expected_owner: Option<&str>, row: strongroom_catalog::Bucket) -> Result<Bucket, Error> {
        let bucket = self.trusted(row)?;
        if expected_owner.is_none_or(|expected| expected == bucket.owner) { Ok(bucket) } else { Err(Error::BucketOwnerMismatch) }
    }

    /// Changes what is configured of a bucket. `change` is asked again, with the bucket as it is by then, where another change came between:
    /// so of two changes at once neither is lost.
    pub(crate) async fn change_bucket(&self, name: &str, change: impl Fn(&Bucket) -> Result<Changed, Error>) -> Result<(), Error> {
        self.change_bucket_on_record(name, |_| None, change).await
    }

    /// The same, with what is recorded of it.
    pub(crate) async fn change_bucket_on_record(
        &self,
        name: &str,
        act: impl Fn(&Bucket) -> Option<LockAct>,
        change: impl Fn(&Bucket) -> Result<Changed, Error>,
    ) -> Result<(), Error> {
        for _ in 0..MAX_ATTEMPTS {
            let bucket = self.bucket(name).await?;
            let changed = change(&bucket)?;
            if changed.is_nothing(&bucket) {
                return Ok(());
            }
            let sealed = self.seal_change(&bucket, changed)?;
            let events = sealed.events.clone();
            let (id, revision) = (bucket.id, bucket.revision);
            let commit = |catalog: Arc<dyn Catalog>| self.ringing(events, async move { catalog.change_bucket(id, revision, sealed).await });
            match self.on_record(act(&bucket), Permits::of_no_key(), commit).await? {
                Err(CatalogError::PreconditionFailed) => {}
                other => return self.settled(other).await,
            }
        }
        Err(Error::ConditionalConflict)
    }

    fn seal_change(&self, bucket: &Bucket, mut changed: Changed) -> Result<BucketChange, Error> {
        let revision = bucket.revision.saturating_add(1);
        let mut documents = Vec::new();
        for (kind, content) in changed.documents {
            changed.settings.note_document(kind, content.is_some().then_some(revision));
            let sealed = content.map(|content| documents::seal(self.store_key(), bucket.id, kind, revision, &content));
            documents.push((kind.name().to_owned(), sealed.transpose()?));
        }
        let row = strongroom_catalog::Bucket { versioning: changed.versioning, revision, ..bucket.row.clone() };
        Ok(BucketChange {
            versioning: changed.versioning,
            record: changed.settings.seal(self.store_key(), &row)?,
            documents,
            events: changed.events,
        })
    }
}
