//! Tags.

use http::{HeaderMap, HeaderName, StatusCode};
use strongroom_access::Action;
use strongroom_engine::api::{Attributes, ObjectInfo, Tag};

use crate::{
    api::Api,
    authorize::{authorize_tagging, hide_missing, may_on_object},
    headers, lock,
    ops::acl,
    query::Query,
    refusal::{Refusal, malformed},
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

pub(crate) const TAGGING_HEADER: &str = "x-amz-tagging";

pub(crate) async fn of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let tags = api.engine.bucket_tags(&request.bucket).await?;
    Ok(Reply::xml(document(&tags)))
}

pub(crate) async fn put_of_bucket(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let tags = tag_set(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_tags(&request.bucket, tags).await?;
    Ok(Reply::ok())
}

pub(crate) async fn delete_of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.clear_bucket_tags(&request.bucket).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn of_object(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let found = api.engine.object_tags(&request.caller, &request.object_version()?).await;
    let (tags, version_id) = found.map_err(|error| hide_missing(request, &request.bucket, error))?;
    of_version(Reply::xml(document(&tags)), version_id.as_deref())
}

pub(crate) async fn put_of_object(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let tags = tag_set(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    authorize_tagging(&api.engine, &request, &tags).await?;
    let changed = api.engine.set_object_tags(&request.caller, &request.object_version()?, tags).await;
    let version_id = changed.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    of_version(Reply::ok(), version_id.as_deref())
}

pub(crate) async fn delete_of_object(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let changed = api.engine.clear_object_tags(&request.caller, &request.object_version()?).await;
    let version_id = changed.map_err(|error| hide_missing(request, &request.bucket, error))?;
    of_version(Reply::empty(StatusCode::NO_CONTENT), version_id.as_deref())
}

fn of_version(mut reply: Reply, version_id: Option<&str>) -> Result<Reply, Refusal> {
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), version_id)?;
    Ok(reply)
}

fn document(tags: &[Tag]) -> Xml {
    Xml::document("Tagging", |xml| {
        xml.element("TagSet", |xml| {
            for (key, value) in tags {
                xml.element("Tag", |xml| {
                    xml.text("Key", key);
                    xml.text("Value", value);
                });
            }
        });
    })
}

/// The tags and the lock that a new version is given.
pub(crate) fn attributes(request: &Request) -> Result<Attributes, Refusal> {
    let headers = &request.headers;
    Ok(Attributes { tags: of_header(headers)?, lock: lock::given(headers)?, acl: acl::of_new_object(request)?.map(Box::new) })
}

/// The tags of `x-amz-tagging`, which is written as a query is.
pub(crate) fn of_header(headers: &HeaderMap) -> Result<Vec<Tag>, Refusal> {
    let Some(text) = headers::filled(headers, TAGGING_HEADER)? else { return Ok(Vec::new()) };
    let invalid = |_| {
        let message =
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
        Refusal::InvalidArgument(message.to_owned())
    };
    let query = Query::parse(&text).map_err(invalid)?;
    Ok(query.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// As [`of_header`] reads them.
pub(crate) fn header_of(tags: &[Tag], encode: impl Fn(&str) -> String) -> String {
    let pairs: Vec<_> = tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// Tells who may see them how many tags there are.
pub(crate) fn answer_count(reply: &mut Reply, request: &Request, info: &ObjectInfo) -> Result<(), Refusal> {
    let action = if request.version_id()?.is_some() { Action::GetObjectVersionTagging } else { Action::GetObjectTagging };
    if info.tag_count > 0 && may_on_object(request, action) {
        reply.headers.insert(HeaderName::from_static("x-amz-tagging-count"), info.tag_count.into());
    }
    Ok(())
}

/// The tags of a document. What they may be is the engine's business.
pub(crate) fn tag_set(body: &[u8]) -> Result<Vec<Tag>, Refusal> {
    let tags = read(body, "Tagging", |root| {
        let mut tags = None;
        root.children(|name, element| match name {
            "TagSet" if tags.is_none() => {
                let mut found = Vec::new();
                element.children(|name, element| {
                    if name == "Tag" {
                        found.push(tag(element)?);
                    }
                    Ok(())
                })?;
                tags = Some(found);
                Ok(())
            }
            "TagSet" => Err(malformed("exactly one TagSet is needed")),
            _ => Ok(()),
        })?;
        Ok(tags)
    })?;
    tags.ok_or_else(|| malformed("exactly one TagSet is needed"))
}

fn tag(element: &mut Element<'_, '_>) -> Result<Tag, Refusal> {
    let (mut key, mut value) = (None, None);
    element.children(|name, element| match name {
        "Key" => element.text_into(&mut key),
        "Value" => element.text_into(&mut value),
        _ => Ok(()),
    })?;
    match (key, value) {
        (Some(key), Some(value)) => Ok((key, value)),
        _ => Err(malformed("each Tag needs a Key and a Value")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tagging(tags: &str) -> String {
        format!("<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{tags}</Tagging>")
    }

    #[test]
    fn tags_are_read_in_their_order() {
        let set = "<TagSet><Tag><Key>b</Key><Value>1 &lt; 2</Value></Tag><Tag><Value></Value><Key>a</Key></Tag></TagSet>";
        let expected = [("b".to_owned(), "1 < 2".to_owned()), ("a".to_owned(), String::new())];
        assert_eq!(tag_set(tagging(set).as_bytes()).unwrap(), expected);
        assert_eq!(tag_set(tagging("<TagSet/>").as_bytes()).unwrap(), []);
    }

    #[test]
    fn the_header_is_written_as_a_query_is() {
        let tags = |value: &str| of_header(&crate::request::tests::request("", &[(TAGGING_HEADER, value)]).headers);
        let expected = [("a b".to_owned(), "1&2".to_owned()), ("flag".to_owned(), String::new()), ("c".to_owned(), "x=y".to_owned())];
        assert_eq!(tags("a%20b=1%262&flag&c=x=y").unwrap(), expected);
        assert_eq!(tags("").unwrap(), []);
        assert!(matches!(tags("a=%ff"), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn no_set_two_sets_and_half_a_tag_are_malformed() {
        for body in [
            tagging(""),
            tagging("<TagSet/><TagSet/>"),
            tagging("<TagSet><Tag><Key>a</Key></Tag></TagSet>"),
            tagging("<TagSet><Tag><Value>a</Value></Tag></TagSet>"),
            "<Other/>".to_owned(),
            String::new(),
        ] {
            let refusal = tag_set(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.verdict(crate::ErrorDialect::Strongroom).code, "MalformedXML", "{body}");
        }
    }
}
