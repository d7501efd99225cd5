//! ListParts and ListMultipartUploads.

use strongroom_catalog::{Bucket, CatalogError, ListPage as Rows, ListQuery, Part, Upload, UploadId};

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::{ListPage, ListParts, ListUploads, ListedPart, ListedUpload, PartsPage},
    ids,
    ops::{genuine::Row, list::MAX_ENTRIES},
    record::{PartRecord, UploadRecord},
};

impl Engine {
    /// ListParts.
    pub async fn list_parts(&self, request: ListParts) -> Result<PartsPage, Error> {
        let found = self.find_upload(None, &request.upload).await?;
        let limit = request.limit.min(MAX_ENTRIES);
        // A page of none has no marker to go on from, so a client would ask for it for ever: it is never truncated.
        let (mut parts, mut after, mut truncated) = (Vec::new(), request.after, false);
        while parts.len() < limit {
            let wanted = limit - parts.len();
            let rows = self.catalog().list_parts(found.upload.upload_id, after, wanted + 1).await;
            let mut rows = rows.map_err(|error| self.integrity().note(error.into(), &found.bucket.name, &found.upload.key))?;
            truncated = rows.len() > wanted;
            rows.truncate(wanted);
            after = rows.last().map_or(after, |part| part.number);
            parts.extend(rows.iter().filter_map(|part| self.listed_part(&found, part)));
            if !truncated {
                break;
            }
        }
        let abort = self.abort_of(&found.bucket, &found.upload.key, found.upload.initiated).await;
        Ok(PartsPage {
            abort,
            parts,
            truncated,
            storage_class: found.record.headers.storage_class,
            checksum: found.record.checksum,
            initiator: found.upload.initiator,
            owner: found.record.attributes.acl.map_or_else(|| found.bucket.owner.clone(), |acl| acl.owner),
        })
    }

    /// ListMultipartUploads.
    pub async fn list_multipart_uploads(&self, request: ListUploads) -> Result<ListPage<ListedUpload>, Error> {
        let bucket = self.bucket(&request.bucket).await?;
        let key_marker = request.key_marker.filter(|marker| !marker.is_empty());
        let upload_marker = match (&key_marker, request.upload_id_marker.filter(|marker| !marker.is_empty())) {
            (Some(_), Some(marker)) => {
                Some(ids::parse_upload(&marker).map_err(|_| Error::InvalidArgument("Invalid uploadId marker".into()))?)
            }
            _ => None,
        };
        let query = ListQuery {
            bucket_id: bucket.id,
            prefix: request.prefix,
            delimiter: request.delimiter.filter(|delimiter| !delimiter.is_empty()),
            after: key_marker,
            limit: request.limit.min(MAX_ENTRIES),
        };
        self.genuine_page::<Upload>(&bucket, query, upload_marker).await
    }

    /// As with objects, an altered part is left out and counted: a client that resumes the upload sends it again.
    fn listed_part(&self, found: &FoundUpload, part: &Part) -> Option<ListedPart> {
        let record = PartRecord::open(self.store_key(), &found.upload.upload_id, part);
        let record = record.map_err(|error| self.integrity().note(error, &found.bucket.name, &found.upload.key)).ok()?;
        Some(ListedPart {
            number: part.number,
            etag: record.etag.shown,
            size_bytes: part.size_bytes,
            // Nothing vouches for the date of a part of an earlier version; that of its upload is authentic.
            modified_ms: record.modified.unwrap_or(found.upload.initiated),
            checksum: record.checksum,
        })
    }
}

impl Row for Upload {
    type Shown = ListedUpload;
    type Marker = UploadId;

    async fn page(engine: &Engine, query: ListQuery, after_upload: Option<UploadId>) -> Result<Rows<Self>, CatalogError> {
        engine.catalog().list_uploads(query, after_upload).await
    }

    fn marker(&self) -> (String, Option<UploadId>) {
        (self.key.clone(), Some(self.upload_id))
    }

    fn open(self, engine: &Engine, bucket: &Bucket) -> Result<ListedUpload, Error> {
        let record = UploadRecord::open(engine.store_key(), &self);
        let record = record.map_err(|error| engine.integrity().note(error, &bucket.name, &self.key))?;
        Ok(ListedUpload {
            upload_id: self.upload_id.to_string(),
            initiated_ms: self.initiated,
            initiator: self.initiator,
            owner: record.attributes.acl.map_or_else(|| bucket.owner.clone(), |acl| acl.owner),
            storage_class: record.headers.storage_class,
            checksum: record.checksum,
            key: self.key,
        })
    }
}
