//! From a request to what the catalog is asked for.

use strongroom_catalog::{BucketId, Scope};
use strongroom_kms::{is_reserved, resolve_key_id};
use strongroom_seal::Mode;

use super::{RekeyMode, RekeyRequest};
use crate::{Engine, Error};

/// Objects under customers' keys are in a scope only to be counted.
pub(super) fn scope(request: &RekeyRequest, bucket_id: Option<BucketId>) -> Scope {
    let modes = match request.mode {
        Some(mode) => vec![mode_of(mode)],
        None if request.encrypt_plain => Vec::new(),
        None => vec![Mode::SseS3, Mode::SseKms, Mode::DsseKms, Mode::SseC],
    };
    Scope {
        bucket_id,
        prefix: request.prefix.clone().unwrap_or_default(),
        backend: request.from_backend.clone(),
        key_id: request.from_key.clone(),
        key_version: request.from_version,
        modes: modes.into_iter().map(Mode::as_u8).collect(),
    }
}

impl Engine {
    /// The request with its keys by their bare ids, if it makes sense and can be done now.
    pub(super) async fn checked(&self, mut request: RekeyRequest) -> Result<RekeyRequest, Error> {
        check_form(&request)?;
        if !self.kms().is_configured() {
            return Err(Error::KmsNotConfigured);
        }
        request.from_key = request.from_key.map(|key| bare(&key)).transpose()?;
        if let Some(key) = &request.to_key {
            bare(key)?;
            self.kms().check_usable(key).await?;
        }
        Ok(request)
    }
}

fn check_form(request: &RekeyRequest) -> Result<(), Error> {
    let names_keys = request.from_backend.is_some() || request.from_key.is_some();
    let problem = match request {
        RekeyRequest { from_version: Some(_), from_key: None, .. } => "from_version needs from_key.",
        RekeyRequest { max_objects_per_second: Some(0), .. } => "max_objects_per_second must be at least 1.",
        RekeyRequest { mode: Some(RekeyMode::None), encrypt_plain: false, .. } => "The mode none needs encrypt_plain.",
        RekeyRequest { mode: Some(mode), encrypt_plain: true, .. } if *mode != RekeyMode::None => {
            "encrypt_plain goes with the mode none, or with no mode."
        }
        RekeyRequest { encrypt_plain: true, .. } if names_keys => "Plain objects are under no key: encrypt_plain does not go with from_….",
        _ => return Ok(()),
    };
    Err(Error::InvalidArgument(problem.to_owned()))
}

fn mode_of(mode: RekeyMode) -> Mode {
    match mode {
        RekeyMode::SseS3 => Mode::SseS3,
        RekeyMode::SseKms => Mode::SseKms,
        RekeyMode::DsseKms => Mode::DsseKms,
        RekeyMode::None => Mode::Store,
    }
}

fn bare(key: &str) -> Result<String, Error> {
    let id = resolve_key_id(key)?;
    if is_reserved(id) { Err(Error::KmsKeyNotFound(id.to_owned())) } else { Ok(id.to_owned()) }
}
