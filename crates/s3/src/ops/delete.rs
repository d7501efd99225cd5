//! DeleteObject and DeleteObjects.

use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode};
use s3s::dto::{Delete, ObjectIdentifier};
use strongroom_engine::api::{DeletedObject, WriteCondition};

use crate::{
    authorize::{authorize_delete, hide_missing},
    conditions, headers, names,
    ops::check_owner,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    service::Api,
    xml::{Xml, parse},
};

const MAX_KEYS_PER_REQUEST: usize = 1000;
const DELETES_AT_A_TIME: usize = 16;

pub(super) async fn one(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let condition = conditions::write_condition(&request.headers)?;
    let version_id = request.version_id()?;
    let deleted = api.engine.delete_object(&request.caller, &request.bucket, &request.key, version_id, condition).await;
    let deleted = deleted.map_err(|error| hide_missing(request, &request.bucket, error))?;
    let mut reply = Reply::empty(StatusCode::NO_CONTENT);
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), deleted.version_id.as_deref())?;
    if deleted.delete_marker {
        reply.headers.insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    }
    Ok(reply)
}

pub(super) async fn many(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes).await?;
    let delete: Delete = parse(&body)?;
    if delete.objects.is_empty() || delete.objects.len() > MAX_KEYS_PER_REQUEST || delete.objects.iter().any(|object| object.key.is_empty())
    {
        return Err(Refusal::MalformedXml);
    }
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
    Ok(Reply::xml(document(api, &outcomes, delete.quiet.unwrap_or(false))))
}

fn permit(request: &Request, object: &ObjectIdentifier) -> Result<(), Refusal> {
    authorize_delete(request, &object.key, version_id(object).is_some(), object.e_tag.is_some())
}

fn version_id(object: &ObjectIdentifier) -> Option<String> {
    object.version_id.clone().filter(|version| !version.is_empty())
}

async fn delete_named(api: &Api, request: &Request, object: &ObjectIdentifier) -> Result<DeletedObject, Refusal> {
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(Refusal::NotImplemented("Deleting on condition of size or time".to_owned()));
    }
    if object.key.len() > names::MAX_KEY_LEN_BYTES {
        return Err(strongroom_engine::Error::KeyTooLong.into());
    }
    let condition = object.e_tag.as_ref().map_or(WriteCondition::None, |etag| WriteCondition::Matches(etag.value().to_owned()));
    let deleted = api.engine.delete_object(&request.caller, &request.bucket, &object.key, version_id(object), condition).await;
    deleted.map_err(|error| hide_missing(request, &request.bucket, error))
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
    xml.element("Error", |xml| {
        xml.text("Key", &object.key);
        xml.optional("VersionId", object.version_id.as_deref());
        xml.text("Code", refusal.verdict(dialect).code);
        xml.text("Message", &refusal.message());
    });
}
