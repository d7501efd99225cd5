//! Tags.

use http::StatusCode;
use strongroom_engine::{Error, api::Tag};

use crate::{
    api::Api,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

pub(crate) async fn of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let tags = api.engine.bucket_tags(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("Tagging", |xml| {
        xml.element("TagSet", |xml| {
            for (key, value) in &tags {
                xml.element("Tag", |xml| {
                    xml.text("Key", key);
                    xml.text("Value", value);
                });
            }
        });
    })))
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

fn malformed(what: &str) -> Refusal {
    Refusal::Engine(Error::MalformedXml(what.to_owned()))
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
