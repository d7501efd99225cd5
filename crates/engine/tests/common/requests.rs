//! Requests in short, and the five modes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};
use strongroom_engine::{
    Error,
    api::{
        Attributes, Body, BodyError, ByteRange, CompleteMultipartUpload, CompletedPart, Copied, CopyObject, CopySource,
        CreateMultipartUpload, CustomerKeyHeaders, DeleteCondition, GetObject, ObjectHeaders, ObjectLock, ObjectReply, PutObject,
        SseHeaders, Stored, TagsOfCopy, UploadChecksum, UploadPart, UploadRef, UploadedPart, WriteCondition,
    },
};
use strongroom_seal::Mode;
use zeroize::Zeroizing;

use super::{BUCKET, KEY, Rig};

/// A mode, with what a client has to say for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Store,
    S3,
    Kms,
    BucketKey,
    Dsse,
    /// With the key of 32 such bytes.
    Customer(u8),
}

/// One of each mode.
pub const MODES: [As; 5] = [As::Store, As::S3, As::Kms, As::Dsse, As::Customer(1)];
/// Those that need the KMS.
pub const KMS_MODES: [As; 4] = [As::S3, As::Kms, As::BucketKey, As::Dsse];

impl As {
    pub fn mode(self) -> Mode {
        match self {
            Self::Store => Mode::Store,
            Self::S3 => Mode::SseS3,
            Self::Kms | Self::BucketKey => Mode::SseKms,
            Self::Dsse => Mode::DsseKms,
            Self::Customer(_) => Mode::SseC,
        }
    }

    /// The headers of a write.
    pub fn write(self) -> SseHeaders {
        let kms = |algorithm: &str| SseHeaders { algorithm: Some(algorithm.into()), kms_key_id: Some(KEY.into()), ..SseHeaders::default() };
        match self {
            Self::Store => SseHeaders::default(),
            Self::S3 => SseHeaders { algorithm: Some("AES256".into()), ..SseHeaders::default() },
            Self::Kms => kms("aws:kms"),
            Self::BucketKey => SseHeaders { bucket_key_enabled: Some(true), ..kms("aws:kms") },
            Self::Dsse => kms("aws:kms:dsse"),
            Self::Customer(_) => self.read(),
        }
    }

    /// The headers of a read.
    pub fn read(self) -> SseHeaders {
        SseHeaders { customer: self.customer(), ..SseHeaders::default() }
    }

    pub fn customer(self) -> CustomerKeyHeaders {
        match self {
            Self::Customer(byte) => customer_headers([byte; 32]),
            _ => CustomerKeyHeaders::default(),
        }
    }

    /// The KMS key it depends on.
    pub fn kms_key(self) -> Option<&'static str> {
        match self {
            Self::Store | Self::Customer(_) => None,
            Self::S3 => Some("default"),
            Self::Kms | Self::BucketKey | Self::Dsse => Some(KEY),
        }
    }
}

pub fn customer_headers(key: [u8; 32]) -> CustomerKeyHeaders {
    CustomerKeyHeaders {
        algorithm: Some("AES256".into()),
        key: Some(Zeroizing::new(STANDARD.encode(key))),
        key_md5: Some(STANDARD.encode(Md5::digest(key))),
    }
}

/// Bytes that repeat nowhere within reach of a test.
pub fn data(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

pub fn md5_hex(data: &[u8]) -> String {
    hex::encode(Md5::digest(data))
}

/// A body of a declared length, in pieces of odd sizes.
pub fn body(data: &[u8]) -> Body {
    let pieces: Vec<_> = data.chunks(60_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Body { length: Some(data.len() as u64), ..body_of(pieces) }
}

/// A body of undeclared length, of these pieces.
pub fn body_of(pieces: Vec<Result<Bytes, BodyError>>) -> Body {
    Body { stream: Box::pin(sync_wrapper::SyncStream::new(stream::iter(pieces))), length: None }
}

pub fn put_request(key: &str, sse: SseHeaders, data: &[u8]) -> PutObject {
    PutObject {
        by_form: false,
        bucket: BUCKET.into(),
        key: key.into(),
        headers: ObjectHeaders::default(),
        attributes: Attributes::default(),
        sse,
        content_md5: None,
        checksum: UploadChecksum::default(),
        condition: WriteCondition::None,
        body: body(data),
    }
}

pub fn get_request(key: &str, sse: SseHeaders) -> GetObject {
    GetObject { bucket: BUCKET.into(), key: key.into(), sse, ..GetObject::default() }
}

pub fn copy_source(key: &str, by: As) -> CopySource {
    CopySource { bucket: BUCKET.into(), key: key.into(), customer: by.customer(), ..CopySource::default() }
}

pub fn copy_request(from: (&str, As), to: (&str, As)) -> CopyObject {
    CopyObject {
        source: copy_source(from.0, from.1),
        bucket: BUCKET.into(),
        key: to.0.into(),
        headers: None,
        storage_class: None,
        website_redirect_location: None,
        tags: TagsOfCopy::Keep { permitted: true },
        acl: None,
        lock: ObjectLock::default(),
        sse: to.1.write(),
        checksum_algorithm: None,
        condition: WriteCondition::None,
    }
}

pub fn create_request(key: &str, sse: SseHeaders) -> CreateMultipartUpload {
    CreateMultipartUpload {
        bucket: BUCKET.into(),
        key: key.into(),
        headers: ObjectHeaders::default(),
        attributes: Attributes::default(),
        sse,
        checksum_algorithm: None,
        checksum_kind: None,
    }
}

pub fn part_request(upload: &UploadRef, part_number: i32, by: As, data: &[u8]) -> UploadPart {
    UploadPart {
        upload: upload.clone(),
        part_number,
        sse: by.read(),
        content_md5: None,
        checksum: UploadChecksum::default(),
        body: body(data),
    }
}

pub fn complete_request(upload: &UploadRef, parts: Vec<CompletedPart>) -> CompleteMultipartUpload {
    CompleteMultipartUpload {
        upload: upload.clone(),
        parts,
        sse: SseHeaders::default(),
        checksum: None,
        checksum_kind: None,
        object_size_bytes: None,
        condition: WriteCondition::None,
    }
}

pub fn completed(number: i32, part: &UploadedPart) -> CompletedPart {
    CompletedPart { number, etag: part.etag.clone(), checksum: None }
}

/// All bytes of a reply, or the error it broke off with.
pub async fn collect(reply: ObjectReply) -> Result<Vec<u8>, Error> {
    let length = reply.length;
    let data = reply.body.unwrap().try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let data = data.await?;
    assert_eq!(data.len() as u64, length, "a reply has the length that it announced");
    Ok(data)
}

/// The bytes before a reply broke off, and how it ended.
pub async fn drain(reply: ObjectReply) -> (Vec<u8>, Option<Error>) {
    let (mut stream, mut data) = (reply.body.unwrap(), Vec::new());
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => data.extend_from_slice(&piece),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                return (data, Some(error));
            }
        }
    }
    (data, None)
}

impl Rig {
    pub async fn put(&self, key: &str, by: As, data: &[u8]) -> Stored {
        self.try_put(key, by, data).await.unwrap()
    }

    pub async fn try_put(&self, key: &str, by: As, data: &[u8]) -> Result<Stored, Error> {
        self.engine.put_object(&self.root, put_request(key, by.write(), data)).await
    }

    pub async fn get(&self, key: &str, by: As) -> Result<Vec<u8>, Error> {
        collect(self.engine.get_object(&self.root, get_request(key, by.read())).await?).await
    }

    pub async fn range(&self, key: &str, by: As, range: ByteRange) -> Result<Vec<u8>, Error> {
        let request = GetObject { range: Some(range), ..get_request(key, by.read()) };
        collect(self.engine.get_object(&self.root, request).await?).await
    }

    pub async fn part(&self, key: &str, by: As, part_number: u32) -> Result<Vec<u8>, Error> {
        let request = GetObject { part_number: Some(part_number), ..get_request(key, by.read()) };
        collect(self.engine.get_object(&self.root, request).await?).await
    }

    pub async fn head(&self, key: &str, by: As) -> Result<ObjectReply, Error> {
        self.engine.head_object(&self.root, get_request(key, by.read())).await
    }

    pub async fn copy(&self, from: (&str, As), to: (&str, As)) -> Result<Copied, Error> {
        self.engine.copy_object(&self.root, copy_request(from, to)).await
    }

    pub async fn delete(&self, key: &str) {
        self.engine.delete_object(&self.root, BUCKET, key, None, DeleteCondition::default(), false).await.unwrap();
    }

    pub async fn create_upload(&self, key: &str, by: As) -> UploadRef {
        let created = self.engine.create_multipart_upload(&self.root, create_request(key, by.write())).await.unwrap();
        UploadRef { bucket: BUCKET.into(), key: key.into(), upload_id: created.upload_id }
    }

    pub async fn upload_part(&self, upload: &UploadRef, number: i32, by: As, data: &[u8]) -> CompletedPart {
        completed(number, &self.engine.upload_part(&self.root, part_request(upload, number, by, data)).await.unwrap())
    }

    pub async fn complete(&self, upload: &UploadRef, parts: Vec<CompletedPart>) -> Result<Stored, Error> {
        self.engine.complete_multipart_upload(&self.root, complete_request(upload, parts)).await
    }

    /// An object of these parts, numbered from 1.
    pub async fn multipart(&self, key: &str, by: As, parts: &[&[u8]]) -> Stored {
        let upload = self.create_upload(key, by).await;
        let mut done = Vec::new();
        for (number, part) in (1..).zip(parts) {
            done.push(self.upload_part(&upload, number, by, part).await);
        }
        self.complete(&upload, done).await.unwrap()
    }
}

/// How the bytes of an object lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Inline,
    Blob,
    Multipart,
}

pub const SHAPES: [Shape; 3] = [Shape::Inline, Shape::Blob, Shape::Multipart];

impl Shape {
    /// Puts an object of this shape; its data.
    pub async fn put(self, rig: &Rig, key: &str, by: As) -> (Vec<u8>, Stored) {
        match self {
            Self::Inline => {
                let data = data(1000, 1);
                let stored = rig.put(key, by, &data).await;
                (data, stored)
            }
            Self::Blob => {
                let data = data(150_000, 2);
                let stored = rig.put(key, by, &data).await;
                (data, stored)
            }
            Self::Multipart => {
                let data = data(70_000 + 65_536 + 10, 3);
                let parts = [&data[..70_000], &data[70_000..135_536], &data[135_536..]];
                let stored = rig.multipart(key, by, &parts).await;
                (data, stored)
            }
        }
    }
}
