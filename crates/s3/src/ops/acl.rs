//! ACLs, to read only: whatever is stored is its bucket's owner's, and nobody else's.

use crate::{api::Api, authorize::hide_missing, refusal::Refusal, reply::Reply, request::Request, xml::Xml};

pub(crate) async fn of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    Ok(private(&bucket.owner))
}

pub(crate) async fn of_object(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    // The key is looked up without opening the object: an ACL is shown without the customer key.
    let found = api.engine.check_object(&request.bucket, &request.key, request.version_id()?.as_deref()).await;
    found.map_err(|error| hide_missing(request, &request.bucket, error))?;
    Ok(private(&bucket.owner))
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
