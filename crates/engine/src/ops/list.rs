//! ListObjects, ListObjectsV2 and ListObjectVersions. Only the catalog and the store key are needed: never the KMS, never the data.

use strongroom_catalog::{Bucket, CatalogError, ListEntry, ListPage as Rows, ListQuery, VersionEntry, VersionSelector};

use crate::{
    Engine, Error,
    api::{ListObjects, ListPage, ListVersions, ListedObject, ListedVersion},
    ids,
    ops::genuine::Row,
    record::{ListedRecord, VersionBinding},
};

/// S3 answers at the most so many entries.
pub(crate) const MAX_ENTRIES: usize = 1000;

impl Engine {
    /// A page of a listing.
    pub async fn list_objects(&self, request: ListObjects) -> Result<ListPage<ListedObject>, Error> {
        let bucket = self.bucket(&request.bucket).await?;
        self.genuine_page::<VersionEntry>(&bucket, query(&bucket, request), None).await
    }

    /// A page of a listing of all versions and delete markers.
    pub async fn list_versions(&self, request: ListVersions) -> Result<ListPage<ListedVersion>, Error> {
        let bucket = self.bucket(&request.list.bucket).await?;
        let after = request.version_id_marker.filter(|_| request.list.after.is_some());
        let after = after.map(|after| ids::parse_version(Some(&after))).transpose()?;
        self.genuine_page::<AnyVersion>(&bucket, query(&bucket, request.list), after).await
    }
}

fn query(bucket: &Bucket, request: ListObjects) -> ListQuery {
    ListQuery {
        bucket_id: bucket.id,
        prefix: request.prefix,
        delimiter: request.delimiter.filter(|delimiter| !delimiter.is_empty()),
        after: request.after.filter(|after| !after.is_empty()),
        limit: request.limit.min(MAX_ENTRIES),
    }
}

/// A version, or a delete marker, in a listing of all of them.
struct AnyVersion(VersionEntry);

impl Row for AnyVersion {
    type Shown = ListedVersion;
    type Marker = VersionSelector;

    async fn page(engine: &Engine, query: ListQuery, after: Option<VersionSelector>) -> Result<Rows<Self>, CatalogError> {
        let Rows { entries, truncated, unreadable } = engine.catalog().list_versions(query, after).await?;
        let entries = entries.into_iter().map(|entry| match entry {
            ListEntry::Item(version) => ListEntry::Item(Self(version)),
            ListEntry::Prefix { prefix, first } => ListEntry::Prefix { prefix, first: Self(first) },
        });
        Ok(Rows { entries: entries.collect(), truncated, unreadable })
    }

    fn marker(&self) -> (String, Option<VersionSelector>) {
        (self.0.key.clone(), Some(VersionSelector::Id(self.0.version_id)))
    }

    /// Nothing vouches for a delete marker, which has no record.
    fn open(self, engine: &Engine, bucket: &Bucket) -> Result<ListedVersion, Error> {
        let Self(version) = self;
        let version_id = if version.is_null { ids::NULL.to_owned() } else { version.version_id.to_string() };
        let (key, is_latest, modified_ms) = (version.key.clone(), version.is_latest, version.modified);
        let object = if version.is_delete_marker { None } else { Some(version.open(engine, bucket)?) };
        Ok(ListedVersion { key, version_id, is_latest, modified_ms, object })
    }
}

impl Row for VersionEntry {
    type Shown = ListedObject;
    type Marker = ();

    async fn page(engine: &Engine, query: ListQuery, _: Option<()>) -> Result<Rows<Self>, CatalogError> {
        engine.catalog().list_objects(query).await
    }

    fn marker(&self) -> (String, Option<()>) {
        (self.key.clone(), None)
    }

    fn open(mut self, engine: &Engine, bucket: &Bucket) -> Result<ListedObject, Error> {
        let mut sealed = std::mem::take(&mut self.record);
        let record = ListedRecord::open(engine.store_key(), &VersionBinding::of_entry(bucket.id, &self), &mut sealed)
            .map_err(|error| engine.integrity().note(error, &bucket.name, &self.key))?;
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
