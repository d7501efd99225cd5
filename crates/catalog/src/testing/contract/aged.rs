//! What a walk by age sees, and deletions of what it saw.

use super::{B, Fresh, change_of, deletion, v};
use crate::testing::samples::{answer, bucket, version};
use crate::{BucketId, CatalogError, CommittedRow, Deleted, Deletion, Expect, NewVersion, VersionSelector, Versioning};

pub async fn versions_and_markers_of_a_bucket_come_in_the_order_of_commit(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    let catalog = &scene.catalog;
    catalog.create_bucket(bucket("other", BucketId([9; 16]), Versioning::Enabled)).await.unwrap();
    let put = |bucket, key, number, modified| catalog.put_version(NewVersion { modified, ..version(bucket, key, v(number)) }, Expect::Any);
    put(B, "b", 1, 30).await.unwrap();
    put(BucketId([9; 16]), "a", 2, 20).await.unwrap();
    put(B, "a", 3, 10).await.unwrap();
    catalog.delete_version(deletion("b", VersionSelector::Latest, 4)).await.unwrap();
    let rows = catalog.committed_after(B, 0, 10).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.key.as_deref().unwrap(), row.is_latest, row.is_delete_marker, row.modified)).collect();
    assert_eq!(seen, [("b", false, false, 30), ("a", true, false, 10), ("b", true, true, 5)], "the order is not that of dates or keys");
    assert_eq!(rows[0].size_bytes, version(B, "b", v(1)).size_bytes);
    // Page by page the same, and nothing behind the last.
    let (mut walked, mut after): (Vec<CommittedRow>, i64) = (Vec::new(), 0);
    while let [row] = &catalog.committed_after(B, after, 1).await.unwrap()[..] {
        after = row.position;
        walked.push(row.clone());
    }
    assert_eq!(walked, rows);
    // A version that becomes the latest again keeps its place.
    catalog.delete_version(deletion("b", VersionSelector::Id(v(4)), 9)).await.unwrap();
    let left = catalog.committed_after(B, 0, 10).await.unwrap();
    assert_eq!(left, [CommittedRow { is_latest: true, ..rows[0].clone() }, rows[1].clone()]);
    assert!(matches!(catalog.committed_after(BucketId([8; 16]), 0, 1).await, Err(CatalogError::NoSuchBucket)));
}

pub async fn a_deletion_that_names_a_revision_happens_only_while_the_version_has_it(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    let catalog = &scene.catalog;
    let delete = |which, seen| catalog.delete_version(Deletion { seen: Some(seen), ..deletion("k", which, 90 + seen) });
    scene.put("k", 1).await;
    catalog.change_version(change_of("k", 1, 0)).await.unwrap();
    for which in [VersionSelector::Latest, VersionSelector::Id(v(1))] {
        assert_eq!(answer(delete(which, 0).await), "Err(PreconditionFailed)", "{which:?}");
        assert_eq!(answer(delete(which, 2).await), "Err(PreconditionFailed)", "{which:?}");
    }
    assert_eq!(scene.latest("k").await, Some(v(1)));
    // A marker covers the version that has the revision.
    assert_eq!(delete(VersionSelector::Latest, 1).await.unwrap(), Deleted::MarkerAdded { version_id: v(91), is_null: false });
    assert!(matches!(delete(VersionSelector::Id(v(1)), 1).await, Ok(Deleted::Removed { .. })));
    assert_eq!(delete(VersionSelector::Id(v(1)), 1).await.unwrap(), Deleted::Nothing, "what is gone has no revision that could differ");
}
