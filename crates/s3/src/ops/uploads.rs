//! ListMultipartUploads and ListParts.

use strongroom_engine::api::{ListEntry, ListPage, ListParts, ListUploads, ListedUpload};

use crate::{
    api::Api,
    checksum, headers,
    ops::{
        lifecycle,
        page::{Encoding, page_size},
    },
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::Xml,
};

pub(crate) async fn list(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let query = &request.query;
    let (limit, encoding) = (page_size(query, "max-uploads")?, Encoding::of(query)?);
    let (key_marker, upload_id_marker) = (query.get("key-marker")?, query.get("upload-id-marker")?);
    let list = ListUploads {
        bucket: request.bucket.clone(),
        prefix: query.get("prefix")?.unwrap_or_default().to_owned(),
        delimiter: query.get_filled("delimiter")?.map(str::to_owned),
        key_marker: key_marker.filter(|marker| !marker.is_empty()).map(str::to_owned),
        upload_id_marker: upload_id_marker.filter(|marker| !marker.is_empty()).map(str::to_owned),
        limit: limit as usize,
    };
    let (prefix, delimiter) = (list.prefix.clone(), list.delimiter.clone());
    api.engine.bucket(&request.bucket).await?;
    let page =
        if limit == 0 { ListPage { entries: Vec::new(), truncated: false } } else { api.engine.list_multipart_uploads(list).await? };
    let names = page.entries.iter().map(|entry| match entry {
        ListEntry::Item(upload) => upload.key.as_str(),
        ListEntry::Prefix(prefix) => prefix,
    });
    let asked = [prefix.as_str(), delimiter.as_deref().unwrap_or_default(), key_marker.unwrap_or_default()];
    let encoding = encoding.for_names(names.chain(asked));
    Ok(Reply::xml(Xml::document("ListMultipartUploadsResult", |xml| {
        xml.text("Bucket", &request.bucket);
        xml.text("KeyMarker", &encoding.write(key_marker.unwrap_or_default()));
        xml.text("UploadIdMarker", upload_id_marker.unwrap_or_default());
        if page.truncated {
            write_next_markers(xml, &page, encoding);
        }
        xml.text("Prefix", &encoding.write(&prefix));
        xml.optional("Delimiter", delimiter.map(|delimiter| encoding.write(&delimiter)).as_deref());
        if encoding == Encoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.value("MaxUploads", limit);
        xml.value("IsTruncated", page.truncated);
        for entry in &page.entries {
            match entry {
                ListEntry::Item(upload) => xml.element("Upload", |xml| write_upload(xml, upload, encoding)),
                ListEntry::Prefix(prefix) => xml.element("CommonPrefixes", |xml| xml.text("Prefix", &encoding.write(prefix))),
            }
        }
    })))
}

fn write_next_markers(xml: &mut Xml, page: &ListPage<ListedUpload>, encoding: Encoding) {
    let (key, upload_id) = match page.entries.last() {
        Some(ListEntry::Item(upload)) => (upload.key.as_str(), upload.upload_id.as_str()),
        Some(ListEntry::Prefix(prefix)) => (prefix.as_str(), ""),
        None => return,
    };
    xml.text("NextKeyMarker", &encoding.write(key));
    xml.text("NextUploadIdMarker", upload_id);
}

fn write_upload(xml: &mut Xml, upload: &ListedUpload, encoding: Encoding) {
    xml.text("Key", &encoding.write(&upload.key));
    xml.text("UploadId", &upload.upload_id);
    xml.identity("Initiator", &upload.initiator);
    xml.identity("Owner", &upload.owner);
    xml.text("StorageClass", headers::shown_class(upload.storage_class.as_deref()));
    xml.time("Initiated", upload.initiated_ms);
    if let Some((algorithm, kind)) = upload.checksum {
        xml.text("ChecksumAlgorithm", algorithm.name());
        xml.text("ChecksumType", checksum::kind_name(kind));
    }
}

pub(crate) async fn list_parts(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let limit = page_size(&request.query, "max-parts")?;
    let after = u16::try_from(request.query.count("part-number-marker")?.unwrap_or(0)).unwrap_or(u16::MAX);
    let page = api.engine.list_parts(ListParts { upload: request.upload()?, after, limit: limit as usize }).await?;
    let mut reply = Reply::xml(Xml::document("ListPartsResult", |xml| {
        xml.text("Bucket", &request.bucket);
        xml.text("Key", &request.key);
        xml.text("UploadId", request.query.get("uploadId").ok().flatten().unwrap_or_default());
        xml.identity("Initiator", &page.initiator);
        xml.identity("Owner", &page.owner);
        xml.text("StorageClass", headers::shown_class(page.storage_class.as_deref()));
        if let Some((algorithm, kind)) = page.checksum {
            xml.text("ChecksumAlgorithm", algorithm.name());
            xml.text("ChecksumType", checksum::kind_name(kind));
        }
        xml.value("PartNumberMarker", after);
        xml.value("NextPartNumberMarker", page.parts.last().map_or(0, |part| part.number));
        xml.value("MaxParts", limit);
        xml.value("IsTruncated", page.truncated);
        for part in &page.parts {
            xml.element("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.time("LastModified", part.modified_ms);
                xml.etag(&part.etag);
                xml.value("Size", part.size_bytes);
                checksum::write_value(xml, part.checksum.as_ref());
            });
        }
    }));
    lifecycle::answer_abort(&mut reply, page.abort.as_ref())?;
    Ok(reply)
}
