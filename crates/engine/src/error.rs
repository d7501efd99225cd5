//! Every situation an operation can end in. The S3 adapter turns each into a code and a status in one `match`.

use strongroom_seal::Mode;

use crate::{MinimumMode, api::BodyError};

/// Why an operation failed. No variant carries a key, a token or a signature.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // ---- SSE-C
    /// The MD5 header is not the MD5 of the key.
    #[error("The calculated MD5 hash of the key did not match the hash that was provided.")]
    CustomerKeyMd5Mismatch,
    /// The object is stored under a customer key, and the request has none.
    #[error(
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
    )]
    CustomerKeyRequired,
    /// The object is stored under another customer key.
    #[error("The customer key provided is not the one the object was stored with.")]
    CustomerKeyWrong,
    /// A customer key came over an insecure connection.
    #[error("Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")]
    CustomerKeyInsecure,
    /// The algorithm is not `AES256`.
    #[error("The encryption request you specified is not valid. The valid value is AES256.")]
    CustomerAlgorithmInvalid,
    /// One of the three headers is missing; names it.
    #[error("Requests specifying Server Side Encryption with Customer provided keys must provide the header {0}.")]
    CustomerHeaderMissing(&'static str),
    /// The key is not base64 of 32 bytes.
    #[error("The secret key was invalid for the specified algorithm.")]
    CustomerKeyInvalid,
    /// A customer key was given for an object that is not stored under one.
    #[error("The encryption parameters are not applicable to this object.")]
    CustomerKeyNotApplicable,
    /// A part of an SSE-C upload came without the customer key.
    #[error(
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
    )]
    PartKeyRequired,
    /// A part came with another key than the upload's.
    #[error("The customer key provided is not the one the multipart upload was begun with.")]
    PartKeyWrong,

    /// The bucket takes no objects under customer keys.
    #[error(
        "This bucket blocks uploads with customer-provided keys (SSE-C). Use SSE-S3 or SSE-KMS, or allow SSE-C: PutBucketEncryption with BlockedEncryptionTypes NONE."
    )]
    CustomerKeysBlocked,

    /// The store takes no encryption so weak.
    #[error(
        "This store takes no weaker encryption than {} (sse.minimum_mode), and {} is weaker. Send x-amz-server-side-encryption: {}, or give the bucket such a default.",
        minimum.name(), mode_name(*mode), minimum.header()
    )]
    EncryptionBelowMinimum {
        /// That of the write, or of the bucket's default.
        mode: Mode,
        /// The store's.
        minimum: MinimumMode,
    },

    // ---- SSE-S3, SSE-KMS, DSSE-KMS
    /// `x-amz-server-side-encryption…` on a request that takes none.
    #[error("x-amz-server-side-encryption header is not supported for this operation.")]
    SseHeaderNotAllowed,
    /// SSE-C together with SSE-S3 or SSE-KMS headers.
    #[error("Server Side Encryption with Customer provided key is incompatible with the encryption method specified.")]
    SseConflict,
    /// A KMS key id, context or bucket key without `aws:kms`.
    #[error(
        "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms; {0} came without it."
    )]
    KmsHeaderWithoutKms(&'static str),
    /// An unknown value of `x-amz-server-side-encryption`.
    #[error("The encryption method specified is not supported: use AES256, aws:kms or aws:kms:dsse.")]
    SseAlgorithmUnknown,
    /// The encryption context is not base64 of a JSON object of strings.
    #[error("The header x-amz-server-side-encryption-context must be base64 of a JSON object whose values are strings.")]
    KmsContextInvalid,
    /// No KMS is configured.
    #[error("Server side encryption with managed keys needs a KMS, and none is configured: set kms.backend (docs/configuration.md).")]
    KmsNotConfigured,
    /// The KMS does not know the key.
    #[error("The KMS key {0} does not exist. GET /kms/keys lists the keys there are.")]
    KmsKeyNotFound(String),
    /// The key is disabled.
    #[error("The KMS key {0} is disabled.")]
    KmsKeyDisabled(String),
    /// The key waits for its deletion.
    #[error("The KMS key {0} is pending deletion.")]
    KmsKeyPendingDeletion(String),
    /// The key is sealed.
    #[error("The KMS key {0} is sealed: unseal it to use what it protects.")]
    KmsKeySealed(String),
    /// The whole KMS is sealed.
    #[error("The KMS is sealed: unseal it to use what it protects.")]
    KmsSealed,
    /// The key was deleted for good.
    #[error("The KMS key {0} was deleted. The object cannot be recovered.")]
    KmsKeyErased(String),
    /// The caller has no right to the key.
    #[error("The identity {identity} is not permitted to perform {action} on the KMS key {key_id}.")]
    KmsAccessDenied {
        /// Who.
        identity: String,
        /// `kms:GenerateDataKey` or `kms:Decrypt`.
        action: &'static str,
        /// The key.
        key_id: String,
    },
    /// The KMS backend is away, timed out or refuses the server's credentials.
    #[error("The KMS is not available. See /kms/status.")]
    KmsUnavailable(#[source] strongroom_kms::KmsError),
    /// The KMS backend cannot do what is needed.
    #[error("The KMS backend cannot do this: {0}")]
    KmsUnsupported(String),

    /// A use of a key could not be recorded, so it did not take place.
    #[error("The audit log cannot be written, and without a record no key is used and no lock is changed. Try again.")]
    AuditUnavailable(#[source] strongroom_audit::AuditError),

    // ---- integrity
    /// Stored bytes are not what was stored: altered, cut, reordered or swapped.
    #[error("The object is damaged and was not returned: {0}")]
    Integrity(String),

    // ---- buckets
    /// No such bucket.
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    /// The caller owns a bucket of that name already.
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketAlreadyOwnedByYou,
    /// Somebody else owns a bucket of that name.
    #[error("The requested bucket name is not available.")]
    BucketAlreadyExists,
    /// The bucket holds objects.
    #[error("The bucket you tried to delete is not empty.")]
    BucketNotEmpty,
    /// The name breaks the rules, or is reserved.
    #[error("The specified bucket is not valid: {0}")]
    InvalidBucketName(String),
    /// No default encryption is set.
    #[error("The server side encryption configuration was not found.")]
    BucketEncryptionNotFound,
    /// A default encryption that makes no sense.
    #[error("The XML you provided was not well-formed or did not validate against our published schema: {0}")]
    MalformedXml(String),

    // ---- objects
    /// No such object.
    #[error("The specified key does not exist.")]
    NoSuchKey,
    /// No such version.
    #[error("The specified version does not exist.")]
    NoSuchVersion,
    /// PutBucketVersioning without a status.
    #[error("The Versioning element must be specified.")]
    IllegalVersioning,
    /// The bucket has no tags.
    #[error("The TagSet does not exist.")]
    NoSuchTagSet,
    /// The bucket's objects are its owner's, and no ACL counts there.
    #[error("The bucket does not allow ACLs other than private and bucket-owner-full-control.")]
    AclNotSupported,
    /// The bucket's ACL grants something to others, and such ACLs are about to count no more.
    #[error("The bucket's ACL grants rights to others than its owner. Make it private first.")]
    AclContradictsOwnership,
    /// The bucket has no policy.
    #[error("The bucket policy does not exist")]
    NoSuchBucketPolicy,
    /// A bucket policy that cannot be honoured.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The bucket takes no policy that lets in the public.
    #[error("The policy lets in people whom it does not name, and the public access block of the bucket (BlockPublicPolicy) refuses that.")]
    PublicPolicyBlocked,
    /// A tag is not allowed.
    #[error("{0}")]
    InvalidTag(String),
    /// More tags than a bucket or an object may have.
    #[error("There are {count} tags, and {at_most} are allowed.")]
    TooManyTags {
        /// How many were given.
        count: usize,
        /// How many may be.
        at_most: usize,
    },
    /// The bucket has no lifecycle rules.
    #[error("The lifecycle configuration does not exist")]
    NoSuchLifecycle,
    /// The bucket's versions cannot be locked.
    #[error("Object Lock configuration does not exist for this bucket")]
    ObjectLockConfigurationNotFound,
    /// The version has no lock of the kind asked for.
    #[error("The specified object does not have a ObjectLock configuration")]
    NoSuchObjectLock,
    /// The bucket is not in a state in which this can be done; says which is needed.
    #[error("{0}")]
    InvalidBucketState(&'static str),
    /// A default retention or the duration of an event hold is not one that S3 allows.
    #[error("The period must be from 1 to {max} {unit}.")]
    InvalidRetentionPeriod {
        /// The longest.
        max: u32,
        /// `days` or `years`
        unit: &'static str,
    },
    /// The version is under a retention or a hold.
    #[error("Access Denied because object protected by object lock.")]
    ObjectLocked,
    /// The version is a delete marker. Where no version was named, the key reads as missing.
    #[error("{}", of_delete_marker(*.named))]
    DeleteMarker {
        /// Whether the request named the version.
        named: bool,
        /// As clients see it.
        version_id: String,
        /// When the object was deleted, in milliseconds since 1970.
        modified_ms: i64,
    },
    /// The key is longer than 1,024 bytes.
    #[error("Your key is too long.")]
    KeyTooLong,
    /// User metadata is larger than 2 KiB.
    #[error("Your metadata headers exceed the maximum allowed metadata size.")]
    MetadataTooLarge,
    /// The body is longer than allowed.
    #[error("Your proposed upload exceeds the maximum allowed object size.")]
    EntityTooLarge,
    /// A conditional header does not hold.
    #[error("At least one of the pre-conditions you specified did not hold.")]
    PreconditionFailed,
    /// `If-None-Match` or `If-Modified-Since` says that the client has it.
    #[error("Not modified.")]
    NotModified,
    /// The range lies outside the object.
    #[error("The requested range is not satisfiable.")]
    InvalidRange {
        /// Length of the object in bytes.
        size_bytes: u64,
    },
    /// `partNumber` names a part that is not there.
    #[error("The requested partnumber is not satisfiable.")]
    InvalidPartNumber,
    /// A copy onto itself that changes nothing.
    #[error(
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
    )]
    CopyChangesNothing,
    /// A concurrent write won; trying again is right.
    #[error("The conditional request cannot succeed due to a conflicting operation against this resource.")]
    ConditionalConflict,

    // ---- multipart uploads
    /// No such upload.
    #[error(
        "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed."
    )]
    NoSuchUpload,
    /// A part named is not there or has another ETag.
    #[error(
        "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag."
    )]
    InvalidPart,
    /// Parts are not in ascending order.
    #[error("The list of parts was not in ascending order. Parts must be ordered by part number.")]
    InvalidPartOrder,
    /// A part that is not the last is smaller than 5 MiB.
    #[error("Your proposed upload is smaller than the minimum allowed size: part {number} has {size_bytes} bytes.")]
    EntityTooSmall {
        /// The part.
        number: u16,
        /// Its length.
        size_bytes: u64,
    },

    // ---- bodies
    /// `Content-MD5` is not base64 of 16 bytes.
    #[error("The Content-MD5 you specified is not valid.")]
    InvalidDigest,
    /// The body does not have the MD5 or checksum that the client stated; names the algorithm, or `Content-MD5`.
    #[error("The {0} you specified did not match the calculated checksum.")]
    BadDigest(&'static str),
    /// The body is shorter than declared, or the client went away.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header.")]
    IncompleteBody,
    /// The body broke off otherwise.
    #[error("The request body could not be read: {0}")]
    Body(#[source] BodyError),
    /// A length is needed.
    #[error("You must provide the Content-Length HTTP header.")]
    MissingContentLength,

    // ---- jobs
    /// No such job.
    #[error("The job {0} does not exist.")]
    NoSuchJob(String),
    /// As many jobs run as may run at a time.
    #[error("{0} jobs are running, which is as many as may: wait for one to end, or cancel one.")]
    TooManyJobs(usize),

    // ---- requests in general
    /// An argument is wrong; says which and why.
    #[error("{0}")]
    InvalidArgument(String),
    /// The request makes no sense; says why.
    #[error("{0}")]
    InvalidRequest(String),
    /// The caller may not.
    #[error("Access Denied.")]
    AccessDenied,
    /// The bucket is not the expected owner's.
    #[error("Access Denied.")]
    BucketOwnerMismatch,

    // ---- the server
    /// The disk is full.
    #[error("The store is full: nothing was stored. Free space or add a disk.")]
    StorageFull,
    /// The disk is mounted read-only.
    #[error("The store's disk is mounted read-only: nothing was changed. Objects can still be read.")]
    StorageReadOnly,
    /// The disk answers writes with errors.
    #[error("The store's disk cannot be written: nothing was changed. Objects can still be read.")]
    StorageFailing,
    /// Too much at once: the memory for requests or the catalog's queue is used up. Trying again later is right.
    #[error("Please reduce your request rate.")]
    Busy,
    /// Anything else.
    #[error("We encountered an internal error. Please try again.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The name of the situation, without what it carries.
    pub(crate) fn name(&self) -> String {
        situation(self)
    }
}

/// The name of an error's variant.
pub(crate) fn situation(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Store => "no encryption",
        Mode::SseS3 => "SSE-S3",
        Mode::SseKms => "SSE-KMS",
        Mode::DsseKms => "DSSE-KMS",
        Mode::SseC => "SSE-C",
    }
}

fn of_delete_marker(named: bool) -> &'static str {
    if named { "The specified method is not allowed against this resource." } else { "The specified key does not exist." }
}
