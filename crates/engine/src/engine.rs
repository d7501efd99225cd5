//! The engine: what it is made of, and how it starts.

use std::{sync::Arc, time::Duration};

use strongroom_access::{IdentitySource, KeyRulesSource};
use strongroom_audit::AuditSink;
use strongroom_blobs::BlobStore;
use strongroom_catalog::Catalog;
use strongroom_kms::KeySource;
use strongroom_seal::StoreKey;

use crate::{
    EncryptionType, MinimumMode, SealedSettings,
    api::ObjectOwnership,
    bucket::{Bucket, DocumentKind, Known, KnownAccess, KnownCors},
    budget::Budget,
    events::{NotificationOptions, Targets},
    in_use::InUse,
    integrity::Integrity,
    jobs::Jobs,
    key_rights::Unowned,
    lifecycle::{Again, BelievedClock, Expire, KnownRules, LifecycleOptions},
    rekey::Rekey,
    space::Space,
    sse::BucketKeys,
};

/// What the engine works with.
pub struct EngineParts {
    /// Names and versions.
    pub catalog: Arc<dyn Catalog>,
    /// Sealed bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Keys for SSE-S3, SSE-KMS and DSSE-KMS; not configured where the operator wants SSE-C only.
    pub kms: Arc<dyn KeySource>,
    /// Has the store key.
    pub settings: Arc<SealedSettings>,
    /// Where each use of a key and each change of a lock is recorded.
    pub audit: Arc<dyn AuditSink>,
    /// Whose rights decide of what goes on in the background.
    pub identities: Arc<dyn IdentitySource>,
    /// What keys that belong to accounts say of who may use them.
    pub key_rules: Arc<dyn KeyRulesSource>,
}

/// How the engine behaves.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Whether objects without encryption headers, in buckets without a default, get SSE-S3 while a KMS is configured.
    pub encrypt_by_default: bool,
    /// What buckets block that do not say themselves what they block.
    pub blocked_encryption_types: Vec<EncryptionType>,
    /// Whether public access is blocked of buckets that do not say themselves what is blocked, as with Amazon.
    pub block_public_access: bool,
    /// Who owns the objects of buckets that do not say it themselves.
    pub object_ownership: ObjectOwnership,
    /// The weakest encryption that anything is written with.
    pub minimum_mode: MinimumMode,
    /// Objects up to so many bytes lie in the catalog's row.
    pub inline_limit_bytes: usize,
    /// The largest object.
    pub max_object_bytes: u64,
    /// The largest body of one PutObject or UploadPart.
    pub max_put_bytes: u64,
    /// The smallest part that is not the last.
    pub min_part_bytes: u64,
    /// How long a bucket key serves new objects.
    pub bucket_key_lifetime: Duration,
    /// How often dead blobs are looked for.
    pub sweep_interval: Duration,
    /// How long a dead blob is kept for reads that already know of it.
    pub dead_blob_grace: Duration,
    /// How old a blob that the catalog does not know must be to be deleted. The catalog may be one of before the blob, put
    /// back from a backup: so much time there is to notice.
    pub orphan_age: Duration,
    /// How long a job waits for what it cannot do without, such as a KMS that is away, before it gives up.
    pub job_outage_limit: Duration,
    /// What all requests together may keep in memory of bodies, blocks and replies.
    pub memory_budget_bytes: usize,
    /// How lifecycle rules are carried out.
    pub lifecycle: LifecycleOptions,
    /// Where the events of buckets can go.
    pub notifications: NotificationOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            encrypt_by_default: true,
            blocked_encryption_types: Vec::new(),
            block_public_access: true,
            object_ownership: ObjectOwnership::default(),
            minimum_mode: MinimumMode::None,
            inline_limit_bytes: 128 << 10,
            max_object_bytes: 5 << 40,
            max_put_bytes: 5 << 30,
            min_part_bytes: 5 << 20,
            bucket_key_lifetime: Duration::from_mins(5),
            sweep_interval: Duration::from_secs(2),
            dead_blob_grace: Duration::from_secs(5),
            orphan_age: Duration::from_hours(24),
            job_outage_limit: Duration::from_mins(10),
            memory_budget_bytes: 128 << 20,
            lifecycle: LifecycleOptions::default(),
            notifications: NotificationOptions::default(),
        }
    }
}

/// S3's operations over a catalog, a blob store and a KMS.
pub struct Engine {
    parts: EngineParts,
    options: EngineOptions,
    budget: Budget,
    space: Arc<Space>,
    bucket_keys: BucketKeys,
    unowned: Unowned,
    known_buckets: Known,
    known_cors: KnownCors,
    known_access: KnownAccess,
    in_use: InUse,
    integrity: Integrity,
    rekeys: Jobs<Rekey>,
    known_rules: KnownRules,
    expiries: Jobs<Expire>,
    lifecycle_clock: BelievedClock,
    lifecycle_again: Again,
    targets: Targets,
}

impl Engine {
    /// Starts the engine. Re-key jobs that were running go on with [`Engine::resume_rekeys`].
    pub fn open(parts: EngineParts, options: EngineOptions) -> Arc<Self> {
        Self::open_in(Space::default(), parts, options)
    }

    /// As [`Self::open`], with disks to watch. [`Engine::start_space_watch`] begins to watch them.
    pub fn open_in(space: Space, parts: EngineParts, options: EngineOptions) -> Arc<Self> {
        let bucket_keys = BucketKeys::new(options.bucket_key_lifetime);
        let budget = Budget::new(options.memory_budget_bytes);
        let lifecycle_clock = BelievedClock::new(&options.lifecycle);
        let targets = Targets::new(&options.notifications);
        Arc::new(Self {
            parts,
            options,
            budget,
            space: Arc::new(space),
            bucket_keys,
            unowned: Unowned::default(),
            known_buckets: Known::default(),
            known_cors: KnownCors::default(),
            known_access: KnownAccess::default(),
            in_use: InUse::default(),
            integrity: Integrity::default(),
            rekeys: Jobs::default(),
            known_rules: KnownRules::default(),
            expiries: Jobs::default(),
            lifecycle_clock,
            lifecycle_again: Again::default(),
            targets,
        })
    }

    /// Zeroizes the bucket keys in use, so that the next objects get one of the present version of their key. To be called when a key
    /// was rotated, or the backend in force changed; without it that happens within [`EngineOptions::bucket_key_lifetime`].
    pub fn forget_bucket_keys(&self) {
        self.bucket_keys.clear();
    }

    /// How often stored bytes turned out not to be what was stored, since the start.
    pub fn integrity_events(&self) -> u64 {
        self.integrity.count()
    }

    /// The memory that requests take. Who collects a body whole holds its length here first.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The room on the disks.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(crate) fn parts(&self) -> &EngineParts {
        &self.parts
    }

    pub(crate) fn unowned(&self) -> &Unowned {
        &self.unowned
    }

    pub(crate) fn catalog(&self) -> &dyn Catalog {
        &*self.parts.catalog
    }

    pub(crate) fn shared_catalog(&self) -> Arc<dyn Catalog> {
        Arc::clone(&self.parts.catalog)
    }

    pub(crate) fn shared_blobs(&self) -> Arc<dyn BlobStore> {
        Arc::clone(&self.parts.blobs)
    }

    pub(crate) fn blobs(&self) -> &dyn BlobStore {
        &*self.parts.blobs
    }

    pub(crate) fn kms(&self) -> &dyn KeySource {
        &*self.parts.kms
    }

    pub(crate) fn audit(&self) -> &dyn AuditSink {
        &*self.parts.audit
    }

    pub(crate) fn shared_audit(&self) -> Arc<dyn AuditSink> {
        Arc::clone(&self.parts.audit)
    }

    pub(crate) fn identities(&self) -> &dyn IdentitySource {
        &*self.parts.identities
    }

    /// Whether what comes without encryption headers gets SSE-S3.
    pub(crate) fn encrypts_by_default(&self) -> bool {
        self.options.encrypt_by_default && self.parts.kms.is_configured()
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub(crate) fn store_key(&self) -> &StoreKey {
        self.parts.settings.store_key()
    }

    pub(crate) fn bucket_keys(&self) -> &BucketKeys {
        &self.bucket_keys
    }

    pub(crate) fn known_cors(&self) -> &KnownCors {
        &self.known_cors
    }

    pub(crate) fn known_access(&self) -> &KnownAccess {
        &self.known_access
    }

    pub(crate) fn known_buckets(&self) -> &Known {
        &self.known_buckets
    }

    pub(crate) fn rekeys(&self) -> &Jobs<Rekey> {
        &self.rekeys
    }

    pub(crate) fn known_rules(&self) -> &KnownRules {
        &self.known_rules
    }

    pub(crate) fn expiries(&self) -> &Jobs<Expire> {
        &self.expiries
    }

    pub(crate) fn lifecycle_clock(&self) -> &BelievedClock {
        &self.lifecycle_clock
    }

    /// Has the next lifecycle pass look at a key whose versions changed otherwise than by age, if the bucket has rules.
    pub(crate) fn look_again_at(&self, bucket: &Bucket, key: &str) {
        if bucket.settings.revision_of(DocumentKind::Lifecycle).is_some() {
            self.lifecycle_again.remember(bucket.id, key);
        }
    }

    pub(crate) fn lifecycle_again(&self) -> &Again {
        &self.lifecycle_again
    }

    pub(crate) fn targets(&self) -> &Targets {
        &self.targets
    }

    pub(crate) fn in_use(&self) -> &InUse {
        &self.in_use
    }

    pub(crate) fn integrity(&self) -> &Integrity {
        &self.integrity
    }
}
