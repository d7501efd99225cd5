//! A verified request, taken apart.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use strongroom_access::{BucketRules, Conditions};
use strongroom_engine::{
    Error,
    api::{Body, Caller, CopySource, ObjectVersion, UploadRef},
    budget::Budget,
};

use crate::{
    body::{Decoded, Trailers, collect},
    checksum, conditions,
    form::Form,
    headers,
    query::{Plus, Query, decode},
    refusal::Refusal,
    sse,
};

/// What an operation works on.
pub(crate) struct Request {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// None once it was taken.
    pub(crate) body: Option<Decoded>,
    /// Of POST Object. None once it was taken.
    pub(crate) form: Option<Form>,
    pub(crate) caller: Caller,
    /// In a box, since every future on the way has room for a request.
    pub(crate) access: Box<Access>,
}

/// What requests are decided by besides the caller's own policies.
pub(crate) struct Access {
    /// What the bucket of the path says; none where there is none.
    pub(crate) bucket: Option<Arc<BucketRules>>,
    /// What the bucket of a copy's source says.
    pub(crate) source: Option<Arc<BucketRules>>,
    /// What holds of the request, whatever it is for.
    pub(crate) conditions: Conditions,
}

impl Access {
    /// Before the buckets are looked up.
    pub(crate) fn new(conditions: Conditions) -> Box<Self> {
        Box::new(Self { bucket: None, source: None, conditions })
    }
}

impl Request {
    /// What the bucket says: that of the path, or that of the copy's source.
    pub(crate) fn rules_of(&self, bucket: &str) -> Option<&BucketRules> {
        if bucket == self.bucket { self.access.bucket.as_deref() } else { self.access.source.as_deref() }
    }

    /// `versionId`
    pub(crate) fn version_id(&self) -> Result<Option<String>, Refusal> {
        Ok(self.query.get_filled("versionId")?.map(str::to_owned))
    }

    /// The version of the path's object that the request names.
    pub(crate) fn object_version(&self) -> Result<ObjectVersion, Refusal> {
        Ok(ObjectVersion { bucket: self.bucket.clone(), key: self.key.clone(), version_id: self.version_id()? })
    }

    /// The upload that `uploadId` names.
    pub(crate) fn upload(&self) -> Result<UploadRef, Refusal> {
        let upload_id = self.query.get("uploadId")?.unwrap_or_default().to_owned();
        Ok(UploadRef { bucket: self.bucket.clone(), key: self.key.clone(), upload_id })
    }

    /// Where the body's trailers will be.
    pub(crate) fn trailers(&self) -> Trailers {
        self.body.as_ref().map(Decoded::trailers).unwrap_or_default()
    }

    /// The body as a stream for the engine. Its length must be known before it comes, as at Amazon. Taken once.
    pub(crate) fn take_body(&mut self) -> Result<Body, Refusal> {
        let Some(body) = self.body.take() else { return Ok(Body { length: Some(0), stream: Box::pin(stream::empty()) }) };
        let length = Some(body.announced_bytes().ok_or(Error::MissingContentLength)?);
        Ok(Body { length, stream: Box::pin(body) })
    }

    /// A small body, whole, its MD5 and checksum verified. Taken once.
    pub(crate) async fn take_xml(&mut self, max_bytes: usize, budget: &Budget) -> Result<Bytes, Refusal> {
        let trailers = self.trailers();
        let bytes = self.take_xml_of_completion(max_bytes, budget).await?;
        checksum::verify_whole(&self.headers, trailers, &bytes)?;
        Ok(bytes)
    }

    /// The body of CompleteMultipartUpload, whole. Its checksum headers are those of the object, not of this body. Taken once.
    pub(crate) async fn take_xml_of_completion(&mut self, max_bytes: usize, budget: &Budget) -> Result<Bytes, Refusal> {
        let bytes = match self.body.take() {
            Some(body) => collect(body, max_bytes, budget).await?,
            None => Bytes::new(),
        };
        checksum::verify_md5(&self.headers, &bytes)?;
        Ok(bytes)
    }

    /// `x-amz-copy-source` and all that belongs to it.
    pub(crate) fn copy_source(&self) -> Result<CopySource, Refusal> {
        let (bucket, key, version_id) = copy_source_name(&self.headers)?;
        let customer = sse::copy_source_key_headers(&self.headers)?;
        let conditions = conditions::read_conditions(&self.headers, "x-amz-copy-source-")?;
        Ok(CopySource { bucket, key, version_id, customer, conditions })
    }
}

/// Bucket, key and version of `x-amz-copy-source`: `bucket/key?versionId=id`, percent-encoded.
pub(crate) fn copy_source_name(headers: &HeaderMap) -> Result<(String, String, Option<String>), Refusal> {
    let invalid = || Refusal::InvalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey".to_owned());
    let source = headers::filled(headers, "x-amz-copy-source")?.ok_or_else(invalid)?;
    let (path, version) = source.split_once("?versionId=").map_or((source.as_str(), None), |(path, version)| (path, Some(version)));
    let path = decode(path, Plus::IsSpace)?;
    let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(invalid)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(invalid());
    }
    let version = version.map(|version| decode(version, Plus::IsSpace)).transpose()?;
    Ok((bucket.to_owned(), key.to_owned(), version.filter(|version| !version.is_empty())))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderName, HeaderValue};
    use strongroom_access::{Identity, SecretKey};
    use strongroom_engine::api::Seen;

    use super::*;

    /// A request of root for `/bucket/key`.
    pub(crate) fn request(query: &str, headers: &[(&'static str, &str)]) -> Request {
        let root = Identity::root("root-key", SecretKey::new("not a secret".to_owned()).unwrap()).unwrap();
        Request {
            bucket: "bucket".to_owned(),
            key: "key".to_owned(),
            query: Query::parse(query).unwrap(),
            headers: headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect(),
            body: None,
            form: None,
            caller: Caller {
                identity: Arc::new(root),
                secure: true,
                sse_c_allowed: true,
                expected_owner: None,
                seen: Seen::default(),
                request_id: "0".to_owned(),
                peer: None,
                operation: "Test",
            },
            access: Access::new(Conditions::new(true)),
        }
    }

    #[test]
    fn a_copy_source_is_decoded() {
        let rows = [
            ("b/k", ("b", "k", None)),
            ("/b/a//k/", ("b", "a//k/", None)),
            ("b/k%2B%20%C3%BC+x", ("b", "k+ ü x", None)),
            ("b/k?versionId=v%2F1", ("b", "k", Some("v/1"))),
            ("b%2Fk", ("b", "k", None)),
            ("b/%3FversionId", ("b", "?versionId", None)),
        ];
        for (source, (bucket, key, version)) in rows {
            let name = copy_source_name(&request("", &[("x-amz-copy-source", source)]).headers).unwrap();
            assert_eq!(name, (bucket.to_owned(), key.to_owned(), version.map(str::to_owned)), "{source}");
        }
        for source in ["b", "b/", "/", "//k"] {
            assert!(
                matches!(copy_source_name(&request("", &[("x-amz-copy-source", source)]).headers), Err(Refusal::InvalidArgument(_))),
                "{source}"
            );
        }
    }
}
