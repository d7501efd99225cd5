//! Whether the caller may do what the operation's row says, by their own policies and by that of the bucket. Rights to KMS keys are the engine's.

use std::sync::Arc;

use strongroom_access::{Acl, Action, BucketRules, ConditionKey, Conditions, Decision, arn, is_of_object};
use strongroom_engine::{
    Engine, Error,
    api::{Mode, ObjectFacts, Seen, Tag, UploadFacts, VersionId},
};
use strongroom_kms::resolve_key_id;
use time::OffsetDateTime;

use crate::{
    conditions, headers, lock,
    operation::{Facts, Operation, Right, Target},
    ops::{
        acl,
        tagging::{self, TAGGING_HEADER},
    },
    refusal::Refusal,
    request::{Request, copy_source_name},
};

/// Refuses the request unless the caller may do all that the operation needs. The buckets that it names are looked up here, once.
pub(crate) async fn authorize(engine: &Engine, operation: &Operation, request: &mut Request) -> Result<(), Refusal> {
    look_up_rules(engine, operation, request).await?;
    let silent = |rules: &Option<Arc<BucketRules>>| rules.as_ref().is_none_or(|rules| rules.policy.is_none());
    if request.caller.identity.is_root() && silent(&request.access.bucket) && silent(&request.access.source) {
        return Ok(());
    }
    let object = object_of_path(engine, request).await?;
    let source = if operation.copies() { object_of_source(engine, request).await? } else { Object::NotAskedFor };
    let upload = if operation.facts == Facts::Upload { upload_facts(engine, request).await? } else { None };
    let creating = |conditions: Conditions| conditions.with(ConditionKey::ObjectCreation, operation.creates_object().to_string());
    let conditions = match upload {
        Some(upload) => creating(conditions_of_upload(request, &upload)?),
        None if operation.looks_at_headers() => creating(conditions(request, operation.facts)?),
        None => of_object(request)?,
    };
    request.caller.seen = Seen { object: object.version(), source: source.version() };
    let asked = Asked { conditions: conditions.with_existing_tags(object.tags()), object, source };
    permit_all(operation, request, &asked)?;
    permit_granting(operation, request, &asked)?;
    permit_response_headers(request)
}

/// Who does not sign chooses no header of the answer: a link to somebody's text must not make a page of it.
fn permit_response_headers(request: &Request) -> Result<(), Refusal> {
    let chooses = || request.query.iter().any(|(name, _)| name.starts_with("response-"));
    if request.caller.identity.is_anonymous() && chooses() {
        return Err(Refusal::InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.".to_owned()));
    }
    Ok(())
}

/// Refuses a request without a signature for what no policy could let it into, whatever it asks.
pub(crate) async fn admit_anonymous(engine: &Engine, bucket: &str) -> Result<(), Refusal> {
    let rules = if bucket.is_empty() { None } else { engine.bucket_rules(bucket).await? };
    if rules.is_some_and(|rules| rules.may_let_in_the_public()) { Ok(()) } else { Err(unexplained()) }
}

/// What a request is decided by.
struct Asked {
    /// What policies' conditions see of it where it names the path.
    conditions: Conditions,
    /// That of the path.
    object: Object,
    /// That of a copy's source.
    source: Object,
}

/// An object, as far as its tags or its ACL are asked for.
enum Object {
    NotAskedFor,
    NotThere,
    There(ObjectFacts),
}

impl Object {
    fn acl(&self) -> Option<&Acl> {
        if let Self::There(facts) = self { Some(&facts.acl) } else { None }
    }

    fn tags(&self) -> Vec<Tag> {
        if let Self::There(facts) = self { facts.tags.clone() } else { Vec::new() }
    }

    fn version(&self) -> Option<VersionId> {
        if let Self::There(facts) = self { Some(facts.version) } else { None }
    }
}

/// A bucket that is about to be created has none: what there may be under its name is not asked.
async fn look_up_rules(engine: &Engine, operation: &Operation, request: &mut Request) -> Result<(), Refusal> {
    let creates = operation.rights.iter().any(|right| right.action == Action::CreateBucket);
    if !request.bucket.is_empty() && !creates {
        request.access.bucket = engine.bucket_rules(&request.bucket).await?;
    }
    if operation.copies() {
        request.access.source = engine.bucket_rules(&copy_source_name(&request.headers)?.0).await?;
    }
    Ok(())
}

/// The object that a request names, where a policy asks for its tags or where ACLs count.
async fn object_at(engine: &Engine, request: &Request, bucket: &str, key: &str, version: Option<&str>) -> Result<Object, Refusal> {
    let rules = request.rules_of(bucket);
    let counts_acl = rules.is_some_and(|rules| rules.acl.is_some()) && !request.caller.identity.is_root();
    if key.is_empty() || !(counts_acl || request.caller.identity.needs_existing_tags(rules)) {
        return Ok(Object::NotAskedFor);
    }
    Ok(engine.object_facts(bucket, key, version).await?.map_or(Object::NotThere, Object::There))
}

async fn object_of_path(engine: &Engine, request: &Request) -> Result<Object, Refusal> {
    object_at(engine, request, &request.bucket, &request.key, request.version_id()?.as_deref()).await
}

async fn object_of_source(engine: &Engine, request: &Request) -> Result<Object, Refusal> {
    let (bucket, key, version) = copy_source_name(&request.headers)?;
    object_at(engine, request, &bucket, &key, version.as_deref()).await
}

/// Opening to others what is written takes the right to set an ACL.
fn permit_granting(operation: &Operation, request: &Request, asked: &Asked) -> Result<(), Refusal> {
    let writes = |action: Action| operation.rights.iter().any(|right| right.action == action);
    let permit_on_path = |action: Action, resource: &str| {
        permit(request, &Question { action, bucket: &request.bucket, resource, acl: None }, &asked.conditions)
    };
    if writes(Action::CreateBucket) && acl::of_new_bucket(request)?.is_some_and(|acl| !acl.is_private_to(&acl.owner)) {
        return permit_on_path(Action::PutBucketAcl, &arn::bucket(&request.bucket));
    }
    // Who is let in without a signature owns what they write, and nothing else could give them the right.
    let has_no_policies = request.caller.identity.is_anonymous();
    // Parts and completions have no ACL: their upload has.
    if !has_no_policies && writes(Action::PutObject) && operation.facts != Facts::Upload && acl::grants_to_others(request)? {
        return permit_on_path(Action::PutObjectAcl, &arn::object(&request.bucket, &request.key));
    }
    Ok(())
}

/// None where there is no such upload: the operation will say so to who may hear it.
async fn upload_facts(engine: &Engine, request: &Request) -> Result<Option<UploadFacts>, Refusal> {
    match engine.upload_facts(&request.upload()?).await {
        Ok(facts) => Ok(Some(facts)),
        Err(Error::NoSuchBucket | Error::NoSuchUpload) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn permit_all(operation: &Operation, request: &Request, asked: &Asked) -> Result<(), Refusal> {
    for right in operation.rights {
        permit_right(request, *right, asked)?;
    }
    for header in operation.header_rights {
        let asks = |value: String| !(header.is_flag && value.eq_ignore_ascii_case("false"));
        if headers::filled(&request.headers, header.name)?.is_some_and(asks) {
            permit_right(request, header.right, asked)?;
        }
    }
    if operation.compares_etag && conditions::compares(&request.headers)? {
        permit_comparing(request, &request.key, request.version_id()?.is_some(), asked.object.acl(), &asked.conditions)?;
    }
    Ok(())
}

fn permit_right(request: &Request, right: Right, asked: &Asked) -> Result<(), Refusal> {
    let Required { action, bucket, resource } = required(right, request)?;
    if right.on == Target::CopySource {
        let conditions = source_conditions(request)?.with_existing_tags(asked.source.tags());
        return permit(request, &Question { action, bucket: &bucket, resource: &resource, acl: asked.source.acl() }, &conditions);
    }
    if gives_in_body(request, action) && request.caller.identity.needs_given_attributes(request.rules_of(&bucket)) {
        return Ok(());
    }
    // What is not there has no ACL that could let anybody in. To who may list the bucket that is no secret: the operation says it.
    if matches!(asked.object, Object::NotThere) && is_of_object(action) && may_see_keys(request, &bucket) {
        let denied = request.caller.identity.may_in(request.rules_of(&bucket), None, action, &resource, &asked.conditions);
        return if denied == Decision::ExplicitDeny { Err(unexplained()) } else { Ok(()) };
    }
    permit(request, &Question { action, bucket: &bucket, resource: &resource, acl: asked.object.acl() }, &asked.conditions)
}

/// Whether the tags or the lock that the action gives stand in the body, which is not read yet: the operation asks again when it is.
fn gives_in_body(request: &Request, action: Action) -> bool {
    let has = |name: &str| request.headers.contains_key(name);
    match action {
        Action::PutObjectTagging | Action::PutObjectVersionTagging => !has(TAGGING_HEADER),
        Action::PutObjectRetention => !lock::RETENTION_HEADERS.iter().any(|name| has(name)),
        Action::PutObjectLegalHold => !has(lock::LEGAL_HOLD_HEADER),
        _ => false,
    }
}

/// Refuses giving this lock to the object of the path, unless the caller may. What the headers say of a lock counts for nothing.
pub(crate) fn authorize_locking(request: &Request, action: Action, said: &lock::Said) -> Result<(), Refusal> {
    if !request.caller.identity.needs_given_attributes(request.access.bucket.as_deref()) {
        return Ok(());
    }
    let resource = arn::object(&request.bucket, &request.key);
    let conditions = said.in_conditions(of_object(request)?, now_ms());
    permit(request, &Question { action, bucket: &request.bucket, resource: &resource, acl: None }, &conditions)
}

/// Refuses giving these tags to the object of the path, unless the caller may.
pub(crate) async fn authorize_tagging(engine: &Engine, request: &Request, tags: &[Tag]) -> Result<(), Refusal> {
    if !request.caller.identity.needs_given_attributes(request.access.bucket.as_deref()) {
        return Ok(());
    }
    let existing = object_of_path(engine, request).await?.tags();
    let conditions = conditions(request, Facts::Headers)?.with_existing_tags(existing).with_request_tags(tags.to_vec());
    let action = if request.version_id()?.is_some() { Action::PutObjectVersionTagging } else { Action::PutObjectTagging };
    let resource = arn::object(&request.bucket, &request.key);
    permit(request, &Question { action, bucket: &request.bucket, resource: &resource, acl: None }, &conditions)
}

/// Whether a comparison holds tells of the object, or of the version of it that is named.
fn permit_comparing(request: &Request, key: &str, versioned: bool, acl: Option<&Acl>, conditions: &Conditions) -> Result<(), Refusal> {
    let action = if versioned { Action::GetObjectVersion } else { Action::GetObject };
    let resource = arn::object(&request.bucket, key);
    permit(request, &Question { action, bucket: &request.bucket, resource: &resource, acl }, conditions)
}

/// What a right takes for a request.
#[derive(Debug, PartialEq, Eq)]
struct Required {
    action: Action,
    /// Empty where it is on no bucket.
    bucket: String,
    resource: String,
}

fn required(right: Right, request: &Request) -> Result<Required, Refusal> {
    let path = || request.bucket.clone();
    let (bucket, resource, names_version) = match right.on {
        Target::Buckets => (String::new(), arn::ALL_BUCKETS.to_owned(), false),
        Target::Bucket => (path(), arn::bucket(&request.bucket), false),
        Target::Object => (path(), arn::object(&request.bucket, &request.key), request.version_id()?.is_some()),
        Target::CopySource => {
            let (bucket, key, version) = copy_source_name(&request.headers)?;
            let resource = arn::object(&bucket, &key);
            (bucket, resource, version.is_some())
        }
    };
    Ok(Required { action: if names_version { right.of_version } else { right.action }, bucket, resource })
}

/// Refuses deleting one key of a DeleteObjects, on condition of what it is or without.
pub(crate) fn authorize_delete(request: &Request, key: &str, version: Option<&str>, compares: bool) -> Result<(), Refusal> {
    let action = if version.is_some() { Action::DeleteObjectVersion } else { Action::DeleteObject };
    let object = arn::object(&request.bucket, key);
    let conditions = conditions(request, Facts::Headers)?.with_some(ConditionKey::VersionId, version);
    permit(request, &Question { action, bucket: &request.bucket, resource: &object, acl: None }, &conditions)?;
    if compares { permit_comparing(request, key, version.is_some(), None, &conditions) } else { Ok(()) }
}

/// Whether the caller may do something with the object of the path that changes what is answered, not whether.
pub(crate) fn may_on_object(request: &Request, action: Action) -> bool {
    may_on(request, action, &request.bucket, &request.key)
}

/// The same, of an object in the bucket of the path or of the copy's source.
pub(crate) fn may_on(request: &Request, action: Action, bucket: &str, key: &str) -> bool {
    may(request, action, bucket, &arn::object(bucket, key), &request.access.conditions)
}

fn may(request: &Request, action: Action, bucket: &str, resource: &str, conditions: &Conditions) -> bool {
    request.caller.identity.may_in(request.rules_of(bucket), None, action, resource, conditions) == Decision::Allow
}

/// Whether the request passes over retentions in governance mode: it says so, and the caller may. Without the right the header counts for
/// nothing, so that clients which always send it can delete what is not retained. `said` is the retention that it gives instead, if any.
pub(crate) fn bypasses_governance(request: &Request, key: &str, said: &lock::Said) -> Result<bool, Refusal> {
    let asked =
        headers::filled(&request.headers, "x-amz-bypass-governance-retention")?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let conditions = || said.in_conditions(request.access.conditions.clone(), now_ms());
    let resource = arn::object(&request.bucket, key);
    Ok(asked && may(request, Action::BypassGovernanceRetention, &request.bucket, &resource, &conditions()))
}

/// A caller that may not list the bucket does not learn whether a key is there. Who may list under a prefix of the key could see it there.
pub(crate) fn hide_missing(request: &Request, bucket: &str, error: Error) -> Refusal {
    match error {
        Error::NoSuchKey | Error::NoSuchVersion | Error::DeleteMarker { .. } if !may_see_keys(request, bucket) => {
            Refusal::Engine(Error::AccessDenied)
        }
        error => Refusal::Engine(error),
    }
}

fn may_see_keys(request: &Request, bucket: &str) -> bool {
    let key = Some(request.key.as_str()).filter(|key| !key.is_empty() && bucket == request.bucket);
    let conditions = request.access.conditions.clone().with_some(ConditionKey::Prefix, key);
    may(request, Action::ListBucket, bucket, &arn::bucket(bucket), &conditions)
}

/// What is asked of policies and ACLs.
struct Question<'a> {
    action: Action,
    /// Empty where it is about no bucket.
    bucket: &'a str,
    resource: &'a str,
    /// Of the object that it is about, where ACLs count.
    acl: Option<&'a Acl>,
}

fn permit(request: &Request, question: &Question<'_>, conditions: &Conditions) -> Result<(), Refusal> {
    let (identity, Question { action, bucket, resource, acl }) = (&request.caller.identity, question);
    match identity.authorize_in(request.rules_of(bucket), *acl, *action, resource, conditions) {
        Ok(_) => Ok(()),
        // To who does not say who they are no policy is explained.
        Err(_) if identity.is_anonymous() => Err(unexplained()),
        Err(denied) => Err(Refusal::AccessDenied(denied.to_string())),
    }
}

fn unexplained() -> Refusal {
    Refusal::AccessDenied("Access Denied.".to_owned())
}

/// The headers that conditions look at as they are.
const HEADER_KEYS: [(ConditionKey, &str); 12] = [
    (ConditionKey::Encryption, "x-amz-server-side-encryption"),
    (ConditionKey::CustomerAlgorithm, "x-amz-server-side-encryption-customer-algorithm"),
    (ConditionKey::CannedAcl, "x-amz-acl"),
    (ConditionKey::GrantRead, "x-amz-grant-read"),
    (ConditionKey::GrantWrite, "x-amz-grant-write"),
    (ConditionKey::GrantReadAcp, "x-amz-grant-read-acp"),
    (ConditionKey::GrantWriteAcp, "x-amz-grant-write-acp"),
    (ConditionKey::GrantFullControl, "x-amz-grant-full-control"),
    (ConditionKey::MetadataDirective, "x-amz-metadata-directive"),
    (ConditionKey::StorageClass, "x-amz-storage-class"),
    (ConditionKey::IfMatch, "if-match"),
    (ConditionKey::IfNoneMatch, "if-none-match"),
];

fn conditions(request: &Request, facts: Facts) -> Result<Conditions, Refusal> {
    let mut conditions = of_object(request)?;
    for (key, name) in HEADER_KEYS {
        conditions = conditions.with_some(key, headers::filled(&request.headers, name)?);
    }
    let key = headers::filled(&request.headers, "x-amz-server-side-encryption-aws-kms-key-id")?;
    conditions = conditions.with_some(ConditionKey::EncryptionKeyId, key.as_deref().map(key_id));
    // A lock that makes no sense is refused by the operation that would give it, and to others it says nothing.
    let lock = lock::given(&request.headers).unwrap_or_default();
    conditions = lock::Said::from(&lock).in_conditions(conditions, now_ms());
    if facts != Facts::Listing {
        return Ok(conditions);
    }
    Ok(conditions
        .with_some(ConditionKey::Prefix, request.query.get("prefix")?)
        .with_some(ConditionKey::Delimiter, request.query.get("delimiter")?)
        .with_some(ConditionKey::MaxKeys, request.query.get_filled("max-keys")?))
}

/// What of the object of the path no header says of its encryption.
fn of_object(request: &Request) -> Result<Conditions, Refusal> {
    let source = if request.headers.contains_key("x-amz-copy-source") { Some(copy_source_name(&request.headers)?) } else { None };
    let tags = if request.headers.contains_key(TAGGING_HEADER) { tagging::of_header(&request.headers)? } else { Vec::new() };
    Ok(request
        .access
        .conditions
        .clone()
        .with_some(ConditionKey::VersionId, request.version_id()?)
        .with_some(ConditionKey::CopySource, source.map(|(bucket, key, _)| format!("{bucket}/{key}")))
        .with_request_tags(tags))
}

/// Of reading the source of a copy.
fn source_conditions(request: &Request) -> Result<Conditions, Refusal> {
    let (_, _, version) = copy_source_name(&request.headers)?;
    Ok(request.access.conditions.clone().with_some(ConditionKey::VersionId, version))
}

/// Parts and completions carry no headers of encryption and lock: they are encrypted and locked as their upload is.
fn conditions_of_upload(request: &Request, upload: &UploadFacts) -> Result<Conditions, Refusal> {
    let UploadFacts { sse, lock, begun_ms } = upload;
    let (algorithm, customer_algorithm) = match sse.mode {
        Mode::Store => (None, None),
        Mode::SseS3 => (Some("AES256"), None),
        Mode::SseKms => (Some("aws:kms"), None),
        Mode::DsseKms => (Some("aws:kms:dsse"), None),
        Mode::SseC => (None, Some("AES256")),
    };
    // The server's own default key of SSE-S3 is not one that anybody named.
    let named_key = sse.kms_key_id.as_deref().filter(|_| matches!(sse.mode, Mode::SseKms | Mode::DsseKms));
    let conditions = request
        .access
        .conditions
        .clone()
        .with_some(ConditionKey::Encryption, algorithm)
        .with_some(ConditionKey::EncryptionKeyId, named_key.map(key_id))
        .with_some(ConditionKey::CustomerAlgorithm, customer_algorithm)
        .with_some(ConditionKey::IfMatch, headers::filled(&request.headers, "if-match")?)
        .with_some(ConditionKey::IfNoneMatch, headers::filled(&request.headers, "if-none-match")?);
    // As if the request that began it were this one: its days must not run out before it is complete.
    Ok(lock::Said::from(lock).in_conditions(conditions, *begun_ms))
}

fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The one id of a key, however it is spelled: the engine takes every spelling, so a policy must see through them all.
fn key_id(given: &str) -> &str {
    resolve_key_id(given).unwrap_or(given)
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
