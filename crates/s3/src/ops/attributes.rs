//! GetObjectAttributes.

use http::{HeaderName, header};
use strongroom_engine::api::{Checksum, GetObject, ObjectInfo, ObjectPart};

use crate::{
    api::Api, authorize::hide_missing, checksum, headers, refusal::Refusal, reply::Reply, request::Request, sse, timestamp::http_date,
    xml::Xml,
};

const MAX_PARTS_PER_PAGE: u32 = 1000;
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let wanted = wanted(request)?;
    let page = PartsPage::of(request)?;
    let read = GetObject {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        version_id: request.version_id()?,
        sse: sse::sse_headers(&request.headers)?,
        ..GetObject::default()
    };
    let found = api.engine.object_attributes(&request.caller, read).await;
    let (info, parts) = found.map_err(|error| hide_missing(request, &request.bucket, error))?;
    let mut reply = Reply::xml(document(&wanted, &info, &parts, &page));
    reply.header(header::LAST_MODIFIED, &http_date(info.modified_ms))?;
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), info.version_id.as_deref())?;
    Ok(reply)
}

fn wanted(request: &Request) -> Result<Vec<String>, Refusal> {
    let wanted = headers::list(&request.headers, "x-amz-object-attributes");
    if wanted.is_empty() || wanted.iter().any(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(Refusal::InvalidArgument("Invalid attribute name specified.".to_owned()));
    }
    Ok(wanted)
}

/// Which parts to show.
struct PartsPage {
    after: u32,
    limit: u32,
}

impl PartsPage {
    fn of(request: &Request) -> Result<Self, Refusal> {
        let count = |name: &str| -> Result<Option<u32>, Refusal> {
            let invalid = |_| Refusal::InvalidArgument(format!("Provided {name} not an integer or within integer range"));
            headers::filled(&request.headers, name)?.map(|text| text.parse().map_err(invalid)).transpose()
        };
        let limit = count("x-amz-max-parts")?.unwrap_or(MAX_PARTS_PER_PAGE).min(MAX_PARTS_PER_PAGE);
        Ok(Self { after: count("x-amz-part-number-marker")?.unwrap_or(0), limit })
    }
}

fn document(wanted: &[String], info: &ObjectInfo, parts: &[ObjectPart], page: &PartsPage) -> Xml {
    let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
    Xml::document("GetObjectAttributesResponse", |xml| {
        if wants("ETag") {
            // Without quotes, unlike everywhere else.
            xml.text("ETag", &info.etag);
        }
        if wants("Checksum")
            && let Some(checksum) = &info.checksum
        {
            xml.element("Checksum", |xml| checksum::write_typed(xml, Some(&without_count(checksum))));
        }
        if wants("ObjectParts")
            && let Some(count) = info.parts_count
        {
            xml.element("ObjectParts", |xml| write_parts(xml, count, parts, page));
        }
        if wants("StorageClass") {
            xml.text("StorageClass", headers::shown_class(info.headers.storage_class.as_deref()));
        }
        if wants("ObjectSize") {
            xml.value("ObjectSize", info.size_bytes);
        }
    })
}

/// A composite checksum stands here without the number of parts that ends it elsewhere, as at Amazon.
fn without_count(checksum: &Checksum) -> Checksum {
    let digest = checksum.value.split_once('-').map_or(checksum.value.as_str(), |(digest, _)| digest);
    Checksum { value: digest.to_owned(), ..checksum.clone() }
}

fn write_parts(xml: &mut Xml, count: u32, parts: &[ObjectPart], page: &PartsPage) {
    let following: Vec<_> = parts.iter().filter(|part| part.number > page.after).collect();
    let shown = following.get(..page.limit as usize).unwrap_or(&following);
    xml.value("PartsCount", count);
    xml.value("PartNumberMarker", page.after);
    if let Some(last) = shown.last() {
        xml.value("NextPartNumberMarker", last.number);
    }
    xml.value("MaxParts", page.limit);
    // A page of none has no marker to go on from, so a client would ask for it for ever.
    xml.value("IsTruncated", page.limit > 0 && shown.len() < following.len());
    for part in shown {
        xml.element("Part", |xml| {
            xml.value("PartNumber", part.number);
            xml.value("Size", part.size_bytes);
            checksum::write_value(xml, part.checksum.as_ref());
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::tests::request;

    fn parts_xml(after: u32, limit: u32) -> String {
        let parts: Vec<_> = [1, 2, 5].map(|number| ObjectPart { number, size_bytes: 7, checksum: None }).into();
        let mut xml = Xml::new();
        write_parts(&mut xml, 3, &parts, &PartsPage { after, limit });
        String::from_utf8(xml.into_bytes().to_vec()).unwrap().split_once("?>\n").unwrap().1.to_owned()
    }

    #[test]
    fn parts_are_shown_page_by_page() {
        let part = |number| format!("<Part><PartNumber>{number}</PartNumber><Size>7</Size></Part>");
        let head = |after, next, limit, truncated| {
            format!(
                "<PartsCount>3</PartsCount><PartNumberMarker>{after}</PartNumberMarker><NextPartNumberMarker>{next}</NextPartNumberMarker>\
                 <MaxParts>{limit}</MaxParts><IsTruncated>{truncated}</IsTruncated>"
            )
        };
        assert_eq!(parts_xml(0, 2), format!("{}{}{}", head(0, 2, 2, true), part(1), part(2)));
        assert_eq!(parts_xml(2, 2), format!("{}{}", head(2, 5, 2, false), part(5)));
        assert_eq!(
            parts_xml(5, 2),
            "<PartsCount>3</PartsCount><PartNumberMarker>5</PartNumberMarker><MaxParts>2</MaxParts><IsTruncated>false</IsTruncated>"
        );
        assert_eq!(
            parts_xml(0, 0),
            "<PartsCount>3</PartsCount><PartNumberMarker>0</PartNumberMarker><MaxParts>0</MaxParts><IsTruncated>false</IsTruncated>"
        );
    }

    #[test]
    fn attributes_must_be_known_ones() {
        let wanted_of = |value: &str| wanted(&request("", &[("x-amz-object-attributes", value)]));
        assert_eq!(wanted_of("ETag, ObjectSize").unwrap(), ["ETag", "ObjectSize"]);
        assert!(matches!(wanted_of("ETag,Owner"), Err(Refusal::InvalidArgument(_))));
        assert!(matches!(wanted(&request("", &[])), Err(Refusal::InvalidArgument(_))));
    }
}
