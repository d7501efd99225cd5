//! What the CORS rules of a bucket cost: they are asked for with each request of a page.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, Method},
};
use strongroom_engine::{Error, api::CorsRule};

use crate::common::*;

/// Counts how often a document of a bucket is read.
#[derive(Default)]
struct CountedReads(AtomicUsize);

#[async_trait]
impl CatalogHook for CountedReads {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.method == Method::BucketDocument {
            self.0.fetch_add(1, SeqCst);
        }
        Ok(None)
    }
}

fn rules(origin: &str) -> Vec<CorsRule> {
    vec![CorsRule { origins: vec![origin.to_owned()], methods: vec!["GET".to_owned()], ..CorsRule::default() }]
}

#[tokio::test]
async fn rules_are_read_once_for_each_change_of_them_and_never_where_there_are_none() {
    for sqlite in [false, true] {
        let reads = Arc::new(CountedReads::default());
        let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&reads) as _), sqlite, ..Plan::default() }).await;
        let found = async || rig.engine.bucket_cors(BUCKET).await.unwrap().map(|rules| rules.to_vec());
        for _ in 0..3 {
            assert_eq!(found().await, None);
        }
        assert_eq!(reads.0.load(SeqCst), 0);
        for (change, origin) in (1..).zip(["https://a", "https://b"]) {
            rig.engine.set_bucket_cors(BUCKET, Some(rules(origin))).await.unwrap();
            for _ in 0..3 {
                assert_eq!(found().await, Some(rules(origin)));
            }
            rig.engine.set_bucket_tags(BUCKET, vec![("team".to_owned(), origin.to_owned())]).await.unwrap();
            assert_eq!(found().await, Some(rules(origin)));
            assert_eq!(reads.0.load(SeqCst), change, "a change of something else leaves them known");
        }
        rig.engine.set_bucket_cors(BUCKET, None).await.unwrap();
        assert_eq!(found().await, None);
        assert_eq!(reads.0.load(SeqCst), 2);
        assert!(matches!(rig.engine.bucket_cors("never-made").await, Err(Error::NoSuchBucket)));
    }
}
