//! DeleteObject and DeleteObjects.

use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode};
use strongroom_engine::{
    Error,
    api::{DeleteCondition, DeletedObject},
};

use crate::{
    api::Api,
    authorize::{authorize_delete, bypasses_governance, hide_missing},
    conditions, headers,
    lock::Said,
    names,
    ops::check_owner,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    timestamp::parse_http_date,
    xml::{Element, Xml, read},
};

const MAX_KEYS_PER_REQUEST: usize = 1000;
const DELETES_AT_A_TIME: usize = 16;

/// What a DeleteObjects asks for.
struct Delete {
    objects: Vec<ObjectIdentifier>,
    quiet: bool,
}

/// One object of it.
#[derive(Default)]
struct ObjectIdentifier {
    key: String,
    version_id: Option<String>,
    condition: DeleteCondition,
}

impl ObjectIdentifier {
    fn named_version(&self) -> Option<String> {
        self.version_id.clone().filter(|version| !version.is_empty())
    }
}

pub(crate) async fn one(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let condition = conditions::delete_condition(&request.headers)?;
    let version_id = request.version_id()?;
    let bypass = bypasses_governance(request, &request.key, &Said::default())?;
    let deleted = api.engine.delete_object(&request.caller, &request.bucket, &request.key, version_id, condition, bypass).await;
    let deleted = outcome(request, deleted)?;
    let mut reply = Reply::empty(StatusCode::NO_CONTENT);
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), deleted.version_id.as_deref())?;
    if deleted.delete_marker {
        reply.headers.insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    }
    Ok(reply)
}

pub(crate) async fn many(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let delete = requested(&body)?;
    let request = &request;
    let named: Vec<_> = delete.objects.into_iter().map(|object| (permit(request, &object), object)).collect();
    // Who may delete nothing in the bucket does not learn whether there is one, nor whose.
    if named.iter().any(|(permitted, _)| permitted.is_ok()) {
        check_owner(api, &request.bucket, request.caller.expected_owner.as_deref()).await?;
    }
    let outcomes: Vec<_> = stream::iter(named)
        .map(|(permitted, object)| async move {
            let outcome = match permitted {
                Ok(()) => delete_named(api, request, &object).await,
                Err(refusal) => Err(refusal),
            };
            (object, outcome)
        })
        .buffered(DELETES_AT_A_TIME)
        .collect()
        .await;
    Ok(Reply::xml(document(api, &outcomes, delete.quiet)))
}

fn requested(body: &[u8]) -> Result<Delete, Refusal> {
    read(body, "Delete", |root| {
        let (mut objects, mut quiet) = (Vec::new(), None);
        root.children(|name, element| {
            match name {
                "Object" => objects.push(object_identifier(element)?),
                "Quiet" => element.value_into(&mut quiet)?,
                _ => {}
            }
            if objects.len() > MAX_KEYS_PER_REQUEST { Err(Refusal::MalformedXml) } else { Ok(()) }
        })?;
        if objects.is_empty() { Err(Refusal::MalformedXml) } else { Ok(Delete { objects, quiet: quiet.unwrap_or(false) }) }
    })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn requested_keys(body: &[u8]) -> Result<Vec<String>, Refusal> {
    Ok(requested(body)?.objects.into_iter().map(|object| object.key).collect())
}

fn object_identifier(element: &mut Element<'_, '_>) -> Result<ObjectIdentifier, Refusal> {
    let (mut key, mut etag, mut modified, mut object) = (None, None, None, ObjectIdentifier::default());
    element.children(|name, element| {
        match name {
            "Key" => element.text_into(&mut key)?,
            "VersionId" => element.text_into(&mut object.version_id)?,
            "ETag" => element.text_into(&mut etag)?,
            "LastModifiedTime" => element.text_into(&mut modified)?,
            "Size" => element.value_into(&mut object.condition.size_bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    let key = key.filter(|key| !key.is_empty()).ok_or(Refusal::MalformedXml)?;
    // The reply repeats what was asked for, so none of it may be longer than what there can be.
    let others = [&object.version_id, &etag].into_iter().flatten();
    if key.len() > names::MAX_KEY_LEN_BYTES || others.into_iter().any(|text| text.len() > names::MAX_KEY_LEN_BYTES) {
        return Err(Error::KeyTooLong.into());
    }
    object.condition.etag = etag.map(|etag| conditions::bare(&etag).to_owned());
    object.condition.modified = modified.map(|date| parse_http_date(&date).ok_or(Refusal::MalformedXml)).transpose()?;
    Ok(ObjectIdentifier { key, ..object })
}

fn permit(request: &Request, object: &ObjectIdentifier) -> Result<(), Refusal> {
    authorize_delete(request, &object.key, object.named_version().as_deref(), object.condition != DeleteCondition::default())
}

async fn delete_named(api: &Api, request: &Request, object: &ObjectIdentifier) -> Result<DeletedObject, Refusal> {
    let condition = object.condition.clone();
    let (version_id, bypass) = (object.named_version(), bypasses_governance(request, &object.key, &Said::default())?);
    let deleted = api.engine.delete_object(&request.caller, &request.bucket, &object.key, version_id, condition, bypass).await;
    outcome(request, deleted)
}

/// A conditional delete that finds nothing to compare is no error, to who may know that nothing is there.
fn outcome(request: &Request, deleted: Result<DeletedObject, Error>) -> Result<DeletedObject, Refusal> {
    match deleted.map_err(|error| hide_missing(request, &request.bucket, error)) {
        Err(Refusal::Engine(Error::NoSuchKey | Error::NoSuchVersion)) => Ok(DeletedObject::default()),
        other => other,
    }
}

fn document(api: &Api, outcomes: &[(ObjectIdentifier, Result<DeletedObject, Refusal>)], quiet: bool) -> Xml {
    Xml::document("DeleteResult", |xml| {
        for (object, outcome) in outcomes {
            match outcome {
                Ok(_) if quiet => {}
                Ok(deleted) => write_deleted(xml, object, deleted),
                Err(refusal) => write_error(xml, object, refusal, api.options.error_dialect),
            }
        }
    })
}

fn write_deleted(xml: &mut Xml, object: &ObjectIdentifier, deleted: &DeletedObject) {
    xml.element("Deleted", |xml| {
        xml.text("Key", &object.key);
        xml.optional("VersionId", object.version_id.as_deref());
        if deleted.delete_marker {
            xml.value("DeleteMarker", true);
            xml.optional("DeleteMarkerVersionId", deleted.version_id.as_deref());
        }
    });
}

fn write_error(xml: &mut Xml, object: &ObjectIdentifier, refusal: &Refusal, dialect: crate::ErrorDialect) {
    let message = refusal.message();
    xml.element("Error", |xml| {
        xml.text("Key", &object.key);
        xml.optional("VersionId", object.version_id.as_deref());
        xml.text("Code", refusal.verdict(dialect).code);
        // Whoever may not delete a key knows which one it was: the sentence would repeat it.
        xml.prose("Message", if matches!(refusal, Refusal::AccessDenied(_)) { "Access Denied" } else { &message });
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn delete(content: &str) -> Result<Delete, Refusal> {
        requested(format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</Delete>").as_bytes())
    }

    #[test]
    fn keys_versions_and_conditions_are_read_to_the_letter() {
        let read = delete(
            "<Quiet>true</Quiet><Object><Key> a&#13;b&lt; </Key><VersionId>null</VersionId></Object>\
             <Object><ETag>&quot;x&quot;</ETag><Key>k</Key><VersionId></VersionId></Object>\
             <Object><Key>s</Key><Size>1</Size><LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</LastModifiedTime></Object>",
        )
        .unwrap();
        assert!(read.quiet);
        let [first, second, third] = &read.objects[..] else { panic!("three objects") };
        assert_eq!((first.key.as_str(), first.named_version().as_deref()), (" a\rb< ", Some("null")));
        assert_eq!(first.condition, DeleteCondition::default());
        assert_eq!((second.key.as_str(), second.named_version()), ("k", None));
        assert_eq!(second.condition, DeleteCondition { etag: Some("x".to_owned()), ..DeleteCondition::default() });
        assert_eq!(third.condition, DeleteCondition { size_bytes: Some(1), modified: Some(784_111_777), etag: None });
        assert!(!delete("<Object><Key>k</Key></Object>").unwrap().quiet);
    }

    #[test]
    fn a_size_or_a_date_that_is_none_is_malformed() {
        for condition in [
            "<Size/>",
            "<Size>-1</Size>",
            "<Size>1</Size><Size>2</Size>",
            "<LastModifiedTime/>",
            "<LastModifiedTime>soon</LastModifiedTime>",
        ] {
            let refused = delete(&format!("<Object><Key>k</Key>{condition}</Object>"));
            assert!(matches!(refused, Err(Refusal::MalformedXml)), "{condition}");
        }
    }

    #[test]
    fn no_keys_nameless_ones_and_too_many_are_malformed() {
        let object = "<Object><Key>k</Key></Object>";
        assert_eq!(delete(&object.repeat(1000)).unwrap().objects.len(), 1000);
        for content in ["", "<Object/>", "<Object><Key/></Object>", "<Object><VersionId>1</VersionId></Object>", &object.repeat(1001)] {
            assert!(matches!(delete(content), Err(Refusal::MalformedXml)));
        }
        for element in ["Key", "VersionId", "ETag"] {
            let long = "k".repeat(1025);
            let object = format!("<Object><Key>k</Key><{element}>{long}</{element}></Object>").replacen("<Key>k</Key><Key>", "<Key>", 1);
            assert!(matches!(delete(&object), Err(Refusal::Engine(Error::KeyTooLong))), "{element}");
        }
    }
}
