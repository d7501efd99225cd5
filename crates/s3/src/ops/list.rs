//! ListObjects, ListObjectsV2 and ListObjectVersions.

use http::HeaderMap;
use strongroom_engine::{
    Error,
    api::{Bucket, ListEntry, ListObjects, ListPage, ListVersions, ListedObject, ListedVersion},
};

use crate::{
    api::Api,
    checksum, headers,
    ops::page::{Encoding, decode_token, encode_token, page_size},
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::Xml,
};

pub(crate) async fn version_1(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let query = &request.query;
    let marker = query.get("marker")?.unwrap_or_default();
    let listing = Listing::fetch(api, request, Some(marker), async |list| api.engine.list_objects(list).await).await?;
    Ok(Reply::xml(Xml::document("ListBucketResult", |xml| {
        listing.write_head(xml, request);
        xml.text("Marker", &listing.encoding.write(marker));
        // Without a delimiter the last key is the next marker, and S3 leaves it out.
        if listing.page.truncated && listing.delimiter.is_some() {
            xml.optional("NextMarker", listing.last().map(|last| listing.encoding.write(last)).as_deref());
        }
        listing.write_entries(xml, true);
    })))
}

pub(crate) async fn version_2(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let query = &request.query;
    let token = query.get("continuation-token")?;
    let start_after = query.get("start-after")?;
    let behind = token.filter(|token| !token.is_empty()).map(decode_token).transpose()?;
    let after = behind.as_deref().or(start_after);
    let listing = Listing::fetch(api, request, after, async |list| api.engine.list_objects(list).await).await?;
    let with_owner = query.get("fetch-owner")?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(Reply::xml(Xml::document("ListBucketResult", |xml| {
        listing.write_head(xml, request);
        xml.value("KeyCount", listing.page.entries.len());
        xml.optional("ContinuationToken", token);
        xml.optional("StartAfter", start_after.map(|start| listing.encoding.write(start)).as_deref());
        if listing.page.truncated {
            xml.optional("NextContinuationToken", listing.last().map(encode_token).as_deref());
        }
        listing.write_entries(xml, with_owner);
    })))
}

pub(crate) async fn object_versions(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let query = &request.query;
    let key_marker = query.get("key-marker")?.unwrap_or_default();
    let version_marker = query.get_filled("version-id-marker")?;
    if version_marker.is_some() && key_marker.is_empty() {
        return Err(Refusal::InvalidArgument("A version-id marker cannot be specified without a key marker.".to_owned()));
    }
    let listing = Listing::fetch(api, request, Some(key_marker), async |list| {
        api.engine.list_versions(ListVersions { list, version_id_marker: version_marker.map(str::to_owned) }).await
    });
    let listing = listing.await?;
    Ok(Reply::xml(Xml::document("ListVersionsResult", |xml| {
        listing.write_head(xml, request);
        xml.text("KeyMarker", &listing.encoding.write(key_marker));
        xml.text("VersionIdMarker", version_marker.unwrap_or_default());
        if listing.page.truncated {
            xml.optional("NextKeyMarker", listing.last().map(|last| listing.encoding.write(last)).as_deref());
            if let Some(ListEntry::Item(last)) = listing.page.entries.last() {
                xml.text("NextVersionIdMarker", &last.version_id);
            }
        }
        for entry in &listing.page.entries {
            match entry {
                ListEntry::Item(version) => listing.write_version(xml, version),
                ListEntry::Prefix(prefix) => listing.write_prefix(xml, prefix),
            }
        }
    })))
}

/// What `x-amz-optional-object-attributes` may ask for. An object without a restore status does not show it, and none here has one: none is
/// ever archived.
const OPTIONAL_ATTRIBUTES: [&str; 1] = ["RestoreStatus"];

fn check_optional_attributes(headers: &HeaderMap) -> Result<(), Refusal> {
    let wanted = headers::list(headers, "x-amz-optional-object-attributes");
    if wanted.iter().all(|name| OPTIONAL_ATTRIBUTES.contains(&name.as_str())) {
        return Ok(());
    }
    Err(Refusal::InvalidArgument("Invalid attribute name specified: x-amz-optional-object-attributes takes RestoreStatus.".to_owned()))
}

/// What a listing shows under a name.
trait Named {
    fn key(&self) -> &str;
}

impl Named for ListedObject {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Named for ListedVersion {
    fn key(&self) -> &str {
        &self.key
    }
}

fn name_of<T: Named>(entry: &ListEntry<T>) -> &str {
    match entry {
        ListEntry::Item(item) => item.key(),
        ListEntry::Prefix(prefix) => prefix,
    }
}

/// A page of a bucket, and how it was asked for.
struct Listing<T> {
    bucket: Bucket,
    page: ListPage<T>,
    prefix: String,
    delimiter: Option<String>,
    limit: u32,
    encoding: Encoding,
}

impl<T: Named> Listing<T> {
    async fn fetch(
        api: &Api,
        request: &Request,
        after: Option<&str>,
        page: impl AsyncFnOnce(ListObjects) -> Result<ListPage<T>, Error>,
    ) -> Result<Self, Refusal> {
        check_optional_attributes(&request.headers)?;
        let query = &request.query;
        let limit = page_size(query, "max-keys")?;
        let encoding = Encoding::of(query)?;
        let prefix = query.get("prefix")?.unwrap_or_default().to_owned();
        let delimiter = query.get_filled("delimiter")?.map(str::to_owned);
        let bucket = api.engine.bucket(&request.bucket).await?;
        let list = ListObjects {
            bucket: request.bucket.clone(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: after.filter(|after| !after.is_empty()).map(str::to_owned),
            limit: limit as usize,
        };
        let page = if limit == 0 { ListPage { entries: Vec::new(), truncated: false } } else { page(list).await? };
        let names =
            page.entries.iter().map(name_of).chain([prefix.as_str(), delimiter.as_deref().unwrap_or_default(), after.unwrap_or_default()]);
        let encoding = encoding.for_names(names);
        Ok(Self { bucket, page, prefix, delimiter, limit, encoding })
    }

    /// The entry that the next page begins behind.
    fn last(&self) -> Option<&str> {
        self.page.entries.last().map(name_of)
    }

    fn write_head(&self, xml: &mut Xml, request: &Request) {
        xml.text("Name", &request.bucket);
        xml.text("Prefix", &self.encoding.write(&self.prefix));
        xml.optional("Delimiter", self.delimiter.as_deref().map(|delimiter| self.encoding.write(delimiter)).as_deref());
        xml.value("MaxKeys", self.limit);
        if self.encoding == Encoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.value("IsTruncated", self.page.truncated);
    }

    fn write_prefix(&self, xml: &mut Xml, prefix: &str) {
        xml.element("CommonPrefixes", |xml| xml.text("Prefix", &self.encoding.write(prefix)));
    }

    fn write_object(&self, xml: &mut Xml, object: &ListedObject, with_owner: bool) {
        xml.text("Key", &self.encoding.write(&object.key));
        xml.time("LastModified", object.modified_ms);
        xml.etag(&object.etag);
        if let Some((algorithm, kind)) = object.checksum {
            xml.text("ChecksumAlgorithm", algorithm.name());
            xml.text("ChecksumType", checksum::kind_name(kind));
        }
        xml.value("Size", object.size_bytes);
        xml.text("StorageClass", headers::shown_class(object.storage_class.as_deref()));
        if with_owner {
            xml.identity("Owner", &self.bucket.owner);
        }
    }
}

impl Listing<ListedObject> {
    fn write_entries(&self, xml: &mut Xml, with_owner: bool) {
        for entry in &self.page.entries {
            match entry {
                ListEntry::Item(object) => xml.element("Contents", |xml| self.write_object(xml, object, with_owner)),
                ListEntry::Prefix(prefix) => self.write_prefix(xml, prefix),
            }
        }
    }
}

impl Listing<ListedVersion> {
    fn write_version(&self, xml: &mut Xml, version: &ListedVersion) {
        let id = |xml: &mut Xml| {
            xml.text("VersionId", &version.version_id);
            xml.value("IsLatest", version.is_latest);
        };
        match &version.object {
            Some(object) => xml.element("Version", |xml| {
                self.write_object(xml, object, true);
                id(xml);
            }),
            None => xml.element("DeleteMarker", |xml| {
                xml.text("Key", &self.encoding.write(&version.key));
                id(xml);
                xml.time("LastModified", version.modified_ms);
                xml.identity("Owner", &self.bucket.owner);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::tests::request;

    #[test]
    fn a_restore_status_may_be_asked_for_and_nothing_else() {
        for (given, is_allowed) in [
            ("RestoreStatus", true),
            (" RestoreStatus , RestoreStatus", true),
            ("restorestatus", false),
            ("RestoreStatus,Encryption", false),
        ] {
            let checked = check_optional_attributes(&request("", &[("x-amz-optional-object-attributes", given)]).headers);
            assert_eq!(checked.is_ok(), is_allowed, "{given}");
        }
        check_optional_attributes(&request("", &[]).headers).unwrap();
    }
}
