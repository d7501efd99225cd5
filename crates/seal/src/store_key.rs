//! The store key and the metadata records sealed under it.

use subtle::ConstantTimeEq;

use crate::encoding::Fields;
use crate::error::check_version;
use crate::keys::key_from_slice;
use crate::provider::{AeadKey, KeyBytes, Prk, TAG_LEN, ZERO_NONCE, hmac_sha256, random_key};
use crate::{ExternalKey, ExternalKeys, FORMAT_VERSION, SealError, random_array};

const STORE_DOMAIN: &[u8] = b"strongroom v1 store";
const STORE_EK_DOMAIN: &str = "strongroom v1 store ek";
const FINGERPRINT_DOMAIN: &str = "strongroom v1 fingerprint";
const RECORD_DOMAIN: &str = "strongroom v1 record";
const RECORD_SALT_LEN: usize = 32;
const RECORD_HEADER_LEN: usize = 1 + RECORD_SALT_LEN;

/// What a record describes; a record of one kind never opens as one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A version of an object.
    Version = 1,
    /// A multipart upload.
    Upload = 2,
    /// A part of a multipart upload.
    Part = 3,
    /// A document of the store itself: key management's, or a job's.
    Document = 4,
}

/// The key of the whole store: seals metadata records, so that listing never calls the KMS, and objects for which no
/// encryption was asked.
pub struct StoreKey {
    bytes: KeyBytes,
    prk: Prk,
    external_key: KeyBytes,
}

impl StoreKey {
    /// A fresh random key.
    pub fn generate() -> Result<Self, SealError> {
        Self::new(random_key())
    }

    /// The key as the KMS unwrapped it, 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        Self::new(key_from_slice(bytes)?)
    }

    fn new(bytes: KeyBytes) -> Result<Self, SealError> {
        let prk = Prk::extract(bytes.as_slice(), STORE_DOMAIN)?;
        let external_key = prk.expand(&mut Fields::new(STORE_EK_DOMAIN).into_bytes())?;
        Ok(Self { bytes, prk, external_key })
    }

    /// The key itself, for the KMS to wrap. Never do anything else with it: no log, no copy, no other derivation.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The external key of [`Mode::Store`](crate::Mode::Store).
    pub fn external_keys(&self) -> ExternalKeys {
        ExternalKeys::single(ExternalKey::from_bytes(*self.external_key))
    }

    /// Seals a record for the row that `fields` name (bucket id, object key, version id, …).
    pub fn seal_record(&self, kind: RecordKind, fields: &[&[u8]], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_record_with_salt(kind, fields, plaintext, &random_array())
    }

    /// Never call this with a salt that was used before: the same key would seal twice under one nonce.
    pub(crate) fn seal_record_with_salt(
        &self,
        kind: RecordKind,
        fields: &[&[u8]],
        plaintext: &[u8],
        salt: &[u8; RECORD_SALT_LEN],
    ) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(RECORD_HEADER_LEN + plaintext.len() + TAG_LEN);
        out.push(FORMAT_VERSION);
        out.extend_from_slice(salt);
        out.extend_from_slice(plaintext);
        let (key, head) = self.record_key(kind, salt)?;
        let aad = record_aad(head, kind, fields);
        let tag = key.seal_in_place(ZERO_NONCE, aad.as_slice(), &mut out[RECORD_HEADER_LEN..])?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens a record with the kind and the fields that it was sealed for.
    pub fn open_record(&self, kind: RecordKind, fields: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(self.open_record_in_place(kind, fields, &mut sealed.to_vec())?.to_vec())
    }

    /// As [`open_record`](Self::open_record), in the memory of the record: for listings, which open a thousand.
    pub fn open_record_in_place<'a>(&self, kind: RecordKind, fields: &[&[u8]], sealed: &'a mut [u8]) -> Result<&'a [u8], SealError> {
        let (&mut version, body) = sealed.split_first_mut().ok_or(SealError::Malformed("record"))?;
        check_version(version)?;
        let (salt, body) = body.split_first_chunk_mut::<RECORD_SALT_LEN>().ok_or(SealError::Malformed("record"))?;
        let (key, head) = self.record_key(kind, salt)?;
        let aad = record_aad(head, kind, fields);
        key.open_in_place(ZERO_NONCE, aad.as_slice(), body).map(|opened| &*opened).ok_or(SealError::RecordRejected)
    }

    /// A keyed fingerprint of `fields`: equal for equal fields, and telling nothing about them without the key.
    pub fn fingerprint(&self, fields: &[&[u8]]) -> Result<[u8; 32], SealError> {
        let key = self.prk.expand(&mut Fields::new(FINGERPRINT_DOMAIN).into_bytes())?;
        let fields = fields.iter().fold(Fields::new(FINGERPRINT_DOMAIN), |all, field| all.with(field));
        Ok(hmac_sha256(key.as_slice(), fields.as_slice()))
    }

    /// Whether `fingerprint` is the [`fingerprint`](Self::fingerprint) of `fields`. Takes the same time wherever they differ.
    pub fn verify_fingerprint(&self, fields: &[&[u8]], fingerprint: &[u8]) -> Result<bool, SealError> {
        Ok(self.fingerprint(fields)?.ct_eq(fingerprint).into())
    }

    /// The record's key, and the memory of its derivation with the domain of records in it: the beginning of [`record_aad`].
    fn record_key(&self, kind: RecordKind, salt: &[u8]) -> Result<(AeadKey, Fields), SealError> {
        let mut info = Fields::new(RECORD_DOMAIN).with(&[kind as u8]).with(salt).into_bytes();
        let key = AeadKey::new(&self.prk.expand(&mut info)?)?;
        Ok((key, Fields::within(info, RECORD_DOMAIN)))
    }
}

fn record_aad(head: Fields, kind: RecordKind, fields: &[&[u8]]) -> Fields {
    fields.iter().fold(head.with(&[FORMAT_VERSION]).with(&[kind as u8]), |aad, field| aad.with(field))
}
