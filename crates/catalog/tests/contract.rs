//! What every engine promises, on SQLite and on the model.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use strongroom_catalog::testing::samples::{answer, bucket, id, version};
use strongroom_catalog::testing::{FaultMoment, Faults, HookedCatalog, MemoryCatalog};
use strongroom_catalog::{BucketId, Catalog, CatalogError, Clock, Expect, SqliteCatalog, SqliteOptions, VersionSelector, Versioning};

mod sqlite {
    use super::*;

    strongroom_catalog::catalog_contract!(|clock| {
        let home = tempfile::tempdir().unwrap();
        let options = SqliteOptions { clock, ..SqliteOptions::default() };
        let catalog = SqliteCatalog::open(&home.path().join("catalog.db"), options).unwrap();
        (home, Arc::new(catalog) as Arc<dyn Catalog>)
    });
}

mod memory {
    use super::*;

    strongroom_catalog::catalog_contract!(|clock| ((), Arc::new(MemoryCatalog::new(clock)) as Arc<dyn Catalog>));
}

#[tokio::test]
async fn a_fault_fails_the_write_it_was_meant_for_before_or_after_it_took_effect() {
    let inner: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new(Clock::default()));
    let faults = Arc::new(Faults::default());
    let catalog = HookedCatalog::new(Arc::clone(&inner), Arc::clone(&faults) as _);
    let home = BucketId([b'K'; 16]);
    inner.create_bucket(bucket("b", home, Versioning::Unversioned)).await.unwrap();
    faults.fail_write(2, FaultMoment::Before, || CatalogError::Full);
    faults.fail_write(3, FaultMoment::After, || CatalogError::Busy);
    let (mut answers, mut kept) = (Vec::new(), Vec::new());
    for (number, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        answers.push(answer(catalog.put_version(version(home, key, id(b'V', number)), Expect::Any).await));
        kept.push(catalog.find_version("b", key, VersionSelector::Latest).await.unwrap().unwrap().1.is_some());
    }
    let done = "Committed { is_null: true }";
    assert_eq!(answers, [done, "Err(Full)", "Err(Busy)", done]);
    assert_eq!(kept, [true, false, true, true]);
    assert_eq!((faults.writes(), faults.pending()), (4, 0));
}
