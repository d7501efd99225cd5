//! The table of all calls.

use http::Method;
use strongroom_access::Action;

use crate::http::{ApiError, Call, Effect, Empty, Endpoint, Reply, Shape, endpoint};
use crate::{backends, backup, data_keys, erasure, events, inventory, keys, lifecycle, mc, openapi, rekey, rotation, service};

/// Where the calls of key management stand; the first on the admin port alone, where no bucket is in the way.
pub(crate) const KMS_PREFIXES: [&str; 3] = ["/kms", "/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"];

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

/// The calls of key management, behind each of [`KMS_PREFIXES`].
pub(crate) fn kms() -> Vec<Endpoint> {
    [
        service_calls(),
        key_calls(),
        key_changes(),
        key_rules(),
        data_key_calls(),
        rekey_calls(),
        lifecycle_calls(),
        erasure_calls(),
        event_calls(),
        other_calls(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn service_calls() -> Vec<Endpoint> {
    use Action::{ConfigureKms, ControlKms, GetKmsStatus};
    let status =
        endpoint((GET, "/status"), "GetKmsStatus", &[GetKmsStatus], "State, health and configuration, without secrets", service::status);
    vec![
        endpoint((POST, "/configure"), "ConfigureKms", &[ConfigureKms], "First configuration; does not start", service::configure),
        endpoint((POST, "/reconfigure"), "ReconfigureKms", &[ConfigureKms], "Merges the given fields, live", service::reconfigure),
        endpoint((POST, "/start"), "StartKms", &[ControlKms], "Starts", service::start),
        endpoint((POST, "/stop"), "StopKms", &[ControlKms], "Stops; the configuration is kept", service::stop),
        endpoint((POST, "/seal"), "SealKms", &[ControlKms], "Refuses every use and change of every key", service::seal),
        endpoint((POST, "/unseal"), "UnsealKms", &[ControlKms], "Ends that", service::unseal),
        status.also(GET, "/service-status"),
        status,
        endpoint((GET, "/config"), "GetKmsConfiguration", &[GetKmsStatus], "The configuration, secrets redacted", service::configuration),
        endpoint((POST, "/clear-cache"), "ClearKmsCache", &[ControlKms], "Wipes every cached data key", service::clear_cache),
    ]
}

fn key_calls() -> Vec<Endpoint> {
    use Action::{CreateKey, DescribeKey, GetKeyUsage, ImportKeyMaterial, ListKeys, ScheduleKeyDeletion};
    let create = endpoint((POST, "/keys"), "CreateKey", &[CreateKey], "Makes a key", keys::create).of_backend().of_every_account();
    let list = endpoint((GET, "/keys"), "ListKeys", &[ListKeys], "Keys in the order of their ids, by pages", keys::list);
    let list = list.of_backend().of_every_account();
    let describe_by_query =
        endpoint((GET, "/describe-key"), "DescribeKey", &[DescribeKey], "All that may be told of a key", keys::describe_by_query)
            .of_backend()
            .of_every_account();
    let import = &[CreateKey, ImportKeyMaterial];
    vec![
        create.also(POST, "/create-key"),
        create.also(POST, "/key/create"),
        create,
        list.also(GET, "/list-keys"),
        list,
        describe_by_query.also(GET, "/key/status"),
        describe_by_query,
        endpoint((POST, "/keys/import"), "ImportKey", import, "Makes a key of one's own 32 bytes", keys::import).of_backend(),
        endpoint((GET, "/keys/in-use"), "ListKeysInUse", &[GetKeyUsage], "Key versions that objects depend on", backends::keys_in_use),
        endpoint((GET, "/keys/{key_id}"), "DescribeKey", &[DescribeKey], "All that may be told of a key", keys::describe)
            .of_backend()
            .of_every_account(),
        endpoint((GET, "/keys/{key_id}/usage"), "GetKeyUsage", &[GetKeyUsage], "What depends on a key and its versions", keys::usage)
            .of_backend(),
        endpoint((DELETE, "/keys/delete"), "DeleteKey", &[ScheduleKeyDeletion], "Has a key destroyed, and says what is lost", keys::delete)
            .of_backend()
            .of_every_account(),
    ]
}

fn key_changes() -> Vec<Endpoint> {
    use Action::{
        CancelKeyDeletion, DisableKey, EnableKey, RotateKeyOnDemand, SealKey, TagResource, UnsealKey, UntagResource, UpdateKeyDescription,
    };
    let changes = vec![
        endpoint(
            (POST, "/keys/cancel-deletion"),
            "CancelKeyDeletion",
            &[CancelKeyDeletion],
            "Takes a scheduled deletion back",
            keys::cancel_deletion,
        ),
        endpoint((POST, "/keys/enable"), "EnableKey", &[EnableKey], "Lets a key be used again", keys::enable),
        endpoint((POST, "/keys/disable"), "DisableKey", &[DisableKey], "Refuses every use of a key", keys::disable),
        endpoint((POST, "/keys/rotate"), "RotateKey", &[RotateKeyOnDemand], "Adds a version, now or on schedule", rotation::rotate),
        endpoint((POST, "/keys/seal"), "SealKey", &[SealKey], "Refuses every use of a key until it is unsealed", keys::seal),
        endpoint((POST, "/keys/unseal"), "UnsealKey", &[UnsealKey], "Ends that", keys::unseal),
        endpoint((POST, "/keys/tag"), "TagKey", &[TagResource], "Adds tags", keys::tag),
        endpoint((POST, "/keys/untag"), "UntagKey", &[UntagResource], "Removes tags", keys::untag),
        endpoint(
            (POST, "/keys/update-description"),
            "UpdateKeyDescription",
            &[UpdateKeyDescription],
            "Replaces the description",
            keys::update_description,
        ),
    ];
    changes.into_iter().map(|change| change.of_backend().of_every_account()).collect()
}

fn key_rules() -> Vec<Endpoint> {
    use Action::{CreateGrant, GetKeyPolicy, ListGrants, ListRetirableGrants, PutKeyPolicy, RetireGrant, RevokeGrant};
    let get = endpoint((GET, "/keys/{key_id}/policy"), "GetKeyPolicy", &[GetKeyPolicy], "Whose a key is, and its policy", keys::get_policy);
    let put = endpoint((POST, "/keys/policy"), "PutKeyPolicy", &[PutKeyPolicy], "Gives a key a policy, or another one", keys::put_policy);
    let list = endpoint((GET, "/keys/{key_id}/grants"), "ListGrants", &[ListGrants], "The grants of a key", keys::list_grants);
    let create = endpoint((POST, "/keys/grants"), "CreateGrant", &[CreateGrant], "Adds a grant to a key", keys::create_grant);
    let revoke = endpoint((POST, "/keys/grants/revoke"), "RevokeGrant", &[RevokeGrant], "Takes a grant away", keys::revoke_grant);
    let retire = endpoint((POST, "/keys/grants/retire"), "RetireGrant", &[RetireGrant], "Gives a grant up", keys::retire_grant);
    let summary = "The grants of the account's keys that somebody may give up, by pages";
    let retirable =
        endpoint((GET, "/grants/retirable"), "ListRetirableGrants", &[ListRetirableGrants], summary, keys::list_retirable_grants);
    let of_a_key = [get, put, list, create, revoke, retire].map(Endpoint::of_backend);
    of_a_key.into_iter().chain([retirable]).map(Endpoint::of_every_account).collect()
}

fn data_key_calls() -> Vec<Endpoint> {
    use Action::{Decrypt, GenerateDataKey};
    let generate = endpoint(
        (POST, "/generate-data-key"),
        "GenerateDataKey",
        &[GenerateDataKey],
        "A fresh data key, in the clear and wrapped",
        data_keys::generate_data_key,
    );
    let decrypt = endpoint((POST, "/decrypt"), "Decrypt", &[Decrypt], "A wrapped data key in the clear", data_keys::decrypt);
    vec![generate.with_effect(Effect::Uses).of_backend().of_every_account(), decrypt.with_effect(Effect::Uses).of_every_account()]
}

fn rekey_calls() -> Vec<Endpoint> {
    use Action::{Decrypt, GenerateDataKey, GetRekeyJobs, RekeyObjects};
    let start = &[RekeyObjects, Decrypt, GenerateDataKey];
    vec![
        endpoint((POST, "/rekey"), "StartRekey", start, "Starts a re-key job", rekey::start),
        endpoint((GET, "/rekey"), "ListRekeyJobs", &[GetRekeyJobs], "Jobs, the last started first, or one of them", rekey::list),
        endpoint((DELETE, "/rekey"), "CancelRekey", &[RekeyObjects], "Cancels a job", rekey::cancel),
        endpoint((GET, "/rekey/{id}"), "DescribeRekeyJob", &[GetRekeyJobs], "A job and how far it is", rekey::describe),
        endpoint((DELETE, "/rekey/{id}"), "CancelRekey", &[RekeyObjects], "Cancels a job", rekey::cancel_path),
    ]
}

fn lifecycle_calls() -> Vec<Endpoint> {
    use Action::{GetLifecyclePasses, RunLifecycle};
    vec![
        endpoint((POST, "/lifecycle"), "RunLifecycle", &[RunLifecycle], "Starts a lifecycle pass now", lifecycle::run),
        endpoint((GET, "/lifecycle"), "ListLifecyclePasses", &[GetLifecyclePasses], "Passes, the last started first", lifecycle::list),
        endpoint((GET, "/lifecycle/{id}"), "DescribeLifecyclePass", &[GetLifecyclePasses], "A pass and what it did", lifecycle::describe),
        endpoint((DELETE, "/lifecycle/{id}"), "CancelLifecycle", &[RunLifecycle], "Cancels a pass", lifecycle::cancel),
    ]
}

fn erasure_calls() -> Vec<Endpoint> {
    use Action::{GetErasureRules, ManageErasureRules, ReadAudit, ScheduleKeyDeletion};
    use erasure::rules;
    let (add, remove) = (&[ManageErasureRules, ScheduleKeyDeletion], &[ManageErasureRules]);
    let summary = "Has a key destroyed on a date, and with it what lies in a bucket or under a prefix";
    vec![
        endpoint((POST, "/erasure/rules"), "AddErasureRule", add, summary, rules::add).of_backend(),
        endpoint((GET, "/erasure/rules"), "ListErasureRules", &[GetErasureRules], "Erasure rules, with their receipts", rules::list),
        endpoint((GET, "/erasure/rules/{id}"), "DescribeErasureRule", &[GetErasureRules], "A rule and what is in its way", rules::describe),
        endpoint((DELETE, "/erasure/rules/{id}"), "RemoveErasureRule", remove, "Removes a rule that is not done", rules::remove),
        endpoint((GET, "/receipts"), "ListErasureReceipts", &[ReadAudit], "Signed proofs that keys were destroyed", erasure::list),
    ]
}

fn event_calls() -> Vec<Endpoint> {
    use Action::{GetEvents, ManageEvents};
    vec![
        endpoint((GET, "/events"), "ListEventTargets", &[GetEvents], "Notification targets and what waits for them", events::targets),
        endpoint((GET, "/events/dead"), "ListDeadEvents", &[GetEvents], "Events that were given up, by pages", events::dead),
        endpoint((POST, "/events/resend"), "ResendEvents", &[ManageEvents], "Sends dead events again", events::resend),
        endpoint((POST, "/events/drop"), "DropEvents", &[ManageEvents], "Drops dead events, or those that wait, for good", events::discard),
    ]
}

fn other_calls() -> Vec<Endpoint> {
    use Action::{BackupKeys, ConfigureKms, GetInventory, GetKeyUsage, GetKmsStatus, ReadAudit, RestoreKeys};
    vec![
        endpoint(
            (GET, "/backends"),
            "ListBackends",
            &[GetKmsStatus, GetKeyUsage],
            "Live backends and what depends on them",
            backends::list,
        ),
        endpoint(
            (DELETE, "/backends/{id}"),
            "RemoveBackend",
            &[ConfigureKms],
            "Takes away a backend that nothing depends on",
            backends::remove,
        ),
        endpoint((GET, "/inventory"), "GetInventory", &[GetInventory], "Mode and key of each version, by pages", inventory::list),
        endpoint((POST, "/backup"), "BackupKeys", &[BackupKeys], "The local backend's keys, sealed under a passphrase", backup::backup),
        endpoint((POST, "/restore"), "RestoreKeys", &[RestoreKeys], "Puts them back, or says what that would do", backup::restore)
            .with_max_body_bytes(backup::MAX_RESTORE_BYTES),
        endpoint((GET, "/audit/head"), "GetAuditHead", &[ReadAudit], "How far the audit log goes", erasure::audit_head),
        endpoint((GET, "/openapi.json"), "GetOpenApi", &[GetKmsStatus], "This document", document),
    ]
}

/// The calls of `mc`.
pub(crate) fn mc() -> Vec<Endpoint> {
    use Action::{CreateKey, Decrypt, DescribeKey, GenerateDataKey, GetKmsStatus, GetRekeyJobs, ListKeys, RekeyObjects};
    let test = &[DescribeKey, GenerateDataKey, Decrypt];
    let others = vec![
        endpoint((POST, "/minio/kms/v1/key/create"), "CreateKey", &[CreateKey], "mc admin kms key create", mc::create_key),
        endpoint((GET, "/minio/kms/v1/key/list"), "ListKeys", &[ListKeys], "mc admin kms key list", mc::list_keys),
        endpoint((GET, "/minio/kms/v1/key/status"), "TestKey", test, "mc admin kms key status", mc::key_status).with_effect(Effect::Uses),
        endpoint((GET, "/minio/kms/v1/status"), "GetKmsStatus", &[GetKmsStatus], "State of key management, for mc", mc::service_status),
        endpoint((POST, "/minio/admin/v3/start-job"), "StartRekey", &[RekeyObjects], "mc batch start", mc::start),
        endpoint((GET, "/minio/admin/v3/list-jobs"), "ListRekeyJobs", &[GetRekeyJobs], "mc batch list", mc::list),
        endpoint((GET, "/minio/admin/v3/describe-job"), "DescribeRekeyJob", &[GetRekeyJobs], "mc batch describe", mc::describe),
        endpoint((GET, "/minio/admin/v3/status-job"), "GetRekeyJobStatus", &[GetRekeyJobs], "The last state of a job, for mc", mc::status),
        endpoint((GET, "/minio/admin/v3/metrics"), "WatchRekeyJob", &[GetRekeyJobs], "mc batch status", mc::metrics),
        endpoint((DELETE, "/minio/admin/v3/cancel-job"), "CancelRekey", &[RekeyObjects], "mc batch cancel", mc::cancel),
    ];
    others.into_iter().chain(mc::identities()).collect()
}

struct Document;

impl Reply for Document {
    const STATUS: http::StatusCode = http::StatusCode::OK;

    fn shape() -> Shape {
        Shape::Text("application/json")
    }

    fn into_answer(self) -> Result<crate::http::Answer, ApiError> {
        Ok(crate::http::Answer::text("application/json", openapi::document()))
    }
}

async fn document(_: Call, _: Empty) -> Result<Document, ApiError> {
    Ok(Document)
}
