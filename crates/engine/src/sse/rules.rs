//! What the operator and a bucket's owner allow of what is written: which types of encryption are blocked, and which is the weakest. The
//! decision asks here.

use serde::{Deserialize, Serialize};
use strongroom_kms::resolve_key_id;
use strongroom_seal::Mode;

use super::{Decision, decide};
use crate::{
    Engine, Error,
    api::{Caller, CustomerKeyHeaders, SseHeaders},
    bucket::{Bucket, BucketEncryption},
};

/// A type of encryption that writes can be blocked for. S3 has this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncryptionType {
    /// SSE-C: keys that the client provides.
    #[serde(rename = "SSE-C")]
    SseC,
}

impl EncryptionType {
    /// As S3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SseC => "SSE-C",
        }
    }

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        (name == Self::SseC.name()).then_some(Self::SseC)
    }

    /// The list of a bucket's rule: one type, or `NONE`. None where it is no such list.
    pub(super) fn parse_list(names: &[String]) -> Option<Vec<Self>> {
        match names {
            [none] if none == "NONE" => Some(Vec::new()),
            [name] => Self::parse(name).map(|blocked| vec![blocked]),
            _ => None,
        }
    }
}

/// The weakest encryption that a store takes. Later ones are stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MinimumMode {
    /// Objects without encryption are taken too.
    #[default]
    None,
    /// A key of the KMS, or one that the client provides: SSE-C counts as this.
    SseS3,
    /// A key of the KMS for which its users need a right of their own.
    SseKms,
    /// The same, twice.
    DsseKms,
}

impl MinimumMode {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SseS3 => "SSE-S3",
            Self::SseKms => "SSE-KMS",
            Self::DsseKms => "DSSE-KMS",
        }
    }

    /// The minimum of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::SseS3, Self::SseKms, Self::DsseKms].into_iter().find(|minimum| minimum.name() == name)
    }

    /// What a client says to get it.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::None | Self::SseS3 => "AES256",
            Self::SseKms => "aws:kms",
            Self::DsseKms => "aws:kms:dsse",
        }
    }

    /// The strongest minimum that this mode meets.
    fn met_by(mode: Mode) -> Self {
        match mode {
            Mode::Store => Self::None,
            Mode::SseS3 | Mode::SseC => Self::SseS3,
            Mode::SseKms => Self::SseKms,
            Mode::DsseKms => Self::DsseKms,
        }
    }

    /// Refuses a mode that is weaker.
    pub(crate) fn permit(self, mode: Mode) -> Result<(), Error> {
        if Self::met_by(mode) >= self { Ok(()) } else { Err(Error::EncryptionBelowMinimum { mode, minimum: self }) }
    }
}

/// What holds for the writes into one bucket.
#[derive(Clone, Copy)]
pub(crate) struct WriteRules<'a> {
    /// The bucket's default encryption.
    pub(crate) default: Option<&'a BucketEncryption>,
    /// Whether what comes without encryption headers, where the bucket has no default, gets SSE-S3, or the minimum if that is more.
    pub(crate) encrypt_by_default: bool,
    /// What the bucket blocks, else the store.
    pub(crate) blocked: &'a [EncryptionType],
    /// The weakest encryption that the store takes.
    pub(crate) minimum: MinimumMode,
}

impl WriteRules<'_> {
    /// Whether an object, or a part of one, may be written in this mode now.
    pub(crate) fn permit(&self, mode: Mode) -> Result<(), Error> {
        if mode == Mode::SseC && self.blocked.contains(&EncryptionType::SseC) {
            return Err(Error::CustomerKeysBlocked);
        }
        self.minimum.permit(mode)
    }
}

impl Engine {
    /// What to do with an object that is being written into the bucket.
    pub(crate) fn decide(&self, caller: &Caller, headers: &SseHeaders, bucket: &Bucket) -> Result<Decision, Error> {
        let simpler = self.without_repeated_key(headers);
        decide(simpler.as_ref().unwrap_or(headers), caller.sse_c_allowed, &self.write_rules(bucket))
    }

    /// The headers of a client that sends back what a reply said of an object under SSE-S3: `AES256`, and the key's id beside it. The id chooses
    /// nothing as long as it is that of the key that SSE-S3 takes anyway, so it counts as not sent. None where there is nothing to leave out.
    fn without_repeated_key(&self, headers: &SseHeaders) -> Option<SseHeaders> {
        let named = headers.kms_key_id.as_deref().filter(|_| headers.algorithm.as_deref() == Some("AES256") && !headers.customer.any())?;
        let is_default = resolve_key_id(named).is_ok_and(|named| named == self.kms().default_key_id());
        is_default.then(|| SseHeaders {
            algorithm: headers.algorithm.clone(),
            kms_key_id: None,
            kms_context: headers.kms_context.clone(),
            bucket_key_enabled: headers.bucket_key_enabled,
            customer: CustomerKeyHeaders::default(),
        })
    }

    /// What holds for writes into this bucket now. An upload that was begun earlier has to keep to it too.
    pub(crate) fn write_rules<'a>(&'a self, bucket: &'a Bucket) -> WriteRules<'a> {
        let settings = &bucket.settings;
        WriteRules {
            default: settings.encryption.as_ref(),
            encrypt_by_default: self.encrypts_by_default(),
            blocked: settings.blocked.as_deref().unwrap_or(&self.options().blocked_encryption_types),
            minimum: self.options().minimum_mode,
        }
    }
}
