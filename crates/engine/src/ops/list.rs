//! ListObjects and ListObjectsV2. Only the catalog and the store key are needed: never the KMS, never the data.

use strongroom_catalog::{Bucket, CatalogError, ListPage as Rows, ListQuery, UploadId, Version};

use crate::{
    Engine, Error,
    api::{ListObjects, ListPage, ListedObject},
    ops::genuine::{Marker, Row},
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
        self.genuine_page::<Version>(&bucket, query, None).await
    }
}

impl Row for Version {
    type Shown = ListedObject;

    async fn page(engine: &Engine, query: ListQuery, _: Option<UploadId>) -> Result<Rows<Self>, CatalogError> {
        engine.catalog().list_objects(query).await
    }

    fn marker(&self) -> Marker {
        (self.key.clone(), None)
    }

    fn open(self, engine: &Engine, bucket: &Bucket) -> Result<ListedObject, Error> {
        let record = engine.record_of(bucket, &self)?;
        Ok(ListedObject {
            etag: record.etag.shown,
            size_bytes: self.size_bytes,
            modified_ms: self.modified,
            storage_class: record.headers.storage_class,
            checksum: record.checksum.map(|checksum| (checksum.algorithm, checksum.kind)),
            key: self.key,
        })
    }
}
