//! ACLs of buckets and objects, where the bucket's ownership lets them count.

use strongroom_access::{Acl, Grantee, MAX_GRANTS};

use crate::{
    Engine, Error,
    api::{Caller, ObjectOwnership, ObjectVersion},
    bucket::{Bucket, Changed, Stated},
    change::Changeable,
    events::EventName,
    ids,
    ops::check_seen,
};

impl Engine {
    /// GetBucketAcl.
    pub async fn bucket_acl(&self, name: &str) -> Result<Acl, Error> {
        let bucket = self.bucket(name).await?;
        Ok(bucket.settings.acl.clone().unwrap_or_else(|| Acl::private(&bucket.owner)))
    }

    /// PutBucketAcl.
    pub async fn set_bucket_acl(&self, name: &str, acl: &Acl) -> Result<(), Error> {
        self.check_acl(&self.bucket(name).await?, acl)?;
        self.check_grantees(acl).await?;
        self.change_bucket(name, |bucket| {
            self.check_acl(bucket, acl)?;
            let mut changed = Changed::from(bucket);
            changed.settings.acl = Some(acl.clone()).filter(|acl| *acl != Acl::private(&bucket.owner));
            Ok(changed)
        })
        .await
    }

    /// GetObjectAcl, and the version's id as clients see it. Its keys are not opened.
    pub async fn object_acl(&self, caller: &Caller, named: &ObjectVersion) -> Result<(Acl, Option<String>), Error> {
        let found = self.find(caller.expected_owner.as_deref(), &named.bucket, &named.key, named.version_id.as_deref()).await?;
        check_seen(caller.seen.object, &found)?;
        let version_id = ids::shown(found.bucket.versioning, &found.version);
        Ok((found.record.acl.map_or_else(|| Acl::private(&found.bucket.owner), |acl| *acl), version_id))
    }

    /// PutObjectAcl. The version's id as clients see it.
    pub async fn set_object_acl(&self, caller: &Caller, named: &ObjectVersion, acl: &Acl) -> Result<Option<String>, Error> {
        self.space().admit(None)?;
        self.check_acl(&self.bucket(&named.bucket).await?, acl)?;
        self.check_grantees(acl).await?;
        self.change_version(caller, named, Some(EventName::ObjectAclPut), |bucket, present| {
            self.check_acl(bucket, acl)?;
            let acl = Some(acl.clone()).filter(|acl| *acl != Acl::private(&bucket.owner)).map(Box::new);
            Ok(Changeable { acl, ..present })
        })
        .await
    }

    /// Who owns the bucket's objects; none where that was taken away.
    pub(crate) fn ownership_of(&self, bucket: &Bucket) -> Option<ObjectOwnership> {
        Stated::value_of(bucket.settings.ownership, self.options().object_ownership)
    }

    /// Whether ACLs count in the bucket.
    pub(crate) fn counts_acls(&self, bucket: &Bucket) -> bool {
        self.ownership_of(bucket).is_some_and(|ownership| ownership != ObjectOwnership::BucketOwnerEnforced)
    }

    /// Refuses an ACL that grants something to nobody.
    pub(crate) async fn check_grantees(&self, acl: &Acl) -> Result<(), Error> {
        for grant in acl.grants.iter().take(MAX_GRANTS) {
            if let Grantee::User(name) = &grant.to
                && *name != acl.owner
                && !self.identities().is_owner(name).await?
            {
                return Err(Error::InvalidArgument("Invalid id".to_owned()));
            }
        }
        Ok(())
    }

    /// Refuses an ACL that the bucket does not take.
    pub(crate) fn check_acl(&self, bucket: &Bucket, acl: &Acl) -> Result<(), Error> {
        if !self.counts_acls(bucket) {
            return if acl.is_private_to(&bucket.owner) { Ok(()) } else { Err(Error::AclNotSupported) };
        }
        if acl.grants.len() > MAX_GRANTS {
            return Err(Error::InvalidArgument(format!("An ACL may have {MAX_GRANTS} grants.")));
        }
        if acl.is_public() && self.block_of(bucket).is_some_and(|block| block.block_public_acls) {
            return Err(Error::AccessDenied);
        }
        Ok(())
    }
}
