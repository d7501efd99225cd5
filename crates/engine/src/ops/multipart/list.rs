//! ListParts and ListMultipartUploads.

use strongroom_catalog::{Bucket, ListPage, ListQuery, Part, Upload};

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::{ListParts, ListUploads, ListedPart, ListedUpload, PartsPage},
    ids,
    ops::list::{MAX_ENTRIES, map_page},
    record::{PartRecord, UploadRecord},
};

impl Engine {
    /// ListParts.
    pub async fn list_parts(&self, request: ListParts) -> Result<PartsPage, Error> {
        let found = self.find_upload(None, &request.upload).await?;
        let limit = request.limit.min(MAX_ENTRIES);
        let mut parts = self.catalog().list_parts(found.upload.upload_id, request.after, limit + 1).await?;
        // A page of none has no marker to go on from, so a client would ask for it for ever.
        let truncated = limit > 0 && parts.len() > limit;
        parts.truncate(limit);
        Ok(PartsPage {
            parts: parts.into_iter().map(|part| self.listed_part(&found, &part)).collect(),
            truncated,
            storage_class: found.record.headers.storage_class,
            checksum: found.record.checksum,
            initiator: found.upload.initiator,
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
        let page = self.catalog().list_uploads(query, upload_marker).await?;
        Ok(map_page(page, |upload| self.listed_upload(&bucket, upload)))
    }

    /// As with objects, a damaged record must not hide the rest.
    fn listed_part(&self, found: &FoundUpload, part: &Part) -> ListedPart {
        let record = PartRecord::open(self.store_key(), &found.upload.upload_id, part);
        let record = record.map_err(|error| self.integrity().note(error, &found.bucket.name, &found.upload.key)).ok();
        ListedPart {
            number: part.number,
            etag: record.as_ref().map(|record| record.etag.shown.clone()).unwrap_or_default(),
            size_bytes: part.size_bytes,
            modified_ms: part.modified,
            checksum: record.and_then(|record| record.checksum),
        }
    }

    /// As there.
    fn listed_upload(&self, bucket: &Bucket, upload: Upload) -> ListedUpload {
        let record = UploadRecord::open(self.store_key(), &upload);
        let record = record.map_err(|error| self.integrity().note(error, &bucket.name, &upload.key)).ok();
        ListedUpload {
            upload_id: ids::render(&upload.upload_id),
            initiated_ms: upload.initiated,
            initiator: upload.initiator,
            storage_class: record.as_ref().and_then(|record| record.headers.storage_class.clone()),
            checksum: record.and_then(|record| record.checksum),
            key: upload.key,
        }
    }
}
