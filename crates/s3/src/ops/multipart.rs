//! CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload.

use http::{HeaderName, StatusCode, header};
use strongroom_engine::api::{CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, Stored, UploadPart};

use crate::{
    api::Api,
    authorize::hide_missing,
    checksum, conditions, headers,
    ops::{lifecycle, tagging},
    query::encode,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    sse::{self, Answering},
    xml::{Element, Xml, read},
};

const MAX_PARTS: usize = 10_000;

pub(crate) async fn create(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let create = CreateMultipartUpload {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        headers: headers::object_headers(&request.headers)?,
        attributes: tagging::attributes(request)?,
        sse: sse::sse_headers(&request.headers)?,
        checksum_algorithm: checksum::announced_algorithm(&request.headers, "x-amz-checksum-algorithm")?,
        checksum_kind: checksum::announced_kind(&request.headers)?,
    };
    let created = api.engine.create_multipart_upload(&request.caller, create).await?;
    let mut reply = Reply::xml(Xml::document("InitiateMultipartUploadResult", |xml| {
        xml.text("Bucket", &request.bucket);
        xml.text("Key", &request.key);
        xml.text("UploadId", &created.upload_id);
    }));
    if let Some((algorithm, kind)) = created.checksum {
        reply.header(HeaderName::from_static("x-amz-checksum-algorithm"), algorithm.name())?;
        reply.header(HeaderName::from_static("x-amz-checksum-type"), checksum::kind_name(kind))?;
    }
    lifecycle::answer_abort(&mut reply, created.abort.as_ref())?;
    sse::answer(&mut reply, &created.sse, Answering::Write)?;
    Ok(reply)
}

pub(crate) async fn upload_part(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let upload_part = UploadPart {
        upload: request.upload()?,
        part_number: part_number(&request)?,
        sse: sse::sse_headers(&request.headers)?,
        content_md5: headers::value(&request.headers, "content-md5")?,
        checksum: checksum::upload_checksum(&request.headers, request.trailers())?,
        body: request.take_body()?,
    };
    let part = api.engine.upload_part(&request.caller, upload_part).await?;
    let mut reply = Reply::ok();
    reply.header(header::ETAG, &headers::quoted(&part.etag))?;
    checksum::answer_value(&mut reply, part.checksum.as_ref())?;
    sse::answer(&mut reply, &part.sse, Answering::Other)?;
    Ok(reply)
}

/// `partNumber` as a number; whether it is one that a part can have is the engine's business.
pub(super) fn part_number(request: &Request) -> Result<i32, Refusal> {
    let text = request.query.get("partNumber")?.unwrap_or_default();
    text.parse().map_err(|_| Refusal::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive".to_owned()))
}

pub(crate) async fn complete(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let parts = completed_parts(&request.take_xml_of_completion(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    let complete = CompleteMultipartUpload {
        upload: request.upload()?,
        parts,
        sse: sse::sse_headers(&request.headers)?,
        checksum: checksum::header_checksum(&request.headers)?,
        checksum_kind: checksum::announced_kind(&request.headers)?,
        object_size_bytes: object_size(&request)?,
        condition: conditions::write_condition(&request.headers)?,
    };
    let stored = api.engine.complete_multipart_upload(&request.caller, complete).await;
    completed(&request, &stored.map_err(|error| hide_missing(&request, &request.bucket, error))?)
}

fn completed(request: &Request, stored: &Stored) -> Result<Reply, Refusal> {
    let scheme = if request.caller.secure { "https" } else { "http" };
    let host = headers::value(&request.headers, "host")?.unwrap_or_default();
    let mut reply = Reply::xml(Xml::document("CompleteMultipartUploadResult", |xml| {
        xml.text("Location", &format!("{scheme}://{host}/{}/{}", request.bucket, encode(&request.key)));
        xml.text("Bucket", &request.bucket);
        xml.text("Key", &request.key);
        xml.etag(&stored.etag);
        checksum::write_typed(xml, stored.checksum.as_ref());
    }));
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), stored.version_id.as_deref())?;
    lifecycle::answer_expiry(&mut reply, stored.expiry.as_ref())?;
    sse::answer(&mut reply, &stored.sse, Answering::Other)?;
    Ok(reply)
}

pub(crate) fn completed_parts(body: &[u8]) -> Result<Vec<CompletedPart>, Refusal> {
    read(body, "CompleteMultipartUpload", |root| {
        let mut parts = Vec::new();
        root.children(|name, element| {
            if name == "Part" {
                parts.push(completed_part(element)?);
            }
            if parts.len() > MAX_PARTS { Err(Refusal::MalformedXml) } else { Ok(()) }
        })?;
        if parts.is_empty() { Err(Refusal::MalformedXml) } else { Ok(parts) }
    })
}

fn completed_part(element: &mut Element<'_, '_>) -> Result<CompletedPart, Refusal> {
    let (mut number, mut etag, mut checksum) = (None, None, None);
    element.children(|name, element| match name {
        "PartNumber" => element.value_into(&mut number),
        "ETag" => element.text_into(&mut etag),
        name => match checksum::by_element_name(name) {
            Some(_) if checksum.is_some() => Err(Refusal::MalformedXml),
            Some(algorithm) => {
                checksum = Some((algorithm, element.text()?));
                Ok(())
            }
            None => Ok(()),
        },
    })?;
    let etag = etag.ok_or(Refusal::MalformedXml)?;
    Ok(CompletedPart { number: number.ok_or(Refusal::MalformedXml)?, etag: conditions::bare(&etag).to_owned(), checksum })
}

fn object_size(request: &Request) -> Result<Option<u64>, Refusal> {
    let invalid = |_| Refusal::InvalidArgument("Value for x-amz-mp-object-size header is invalid.".to_owned());
    headers::filled(&request.headers, "x-amz-mp-object-size")?.map(|text| text.parse().map_err(invalid)).transpose()
}

pub(crate) async fn abort(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.abort_multipart_upload(&request.upload()?).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_engine::api::ChecksumAlgorithm;

    use super::*;

    #[test]
    fn the_parts_of_a_completion_are_read() {
        let body = b"<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                     <Part><PartNumber>1</PartNumber><ETag>&quot;abc&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>\
                     <Part><PartNumber>3</PartNumber><ETag>def</ETag></Part></CompleteMultipartUpload>";
        let parts = completed_parts(body).unwrap();
        assert_eq!((parts[0].number, parts[0].etag.as_str()), (1, "abc"));
        assert_eq!(parts[0].checksum, Some((ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned())));
        assert_eq!((parts[1].number, parts[1].etag.as_str()), (3, "def"));
        assert_eq!(parts[1].checksum, None);
    }

    #[test]
    fn a_completion_without_parts_or_with_half_a_part_is_malformed() {
        let body = |parts: &str| format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let too_many = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>".repeat(10_001);
        for parts in ["", "<Part><PartNumber>1</PartNumber></Part>", "<Part><ETag>a</ETag></Part>", &too_many] {
            assert!(matches!(completed_parts(body(parts).as_bytes()), Err(Refusal::MalformedXml)));
        }
        assert!(matches!(completed_parts(b""), Err(Refusal::MalformedXml)));
    }

    #[test]
    fn ten_thousand_parts_with_checksums_fit_the_bound_of_a_body() {
        let part = "<Part><PartNumber>10000</PartNumber><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag>\
                    <ChecksumSHA512>CHECKSUM</ChecksumSHA512></Part>";
        // The longest that there are: 64 bytes.
        let part = part.replace("CHECKSUM", &format!("{}==", "A".repeat(86)));
        let body = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", part.repeat(10_000));
        assert!(body.len() <= crate::S3Options::default().max_xml_bytes);
        assert_eq!(completed_parts(body.as_bytes()).unwrap().len(), 10_000);
    }
}
