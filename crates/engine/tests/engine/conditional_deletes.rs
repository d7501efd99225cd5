//! Deletes on condition of ETag, size and date: of the latest version, or of the one that is named.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, Method},
};
use strongroom_engine::{
    Error,
    api::{DeleteCondition, DeletedObject, Stored, VersioningStatus},
};
use tokio::sync::Semaphore;

use crate::common::*;

fn any() -> DeleteCondition {
    DeleteCondition::default()
}

fn etag(etag: &str) -> DeleteCondition {
    DeleteCondition { etag: Some(etag.into()), ..any() }
}

fn size(size_bytes: u64) -> DeleteCondition {
    DeleteCondition { size_bytes: Some(size_bytes), ..any() }
}

fn date(modified: i64) -> DeleteCondition {
    DeleteCondition { modified: Some(modified), ..any() }
}

async fn delete(rig: &Rig, version: Option<&str>, condition: DeleteCondition) -> Result<DeletedObject, Error> {
    rig.engine.delete_object(&rig.root, BUCKET, "object", version.map(str::to_owned), condition, false).await
}

async fn refused(rig: &Rig, version: Option<&str>, condition: DeleteCondition) {
    let answer = delete(rig, version, condition.clone()).await;
    assert!(matches!(answer, Err(Error::PreconditionFailed)), "{condition:?}: {answer:?}");
}

async fn modified(rig: &Rig) -> i64 {
    rig.head("object", As::Kms).await.unwrap().info.modified_ms.div_euclid(1000)
}

async fn versioned() -> Rig {
    let rig = Rig::new().await;
    rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
    rig
}

async fn put(rig: &Rig, data: &[u8]) -> (Stored, String) {
    let stored = rig.put("object", As::Kms, data).await;
    let version = stored.version_id.clone().unwrap_or_default();
    (stored, version)
}

#[tokio::test]
async fn an_object_is_deleted_only_where_etag_size_and_date_are_as_stated() {
    let rig = Rig::new().await;
    for holds in [
        |etag: &str, _: i64| self::etag(etag),
        |_: &str, _: i64| etag("*"),
        |_: &str, _: i64| size(4),
        |_: &str, modified: i64| date(modified),
        |etag: &str, modified: i64| DeleteCondition { etag: Some(etag.into()), size_bytes: Some(4), modified: Some(modified) },
    ] {
        let (stored, _) = put(&rig, b"data").await;
        let modified = modified(&rig).await;
        let right = holds(&stored.etag, modified);
        for wrong in [
            etag("other"),
            size(3),
            size(0),
            date(modified - 1),
            date(modified + 1),
            DeleteCondition { size_bytes: Some(5), ..right.clone() },
            DeleteCondition { modified: Some(0), ..right.clone() },
            DeleteCondition { etag: Some("other".into()), ..right.clone() },
        ] {
            refused(&rig, None, wrong).await;
        }
        assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"data");
        assert_eq!(delete(&rig, None, right).await.unwrap(), DeletedObject::default());
        assert!(matches!(rig.get("object", As::Kms).await, Err(Error::NoSuchKey)));
    }
}

#[tokio::test]
async fn where_nothing_is_there_is_nothing_to_compare_and_no_marker_is_made() {
    for rig in [Rig::new().await, versioned().await] {
        for condition in [etag("*"), etag("other"), size(1), date(0)] {
            assert!(matches!(delete(&rig, None, condition).await, Err(Error::NoSuchKey)));
        }
        let (_, version) = put(&rig, b"data").await;
        if !version.is_empty() {
            rig.engine.delete_object(&rig.root, BUCKET, "object", Some(version.clone()), any(), false).await.unwrap();
            for condition in [etag("*"), etag("other"), size(1), date(0)] {
                assert!(matches!(delete(&rig, Some(&version), condition).await, Err(Error::NoSuchVersion)));
            }
        }
    }
    let rig = Rig::new().await;
    let answer = rig.engine.delete_object(&rig.root, "no-bucket", "object", None, etag("*"), false).await;
    assert!(matches!(answer, Err(Error::NoSuchBucket)));
}

#[tokio::test]
async fn the_condition_of_a_named_version_is_about_that_version() {
    let rig = versioned().await;
    let (old, old_id) = put(&rig, b"old").await;
    let (new, new_id) = put(&rig, b"newer").await;
    refused(&rig, Some(&old_id), etag(&new.etag)).await;
    refused(&rig, Some(&old_id), size(5)).await;
    refused(&rig, Some(&new_id), etag(&old.etag)).await;
    let removed = |version: &str| DeletedObject { version_id: Some(version.into()), delete_marker: false };
    assert_eq!(delete(&rig, Some(&old_id), etag(&old.etag)).await.unwrap(), removed(&old_id));
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"newer");
    assert_eq!(delete(&rig, Some(&new_id), size(5)).await.unwrap(), removed(&new_id));
    assert!(matches!(rig.get("object", As::Kms).await, Err(Error::NoSuchKey)));
}

#[tokio::test]
async fn a_delete_marker_has_a_date_and_neither_etag_nor_size() {
    let rig = versioned().await;
    let (stored, version) = put(&rig, b"").await;
    let marker = delete(&rig, None, etag(&stored.etag)).await.unwrap();
    assert!(marker.delete_marker);
    let Err(Error::DeleteMarker { modified_ms, .. }) = rig.head("object", As::Kms).await else { panic!("no marker") };
    let marker = marker.version_id.unwrap();
    for version in [None, Some(marker.as_str())] {
        for wrong in [etag("other"), etag(&stored.etag), size(0), date(0)] {
            refused(&rig, version, wrong).await;
        }
    }
    assert!(delete(&rig, None, etag("*")).await.unwrap().delete_marker, "another one on top");
    let removed = delete(&rig, Some(&marker), date(modified_ms.div_euclid(1000))).await.unwrap();
    assert_eq!(removed, DeletedObject { version_id: Some(marker), delete_marker: true });
    assert!(delete(&rig, Some(&version), size(0)).await.is_ok());
}

/// Lets a test in before the first delete that reaches the catalog.
struct BeforeDelete {
    reached: Semaphore,
    go_on: Semaphore,
}

#[async_trait]
impl CatalogHook for BeforeDelete {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.method == Method::DeleteVersion && !self.reached.is_closed() {
            self.reached.add_permits(1);
            self.go_on.acquire().await.expect("open").forget();
        }
        Ok(None)
    }
}

/// The story: a delete by ETag has compared, and before it takes the object away somebody puts another one in its place.
#[tokio::test]
async fn what_took_the_place_of_what_was_compared_is_not_deleted() {
    for version in [None, Some("null")] {
        for sqlite in [false, true] {
            let hook = Arc::new(BeforeDelete { reached: Semaphore::new(0), go_on: Semaphore::new(0) });
            let rig = Arc::new(Rig::with(Plan { catalog_hook: Some(Arc::clone(&hook) as _), sqlite, ..Plan::default() }).await);
            let first = rig.put("object", As::Kms, b"first").await;
            let racing = Arc::clone(&rig);
            let deleting = tokio::spawn(async move { delete(&racing, version, etag(&first.etag)).await });
            hook.reached.acquire().await.unwrap().forget();
            hook.reached.close();
            rig.put("object", As::Kms, b"second").await;
            hook.go_on.add_permits(1);
            let answer = deleting.await.unwrap();
            assert!(matches!(answer, Err(Error::PreconditionFailed)), "{version:?}: {answer:?}");
            assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"second");
        }
    }
}
