//! CopyObject and UploadPartCopy.

use http::{HeaderName, header};
use strongroom_access::Action;
use strongroom_engine::{
    Error,
    api::{CopyObject, TagsOfCopy, UploadPartCopy},
};

use crate::{
    api::Api,
    authorize::{hide_missing, may_on, may_on_object},
    checksum, conditions, headers, lock,
    ops::{acl, lifecycle, multipart::part_number, tagging},
    refusal::Refusal,
    reply::Reply,
    request::{Request, copy_source_name},
    sse::{self, Answering},
    xml::Xml,
};

pub(crate) async fn object(api: &Api, request: Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let map = &request.headers;
    let copy = CopyObject {
        source: request.copy_source()?,
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        headers: if replaces_metadata(&request)? { Some(headers::object_headers(map)?) } else { None },
        storage_class: given_storage_class(&request)?,
        website_redirect_location: headers::filled(map, "x-amz-website-redirect-location")?,
        tags: tags_of_copy(&request)?,
        lock: lock::given(map)?,
        acl: acl::of_new_object(&request)?.map(Box::new),
        sse: sse::sse_headers(map)?,
        checksum_algorithm: checksum::announced_algorithm(map, "x-amz-checksum-algorithm")?,
        condition: conditions::write_condition(map)?,
    };
    let source_bucket = copy.source.bucket.clone();
    let copied =
        api.engine.copy_object(&request.caller, copy).await.map_err(|error| refuse_object_copy(&request, &source_bucket, error))?;
    let mut reply = Reply::xml(Xml::document("CopyObjectResult", |xml| {
        xml.time("LastModified", copied.modified_ms);
        xml.etag(&copied.stored.etag);
        checksum::write_typed(xml, copied.stored.checksum.as_ref());
    }));
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), copied.stored.version_id.as_deref())?;
    reply.optional_header(HeaderName::from_static("x-amz-copy-source-version-id"), copied.source_version_id.as_deref())?;
    lifecycle::answer_expiry(&mut reply, copied.stored.expiry.as_ref())?;
    sse::answer(&mut reply, &copied.stored.sse, Answering::Write)?;
    Ok(reply)
}

pub(crate) async fn part(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let copy = UploadPartCopy {
        upload: request.upload()?,
        part_number: part_number(request)?,
        source: request.copy_source()?,
        range: conditions::copy_range(&request.headers)?,
        sse: sse::sse_headers(&request.headers)?,
    };
    let source_bucket = copy.source.bucket.clone();
    let copied = api.engine.upload_part_copy(&request.caller, copy).await.map_err(|error| refuse_copy(request, &source_bucket, error))?;
    let mut reply = Reply::xml(Xml::document("CopyPartResult", |xml| {
        xml.time("LastModified", copied.modified_ms);
        xml.etag(&copied.part.etag);
        checksum::write_value(xml, copied.part.checksum.as_ref());
    }));
    reply.optional_header(HeaderName::from_static("x-amz-copy-source-version-id"), copied.source_version_id.as_deref())?;
    sse::answer(&mut reply, &copied.part.sse, Answering::Other)?;
    Ok(reply)
}

/// With `If-Match`, it may be the target that is not there.
fn refuse_object_copy(request: &Request, source_bucket: &str, error: Error) -> Refusal {
    match refuse_copy(request, source_bucket, error) {
        Refusal::Engine(error) if request.headers.contains_key(header::IF_MATCH) => hide_missing(request, &request.bucket, error),
        refusal => refusal,
    }
}

/// A copy whose source's conditions do not hold has failed, also where a read would have been "not modified".
fn refuse_copy(request: &Request, source_bucket: &str, error: Error) -> Refusal {
    match error {
        Error::NotModified => Refusal::Engine(Error::PreconditionFailed),
        error => hide_missing(request, source_bucket, error),
    }
}

fn replaces_metadata(request: &Request) -> Result<bool, Refusal> {
    match headers::filled(&request.headers, "x-amz-metadata-directive")?.as_deref() {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Refusal::InvalidArgument("Unknown metadata directive.".to_owned())),
    }
}

/// The source's tags are copied by whoever may read them and set the target's.
fn tags_of_copy(request: &Request) -> Result<TagsOfCopy, Refusal> {
    match headers::filled(&request.headers, "x-amz-tagging-directive")?.as_deref() {
        None | Some("COPY") => {
            let (bucket, key, version) = copy_source_name(&request.headers)?;
            let read = if version.is_some() { Action::GetObjectVersionTagging } else { Action::GetObjectTagging };
            let permitted = may_on(request, read, &bucket, &key) && may_on_object(request, Action::PutObjectTagging);
            Ok(TagsOfCopy::Keep { permitted })
        }
        Some("REPLACE") => Ok(TagsOfCopy::Replace(tagging::of_header(&request.headers)?)),
        Some(_) => Err(Refusal::InvalidArgument("Unknown tagging directive.".to_owned())),
    }
}

/// The class that the request names, also STANDARD: a copy to STANDARD is a change where the source has another.
fn given_storage_class(request: &Request) -> Result<Option<String>, Refusal> {
    headers::storage_class(&request.headers)?;
    headers::filled(&request.headers, "x-amz-storage-class")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::tests::request;

    #[test]
    fn directives_are_copy_or_replace() {
        let directive = |value: &str| replaces_metadata(&request("", &[("x-amz-metadata-directive", value)]));
        assert!(!directive("COPY").unwrap());
        assert!(directive("REPLACE").unwrap());
        assert!(matches!(directive("MOVE"), Err(Refusal::InvalidArgument(_))));
        assert!(!replaces_metadata(&request("", &[])).unwrap());
    }

    #[test]
    fn tags_are_copied_or_replaced() {
        let tags = |headers: &[(&'static str, &str)]| {
            tags_of_copy(&request("", &[&[("x-amz-copy-source", "other/key"), ("x-amz-tagging", "a=b")], headers].concat()))
        };
        assert_eq!(tags(&[]).unwrap(), TagsOfCopy::Keep { permitted: true });
        assert_eq!(tags(&[("x-amz-tagging-directive", "COPY")]).unwrap(), TagsOfCopy::Keep { permitted: true });
        assert_eq!(tags(&[("x-amz-tagging-directive", "REPLACE")]).unwrap(), TagsOfCopy::Replace(vec![("a".to_owned(), "b".to_owned())]));
        assert!(matches!(tags(&[("x-amz-tagging-directive", "x")]), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn a_copy_is_never_not_modified() {
        assert!(matches!(refuse_copy(&request("", &[]), "b", Error::NotModified), Refusal::Engine(Error::PreconditionFailed)));
    }
}
