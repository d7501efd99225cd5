//! A job does to an object what its starter could do, by the policies of that moment, and nothing else.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use strongroom_catalog::VersionSelector;
use strongroom_engine::{
    Error,
    api::Caller,
    rekey::{JobState, RekeyJob, RekeyRequest},
};
use strongroom_kms::KeyLifecycle as _;

use crate::common::*;

/// May do everything but open what lies under `alpha`.
const ALL_BUT_ALPHA: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "*", "Resource": "*"},
    {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:::key/alpha"}
]}"#;

fn to_other() -> RekeyRequest {
    RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }
}

fn refusal(action: &str, key_id: &str) -> String {
    format!("The identity alice is not permitted to perform {action} on the KMS key {key_id}.")
}

impl Rig {
    /// A job of this caller, to its end.
    async fn rekey_as(&self, caller: &Caller, request: RekeyRequest) -> Result<RekeyJob, Error> {
        self.people.admit(&caller.identity);
        let job = self.engine.start_rekey(request, starter(caller)).await?;
        Ok(self.ended(&job.job_id).await)
    }
}

#[tokio::test]
async fn a_denied_key_is_denied_to_a_job_over_all_keys_and_yields_no_plaintext() {
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        let rig = Rig::new().await;
        let alice = user(ALL_BUT_ALPHA);
        rig.put("secret", by, b"secret").await;
        rig.put("open", As::S3, b"open").await;
        let read = async || rig.engine.get_object(&alice, get_request("secret", by.read())).await.err().map(|error| format!("{error:?}"));
        let denied = Some(r#"KmsAccessDenied { identity: "alice", action: "kms:Decrypt", key_id: "alpha" }"#.to_owned());
        assert_eq!(read().await, denied);
        rig.reset_counts();
        let job = rig.rekey_as(&alice, to_other()).await.unwrap();
        assert_eq!((job.state, counts(&job)), (JobState::CompletedWithErrors, (1, 0, 1)), "{by:?}");
        assert_eq!((job.failures[0].key.as_str(), job.failures[0].reason.clone()), ("secret", refusal("kms:Decrypt", "alpha")));
        assert_eq!(rig.kms.counts().unwrap, 1, "the denied key is not asked to open anything");
        assert_eq!(read().await, denied, "{by:?}");
        assert_eq!((rig.usage(KEY).await, rig.usage(OTHER_KEY).await), ([(1, (1, 0))].into(), [(1, (1, 0))].into()));
    }
}

#[tokio::test]
async fn a_key_that_the_starter_may_not_use_is_no_target_even_where_none_is_named() {
    let rig = Rig::new().await;
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:GenerateDataKey", "Resource": ["arn:aws:kms:::key/alpha", "arn:aws:kms:::key/default"]}
    ]}"#;
    let alice = user(policy);
    rig.put("kms", As::Kms, b"data").await;
    rig.put("sse-s3", As::S3, b"data").await;
    rig.put("plain", As::Store, b"data").await;
    rig.keys.rotate_key(KEY).await.unwrap();
    rig.keys.rotate_key("default").await.unwrap();
    rig.reset_counts();
    let job = rig.rekey_as(&alice, RekeyRequest { encrypt_plain: true, ..in_bucket() }).await.unwrap();
    assert_eq!((job.state, counts(&job)), (JobState::CompletedWithErrors, (0, 0, 3)));
    let reasons: BTreeMap<_, _> = job.failures.iter().map(|failure| (failure.key.as_str(), failure.reason.clone())).collect();
    let of = |key_id| refusal("kms:GenerateDataKey", key_id);
    assert_eq!(reasons, [("kms", of("alpha")), ("sse-s3", of("default")), ("plain", of("default"))].into());
    assert_eq!(rig.kms.counts().total(), 0, "no key is used");
    let refused = rig.rekey_as(&alice, RekeyRequest { to_key: Some(KEY.into()), ..in_bucket() }).await.unwrap_err();
    assert_eq!(refused.to_string(), of("alpha"), "a target that is named is refused at the start");
}

#[tokio::test]
async fn rights_to_some_keys_start_a_job_and_rights_to_none_do_not() {
    let rig = Rig::new().await;
    let allow = |keys: &str| {
        user(&format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "arn:aws:kms:::key/{keys}"}}
            ]}}"#
        ))
    };
    let start = async |caller: Caller, request: RekeyRequest| {
        rig.rekey_as(&caller, request).await.map(|job| counts(&job)).map_err(|error| error.to_string())
    };
    let all = || RekeyRequest { dry_run: true, ..RekeyRequest::default() };
    assert_eq!(start(allow("beta"), all()).await, Ok((0, 0, 0)), "nothing is stored");
    rig.put("kms", As::Kms, b"data").await;
    rig.put("sse-s3", As::S3, b"data").await;
    assert_eq!(start(allow("beta"), all()).await, Err(refusal("kms:Decrypt", "*")));
    assert_eq!(start(allow("alpha"), all()).await, Ok((0, 1, 1)), "alpha is at its present version");
    assert_eq!(start(allow("*"), all()).await, Ok((0, 2, 0)));
    let from = |key: &str| RekeyRequest { from_key: Some(key.into()), ..all() };
    assert_eq!(start(allow("alpha"), from("alpha")).await, Ok((0, 1, 0)));
    assert_eq!(start(allow("alpha"), from("key/default")).await, Err(refusal("kms:Decrypt", "default")));
    let elsewhere = RekeyRequest { from_backend: Some("vault".into()), ..all() };
    assert_eq!(start(allow("alpha"), elsewhere).await, Ok((0, 0, 0)), "no key of that backend is in use");
    let nothing = user(r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#);
    assert_eq!(start(nothing, all()).await, Err(refusal("kms:Decrypt", "*")));
    assert_eq!(rig.engine.rekey_jobs().await.unwrap().len(), 5, "what is refused leaves no job");
}

/// A job of five objects under `alpha` to `beta`, interrupted after the first, and its id.
async fn interrupted(caller: &Caller) -> (Home, String) {
    let rig = Rig::sqlite().await;
    rig.people.admit(&caller.identity);
    for number in 0..5 {
        rig.put(&format!("{number}"), As::Kms, b"data").await;
    }
    let request = RekeyRequest { from_key: Some(KEY.into()), max_objects_per_second: Some(20), ..to_other() };
    let job = rig.engine.start_rekey(request, starter(caller)).await.unwrap();
    rig.until(&job.job_id, |job| job.done >= 1).await;
    rig.engine.pause_rekeys().await;
    (rig.into_home(), job.job_id)
}

/// How a job goes on in the next life, in which there are these people.
async fn resumed(home: Home, job_id: &str, people: &[&Caller]) -> (Rig, RekeyJob) {
    let rig = Rig::with(Plan { sqlite: true, home: Some(home), ..Plan::default() }).await;
    for caller in people {
        rig.people.admit(&caller.identity);
    }
    assert_eq!(rig.engine.resume_rekeys().await.unwrap(), 1);
    let job = rig.ended(job_id).await;
    (rig, job)
}

const EVERYTHING: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

#[tokio::test]
async fn a_resumed_job_has_the_rights_that_its_starter_has_by_then() {
    let alice = user(EVERYTHING);
    let (home, job_id) = interrupted(&alice).await;
    let (rig, job) = resumed(home, &job_id, &[&user(ALL_BUT_ALPHA)]).await;
    assert_eq!((job.state, job.who.as_str(), job.total), (JobState::CompletedWithErrors, "alice", 5));
    assert!(
        job.failed >= 1 && job.failed < 5 && job.failures.iter().all(|failure| failure.reason == refusal("kms:Decrypt", "alpha")),
        "{job:?}"
    );
    assert_eq!(rig.usage(KEY).await, [(1, (job.failed, 0))].into());

    let (home, job_id) = interrupted(&alice).await;
    let (rig, job) = resumed(home, &job_id, &[&alice]).await;
    assert_eq!((job.state, job.failed), (JobState::Completed, 0));
    assert_eq!(rig.usage(OTHER_KEY).await, [(1, (5, 0))].into());
}

#[tokio::test]
async fn a_starter_who_does_not_exist_any_more_is_refused_everything() {
    let (home, job_id) = interrupted(&user(EVERYTHING)).await;
    let (rig, job) = resumed(home, &job_id, &[]).await;
    assert_eq!(job.state, JobState::CompletedWithErrors);
    let reason = "The identity alice, which does not exist any more, is not permitted to perform kms:Decrypt on the KMS key alpha.";
    assert!(job.failed >= 1 && job.failures.iter().all(|failure| failure.reason == reason), "{job:?}");
    assert_eq!(rig.usage(KEY).await, [(1, (job.failed, 0))].into());
}

#[tokio::test]
async fn a_job_has_the_conditions_of_the_request_that_started_it() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    ]}"#;
    let rig = Rig::new().await;
    rig.put("object", As::Kms, b"data").await;
    let over_tls = user(policy);
    let plain = Caller { secure: false, ..over_tls.clone() };
    let refused = rig.rekey_as(&plain, to_other()).await.unwrap_err();
    assert!(matches!(refused, Error::KmsAccessDenied { .. }), "{refused:?}");
    assert_eq!(counts(&rig.rekey_as(&over_tls, to_other()).await.unwrap()), (1, 0, 0));
}

#[tokio::test]
async fn what_a_job_may_not_do_is_in_the_audit_log() {
    let rig = Rig::new().await;
    let alice = user(ALL_BUT_ALPHA);
    rig.put("object", As::Kms, b"data").await;
    rig.put("open", As::S3, b"data").await;
    rig.audit.take();
    let job = rig.rekey_as(&alice, to_other()).await.unwrap();
    let events: Vec<_> = rig.audit.take().into_iter().filter(|event| event.key == "object").collect();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!((event.who.as_str(), event.operation.as_str(), event.key.as_str()), ("alice", "Rekey", "object"));
    assert_eq!((event.key_id.as_str(), event.request_id.clone()), ("alpha", format!("job:{}", job.job_id)));
    assert_eq!(event.outcome, strongroom_audit::Outcome::Error("KmsAccessDenied".to_owned()));
}

// ---- Random policies against a model.

const CASES: u32 = 48;
const KEYS: [&str; 3] = ["default", KEY, OTHER_KEY];
const ACTIONS: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];
/// What a statement may be on, and which of `KEYS` that is.
const RESOURCES: [(&str, [bool; 3]); 6] = [
    ("arn:aws:kms:::key/default", [true, false, false]),
    ("arn:aws:kms:::key/alpha", [false, true, false]),
    ("arn:aws:kms:::key/beta", [false, false, true]),
    ("arn:aws:kms:::key/*", [true, true, true]),
    ("arn:aws:kms:::key/*a", [false, true, true]),
    ("arn:aws:kms:::key/al*", [false, true, false]),
];

#[derive(Clone, Copy, Debug)]
struct Statement {
    allows: bool,
    action: usize,
    resource: usize,
}

#[derive(Clone, Debug)]
struct Case {
    statements: Vec<Statement>,
    from: Option<usize>,
    to: Option<usize>,
    dry_run: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let statement = (prop::bool::weighted(0.7), 0..ACTIONS.len(), 0..RESOURCES.len());
    let statement = statement.prop_map(|(allows, action, resource)| Statement { allows, action, resource });
    let key = || prop::option::of(0..KEYS.len());
    (prop::collection::vec(statement, 0..7), key(), key(), prop::bool::weighted(0.15)).prop_map(|(statements, from, to, dry_run)| Case {
        statements,
        from,
        to,
        dry_run,
    })
}

/// Deny-first, word for word.
fn may(statements: &[Statement], action: usize, key: usize) -> bool {
    let speak = |allows| statements.iter().any(|of| of.allows == allows && of.action == action && RESOURCES[of.resource].1[key]);
    speak(true) && !speak(false)
}

fn policy(statements: &[Statement]) -> Caller {
    let statements: Vec<String> = statements
        .iter()
        .map(|Statement { allows, action, resource }| {
            let (effect, action, (resource, _)) = (if *allows { "Allow" } else { "Deny" }, ACTIONS[*action], RESOURCES[*resource]);
            format!(r#"{{"Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}"#)
        })
        .chain([r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#.to_owned()])
        .collect();
    user(&format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", ")))
}

/// The objects, the key that each is under, and the mode.
const OBJECTS: [(&str, As, usize); 6] = [
    ("s3", As::S3, 0),
    ("kms/default", As::Kms, 0),
    ("kms/alpha", As::Kms, 1),
    ("kms/beta", As::Kms, 2),
    ("bucket key/alpha", As::BucketKey, 1),
    ("dsse/beta", As::Dsse, 2),
];

async fn filled() -> Rig {
    let rig = Rig::new().await;
    for (name, by, key) in OBJECTS {
        let mut sse = by.write();
        sse.kms_key_id = sse.kms_key_id.map(|_| KEYS[key].to_owned());
        rig.engine.put_object(&rig.root, put_request(name, sse, name.as_bytes())).await.unwrap();
    }
    for key in KEYS {
        rig.keys.rotate_key(key).await.unwrap();
    }
    rig.engine.forget_bucket_keys();
    rig
}

/// The key and its version that each object is under.
async fn places(rig: &Rig) -> BTreeMap<String, (String, u32)> {
    let mut places = BTreeMap::new();
    for (name, ..) in OBJECTS {
        let (_, version) = rig.catalog.find_version(BUCKET, name, VersionSelector::Latest).await.unwrap().unwrap();
        let key = version.unwrap().envelope.unwrap().key.unwrap();
        places.insert(name.to_owned(), (key.key_id, key.version));
    }
    places
}

async fn readable(rig: &Rig, caller: &Caller) -> Vec<&'static str> {
    let mut readable = Vec::new();
    for (name, by, _) in OBJECTS {
        if rig.engine.get_object(caller, get_request(name, by.read())).await.is_ok() {
            readable.push(name);
        }
    }
    readable
}

/// Started, done, failed.
async fn holds(case: &Case) -> (bool, u64, u64) {
    let rig = filled().await;
    let alice = policy(&case.statements);
    let (before, read_before) = (places(&rig).await, readable(&rig, &alice).await);
    let key_name = |key: Option<usize>| key.map(|key| KEYS[key].to_owned());
    let request = RekeyRequest { from_key: key_name(case.from), to_key: key_name(case.to), dry_run: case.dry_run, ..in_bucket() };
    let job = rig.rekey_as(&alice, request).await;
    let after = places(&rig).await;
    let mut expected = (0, 0);
    for (name, by, source) in OBJECTS {
        let in_scope = case.from.is_none_or(|from| from == source);
        let target = case.to.unwrap_or(if by == As::S3 { 0 } else { source });
        let allowed = may(&case.statements, 0, source) && may(&case.statements, 1, target);
        let moved = job.is_ok() && in_scope && allowed && !case.dry_run;
        let place = if moved { (KEYS[target].to_owned(), 2) } else { before[name].clone() };
        assert_eq!(after[name], place, "{name} in {case:?}");
        match (in_scope, allowed) {
            (true, true) => expected.0 += 1,
            (true, false) => expected.1 += 1,
            (false, _) => {}
        }
    }
    let read_after = readable(&rig, &alice).await;
    for name in &read_after {
        let could = OBJECTS.iter().any(|(object, _, source)| object == name && may(&case.statements, 0, *source));
        assert!(read_before.contains(name) || could, "{name} was opened by {case:?}");
    }
    match job {
        Ok(job) => {
            assert_eq!((job.done, job.failed, job.skipped), (expected.0, expected.1, 0), "{case:?}");
            (true, job.done, job.failed)
        }
        Err(error) => {
            assert!(matches!(error, Error::KmsAccessDenied { .. }), "{error:?} in {case:?}");
            assert_eq!(expected.0, 0, "what could have been done was refused: {case:?}");
            (false, 0, 0)
        }
    }
}

/// More rounds come where chance has left one of the outcomes out: one in some hundred rounds does.
#[test]
fn no_job_reads_or_re_keys_what_its_starter_could_not() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seen = std::cell::Cell::new([0; 3]);
    for _ in 0..10 {
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let ran = runner.run(&case(), |case| {
            let (started, done, failed) = runtime.block_on(holds(&case));
            let [refused, in_part, did_something] = seen.get();
            let (did, missed) = (started && done > 0, failed > 0);
            seen.set([refused + u64::from(!started), in_part + u64::from(did && missed), did_something + u64::from(did)]);
            Ok(())
        });
        ran.unwrap();
        if seen.get().iter().all(|count| *count > 0) {
            return;
        }
    }
    panic!("refused starts, jobs in part, jobs that did something: {:?}", seen.get());
}
