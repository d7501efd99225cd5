//! ListObjects and ListObjectsV2. Only the catalog and the store key are needed: never the KMS, never the data.

use strongroom_catalog::{Bucket, ListEntry, ListPage, ListQuery, Version};

use crate::{
    Engine, Error,
    api::{ListObjects, ListedObject},
};

/// S3 answers at the most so many entries.
pub(crate) const MAX_ENTRIES: usize = 1000;

impl Engine {
    /// A page of a listing.
    pub async fn list_objects(&self, request: ListObjects) -> Result<ListPage<ListedObject>, Error> {
        let bucket = self.bucket(&request.bucket).await?;
        let query = ListQuery {
            bucket_id: bucket.id,
            prefix: request.prefix,
            delimiter: request.delimiter.filter(|delimiter| !delimiter.is_empty()),
            after: request.after.filter(|after| !after.is_empty()),
            limit: request.limit.min(MAX_ENTRIES),
        };
        let page = self.catalog().list_objects(query).await?;
        Ok(map_page(page, |version| self.listed(&bucket, version)))
    }

    /// A damaged record must not hide the rest of the bucket: its object is listed without an ETag, and counted.
    fn listed(&self, bucket: &Bucket, version: Version) -> ListedObject {
        let record = self.record_of(bucket, &version).ok();
        let checksum = record.as_ref().and_then(|record| record.checksum.as_ref());
        ListedObject {
            etag: record.as_ref().map(|record| record.etag.shown.clone()).unwrap_or_default(),
            size_bytes: version.size_bytes,
            modified_ms: version.modified,
            storage_class: record.as_ref().and_then(|record| record.headers.storage_class.clone()),
            checksum: checksum.map(|checksum| (checksum.algorithm, checksum.kind)),
            key: version.key,
        }
    }
}

/// The same page with other items.
pub(crate) fn map_page<T, U>(page: ListPage<T>, mut change: impl FnMut(T) -> U) -> ListPage<U> {
    let entries = page.entries.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => ListEntry::Item(change(item)),
        ListEntry::Prefix(prefix) => ListEntry::Prefix(prefix),
    });
    ListPage { entries: entries.collect(), truncated: page.truncated }
}
