//! From a decision to keys: EKs from the KMS, the client or the store key, object keys sealed under them.

use std::time::Duration;

use strongroom_access::Action;
use strongroom_catalog::{Bucket, Envelope, KeyRef, VersionId};
use strongroom_kms::{DataKeySpec, EncryptionContext, WrappedKey};
use strongroom_seal::{ExternalKey, ExternalKeys, Mode, ObjectIdentity, ObjectKeys, SealError, SealedObjectKeys};
use tokio::time::Instant;

use super::{
    context::{bucket_context, object_context},
    customer::CustomerKey,
    decide::{Decision, KmsChoice},
    rights::{Asked, Need},
    uses::{KeyUse, UsedKey, User},
};
use crate::{Engine, Error, api::SseReply, record::RecordedSse};

/// So soon after a data key was handed out, its key is not asked for again.
const FRESH: Duration = Duration::from_secs(1);

/// The identity that keys are bound to.
#[derive(Clone, Copy)]
pub(crate) struct Identified<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) key: &'a str,
    pub(crate) version_id: VersionId,
}

impl Identified<'_> {
    fn identity(&self) -> ObjectIdentity<'_> {
        ObjectIdentity { bucket_id: self.bucket.id, key: self.key, version_id: self.version_id }
    }
}

/// The keys of an object being written, and what is stored and answered of them.
pub(crate) struct WriteKeys {
    pub(crate) object: ObjectKeys,
    pub(crate) envelope: Envelope,
    pub(crate) recorded: RecordedSse,
    pub(crate) reply: SseReply,
    /// When the data key was handed out.
    pub(crate) since: Instant,
}

/// External keys, and what has to be stored so that they can be had again.
struct Source {
    external: ExternalKeys,
    wrapped: Option<WrappedKey>,
    recorded: RecordedSse,
    reply: SseReply,
}

impl Engine {
    /// Keys for writing an object: fresh ones, or `existing` ones (of a source whose bytes are shared) sealed anew.
    pub(crate) async fn keys_for_writing(
        &self,
        user: User<'_>,
        decision: &Decision,
        at: Identified<'_>,
        existing: Option<ObjectKeys>,
    ) -> Result<WriteKeys, Error> {
        let made = self.make_keys(user, decision, at, existing).await;
        let key = match &made {
            Ok(keys) => keys.envelope.key.as_ref().into(),
            Err(_) => {
                self.chosen_key(decision).map_or_else(UsedKey::default, |key_id| UsedKey::asked_for(self.kms().backend_in_force(), &key_id))
            }
        };
        self.recorded(KeyUse::of(user, at, decision.mode()), key, made).await
    }

    /// Opens the keys of a stored object or upload. At the most one call of the KMS.
    pub(crate) async fn keys_for_reading(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
        customer: Option<&CustomerKey>,
    ) -> Result<ObjectKeys, Error> {
        let opened = self.open_keys(user, at, envelope, recorded, customer).await;
        self.recorded(KeyUse::of(user, at, mode_of(envelope)?), envelope.key.as_ref().into(), opened).await
    }

    /// Whether what is about to be committed could be read: while its bytes came, its key may have been deleted, or its backend
    /// removed. One unwrap, which the cache may answer. Not done for a data key handed out less than [`FRESH`] ago (`since`).
    pub(crate) async fn check_still_opens(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
        since: Option<Instant>,
    ) -> Result<(), Error> {
        if envelope.key.is_none() || since.is_some_and(|since| since.elapsed() < FRESH) {
            return Ok(());
        }
        let mode = mode_of(envelope)?;
        // Who wrote need not be one who may read; what others began is completed by who may.
        let action = if since.is_some() { Action::GenerateDataKey } else { Action::Decrypt };
        let opens = self.unwrapped(user, action, at, envelope, recorded).await.map(drop);
        self.recorded_check(KeyUse::of(user, at, mode), envelope, None, opens).await
    }

    /// Refuses a job whose starter may not open what lies under the key of this envelope, in whatever mode: with the key the job takes the
    /// object from whom its policy names to whom the job's does. A refusal is recorded.
    pub(crate) async fn permit_source(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
    ) -> Result<(), Error> {
        let permitted = if envelope.key.is_some() {
            let context = context_of(at, recorded)?;
            let asked = Asked::of_envelope(Action::Decrypt, envelope, Need::Callers, &context)?;
            self.may_use(user, asked).await.map(drop)
        } else {
            Ok(())
        };
        self.recorded_check(KeyUse::of(user, at, mode_of(envelope)?), envelope, None, permitted).await
    }

    /// Refuses a job whose starter may not put this object under this key. A refusal is recorded.
    pub(crate) async fn permit_target(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        recorded: &RecordedSse,
        key_id: &str,
    ) -> Result<(), Error> {
        // Where there is no default key, whoever uses it says what to do.
        if key_id.is_empty() {
            return Ok(());
        }
        let context = context_of(at, recorded)?;
        let permitted = match Asked::generating(key_id, Need::Callers, &context) {
            Ok(asked) => self.may_use(user, asked).await.map(drop),
            Err(error) => Err(error),
        };
        match permitted {
            Ok(()) => Ok(()),
            Err(error) => {
                let key = UsedKey::asked_for(self.kms().backend_in_force(), key_id);
                self.recorded(KeyUse { user, at: None, mode: None }, key, Err(error)).await
            }
        }
    }

    /// The present version of a KMS key, by making a data key under it for this object and throwing that away.
    pub(crate) async fn present_version(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        recorded: &RecordedSse,
        key_id: &str,
    ) -> Result<KeyRef, Error> {
        let found = self.look_at_version(user, at, recorded, key_id).await;
        let key = found.as_ref().map_or_else(|_| UsedKey::asked_for(self.kms().backend_in_force(), key_id), |key| Some(key).into());
        self.recorded(KeyUse { user, at: None, mode: None }, key, found).await
    }

    async fn look_at_version(&self, user: User<'_>, at: Identified<'_>, recorded: &RecordedSse, key_id: &str) -> Result<KeyRef, Error> {
        let context = context_of(at, recorded)?;
        let need = if key_id.is_empty() { Need::Servers } else { Need::Callers };
        let may = self.may_use(user, Asked::generating(key_id, need, &context)?).await?;
        let apart = EncryptionContext([("strongroom:purpose".to_owned(), "re-keying".to_owned())].into());
        let made = self.generate_in(&may, DataKeySpec::Aes256, &apart).await?;
        Ok(key_ref(&made.wrapped))
    }

    async fn make_keys(
        &self,
        user: User<'_>,
        decision: &Decision,
        at: Identified<'_>,
        existing: Option<ObjectKeys>,
    ) -> Result<WriteKeys, Error> {
        let mode = decision.mode();
        let source = self.new_source(user, decision, at).await?;
        let object = existing.unwrap_or_else(|| ObjectKeys::generate(mode.layers()));
        let sealed = object.seal(mode, &source.external, &at.identity()).map_err(internal)?;
        let key = source.wrapped.as_ref().map(key_ref);
        let wrapped_key = source.wrapped.map(|wrapped| wrapped.ciphertext).unwrap_or_default();
        let envelope = Envelope { mode: mode.as_u8(), key, wrapped_key, sealed_keys: sealed.as_bytes().to_vec() };
        Ok(WriteKeys { object, envelope, recorded: source.recorded, reply: source.reply, since: Instant::now() })
    }

    async fn open_keys(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
        customer: Option<&CustomerKey>,
    ) -> Result<ObjectKeys, Error> {
        check_customer_key(envelope, recorded, customer)?;
        let external = match (mode_of(envelope)?, customer) {
            (Mode::Store, _) => self.store_key().external_keys(),
            (Mode::SseC, Some(customer)) => customer.external_keys(),
            (Mode::SseC, None) => return Err(Error::CustomerKeyRequired),
            (Mode::SseS3 | Mode::SseKms | Mode::DsseKms, _) => self.unwrapped(user, Action::Decrypt, at, envelope, recorded).await?,
        };
        let sealed = SealedObjectKeys::parse(&envelope.sealed_keys).map_err(damaged_keys)?;
        // The column decided which rights were checked; only the sealed mode is authenticated.
        if sealed.mode() != mode_of(envelope)? {
            return Err(Error::Integrity("its encryption mode is not the one its keys were sealed in".into()));
        }
        sealed.open(&external, &at.identity()).map_err(damaged_keys)
    }

    /// The KMS key that a decision comes down to, if any.
    fn chosen_key(&self, decision: &Decision) -> Option<String> {
        match decision {
            Decision::Store | Decision::Customer(_) => None,
            Decision::SseS3 { key_id } | Decision::Kms(KmsChoice { key_id, .. }) => {
                Some(key_id.clone().unwrap_or_else(|| self.kms().default_key_id()))
            }
        }
    }

    async fn new_source(&self, user: User<'_>, decision: &Decision, at: Identified<'_>) -> Result<Source, Error> {
        match decision {
            Decision::Store => {
                let external = self.store_key().external_keys();
                Ok(Source { external, wrapped: None, recorded: RecordedSse::default(), reply: bare_reply(Mode::Store) })
            }
            Decision::Customer(customer) => Ok(Source {
                external: customer.external_keys(),
                wrapped: None,
                recorded: RecordedSse { customer: Some(customer.new_check()), ..RecordedSse::default() },
                reply: SseReply { customer_key_md5: Some(customer.md5().to_owned()), ..bare_reply(Mode::SseC) },
            }),
            Decision::SseS3 { .. } | Decision::Kms(_) if !self.kms().is_configured() => Err(Error::KmsNotConfigured),
            Decision::SseS3 { .. } => self.sse_s3_source(user, self.chosen_key(decision).unwrap_or_default(), at).await,
            Decision::Kms(choice) => self.sse_kms_source(user, choice, self.chosen_key(decision).unwrap_or_default(), at).await,
        }
    }

    async fn sse_s3_source(&self, user: User<'_>, key_id: String, at: Identified<'_>) -> Result<Source, Error> {
        let context = object_context(None, &at.bucket.name, at.key)?;
        let may = self.may_use(user, Asked::generating(&key_id, Need::Servers, &context)?).await?;
        let data_key = self.generate(&may, DataKeySpec::Aes256).await?;
        Ok(Source {
            external: ExternalKeys::from_data_key(Mode::SseS3, &data_key.plaintext).map_err(internal)?,
            wrapped: Some(data_key.wrapped),
            recorded: RecordedSse { kms_key_id: Some(key_id.clone()), ..RecordedSse::default() },
            reply: SseReply { kms_key_id: Some(key_id), ..bare_reply(Mode::SseS3) },
        })
    }

    async fn sse_kms_source(&self, user: User<'_>, choice: &KmsChoice, key_id: String, at: Identified<'_>) -> Result<Source, Error> {
        let client = choice.context.as_deref();
        let mode = if choice.dsse { Mode::DsseKms } else { Mode::SseKms };
        let (external, wrapped) = if choice.bucket_key {
            let context = bucket_context(client, &at.bucket.name)?;
            let may = self.may_use(user, Asked::generating(&key_id, Need::Callers, &context)?).await?;
            let data_key = self.bucket_key(&may, at.bucket).await?;
            let external = ExternalKey::from_bucket_key(&data_key.plaintext, at.version_id).map_err(internal)?;
            (ExternalKeys::single(external), data_key.wrapped.clone())
        } else {
            let context = object_context(client, &at.bucket.name, at.key)?;
            let spec = if choice.dsse { DataKeySpec::TwoAes256 } else { DataKeySpec::Aes256 };
            let may = self.may_use(user, Asked::generating(&key_id, Need::Callers, &context)?).await?;
            let data_key = self.generate(&may, spec).await?;
            (ExternalKeys::from_data_key(mode, &data_key.plaintext).map_err(internal)?, data_key.wrapped)
        };
        Ok(Source {
            external,
            wrapped: Some(wrapped),
            recorded: RecordedSse {
                kms_key_id: Some(key_id.clone()),
                kms_context: choice.context.clone(),
                bucket_key: choice.bucket_key,
                customer: None,
            },
            reply: SseReply {
                kms_key_id: Some(key_id),
                bucket_key_enabled: choice.bucket_key,
                kms_context: choice.context.clone(),
                ..bare_reply(mode)
            },
        })
    }

    async fn unwrapped(
        &self,
        user: User<'_>,
        action: Action,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
    ) -> Result<ExternalKeys, Error> {
        let mode = mode_of(envelope)?;
        let context = context_of(at, recorded)?;
        let may = self.may_use(user, Asked::of_envelope(action, envelope, need_of(mode), &context)?).await?;
        let key = envelope.key.as_ref().ok_or_else(|| Error::Integrity("its envelope names no KMS key".into()))?;
        let wrapped = WrappedKey {
            backend: key.backend.clone(),
            key_id: key.key_id.clone(),
            key_version: key.version,
            ciphertext: envelope.wrapped_key.clone(),
        };
        let data_key = self.unwrap(&may, &wrapped).await?;
        if recorded.bucket_key {
            return Ok(ExternalKeys::single(ExternalKey::from_bucket_key(&data_key, at.version_id).map_err(internal)?));
        }
        ExternalKeys::from_data_key(mode, &data_key).map_err(damaged_keys)
    }

    /// Whether the caller could read, as far as it can be told without the KMS: HeadObject answers the same errors as GetObject.
    pub(crate) async fn check_readable(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
        customer: Option<&CustomerKey>,
    ) -> Result<(), Error> {
        check_customer_key(envelope, recorded, customer)?;
        match mode_of(envelope)? {
            mode @ (Mode::SseS3 | Mode::SseKms | Mode::DsseKms) => {
                let context = context_of(at, recorded)?;
                let asked = Asked::of_envelope(Action::Decrypt, envelope, need_of(mode), &context)?;
                self.may_use(user, asked).await.map(drop)
            }
            Mode::Store | Mode::SseC => Ok(()),
        }
    }
}

/// What the data key of a stored object is bound to.
fn context_of(at: Identified<'_>, recorded: &RecordedSse) -> Result<EncryptionContext, Error> {
    let (client, bucket) = (recorded.kms_context.as_deref(), &at.bucket.name);
    if recorded.bucket_key { bucket_context(client, bucket) } else { object_context(client, bucket, at.key) }
}

/// Whose right it takes to use the key of an object in that mode.
fn need_of(mode: Mode) -> Need {
    match mode {
        Mode::SseKms | Mode::DsseKms => Need::Callers,
        Mode::Store | Mode::SseS3 | Mode::SseC => Need::Servers,
    }
}

/// The customer key must be the one that the object is stored under, and there must be none where it is stored under none.
pub(crate) fn check_customer_key(envelope: &Envelope, recorded: &RecordedSse, customer: Option<&CustomerKey>) -> Result<(), Error> {
    match (mode_of(envelope)?, customer) {
        (Mode::SseC, None) => Err(Error::CustomerKeyRequired),
        (Mode::SseC, Some(customer)) => match &recorded.customer {
            Some(check) if customer.matches(check) => Ok(()),
            Some(_) => Err(Error::CustomerKeyWrong),
            None => Err(Error::Integrity("its record lacks the customer key's check value".into())),
        },
        (Mode::Store | Mode::SseS3 | Mode::SseKms | Mode::DsseKms, Some(_)) => Err(Error::CustomerKeyNotApplicable),
        (Mode::Store | Mode::SseS3 | Mode::SseKms | Mode::DsseKms, None) => Ok(()),
    }
}

/// What responses say of a stored object's encryption.
pub(crate) fn sse_reply(envelope: &Envelope, recorded: &RecordedSse, customer: Option<&CustomerKey>) -> Result<SseReply, Error> {
    let mode = mode_of(envelope)?;
    let kms_key_id = match mode {
        Mode::Store | Mode::SseC => None,
        Mode::SseS3 | Mode::SseKms | Mode::DsseKms => {
            recorded.kms_key_id.clone().or_else(|| envelope.key.as_ref().map(|key| key.key_id.clone()))
        }
    };
    Ok(SseReply {
        mode,
        kms_key_id,
        bucket_key_enabled: recorded.bucket_key,
        kms_context: recorded.kms_context.clone(),
        customer_key_md5: customer.map(|customer| customer.md5().to_owned()),
    })
}

pub(crate) fn mode_of(envelope: &Envelope) -> Result<Mode, Error> {
    Mode::try_from(envelope.mode).map_err(|_| Error::Integrity("its encryption mode is unknown".into()))
}

fn key_ref(wrapped: &WrappedKey) -> KeyRef {
    KeyRef { backend: wrapped.backend.clone(), key_id: wrapped.key_id.clone(), version: wrapped.key_version }
}

fn bare_reply(mode: Mode) -> SseReply {
    SseReply { mode, kms_key_id: None, bucket_key_enabled: false, kms_context: None, customer_key_md5: None }
}

fn internal(error: SealError) -> Error {
    Error::Internal(error.into())
}

// By value, so that it fits map_err.
#[allow(clippy::needless_pass_by_value)]
fn damaged_keys(error: SealError) -> Error {
    Error::Integrity(format!("its sealed keys: {error}"))
}
