//! PutObject, GetObject, HeadObject.

use http::{HeaderName, StatusCode, header};
use strongroom_engine::{
    Error,
    api::{Body, GetObject, ObjectReply, PutObject, ReadConditions, Stored},
};

use crate::{
    api::Api,
    authorize::hide_missing,
    body::Trailers,
    checksum, conditions, headers, lock,
    ops::{lifecycle, tagging},
    refusal::Refusal,
    reply::{Payload, Reply},
    request::Request,
    sse::{self, Answering},
};

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let (trailers, body) = (request.trailers(), request.take_body()?);
    let stored = api.engine.put_object(&request.caller, put_request(&request, body, trailers)?).await;
    answer_put(&stored.map_err(|error| hide_missing(&request, &request.bucket, error))?)
}

/// What the headers say of an object, and its bytes.
pub(super) fn put_request(request: &Request, body: Body, trailers: Trailers) -> Result<PutObject, Refusal> {
    Ok(PutObject {
        by_form: false,
        headers: headers::object_headers(&request.headers)?,
        attributes: tagging::attributes(request)?,
        sse: sse::sse_headers(&request.headers)?,
        content_md5: headers::value(&request.headers, "content-md5")?,
        checksum: checksum::upload_checksum(&request.headers, trailers)?,
        condition: conditions::write_condition(&request.headers)?,
        body,
        bucket: request.bucket.clone(),
        key: request.key.clone(),
    })
}

/// What the response to a PUT says of the object.
fn answer_put(stored: &Stored) -> Result<Reply, Refusal> {
    let mut reply = Reply::ok();
    reply.header(header::ETAG, &headers::quoted(&stored.etag))?;
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), stored.version_id.as_deref())?;
    checksum::answer(&mut reply, stored.checksum.as_ref())?;
    lifecycle::answer_expiry(&mut reply, stored.expiry.as_ref())?;
    sse::answer(&mut reply, &stored.sse, Answering::Write)?;
    Ok(reply)
}

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    match api.engine.get_object(&request.caller, read(request)?).await {
        Ok(object) => answer(request, object),
        Err(error) => Err(refuse_read(api, request, error).await),
    }
}

pub(crate) async fn head(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    match api.engine.head_object(&request.caller, read(request)?).await {
        Ok(object) => answer(request, object),
        Err(error) => Err(refuse_read(api, request, error).await),
    }
}

fn read(request: &Request) -> Result<GetObject, Refusal> {
    Ok(GetObject {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        version_id: request.version_id()?,
        range: conditions::range(&request.headers)?,
        if_range: conditions::if_range(&request.headers)?,
        part_number: part_number(request)?,
        conditions: conditions::read_conditions(&request.headers, "")?,
        sse: sse::sse_headers(&request.headers)?,
        checksum_mode: wants_checksum(request)?,
    })
}

fn part_number(request: &Request) -> Result<Option<u32>, Refusal> {
    let invalid = || Refusal::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive".to_owned());
    let Some(text) = request.query.get("partNumber")? else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.map(Some).ok_or_else(invalid)
}

fn answer(request: &Request, object: ObjectReply) -> Result<Reply, Refusal> {
    let ObjectReply { info, first_byte, length, partial, checksum, body } = object;
    let mut reply = Reply::empty(if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    headers::describe(&mut reply, &info, &request.query)?;
    tagging::answer_count(&mut reply, request, &info)?;
    lock::answer(&mut reply, request, &info)?;
    lifecycle::answer_expiry(&mut reply, info.expiry.as_ref())?;
    sse::answer(&mut reply, &info.sse, Answering::Other)?;
    reply.header(header::ACCEPT_RANGES, "bytes")?;
    reply.headers.insert(header::CONTENT_LENGTH, length.into());
    if partial && length > 0 {
        let last_byte = first_byte + length - 1;
        reply.header(header::CONTENT_RANGE, &format!("bytes {first_byte}-{last_byte}/{}", info.size_bytes))?;
    }
    if request.query.has("partNumber")
        && let Some(count) = info.parts_count
    {
        reply.headers.insert(HeaderName::from_static("x-amz-mp-parts-count"), count.into());
    }
    if wants_checksum(request)? {
        checksum::answer(&mut reply, checksum.as_ref())?;
    }
    if let Some(stream) = body {
        reply.payload = Payload::Stream { stream, left_bytes: length };
    }
    Ok(reply)
}

fn wants_checksum(request: &Request) -> Result<bool, Refusal> {
    Ok(headers::filled(&request.headers, "x-amz-checksum-mode")?.is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")))
}

/// Why the object is not answered. "Not modified" repeats the validators, so they are looked up.
async fn refuse_read(api: &Api, request: &Request, error: Error) -> Refusal {
    if !matches!(error, Error::NotModified) {
        return hide_missing(request, &request.bucket, error);
    }
    let unconditional = match read(request) {
        Ok(read) => GetObject { conditions: ReadConditions::default(), range: None, part_number: None, ..read },
        Err(refusal) => return refusal,
    };
    match api.engine.head_object(&request.caller, unconditional).await {
        Ok(object) => Refusal::NotModified { etag: object.info.etag, modified_ms: object.info.modified_ms },
        Err(error) => Refusal::Engine(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_engine::api::{Checksum, ChecksumAlgorithm, ChecksumKind, Mode, ObjectHeaders, ObjectInfo, ObjectLock, SseReply};

    use super::*;
    use crate::request::tests::request;

    fn object(first_byte: u64, length: u64, partial: bool) -> ObjectReply {
        let info = ObjectInfo {
            key: "key".to_owned(),
            etag: "abc-2".to_owned(),
            version_id: None,
            size_bytes: 10,
            modified_ms: 1_445_412_480_999,
            headers: ObjectHeaders { user: [("a".to_owned(), "b".to_owned())].into(), ..ObjectHeaders::default() },
            sse: SseReply { mode: Mode::Store, kms_key_id: None, bucket_key_enabled: false, kms_context: None, customer_key_md5: None },
            checksum: Some(Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, value: "AAAAAA==".to_owned() }),
            parts_count: Some(2),
            tag_count: 0,
            lock: ObjectLock::default(),
            expiry: None,
        };
        ObjectReply { checksum: info.checksum.clone().filter(|_| !partial), info, first_byte, length, partial, body: None }
    }

    fn header(reply: &Reply, name: &str) -> Option<String> {
        reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_whole_object_is_described() {
        let reply = answer(&request("", &[("x-amz-checksum-mode", "ENABLED")]), object(0, 10, false)).unwrap();
        assert_eq!(reply.status, 200);
        for (name, value) in [
            ("content-length", "10"),
            ("content-type", "binary/octet-stream"),
            ("etag", "\"abc-2\""),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("accept-ranges", "bytes"),
            ("x-amz-meta-a", "b"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-type", "FULL_OBJECT"),
        ] {
            assert_eq!(header(&reply, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(header(&reply, "content-range"), None);
        assert_eq!(header(&reply, "x-amz-mp-parts-count"), None);
    }

    #[test]
    fn a_range_is_described_without_the_checksum_of_the_whole() {
        let reply = answer(&request("partNumber=2", &[("x-amz-checksum-mode", "ENABLED")]), object(4, 6, true)).unwrap();
        assert_eq!(reply.status, 206);
        assert_eq!(header(&reply, "content-range").as_deref(), Some("bytes 4-9/10"));
        assert_eq!(header(&reply, "content-length").as_deref(), Some("6"));
        assert_eq!(header(&reply, "x-amz-mp-parts-count").as_deref(), Some("2"));
        assert_eq!(header(&reply, "x-amz-checksum-crc32"), None);
    }

    #[test]
    fn overrides_of_the_query_win_and_must_be_header_values() {
        let reply = answer(&request("response-content-type=text%2Fplain", &[]), object(0, 10, false)).unwrap();
        assert_eq!(header(&reply, "content-type").as_deref(), Some("text/plain"));
        let split = answer(&request("response-content-type=a%0d%0aSet-Cookie:x", &[]), object(0, 10, false));
        assert!(matches!(split, Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn part_numbers_lie_between_1_and_10_000() {
        assert_eq!(part_number(&request("partNumber=10000", &[])).unwrap(), Some(10_000));
        for text in ["0", "10001", "-1", "x", ""] {
            assert!(matches!(part_number(&request(&format!("partNumber={text}"), &[])), Err(Refusal::InvalidArgument(_))), "{text}");
        }
    }
}
