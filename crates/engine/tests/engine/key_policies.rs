//! Keys that belong to accounts: who may use them is decided on every path, before the KMS is called.

use std::{future::Future, pin::Pin, sync::Arc};

use strongroom_access::{Identity, KeyPolicy, MAIN_ACCOUNT, Policy, Principal, Resolved, SecretKey};
use strongroom_engine::{
    Error,
    api::{Caller, CompletedPart, DefaultEncryption, GetObject, SseHeaders, UpdateObjectEncryption, UploadPartCopy, UploadRef},
    rekey::{JobState, RekeyRequest},
};
use strongroom_iam::keys::{Constraint, Grant};
use strongroom_kms::{KeyLifecycle as _, OWNER_TAG};

use crate::common::*;

const A: &str = "111122223333";
const B: &str = "444455556666";
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

/// The user dora of an account, whose own policy allows everything.
fn dora(account: &str) -> Caller {
    let identity = Identity::resolved(Resolved {
        name: format!("{account}:dora"),
        principal: Principal::User { path: "/".into(), name: "dora".into() },
        account: account.into(),
        access_key: "AKDORA".into(),
        secret: SecretKey::new("a secret of tests".to_owned()).unwrap(),
        user_id: "AIDADORA".into(),
        tags: Vec::new(),
        claims: Vec::new(),
        source_identity: None,
        token_issued_at: None,
        policies: vec![Arc::new(Policy::parse(ALL).unwrap())],
        boundary: None,
        session: Vec::new(),
    });
    Caller { identity: Arc::new(identity.unwrap()), ..root(true) }
}

fn statement(effect: &str, principal: &str, action: &str) -> String {
    format!(r#"{{"Effect": "{effect}", "Principal": {{"AWS": "{principal}"}}, "Action": "{action}", "Resource": "*"}}"#)
}

fn policy(statements: &[String]) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "))
}

/// What stands in the store under `alpha` before that key belongs to anybody, for every path.
struct Stage {
    rig: Rig,
    upload: UploadRef,
    plain_upload: UploadRef,
    part: CompletedPart,
}

impl Stage {
    async fn new(by: As) -> Self {
        let rig = Rig::new().await;
        rig.put("object", by, b"secret").await;
        rig.put("plain", As::Store, b"open").await;
        rig.put("beta", As::S3, b"beta").await;
        let upload = rig.create_upload("upload", by).await;
        let part = rig.upload_part(&upload, 1, by, b"part").await;
        let plain_upload = rig.create_upload("plain-upload", As::Store).await;
        Self { rig, upload, plain_upload, part }
    }

    /// Gives `alpha` to account A, with that policy.
    async fn give(&self, document: &str) {
        self.rig.owned.create("local", KEY, A, Some(document)).await.unwrap();
        self.rig.keys.tag(KEY, [(OWNER_TAG.into(), A.into())].into()).await.unwrap();
    }
}

type Outcome<'a> = Pin<Box<dyn Future<Output = Option<Error>> + 'a>>;
type Path = (&'static str, for<'a> fn(&'a Stage, &'a Caller, As) -> Outcome<'a>);

macro_rules! path {
    ($name:literal, |$stage:ident, $who:ident, $by:ident| $run:expr) => {
        ($name, |$stage, $who, $by| Box::pin(async move { $run.await.err() }))
    };
}

fn copy_part(source: &str, from: As, upload: &UploadRef, by: As) -> UploadPartCopy {
    UploadPartCopy { upload: upload.clone(), part_number: 2, source: copy_source(source, from), range: None, sse: by.read() }
}

fn update(key: &str, to: &str) -> UpdateObjectEncryption {
    UpdateObjectEncryption { bucket: BUCKET.into(), key: key.into(), version_id: None, kms_key_id: to.into(), bucket_key_enabled: false }
}

/// Every way in which the engine comes to use a key.
const PATHS: [Path; 17] = [
    path!("PutObject", |stage, who, by| stage.rig.engine.put_object(who, put_request("new", by.write(), b"x"))),
    path!("PutObject by a browser's form", |stage, who, by| {
        let request = strongroom_engine::api::PutObject { by_form: true, ..put_request("new", by.write(), b"x") };
        stage.rig.engine.put_object(who, request)
    }),
    path!("CreateMultipartUpload", |stage, who, by| stage.rig.engine.create_multipart_upload(who, create_request("new", by.write()))),
    path!("UploadPart", |stage, who, by| stage.rig.engine.upload_part(who, part_request(&stage.upload, 2, by, b"x"))),
    path!("UploadPartCopy into it", |stage, who, by| stage
        .rig
        .engine
        .upload_part_copy(who, copy_part("plain", As::Store, &stage.upload, by))),
    path!("UploadPartCopy out of it", |stage, who, by| {
        stage.rig.engine.upload_part_copy(who, copy_part("object", by, &stage.plain_upload, As::Store))
    }),
    path!("CompleteMultipartUpload", |stage, who, _by| {
        stage.rig.engine.complete_multipart_upload(who, complete_request(&stage.upload, vec![stage.part.clone()]))
    }),
    path!("GetObject", |stage, who, by| stage.rig.engine.get_object(who, get_request("object", by.read()))),
    path!("GetObject of a range", |stage, who, by| {
        let range = strongroom_engine::api::ByteRange::From { first: 2, last: None };
        stage.rig.engine.get_object(who, GetObject { range: Some(range), ..get_request("object", by.read()) })
    }),
    path!("HeadObject with its checksum", |stage, who, by| {
        stage.rig.engine.head_object(who, GetObject { checksum_mode: true, ..get_request("object", by.read()) })
    }),
    path!("GetObjectAttributes", |stage, who, by| stage.rig.engine.object_attributes(who, get_request("object", by.read()))),
    path!("CopyObject from it", |stage, who, by| stage.rig.engine.copy_object(who, copy_request(("object", by), ("new", As::Store)))),
    path!("CopyObject to it", |stage, who, by| stage.rig.engine.copy_object(who, copy_request(("plain", As::Store), ("new", by)))),
    path!("CopyObject onto itself", |stage, who, by| stage.rig.engine.copy_object(who, copy_request(("object", by), ("object", As::S3)))),
    path!("UpdateObjectEncryption from it", |stage, who, by| async {
        // Objects in two layers are refused for being so.
        match stage.rig.engine.update_object_encryption(who, update("object", OTHER_KEY)).await {
            Err(Error::InvalidRequest(_)) if by == As::Dsse => Err(denied_to(who, "kms:Decrypt")),
            other => other.map(drop),
        }
    }),
    path!("UpdateObjectEncryption to it", |stage, who, _by| stage.rig.engine.update_object_encryption(who, update("beta", KEY))),
    path!("PutObject by the bucket's default", |stage, who, by| async {
        let algorithm = if by == As::Dsse { "aws:kms:dsse" } else { "aws:kms" };
        let bucket_key_enabled = by == As::BucketKey;
        let rule = DefaultEncryption { algorithm: algorithm.into(), kms_key_id: Some(KEY.into()), bucket_key_enabled };
        stage.rig.engine.set_bucket_encryption(BUCKET, rule).await.unwrap();
        stage.rig.engine.put_object(who, put_request("new", SseHeaders::default(), b"x")).await.map(drop)
    }),
];

fn denied_to(who: &Caller, action: &'static str) -> Error {
    Error::KmsAccessDenied { identity: who.identity.name.clone(), action, key_id: KEY.into() }
}

fn open_to_the_account() -> String {
    KeyPolicy::default_document(A)
}

fn shut() -> String {
    policy(&[statement("Allow", A, "kms:*"), statement("Deny", "*", "kms:Decrypt"), statement("Deny", "*", "kms:GenerateDataKey")])
}

fn for_somebody_else() -> String {
    policy(&[statement("Allow", &format!("arn:aws:iam::{A}:role/backup"), "kms:*")])
}

#[tokio::test]
async fn whom_a_key_s_policy_keeps_out_is_refused_on_every_path_and_the_kms_sees_no_call() {
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        for (document, callers) in [
            (shut(), vec![root(true), dora(MAIN_ACCOUNT), dora(A), dora(B)]),
            (for_somebody_else(), vec![root(true), dora(MAIN_ACCOUNT), dora(A), dora(B)]),
            (open_to_the_account(), vec![root(true), dora(MAIN_ACCOUNT), dora(B)]),
            // To another account it takes both: their policy allows everything, and the key's is for one of them.
            (policy(&[statement("Allow", &format!("arn:aws:iam::{B}:user/other"), "kms:*")]), vec![dora(A), dora(B)]),
        ] {
            let stage = Stage::new(by).await;
            stage.give(&document).await;
            for who in &callers {
                for (name, run) in PATHS {
                    stage.rig.reset_counts();
                    let refused = run(&stage, who, by).await;
                    let who = &who.identity.name;
                    assert!(
                        matches!(&refused, Some(Error::KmsAccessDenied { identity, key_id, .. }) if identity == who && key_id == KEY),
                        "{name} by {who} as {by:?} under {document}: {refused:?}"
                    );
                    let others = u64::from(name == "UpdateObjectEncryption to it");
                    assert_eq!(stage.rig.kms.counts().total(), others, "{name} by {who} as {by:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whom_a_key_s_policy_lets_in_comes_through_on_every_path() {
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        let both = policy(&[statement("Allow", A, "kms:*"), statement("Allow", B, "kms:*")]);
        for (document, who) in [(open_to_the_account(), dora(A)), (both, dora(B))] {
            for (name, run) in PATHS {
                let stage = Stage::new(by).await;
                stage.give(&document).await;
                let refused = run(&stage, &who, by).await;
                let is_of_two_layers = by == As::Dsse && name == "UpdateObjectEncryption from it";
                assert!(refused.is_none() || is_of_two_layers, "{name} as {by:?}: {refused:?}");
            }
        }
    }
}

#[tokio::test]
async fn sse_s3_under_a_key_that_belongs_to_an_account_takes_the_right_to_it() {
    let stage = Stage::new(As::S3).await;
    *stage.rig.source.default_key_id.lock().unwrap() = KEY.into();
    let rig = &stage.rig;
    rig.put("object", As::S3, b"secret").await;
    stage.give(&open_to_the_account()).await;
    for who in [root(true), dora(MAIN_ACCOUNT), dora(B)] {
        rig.reset_counts();
        let refused = |error: Option<Error>| assert!(matches!(error, Some(Error::KmsAccessDenied { .. })), "{error:?}");
        refused(rig.engine.put_object(&who, put_request("new", As::S3.write(), b"x")).await.err());
        refused(rig.engine.get_object(&who, get_request("object", As::S3.read())).await.err());
        refused(rig.engine.copy_object(&who, copy_request(("object", As::S3), ("new", As::Store))).await.err());
        assert_eq!(rig.kms.counts().total(), 0);
    }
    let reply = rig.engine.get_object(&dora(A), get_request("object", As::S3.read())).await.unwrap();
    assert_eq!(collect(reply).await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_job_moves_nothing_out_of_or_under_a_key_that_its_starter_may_not_use() {
    let stage = Stage::new(As::Kms).await;
    stage.give(&open_to_the_account()).await;
    let (rig, to) = (&stage.rig, |key: &str| RekeyRequest { to_key: Some(key.into()), ..RekeyRequest::default() });
    rig.reset_counts();
    let from = RekeyRequest { from_key: Some(KEY.into()), ..to(OTHER_KEY) };
    for request in [from, to(KEY)] {
        let refused = rig.engine.start_rekey(request, starter(&rig.root)).await;
        assert!(matches!(&refused, Err(Error::KmsAccessDenied { key_id, .. }) if key_id == KEY), "{refused:?}");
    }
    assert_eq!(rig.kms.counts().total(), 0);
    let job = rig.rekey(to(OTHER_KEY)).await;
    assert_eq!(job.state, JobState::CompletedWithErrors);
    let mut failed: Vec<_> = job.failures.iter().map(|failure| failure.key.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["object", "upload"], "{job:?}");
    let reply = rig.engine.get_object(&dora(A), get_request("object", As::Kms.read())).await.unwrap();
    assert_eq!(collect(reply).await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_job_loses_its_right_with_the_policy_that_gave_it() {
    let stage = Stage::new(As::Kms).await;
    stage.give(&policy(&[statement("Allow", MAIN_ACCOUNT, "kms:*")])).await;
    let rig = &stage.rig;
    let job = rig.rekey(RekeyRequest { to_key: Some(KEY.into()), dry_run: true, ..RekeyRequest::default() }).await;
    assert_eq!(job.state, JobState::Completed, "{job:?}");
    rig.owned.put_policy(rig.owned.get(KEY).await.unwrap(), &open_to_the_account()).await.unwrap();
    let job = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    assert_eq!(job.state, JobState::CompletedWithErrors, "{job:?}");
}

#[tokio::test]
async fn a_policy_sees_what_the_data_key_is_bound_to() {
    let stage = Stage::new(As::Kms).await;
    let rig = &stage.rig;
    rig.put("reports/1", As::Kms, b"report").await;
    rig.put("shared", As::BucketKey, b"shared").await;
    let allow = |value: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {{"AWS": "{A}"}}, "Action": "kms:Decrypt", "Resource": "*",
                "Condition": {{"StringLike": {{"kms:EncryptionContext:aws:s3:arn": "{value}"}}}}}}"#
        )
    };
    stage.give(&policy(&[allow("arn:aws:s3:::bucket/reports/*"), allow("arn:aws:s3:::bucket")])).await;
    let reads = async |key: &str, by: As| rig.engine.get_object(&dora(A), get_request(key, by.read())).await.is_ok();
    assert_eq!(
        [reads("reports/1", As::Kms).await, reads("object", As::Kms).await, reads("shared", As::BucketKey).await],
        [true, false, true]
    );
}

#[tokio::test]
async fn a_grant_opens_a_key_until_it_is_taken_away() {
    let stage = Stage::new(As::Kms).await;
    let rig = &stage.rig;
    stage.give(&for_somebody_else()).await;
    let read = async || rig.engine.get_object(&dora(A), get_request("object", As::Kms.read())).await.is_ok();
    let grant = |arn: &str| Grant {
        id: String::new(),
        name: None,
        created: 0,
        issuer: "test".into(),
        grantee: format!("arn:aws:iam::{A}:user/dora"),
        retiring: None,
        operations: vec!["Decrypt".into()],
        constraint: Some(Constraint::Equals([("aws:s3:arn".to_owned(), arn.to_owned())].into())),
    };
    let mut ids = Vec::new();
    for (arn, expected) in [("arn:aws:s3:::bucket/other", false), ("arn:aws:s3:::bucket/object", true)] {
        ids.push(rig.owned.add_grant(rig.owned.get(KEY).await.unwrap(), grant(arn)).await.unwrap());
        assert_eq!(read().await, expected);
    }
    rig.owned.remove_grant(rig.owned.get(KEY).await.unwrap(), &ids[1]).await.unwrap();
    assert!(!read().await);
}

#[tokio::test]
async fn a_key_whose_rules_were_deleted_from_the_disk_opens_to_nobody() {
    let stage = Stage::new(As::Kms).await;
    let rig = &stage.rig;
    stage.give(&open_to_the_account()).await;
    assert!(rig.engine.get_object(&dora(A), get_request("object", As::Kms.read())).await.is_ok());
    rig.owned.discard(KEY).await.unwrap();
    rig.reset_counts();
    for who in [root(true), dora(A)] {
        let read = rig.engine.get_object(&who, get_request("object", As::Kms.read())).await.err();
        assert!(matches!(&read, Some(Error::Integrity(what)) if what.contains("has lost its policy")), "{read:?}");
        let written = rig.engine.put_object(&who, put_request("new", As::Kms.write(), b"x")).await.err();
        assert!(matches!(written, Some(Error::Integrity(_))), "{written:?}");
    }
    assert_eq!(rig.kms.counts().total(), 0);
    assert!(rig.engine.integrity_events() >= 4);
    assert!(rig.put("other", As::S3, b"x").await.sse.kms_key_id.is_some(), "other keys are as they were");
}
