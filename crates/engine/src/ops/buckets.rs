//! CreateBucket, HeadBucket, ListBuckets, DeleteBucket, and what is configured of a bucket: default encryption, versioning, tags.

use strongroom_access::Acl;
use strongroom_catalog::{BucketId, CatalogError, Versioning};

use crate::{
    EncryptionType, Engine, Error,
    api::{Caller, CreateBucket, DefaultEncryption, DefaultLock, EncryptionRule, Tag, VersioningStatus},
    bucket::{Bucket, BucketEncryption, BucketEncryptionAlgorithm, Changed, DocumentKind, Settings},
    ids,
    sse::check_encryption_rule,
    tags,
};

/// One more than the longest page of ListBuckets, so that the adapter can tell whether another follows.
const MAX_BUCKETS: usize = 10_001;

impl Engine {
    /// CreateBucket. The name's form is the adapter's business.
    pub async fn create_bucket(&self, caller: &Caller, request: CreateBucket) -> Result<(), Error> {
        let mut bucket = strongroom_catalog::Bucket {
            id: BucketId(strongroom_seal::random_array()),
            name: request.name,
            owner: caller.identity.owner().to_owned(),
            region: request.region,
            created: ids::now_ms(),
            versioning: if request.object_lock { Versioning::Enabled } else { Versioning::Unversioned },
            revision: 1,
            record: Vec::new(),
            former: None,
        };
        let settings = Settings::of_new_bucket(&caller.identity.account, request.object_lock.then(DefaultLock::default), request.ownership);
        if let Some(acl) = &request.acl {
            self.check_grantees(acl).await?;
        }
        let settings = self.with_acl_of_new_bucket(settings, &bucket, request.acl)?;
        bucket.record = settings.seal(self.store_key(), &bucket)?;
        self.space().admit(None)?;
        match self.catalog().create_bucket(bucket).await {
            Err(CatalogError::BucketExists { owner }) if owner == caller.identity.owner() => Err(Error::BucketAlreadyOwnedByYou),
            other => self.settled(other).await,
        }
    }

    /// A public ACL is taken with the bucket only where new buckets do not block it.
    fn with_acl_of_new_bucket(
        &self,
        mut settings: Settings,
        row: &strongroom_catalog::Bucket,
        acl: Option<Acl>,
    ) -> Result<Settings, Error> {
        let Some(acl) = acl.filter(|acl| *acl != Acl::private(&row.owner)) else { return Ok(settings) };
        self.check_acl(&Bucket::new(row.clone(), settings.clone()), &acl)?;
        settings.acl = Some(acl);
        Ok(settings)
    }

    /// The bucket (HeadBucket, GetBucketLocation).
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        self.trusted(self.catalog().bucket(name).await?.ok_or(Error::NoSuchBucket)?)
    }

    /// The bucket, which must be the expected owner's.
    pub(crate) async fn bucket_of(&self, expected_owner: Option<&str>, name: &str) -> Result<Bucket, Error> {
        self.trusted_of(expected_owner, self.catalog().bucket(name).await?.ok_or(Error::NoSuchBucket)?)
    }

    /// ListBuckets: those of the caller's account, and for root all, in the order of names and greater than `after`. Fewer than `limit` only
    /// where no more follow: in place of an altered row, which is counted and left out, comes the next one.
    pub async fn list_buckets(&self, caller: &Caller, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, Error> {
        let account = (!caller.identity.is_root()).then_some(caller.identity.account.as_str());
        let (mut listed, mut after, limit) = (Vec::new(), after.map(str::to_owned), limit.min(MAX_BUCKETS));
        while listed.len() < limit {
            let wanted = limit - listed.len();
            let rows = self.catalog().list_buckets(prefix, after.as_deref(), wanted).await?;
            let is_end = rows.len() < wanted;
            after = rows.last().map(|bucket| bucket.name.clone());
            self.add_trusted(rows, account, &mut listed)?;
            if is_end {
                break;
            }
        }
        Ok(listed)
    }

    /// One altered row must not hide the other buckets.
    fn add_trusted(&self, rows: Vec<strongroom_catalog::Bucket>, account: Option<&str>, listed: &mut Vec<Bucket>) -> Result<(), Error> {
        for bucket in rows {
            match self.trusted(bucket) {
                Ok(bucket) if account.is_none_or(|account| account == bucket.account()) => listed.push(bucket),
                Ok(_) | Err(Error::Integrity(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// DeleteBucket.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        self.settled(self.making_room(|| self.catalog().delete_bucket(name)).await).await
    }

    /// GetBucketEncryption. What the store blocks shows where the bucket says nothing of its own.
    pub async fn bucket_encryption(&self, name: &str) -> Result<EncryptionRule, Error> {
        let bucket = self.bucket(name).await?;
        let (default, blocked) = (bucket.settings.encryption.as_ref().map(shown), bucket.settings.blocked.as_deref());
        let of_store = Some(self.options().blocked_encryption_types.as_slice()).filter(|blocked| !blocked.is_empty());
        let blocked = blocked.or(of_store).map(shown_types);
        if default.is_none() && blocked.is_none() {
            return Err(Error::BucketEncryptionNotFound);
        }
        Ok(EncryptionRule { default, blocked })
    }

    /// PutBucketEncryption. What the rule does not name stays as it is: who sets a default without knowing of a block does not lift it.
    pub async fn set_bucket_encryption(&self, name: &str, rule: impl Into<EncryptionRule>) -> Result<(), Error> {
        let (default, blocked) = check_encryption_rule(rule.into(), self.options().minimum_mode)?;
        self.change_bucket(name, |bucket| {
            let mut changed = Changed::from(bucket);
            if default.is_some() {
                changed.settings.encryption.clone_from(&default);
            }
            if blocked.is_some() {
                changed.settings.blocked.clone_from(&blocked);
            }
            Ok(changed)
        })
        .await
    }

    /// DeleteBucketEncryption. The bucket blocks what the store does again.
    pub async fn clear_bucket_encryption(&self, name: &str) -> Result<(), Error> {
        self.change_bucket(name, |bucket| {
            let mut changed = Changed::from(bucket);
            (changed.settings.encryption, changed.settings.blocked) = (None, None);
            Ok(changed)
        })
        .await
    }

    /// GetBucketVersioning: none where it never was set.
    pub async fn bucket_versioning(&self, name: &str) -> Result<Option<VersioningStatus>, Error> {
        Ok(match self.bucket(name).await?.versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled => Some(VersioningStatus::Enabled),
            Versioning::Suspended => Some(VersioningStatus::Suspended),
        })
    }

    /// PutBucketVersioning.
    pub async fn set_bucket_versioning(&self, name: &str, status: VersioningStatus) -> Result<(), Error> {
        let versioning = match status {
            VersioningStatus::Enabled => Versioning::Enabled,
            VersioningStatus::Suspended => Versioning::Suspended,
        };
        self.change_bucket(name, |bucket| {
            if bucket.settings.object_lock.is_some() && versioning != Versioning::Enabled {
                let locked = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
                return Err(Error::InvalidBucketState(locked));
            }
            Ok(Changed { versioning, ..Changed::from(bucket) })
        })
        .await
    }

    /// GetBucketTagging.
    pub async fn bucket_tags(&self, name: &str) -> Result<Vec<Tag>, Error> {
        self.bucket_document(name, DocumentKind::Tagging).await?.1.ok_or(Error::NoSuchTagSet)
    }

    /// PutBucketTagging: takes the place of all tags.
    pub async fn set_bucket_tags(&self, name: &str, tags: Vec<Tag>) -> Result<(), Error> {
        tags::check(&tags, tags::MAX_BUCKET_TAGS)?;
        self.set_bucket_document(name, DocumentKind::Tagging, Some(&tags)).await
    }

    /// DeleteBucketTagging.
    pub async fn clear_bucket_tags(&self, name: &str) -> Result<(), Error> {
        self.set_bucket_document(name, DocumentKind::Tagging, None::<&Vec<Tag>>).await
    }
}

fn shown_types(blocked: &[EncryptionType]) -> Vec<String> {
    if blocked.is_empty() { vec!["NONE".into()] } else { blocked.iter().map(|blocked| blocked.name().into()).collect() }
}

fn shown(rule: &BucketEncryption) -> DefaultEncryption {
    let algorithm = match rule.algorithm {
        BucketEncryptionAlgorithm::SseS3 => "AES256",
        BucketEncryptionAlgorithm::SseKms => "aws:kms",
        BucketEncryptionAlgorithm::DsseKms => "aws:kms:dsse",
    };
    DefaultEncryption { algorithm: algorithm.into(), kms_key_id: rule.kms_key_id.clone(), bucket_key_enabled: rule.bucket_key_enabled }
}
