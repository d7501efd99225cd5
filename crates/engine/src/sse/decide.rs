//! The one decision: how an object is to be encrypted.
//!
//! Every operation that writes comes through [`decide`], every one that reads through [`check_read_headers`], every part of an
//! upload through [`check_part_headers`]. This is the only place that decides about encryption.

use strongroom_seal::Mode;

use super::{
    context::parse_client_context,
    customer::CustomerKey,
    rules::{EncryptionType, MinimumMode, WriteRules},
};
use crate::{
    Error,
    api::{DefaultEncryption, EncryptionRule, SseHeaders},
    bucket::{BucketEncryption, BucketEncryptionAlgorithm},
    record::RecordedSse,
};

/// How an object is to be encrypted.
pub(crate) enum Decision {
    /// No encryption asked for: sealed under the store key, answered without encryption headers.
    Store,
    /// SSE-S3: a data key of the server's default KMS key, or of the one that a re-keying names.
    SseS3 { key_id: Option<String> },
    /// SSE-KMS or DSSE-KMS.
    Kms(KmsChoice),
    /// SSE-C.
    Customer(CustomerKey),
}

/// The particulars of SSE-KMS and DSSE-KMS.
pub(crate) struct KmsChoice {
    pub(crate) dsse: bool,
    /// As the client or the bucket's default gave it; the server's default key where none.
    pub(crate) key_id: Option<String>,
    /// The client's context, base64, found to parse.
    pub(crate) context: Option<String>,
    pub(crate) bucket_key: bool,
}

/// SSE-S3 as clients ask for it: they cannot name a key.
const SSE_S3: Decision = Decision::SseS3 { key_id: None };

impl Decision {
    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::Store => Mode::Store,
            Self::SseS3 { .. } => Mode::SseS3,
            Self::Kms(choice) if choice.dsse => Mode::DsseKms,
            Self::Kms(_) => Mode::SseKms,
            Self::Customer(_) => Mode::SseC,
        }
    }
}

/// What to do with an object that is being written, from its headers, else the bucket's default, else the server's; if the rules allow it.
pub(crate) fn decide(headers: &SseHeaders, secure: bool, rules: &WriteRules<'_>) -> Result<Decision, Error> {
    let decision = wanted(headers, secure, rules)?;
    rules.permit(decision.mode())?;
    Ok(decision)
}

fn wanted(headers: &SseHeaders, secure: bool, rules: &WriteRules<'_>) -> Result<Decision, Error> {
    if let Some(customer) = CustomerKey::from_headers(&headers.customer, secure)? {
        return if managed_header(headers) { Err(Error::SseConflict) } else { Ok(Decision::Customer(customer)) };
    }
    match headers.algorithm.as_deref() {
        Some("AES256") => without_kms_headers(headers).map(|()| SSE_S3),
        Some("aws:kms") => kms(headers, false, rules.default),
        Some("aws:kms:dsse") => kms(headers, true, rules.default),
        Some(_) => Err(Error::SseAlgorithmUnknown),
        None => by_default(headers, rules),
    }
}

/// The customer key of a read, if any; any other encryption header is an error there.
pub(crate) fn check_read_headers(headers: &SseHeaders, secure: bool) -> Result<Option<CustomerKey>, Error> {
    if managed_header(headers) {
        return Err(Error::SseHeaderNotAllowed);
    }
    CustomerKey::from_headers(&headers.customer, secure)
}

/// The customer key of a part, if any. A part is encrypted as its upload: repeating how is superfluous, and clients do it; anything else is an error.
pub(crate) fn check_part_headers(
    headers: &SseHeaders,
    secure: bool,
    mode: Mode,
    upload: &RecordedSse,
    rules: &WriteRules<'_>,
) -> Result<Option<CustomerKey>, Error> {
    let same_mode = match headers.algorithm.as_deref() {
        None => !managed_header(headers),
        Some("AES256") => mode == Mode::SseS3,
        Some("aws:kms") => mode == Mode::SseKms,
        Some("aws:kms:dsse") => mode == Mode::DsseKms,
        Some(_) => false,
    };
    let same_key = headers.kms_key_id.is_none() || headers.kms_key_id == upload.kms_key_id;
    let same_context = headers.kms_context.is_none() || headers.kms_context == upload.kms_context;
    if !(same_mode && same_key && same_context) {
        return Err(Error::SseHeaderNotAllowed);
    }
    let customer = CustomerKey::from_headers(&headers.customer, secure)?;
    rules.permit(mode)?;
    Ok(customer)
}

/// The one rule of PutBucketEncryption, checked: the default encryption and the blocked types that it names. No default is weaker than
/// the store's minimum, or every write that relies on it would be refused.
pub(crate) fn check_encryption_rule(
    rule: EncryptionRule,
    minimum: MinimumMode,
) -> Result<(Option<BucketEncryption>, Option<Vec<EncryptionType>>), Error> {
    if rule.default.is_none() && rule.blocked.is_none() {
        return Err(Error::MalformedXml("the Rule needs ApplyServerSideEncryptionByDefault or BlockedEncryptionTypes".into()));
    }
    let default = rule.default.map(check_default_encryption).transpose()?;
    default.as_ref().map_or(Ok(()), |default| minimum.permit(default.algorithm.mode()))?;
    let is_wrong = || Error::MalformedXml("BlockedEncryptionTypes takes one EncryptionType, SSE-C or NONE".into());
    let blocked = rule.blocked.map(|named| EncryptionType::parse_list(&named).ok_or_else(is_wrong)).transpose()?;
    Ok((default, blocked))
}

fn check_default_encryption(rule: DefaultEncryption) -> Result<BucketEncryption, Error> {
    let algorithm = match rule.algorithm.as_str() {
        "AES256" => BucketEncryptionAlgorithm::SseS3,
        "aws:kms" => BucketEncryptionAlgorithm::SseKms,
        "aws:kms:dsse" => BucketEncryptionAlgorithm::DsseKms,
        _ => return Err(Error::MalformedXml("SSEAlgorithm must be AES256, aws:kms or aws:kms:dsse".into())),
    };
    if algorithm == BucketEncryptionAlgorithm::SseS3 && rule.kms_key_id.is_some() {
        return Err(Error::MalformedXml("KMSMasterKeyID goes with aws:kms only".into()));
    }
    Ok(BucketEncryption { algorithm, kms_key_id: rule.kms_key_id, bucket_key_enabled: rule.bucket_key_enabled })
}

fn managed_header(headers: &SseHeaders) -> bool {
    headers.algorithm.is_some() || headers.kms_key_id.is_some() || headers.kms_context.is_some() || headers.bucket_key_enabled == Some(true)
}

fn without_kms_headers(headers: &SseHeaders) -> Result<(), Error> {
    if headers.kms_key_id.is_some() {
        return Err(Error::KmsHeaderWithoutKms("x-amz-server-side-encryption-aws-kms-key-id"));
    }
    if headers.kms_context.is_some() {
        return Err(Error::KmsHeaderWithoutKms("x-amz-server-side-encryption-context"));
    }
    if headers.bucket_key_enabled == Some(true) {
        return Err(Error::KmsHeaderWithoutKms("x-amz-server-side-encryption-bucket-key-enabled"));
    }
    Ok(())
}

fn kms(headers: &SseHeaders, dsse: bool, default: Option<&BucketEncryption>) -> Result<Decision, Error> {
    if let Some(context) = &headers.kms_context {
        parse_client_context(context)?;
    }
    if dsse && headers.bucket_key_enabled == Some(true) {
        return Err(Error::InvalidArgument("A bucket key cannot be used with aws:kms:dsse.".into()));
    }
    let default = default.filter(|rule| rule.algorithm != BucketEncryptionAlgorithm::SseS3);
    let key_id = headers.kms_key_id.clone().filter(|id| !id.is_empty()).or_else(|| default.and_then(|rule| rule.kms_key_id.clone()));
    let bucket_key = headers.bucket_key_enabled.unwrap_or(default.is_some_and(|rule| rule.bucket_key_enabled));
    Ok(Decision::Kms(KmsChoice { dsse, key_id, context: headers.kms_context.clone(), bucket_key: bucket_key && !dsse }))
}

/// Where nobody chose, the server does: SSE-S3, or what the store asks for at the least.
fn of_server(headers: &SseHeaders, minimum: MinimumMode) -> Result<Decision, Error> {
    match minimum {
        MinimumMode::None | MinimumMode::SseS3 => Ok(SSE_S3),
        MinimumMode::SseKms => kms(headers, false, None),
        MinimumMode::DsseKms => kms(headers, true, None),
    }
}

fn by_default(headers: &SseHeaders, rules: &WriteRules<'_>) -> Result<Decision, Error> {
    let Some(rule) = rules.default else {
        without_kms_headers(headers)?;
        return if rules.encrypt_by_default { of_server(headers, rules.minimum) } else { Ok(Decision::Store) };
    };
    // A key id or context needs the algorithm's header beside it; switching the bucket key on or off does not.
    without_kms_headers(&SseHeaders {
        kms_key_id: headers.kms_key_id.clone(),
        kms_context: headers.kms_context.clone(),
        ..SseHeaders::default()
    })?;
    match rule.algorithm {
        BucketEncryptionAlgorithm::SseS3 => without_kms_headers(headers).map(|()| SSE_S3),
        BucketEncryptionAlgorithm::SseKms => kms(headers, false, rules.default),
        BucketEncryptionAlgorithm::DsseKms => kms(headers, true, rules.default),
    }
}
