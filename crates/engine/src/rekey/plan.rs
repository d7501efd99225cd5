//! Which key an object is to be under.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use strongroom_catalog::{Envelope, KeyRef};
use strongroom_seal::Mode;

use super::RekeyRequest;
use crate::{
    Engine, Error,
    record::RecordedSse,
    sse::{Decision, Identified, KmsChoice, User, mode_of},
};

/// How long a key's present version is believed.
const LIFETIME: Duration = Duration::from_secs(5);
/// At the most so many are remembered.
const MAX_HELD: usize = 1000;

/// The present version of each key that a job seals under.
#[derive(Default)]
pub(super) struct Targets {
    held: Mutex<HashMap<String, (Instant, KeyRef)>>,
}

impl Targets {
    /// How to seal an object anew, and the version of the key that it is then under; none where it is already as it should be, or is none of the job's business.
    pub(super) async fn decide(
        &self,
        engine: &Engine,
        user: User<'_>,
        request: &RekeyRequest,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
    ) -> Result<Option<(Decision, KeyRef)>, Error> {
        let mode = mode_of(envelope)?;
        if mode == Mode::SseC || (mode == Mode::Store && !request.encrypt_plain) {
            return Ok(None);
        }
        engine.permit_source(user, at, envelope, recorded).await?;
        let (target, present) = self.target(engine, user, request, at, envelope, recorded).await?;
        if envelope.key.as_ref() == Some(&present) {
            return Ok(None);
        }
        Ok(Some((decision(mode, target, recorded), present)))
    }

    /// Believes nothing from here on: a data key turned out to be under another version than the present one, or that was believed
    /// for too long.
    pub(super) fn forget(&self, engine: &Engine) {
        self.held().clear();
        engine.forget_bucket_keys();
    }

    /// The key to seal under, and its present version.
    async fn target(
        &self,
        engine: &Engine,
        user: User<'_>,
        request: &RekeyRequest,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
    ) -> Result<(String, KeyRef), Error> {
        if let Some(target) = &request.to_key {
            return Ok((target.clone(), self.present(engine, user, (at, recorded), target).await?));
        }
        if let (Mode::SseKms | Mode::DsseKms, Some(key)) = (mode_of(envelope)?, &envelope.key)
            && key.backend == engine.kms().backend_in_force()
        {
            match self.present(engine, user, (at, recorded), &key.key_id).await {
                Ok(present) if present.backend == key.backend => {
                    return Ok((recorded.kms_key_id.clone().unwrap_or_else(|| key.key_id.clone()), present));
                }
                // Another backend has become the active one, or the key is gone.
                Ok(_) | Err(Error::KmsKeyNotFound(_) | Error::KmsKeyErased(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let default = engine.kms().default_key_id();
        let present = self.present(engine, user, (at, recorded), &default).await?;
        Ok((default, present))
    }

    async fn present(
        &self,
        engine: &Engine,
        user: User<'_>,
        (at, recorded): (Identified<'_>, &RecordedSse),
        key_id: &str,
    ) -> Result<KeyRef, Error> {
        engine.permit_target(user, at, recorded, key_id).await?;
        let held = self.held().get(key_id).cloned();
        if let Some((since, present)) = &held
            && since.elapsed() < LIFETIME
        {
            return Ok(present.clone());
        }
        let present = engine.present_version(user, at, recorded, key_id).await?;
        if held.is_some_and(|(_, before)| before != present) {
            // It was rotated meanwhile: what is sealed from now on must not come from a bucket key of before.
            engine.forget_bucket_keys();
        }
        let mut held = self.held();
        if held.len() >= MAX_HELD {
            held.clear();
        }
        held.insert(key_id.to_owned(), (Instant::now(), present.clone()));
        Ok(present)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, KeyRef)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same mode, context and kind of key as before, under the target. What was plain becomes SSE-S3.
fn decision(mode: Mode, target: String, recorded: &RecordedSse) -> Decision {
    match mode {
        Mode::SseKms | Mode::DsseKms => Decision::Kms(KmsChoice {
            dsse: mode == Mode::DsseKms,
            key_id: Some(target),
            context: recorded.kms_context.clone(),
            bucket_key: recorded.bucket_key,
        }),
        Mode::Store | Mode::SseS3 | Mode::SseC => Decision::SseS3 { key_id: Some(target) },
    }
}
