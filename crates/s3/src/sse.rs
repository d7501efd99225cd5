//! Encryption headers, in and out. What they mean is the engine's business: here they are only carried.

use http::{HeaderMap, HeaderName};
use strongroom_engine::api::{CustomerKeyHeaders, Mode, SseHeaders, SseReply};
use zeroize::Zeroizing;

use crate::{headers, refusal::Refusal, reply::Reply};

/// Headers whose values are secrets: never shown by `Debug`, and so in no log.
pub(crate) const SECRET_HEADERS: [&str; 3] =
    ["authorization", "x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key"];

const SSE: &str = "x-amz-server-side-encryption";
const KMS_KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CUSTOMER_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const CUSTOMER_KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

/// Every encryption header of a request, also where the operation takes none, so that the engine can refuse it.
pub(crate) fn sse_headers(map: &HeaderMap) -> Result<SseHeaders, Refusal> {
    Ok(SseHeaders {
        algorithm: headers::value(map, SSE)?,
        kms_key_id: headers::value(map, KMS_KEY_ID)?,
        kms_context: headers::value(map, CONTEXT)?,
        bucket_key_enabled: headers::value(map, BUCKET_KEY)?.map(|value| boolean(&value)).transpose()?,
        customer: customer_key_headers(map, "x-amz-")?,
    })
}

/// The SSE-C trio of a copy's source.
pub(crate) fn copy_source_key_headers(map: &HeaderMap) -> Result<CustomerKeyHeaders, Refusal> {
    customer_key_headers(map, "x-amz-copy-source-")
}

fn customer_key_headers(map: &HeaderMap, prefix: &str) -> Result<CustomerKeyHeaders, Refusal> {
    let value = |name: &str| headers::value(map, &format!("{prefix}server-side-encryption-customer-{name}"));
    Ok(CustomerKeyHeaders { algorithm: value("algorithm")?, key: value("key")?.map(Zeroizing::new), key_md5: value("key-md5")? })
}

fn boolean(value: &str) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(Refusal::InvalidArgument(format!("The header {BUCKET_KEY} must be true or false.")))
    }
}

/// Which response the headers are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    /// PutObject, CopyObject, CreateMultipartUpload: with the encryption context.
    Write,
    /// All others.
    Other,
}

/// The encryption headers of a response.
pub(crate) fn answer(reply: &mut Reply, sse: &SseReply, answering: Answering) -> Result<(), Refusal> {
    let algorithm = match sse.mode {
        Mode::Store => return Ok(()),
        Mode::SseC => {
            reply.header(HeaderName::from_static(CUSTOMER_ALGORITHM), "AES256")?;
            return reply.optional_header(HeaderName::from_static(CUSTOMER_KEY_MD5), sse.customer_key_md5.as_deref());
        }
        Mode::SseS3 => "AES256",
        Mode::SseKms => "aws:kms",
        Mode::DsseKms => "aws:kms:dsse",
    };
    reply.header(HeaderName::from_static(SSE), algorithm)?;
    reply.optional_header(HeaderName::from_static(KMS_KEY_ID), sse.kms_key_id.as_deref())?;
    if sse.bucket_key_enabled {
        reply.header(HeaderName::from_static(BUCKET_KEY), "true")?;
    }
    if answering == Answering::Write {
        reply.optional_header(HeaderName::from_static(CONTEXT), sse.kms_context.as_deref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    fn answered(sse: &SseReply, answering: Answering) -> Vec<(String, String)> {
        let mut reply = Reply::ok();
        answer(&mut reply, sse, answering).unwrap();
        let mut pairs: Vec<_> = reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        pairs.sort();
        pairs
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.sort();
        pairs
    }

    fn sse(mode: Mode) -> SseReply {
        SseReply {
            mode,
            kms_key_id: Some("key-1".to_owned()),
            bucket_key_enabled: true,
            kms_context: Some("e30=".to_owned()),
            customer_key_md5: Some("MD5==".to_owned()),
        }
    }

    #[test]
    fn each_mode_answers_its_headers_and_no_others() {
        assert_eq!(answered(&sse(Mode::Store), Answering::Write), pairs(&[]));
        assert_eq!(answered(&sse(Mode::SseC), Answering::Write), pairs(&[(CUSTOMER_ALGORITHM, "AES256"), (CUSTOMER_KEY_MD5, "MD5==")]));
        let plain = SseReply { bucket_key_enabled: false, kms_context: None, ..sse(Mode::SseS3) };
        assert_eq!(answered(&plain, Answering::Write), pairs(&[(SSE, "AES256"), (KMS_KEY_ID, "key-1")]));
        for (mode, name) in [(Mode::SseKms, "aws:kms"), (Mode::DsseKms, "aws:kms:dsse")] {
            assert_eq!(
                answered(&sse(mode), Answering::Write),
                pairs(&[(SSE, name), (KMS_KEY_ID, "key-1"), (BUCKET_KEY, "true"), (CONTEXT, "e30=")])
            );
            assert_eq!(answered(&sse(mode), Answering::Other), pairs(&[(SSE, name), (KMS_KEY_ID, "key-1"), (BUCKET_KEY, "true")]));
        }
    }

    #[test]
    fn the_engine_sees_the_headers_as_they_came() {
        let map = HeaderMap::from_iter([
            (HeaderName::from_static(SSE), HeaderValue::from_static("")),
            (HeaderName::from_static(BUCKET_KEY), HeaderValue::from_static("True")),
            (HeaderName::from_static("x-amz-server-side-encryption-customer-key"), HeaderValue::from_static("not base64")),
        ]);
        let headers = sse_headers(&map).unwrap();
        assert_eq!(headers.algorithm.as_deref(), Some(""));
        assert_eq!(headers.bucket_key_enabled, Some(true));
        assert_eq!(headers.customer.key.unwrap().as_str(), "not base64");
        assert!(headers.customer.algorithm.is_none());
        assert!(!copy_source_key_headers(&map).unwrap().any());
    }

    #[test]
    fn a_bucket_key_that_is_neither_true_nor_false_is_refused() {
        let map = HeaderMap::from_iter([(HeaderName::from_static(BUCKET_KEY), HeaderValue::from_static("yes"))]);
        assert!(matches!(sse_headers(&map), Err(Refusal::InvalidArgument(_))));
    }
}
