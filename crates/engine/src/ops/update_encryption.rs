//! UpdateObjectEncryption: another KMS key for one object, in place. No data moves, and nothing else of the object changes.

use strongroom_catalog::VersionSelector;
use strongroom_seal::Mode;

use crate::{
    Engine, Error,
    api::{Caller, UpdateObjectEncryption},
    change::MAX_ATTEMPTS,
    ids, limits,
    record::RecordedSse,
    rekey::{Item, Resealed},
    sse::{Decision, KmsChoice, User, mode_of},
};

impl Engine {
    /// UpdateObjectEncryption. From SSE-S3 or SSE-KMS to SSE-KMS; the caller needs the right to both keys.
    pub async fn update_object_encryption(&self, caller: &Caller, request: UpdateObjectEncryption) -> Result<(), Error> {
        limits::check_key(&request.key)?;
        let which = ids::parse_version(request.version_id.as_deref())?;
        for _ in 0..MAX_ATTEMPTS {
            let item = self.found_item(caller, &request, which).await?;
            let record = self.open_item(&item)?;
            check_mode(mode_of(item.envelope()?)?)?;
            let decision = decision(&request, record.sse());
            match self.reseal(User::Caller(caller), &item, record, &decision, None).await? {
                Resealed::Done => return Ok(()),
                // Somebody was faster: what is there now is meant.
                Resealed::Changed | Resealed::Stale | Resealed::Gone => {}
            }
        }
        Err(Error::ConditionalConflict)
    }

    async fn found_item(&self, caller: &Caller, request: &UpdateObjectEncryption, which: VersionSelector) -> Result<Item, Error> {
        let (bucket, found) = self.catalog().find_version_data(&request.bucket, &request.key, which).await?.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted_of(caller.expected_owner.as_deref(), bucket)?;
        self.write_rules(&bucket).permit(Mode::SseKms)?;
        let latest = which == VersionSelector::Latest;
        let (version, data) = found.ok_or(if latest { Error::NoSuchKey } else { Error::NoSuchVersion })?;
        if version.is_delete_marker {
            return Err(ids::delete_marker(&bucket, &version, which));
        }
        Ok(Item::Version { bucket: bucket.into(), version, part_record: data.part_record })
    }
}

/// Source of the sentences: Amazon's API reference, as its SDKs carry it.
fn check_mode(mode: Mode) -> Result<(), Error> {
    let unsupported = match mode {
        Mode::SseS3 | Mode::SseKms => return Ok(()),
        Mode::Store => "unencrypted source objects",
        Mode::DsseKms | Mode::SseC => "source objects with the encryption type DSSE-KMS or SSE-C",
    };
    let only = "Only source objects encrypted with SSE-S3 or SSE-KMS are supported.";
    Err(Error::InvalidRequest(format!("The UpdateObjectEncryption operation doesn't support {unsupported}. {only}")))
}

/// The encryption context is the object's, and stays.
fn decision(request: &UpdateObjectEncryption, recorded: &RecordedSse) -> Decision {
    Decision::Kms(KmsChoice {
        dsse: false,
        key_id: Some(request.kms_key_id.clone()),
        context: recorded.kms_context.clone(),
        bucket_key: request.bucket_key_enabled,
    })
}
