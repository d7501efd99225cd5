//! ACLs, to read only: whatever is stored is its bucket's owner's, and nobody else's.

use strongroom_engine::Error;

use crate::{api::Api, authorize::hide_missing, refusal::Refusal, reply::Reply, request::Request, xml::Xml};

pub(crate) async fn of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    Ok(private(&bucket.owner))
}

pub(crate) async fn of_object(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    if !exists(api, request).await? {
        let error = if request.version_id()?.is_some() { Error::NoSuchVersion } else { Error::NoSuchKey };
        return Err(hide_missing(request, &request.bucket, error));
    }
    Ok(private(&bucket.owner))
}

/// Looks the key up without opening the object: an ACL is shown without the customer key. The only version is "null".
async fn exists(api: &Api, request: &Request) -> Result<bool, Refusal> {
    let found = api.engine.has_object(&request.bucket, &request.key, None).await?;
    Ok(found && request.version_id()?.is_none_or(|version| version == "null"))
}

fn private(owner: &str) -> Reply {
    Reply::xml(Xml::document("AccessControlPolicy", |xml| {
        xml.identity("Owner", owner);
        xml.element("AccessControlList", |xml| {
            xml.element("Grant", |xml| {
                xml.element_with("Grantee", "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"", |xml| {
                    xml.text("ID", owner);
                    xml.text("DisplayName", owner);
                });
                xml.text("Permission", "FULL_CONTROL");
            });
        });
    }))
}
