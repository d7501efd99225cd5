//! A verified request, taken apart.

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Body as _;
use s3s::TrailingHeaders;
use strongroom_engine::api::{Body, Caller, CopySource, UploadRef};

use crate::{
    body, checksum, conditions, headers,
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
    pub(crate) body: s3s::Body,
    pub(crate) trailers: Option<TrailingHeaders>,
    pub(crate) caller: Caller,
}

impl Request {
    /// `versionId`
    pub(crate) fn version_id(&self) -> Result<Option<String>, Refusal> {
        Ok(self.query.get_filled("versionId")?.map(str::to_owned))
    }

    /// The upload that `uploadId` names.
    pub(crate) fn upload(&self) -> Result<UploadRef, Refusal> {
        let upload_id = self.query.get("uploadId")?.unwrap_or_default().to_owned();
        Ok(UploadRef { bucket: self.bucket.clone(), key: self.key.clone(), upload_id })
    }

    /// The body as a stream for the engine. Taken once.
    pub(crate) fn take_body(&mut self) -> Result<Body, Refusal> {
        let length = self.body_length()?;
        Ok(Body { stream: body::decoded(std::mem::take(&mut self.body)), length })
    }

    /// A small body, whole, its MD5 and checksum verified. Taken once.
    pub(crate) async fn take_xml(&mut self, max_bytes: usize) -> Result<Bytes, Refusal> {
        let bytes = self.take_xml_of_completion(max_bytes).await?;
        checksum::verify_whole(&self.headers, self.trailers.take(), &bytes)?;
        Ok(bytes)
    }

    /// The body of CompleteMultipartUpload, whole. Its checksum headers are those of the object, not of this body. Taken once.
    pub(crate) async fn take_xml_of_completion(&mut self, max_bytes: usize) -> Result<Bytes, Refusal> {
        if self.body_length()?.is_some_and(|length| length > max_bytes as u64) {
            return Err(Refusal::MessageTooLong);
        }
        let bytes = body::collect(std::mem::take(&mut self.body), max_bytes).await?;
        checksum::verify_md5(&self.headers, &bytes)?;
        Ok(bytes)
    }

    fn body_length(&self) -> Result<Option<u64>, Refusal> {
        let in_chunks = self.headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
        let name = if in_chunks { "x-amz-decoded-content-length" } else { header::CONTENT_LENGTH.as_str() };
        match headers::filled(&self.headers, name)? {
            Some(text) => text.parse().map(Some).map_err(|_| Refusal::InvalidArgument(format!("The header {name} is no length."))),
            None => Ok(self.body.size_hint().exact()),
        }
    }

    /// `x-amz-copy-source` and all that belongs to it.
    pub(crate) fn copy_source(&self) -> Result<CopySource, Refusal> {
        let (bucket, key, version_id) = self.copy_source_name()?;
        let customer = sse::copy_source_key_headers(&self.headers)?;
        let conditions = conditions::read_conditions(&self.headers, "x-amz-copy-source-")?;
        Ok(CopySource { bucket, key, version_id, customer, conditions })
    }

    /// Bucket, key and version of `x-amz-copy-source`: `bucket/key?versionId=id`, percent-encoded.
    pub(crate) fn copy_source_name(&self) -> Result<(String, String, Option<String>), Refusal> {
        let invalid = || Refusal::InvalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey".to_owned());
        let source = headers::filled(&self.headers, "x-amz-copy-source")?.ok_or_else(invalid)?;
        let (path, version) = source.split_once("?versionId=").map_or((source.as_str(), None), |(path, version)| (path, Some(version)));
        let path = decode(path, Plus::IsSpace)?;
        let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(invalid)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid());
        }
        let version = version.map(|version| decode(version, Plus::IsSpace)).transpose()?;
        Ok((bucket.to_owned(), key.to_owned(), version.filter(|version| !version.is_empty())))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use http::{HeaderName, HeaderValue};
    use strongroom_access::{Identity, SecretKey};

    use super::*;

    /// A request of root for `/bucket/key`.
    pub(crate) fn request(query: &str, headers: &[(&'static str, &str)]) -> Request {
        let root = Identity::root("root-key", SecretKey::new("not a secret".to_owned()).unwrap()).unwrap();
        Request {
            bucket: "bucket".to_owned(),
            key: "key".to_owned(),
            query: Query::parse(query).unwrap(),
            headers: headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect(),
            body: s3s::Body::empty(),
            trailers: None,
            caller: Caller {
                identity: Arc::new(root),
                secure: true,
                sse_c_allowed: true,
                expected_owner: None,
                request_id: "0".to_owned(),
                operation: "Test",
            },
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
            let name = request("", &[("x-amz-copy-source", source)]).copy_source_name().unwrap();
            assert_eq!(name, (bucket.to_owned(), key.to_owned(), version.map(str::to_owned)), "{source}");
        }
        for source in ["b", "b/", "/", "//k"] {
            assert!(
                matches!(request("", &[("x-amz-copy-source", source)]).copy_source_name(), Err(Refusal::InvalidArgument(_))),
                "{source}"
            );
        }
    }

    #[test]
    fn the_length_of_a_chunked_body_is_the_decoded_one() {
        let chunked = request(
            "",
            &[
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("content-length", "90"),
                ("x-amz-decoded-content-length", "66"),
            ],
        );
        assert_eq!(chunked.body_length().unwrap(), Some(66));
        assert_eq!(request("", &[("content-length", "90")]).body_length().unwrap(), Some(90));
        assert_eq!(request("", &[]).body_length().unwrap(), Some(0), "there is no body");
        assert!(matches!(request("", &[("content-length", "-1")]).body_length(), Err(Refusal::InvalidArgument(_))));
    }

    #[tokio::test]
    async fn an_xml_body_beyond_the_bound_is_refused_unread() {
        let mut request = request("", &[("content-length", "101")]);
        assert!(matches!(request.take_xml(100).await, Err(Refusal::MessageTooLong)));
    }
}
