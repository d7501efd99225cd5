//! The model test's multipart uploads.

use std::{collections::BTreeMap, sync::Arc};

use strongroom_engine::{
    Error,
    api::{CompletedPart, CopySource, CreateMultipartUpload, ListParts, UploadPartCopy, UploadRef, UploadedPart},
};

use super::{
    model::{World, count},
    model_attributes::request_of,
    model_ops::{Given, KEYS, Pick, Place},
    model_state::{Attributes, Change, Object},
};
use crate::common::*;

pub struct Upload {
    pub at: UploadRef,
    pub place: Place,
    pub by: As,
    pub kms_key: Option<String>,
    pub attributes: Attributes,
    /// ETags and data.
    pub parts: BTreeMap<u16, (String, Arc<Vec<u8>>)>,
}

impl Upload {
    fn object(&self) -> Object {
        let data: Vec<_> = self.parts.values().map(|(_, data)| data.as_slice()).collect();
        Object { by: self.by, kms_key: self.kms_key.clone(), data: Arc::new(data.concat()), attributes: self.attributes.clone() }
    }

    fn named(&self) -> Vec<CompletedPart> {
        self.parts
            .iter()
            .map(|(number, (etag, _))| CompletedPart { number: (*number).into(), etag: etag.clone(), checksum: None })
            .collect()
    }
}

impl World {
    pub async fn create(&mut self, slot: usize, place: Place, by: As, given: Given) {
        if self.uploads[slot].is_some() {
            return;
        }
        let attributes = self.given(place, given);
        let request = CreateMultipartUpload {
            bucket: place.bucket(),
            attributes: request_of(&attributes),
            ..create_request(KEYS[place.key], by.write())
        };
        let created = self.rig.engine.create_multipart_upload(&self.rig.root, request).await;
        // One that was begun all the same is found at the end.
        if let Some(created) = self.check(created) {
            let at = UploadRef { bucket: place.bucket(), key: KEYS[place.key].into(), upload_id: created.upload_id };
            let kms_key = by.kms_key().map(str::to_owned);
            self.uploads[slot] = Some(Upload { at, place, by, kms_key, attributes, parts: BTreeMap::new() });
        }
    }

    pub async fn part(&mut self, slot: usize, number: u16, len: usize, seed: u64) {
        let Some(Upload { at, by, .. }) = &self.uploads[slot] else { return };
        let new = Arc::new(data(len, seed));
        let result = self.rig.engine.upload_part(&self.rig.root, part_request(at, number.into(), *by, &new)).await;
        self.settle_part(slot, number, new, result).await;
    }

    pub async fn part_copy(&mut self, slot: usize, number: u16, from: Place, which: Pick) {
        let Some(Upload { at, by, .. }) = &self.uploads[slot] else { return };
        let (version_id, source) = self.named(from, which);
        let from_by = source.as_ref().map_or(As::Store, |source| source.by);
        let request = UploadPartCopy {
            upload: at.clone(),
            part_number: number.into(),
            source: CopySource { bucket: from.bucket(), version_id: version_id.clone(), ..copy_source(KEYS[from.key], from_by) },
            range: None,
            sse: by.read(),
        };
        let result = self.rig.engine.upload_part_copy(&self.rig.root, request).await.map(|copied| copied.part);
        let Some(source) = source else {
            let error = result.unwrap_err();
            assert!(self.is_due_of_source(from, version_id.as_deref(), &error), "{error:?}");
            return;
        };
        let copied = result.is_ok();
        self.settle_part(slot, number, source.data, result).await;
        let sql = "SELECT count(*) FROM parts WHERE blob IN (SELECT blob FROM version_blobs)";
        let shared: i64 = self.rig.rows().query_row(sql, [], |row| row.get(0)).unwrap();
        count(&self.tally.shared_parts, copied && shared > 0);
    }

    /// After success the part is the new one; after failure it is the one before or the new one.
    async fn settle_part(&mut self, slot: usize, number: u16, new: Arc<Vec<u8>>, result: Result<UploadedPart, Error>) {
        let at = self.uploads[slot].as_ref().unwrap().at.clone();
        let etag = self.check(result).map(|part| part.etag);
        self.heal();
        let listed = self.parts_of(&at).await.unwrap();
        let parts = &mut self.uploads[slot].as_mut().unwrap().parts;
        let known = parts.get(&number).map(|(etag, _)| etag.clone());
        match (etag, listed.get(&number)) {
            (Some(etag), listed) => {
                assert_eq!(listed, Some(&etag));
                parts.insert(number, (etag, new));
            }
            (None, Some(listed)) if known.as_ref() != Some(listed) => {
                parts.insert(number, (listed.clone(), new));
            }
            (None, listed) => assert_eq!(listed, known.as_ref()),
        }
        assert_eq!(listed, parts.iter().map(|(number, (etag, _))| (*number, etag.clone())).collect());
    }

    /// ETags by number; none where the upload has ended.
    async fn parts_of(&self, at: &UploadRef) -> Option<BTreeMap<u16, String>> {
        match self.rig.engine.list_parts(ListParts { upload: at.clone(), after: 0, limit: 1000 }).await {
            Ok(page) => Some(page.parts.into_iter().map(|part| (part.number, part.etag)).collect()),
            Err(Error::NoSuchUpload) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    pub async fn complete(&mut self, slot: usize) {
        let Some(upload) = self.uploads[slot].take() else { return };
        if upload.parts.is_empty() {
            self.uploads[slot] = Some(upload);
            return;
        }
        let result = self.rig.complete(&upload.at, upload.named()).await;
        let answered = self.check(result).map(|stored| stored.version_id);
        count(&self.tally.completions, answered.is_some());
        self.heal();
        let at = upload.place;
        if self.parts_of(&upload.at).await.is_none() {
            assert!(self.has_become(at, &Change::Add(Some(upload.object())), answered.as_ref()).await);
            let repeated = self.rig.complete(&upload.at, upload.named()).await.expect("it can be repeated");
            assert_eq!(repeated.version_id, self.shown_id(at, None));
        } else {
            assert!(answered.is_none() && self.holds(at, &self.state.of(at).keys[at.key]).await);
            self.uploads[slot] = Some(upload);
        }
    }

    pub async fn abort(&mut self, slot: usize) {
        let Some(upload) = self.uploads[slot].take() else { return };
        let result = self.rig.engine.abort_multipart_upload(&upload.at).await;
        let succeeded = self.check(result).is_some();
        self.heal();
        if self.parts_of(&upload.at).await.is_some() {
            assert!(!succeeded);
            self.uploads[slot] = Some(upload);
        }
    }
}
