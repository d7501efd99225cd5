//! Configuration of buckets that this store does not have. Clients ask for it in passing, and get what S3 answers of a bucket without it.

use crate::{
    api::Api,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Xml, read},
};

pub(crate) async fn acceleration(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    empty(api, request, "AccelerateConfiguration").await
}

pub(crate) async fn logging(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    empty(api, request, "BucketLoggingStatus").await
}

pub(crate) async fn request_payment(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.bucket(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("RequestPaymentConfiguration", |xml| xml.text("Payer", OWNER_PAYS))))
}

/// Taken where it changes nothing.
pub(crate) async fn put_request_payment(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    api.engine.bucket(&request.bucket).await?;
    match only_text(&body, "RequestPaymentConfiguration", "Payer")?.as_str() {
        OWNER_PAYS => Ok(Reply::ok()),
        "Requester" => Err(Refusal::NotImplemented("A bucket whose requesters pay".to_owned())),
        _ => Err(Refusal::MalformedXml),
    }
}

/// Taken where it changes nothing.
pub(crate) async fn put_acceleration(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    api.engine.bucket(&request.bucket).await?;
    match only_text(&body, "AccelerateConfiguration", "Status")?.as_str() {
        "Suspended" => Ok(Reply::ok()),
        "Enabled" => Err(Refusal::NotImplemented("Transfer acceleration".to_owned())),
        _ => Err(Refusal::MalformedXml),
    }
}

pub(crate) async fn website(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    absent(api, request, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration").await
}

pub(crate) async fn replication(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    absent(api, request, "ReplicationConfigurationNotFoundError", "The replication configuration was not found").await
}

pub(crate) async fn metadata(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    absent(api, request, "MetadataConfigurationNotFound", "The metadata configuration was not found").await
}

pub(crate) async fn analytics(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    none_of(api, request, "ListBucketAnalyticsConfigurationsResult").await
}

pub(crate) async fn inventory(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    none_of(api, request, "ListInventoryConfigurationsResult").await
}

pub(crate) async fn metrics(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    none_of(api, request, "ListMetricsConfigurationsResult").await
}

pub(crate) async fn tiering(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    none_of(api, request, "ListBucketIntelligentTieringConfigurationsOutput").await
}

const OWNER_PAYS: &str = "BucketOwner";

/// A document that says nothing.
async fn empty(api: &Api, request: &Request, root: &str) -> Result<Reply, Refusal> {
    api.engine.bucket(&request.bucket).await?;
    Ok(Reply::xml(Xml::document(root, |_| ())))
}

async fn absent(api: &Api, request: &Request, code: &'static str, message: &'static str) -> Result<Reply, Refusal> {
    api.engine.bucket(&request.bucket).await?;
    Err(Refusal::NotConfigured(code, message))
}

/// One configuration by its id, which is not there; or the list of all, which is empty.
async fn none_of(api: &Api, request: &Request, list: &str) -> Result<Reply, Refusal> {
    if request.query.get_filled("id")?.is_some() {
        return absent(api, request, "NoSuchConfiguration", "The specified configuration does not exist.").await;
    }
    api.engine.bucket(&request.bucket).await?;
    Ok(Reply::xml(Xml::document(list, |xml| xml.value("IsTruncated", false))))
}

/// The text of the one element that the document holds.
fn only_text(body: &[u8], root: &str, name: &str) -> Result<String, Refusal> {
    let mut text = None;
    read(body, root, |root| {
        root.children(|child, element| match child {
            _ if child == name => element.text_into(&mut text),
            _ => Ok(()),
        })
    })?;
    text.ok_or(Refusal::MalformedXml)
}
