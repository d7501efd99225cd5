//! Policies of buckets: what requests are decided by follows every change, and no policy is believed that was not put.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use strongroom_access::{Action, Conditions, Decision, Identity, MAIN_ACCOUNT, arn};
use strongroom_engine::{
    Error,
    api::{Caller, CreateBucket, ObjectVersion, PublicAccessBlock, Seen},
};

use crate::common::{As, BUCKET, Rig, copy_request, get_request, root, user};

const NAMED: &str =
    r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "s3:GetObject", "Resource": "*"}}"#;
const PUBLIC: &str = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}}"#;

/// Whether the bucket lets in who does not sign.
async fn is_open(rig: &Rig, bucket: &str) -> bool {
    let rules = rig.engine.bucket_rules(bucket).await.unwrap();
    let decision =
        Identity::anonymous().may_in(rules.as_deref(), None, Action::GetObject, &arn::object(bucket, "k"), &Conditions::new(true));
    decision == Decision::Allow
}

#[tokio::test]
async fn a_policy_counts_as_soon_as_it_is_put_and_no_longer_when_it_is_gone() {
    let rig = Rig::sqlite().await;
    rig.engine.set_public_access_block(BUCKET, None).await.unwrap();
    for _ in 0..50 {
        assert!(!is_open(&rig, BUCKET).await);
        rig.engine.set_bucket_policy(BUCKET, PUBLIC).await.unwrap();
        assert!(is_open(&rig, BUCKET).await);
        rig.engine.set_public_access_block(BUCKET, Some(PublicAccessBlock::ALL)).await.unwrap();
        assert!(!is_open(&rig, BUCKET).await, "a block counts for the policy that is there");
        rig.engine.set_public_access_block(BUCKET, None).await.unwrap();
        assert!(is_open(&rig, BUCKET).await);
        rig.engine.clear_bucket_policy(BUCKET).await.unwrap();
    }
    rig.engine.set_bucket_policy(BUCKET, PUBLIC).await.unwrap();
    assert!(is_open(&rig, BUCKET).await);
    rig.engine.delete_bucket(BUCKET).await.unwrap();
    assert!(rig.engine.bucket_rules(BUCKET).await.unwrap().is_none());
    rig.engine.create_bucket(&rig.root, CreateBucket { name: BUCKET.into(), ..CreateBucket::default() }).await.unwrap();
    assert!(!is_open(&rig, BUCKET).await, "a new bucket of the name has nothing of the old one");
}

/// The future of a change is dropped while the change is on its way: it may still happen, and then it counts.
#[tokio::test]
async fn a_policy_whose_client_did_not_wait_counts_all_the_same() {
    let rig = Rig::sqlite().await;
    rig.engine.set_public_access_block(BUCKET, None).await.unwrap();
    for _ in 0..50 {
        assert!(!is_open(&rig, BUCKET).await);
        let put = tokio::time::timeout(Duration::from_micros(50), rig.engine.set_bucket_policy(BUCKET, PUBLIC));
        let _ = put.await;
        // The next write is behind it.
        rig.engine.set_bucket_tags(BUCKET, vec![("a".to_owned(), "b".to_owned())]).await.unwrap();
        let is_there = rig.engine.bucket_policy(BUCKET).await.is_ok();
        assert_eq!(is_open(&rig, BUCKET).await, is_there);
        rig.engine.clear_bucket_policy(BUCKET).await.unwrap();
    }
}

#[tokio::test]
async fn a_public_policy_is_refused_while_the_bucket_blocks_it() {
    let rig = Rig::new().await;
    assert!(matches!(rig.engine.set_bucket_policy(BUCKET, PUBLIC).await, Err(Error::PublicPolicyBlocked)));
    assert!(matches!(rig.engine.bucket_policy(BUCKET).await, Err(Error::NoSuchBucketPolicy)));
    rig.engine.set_bucket_policy(BUCKET, NAMED).await.unwrap();
    assert!(!rig.engine.is_policy_public(BUCKET).await.unwrap());
    assert_eq!(rig.engine.bucket_policy(BUCKET).await.unwrap(), NAMED);
    assert!(matches!(rig.engine.set_bucket_policy(BUCKET, "{").await, Err(Error::MalformedPolicy(_))));
    assert!(matches!(rig.engine.set_bucket_policy("nowhere", NAMED).await, Err(Error::NoSuchBucket)));
}

/// The story: somebody with the disk opens a bucket with the policy of another one, or puts back the policy that it had.
#[tokio::test]
async fn a_policy_that_was_exchanged_on_the_disk_lets_nobody_in() {
    let rig = Rig::sqlite().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "open".into(), ..CreateBucket::default() }).await.unwrap();
    for bucket in [BUCKET, "open"] {
        rig.engine.set_public_access_block(bucket, None).await.unwrap();
        rig.engine.set_bucket_policy(bucket, PUBLIC).await.unwrap();
    }
    let rows = rig.rows();
    rows.execute_batch("CREATE TEMP TABLE open AS SELECT * FROM bucket_documents").unwrap();
    rig.engine.set_bucket_policy(BUCKET, NAMED).await.unwrap();
    for change in [
        "UPDATE bucket_documents SET record = (SELECT record FROM open WHERE bucket = 1) WHERE bucket = 1",
        "UPDATE bucket_documents SET record = (SELECT record FROM open WHERE bucket = 2) WHERE bucket = 1",
        "DELETE FROM bucket_documents WHERE bucket = 1",
    ] {
        rows.execute_batch(change).unwrap();
        // Another bucket's change, so that the rules are read again.
        rig.engine.set_bucket_tags("open", vec![("a".to_owned(), "b".to_owned())]).await.unwrap();
        assert!(matches!(rig.engine.bucket_rules(BUCKET).await, Err(Error::Integrity(_))), "{change}");
    }
}

#[tokio::test]
async fn a_bucket_belongs_to_the_account_of_who_creates_it() {
    let rig = Rig::new().await;
    let caller = user(r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#);
    let identity = Arc::into_inner(caller.identity).unwrap().in_account("111122223333").unwrap();
    let eve = Caller { identity: Arc::new(identity), ..root(true) };
    rig.engine.create_bucket(&eve, CreateBucket { name: "hers".into(), ..CreateBucket::default() }).await.unwrap();
    let names = async |caller| -> Vec<String> {
        rig.engine.list_buckets(caller, "", None, 10).await.unwrap().iter().map(|bucket| bucket.name.clone()).collect()
    };
    assert_eq!(names(&eve).await, ["hers"]);
    assert_eq!(names(&rig.root).await, [BUCKET.to_owned(), "hers".to_owned()]);
    let account = async |bucket: &str| rig.engine.bucket_rules(bucket).await.unwrap().unwrap().account.clone();
    assert_eq!((account("hers").await.as_str(), account(BUCKET).await.as_str()), ("111122223333", MAIN_ACCOUNT));
}

/// Who was let in by the tags or the ACL of one version is shown no other, whatever took its place in between.
#[tokio::test]
async fn what_was_not_decided_on_is_not_read() {
    let rig = Rig::new().await;
    rig.put("object", As::Store, b"public").await;
    let seen = rig.engine.object_facts(BUCKET, "object", None).await.unwrap().unwrap().version;
    let of_object = Caller { seen: Seen { object: Some(seen), source: None }, ..rig.root.clone() };
    let of_source = Caller { seen: Seen { object: None, source: Some(seen) }, ..rig.root.clone() };
    let named = ObjectVersion { bucket: BUCKET.into(), key: "object".into(), version_id: None };
    let read = || get_request("object", As::Store.read());
    let copy = || copy_request(("object", As::Store), ("copy", As::Store));
    let is_busy = |result: Result<(), Error>| matches!(result, Err(Error::Busy));
    for replaced in [false, true] {
        if replaced {
            rig.put("object", As::Store, b"private").await;
        }
        let (engine, tags) = (&rig.engine, vec![("a".to_owned(), "b".to_owned())]);
        assert_eq!(is_busy(engine.get_object(&of_object, read()).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.head_object(&of_object, read()).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.object_attributes(&of_object, read()).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.object_tags(&of_object, &named).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.set_object_tags(&of_object, &named, tags).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.object_acl(&of_object, &named).await.map(drop)), replaced);
        assert_eq!(is_busy(engine.copy_object(&of_source, copy()).await.map(drop)), replaced);
    }
}
