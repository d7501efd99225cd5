//! ACLs: whatever is stored is its bucket's owner's, and nobody else's. An ACL that says so is taken, and one that grants something to others
//! is refused as S3 refuses it: by ownership controls, or by the block of public access.

use http::HeaderMap;
use strongroom_engine::{
    Error,
    api::{Bucket, ObjectOwnership},
};

use crate::{
    api::Api,
    authorize::hide_missing,
    headers,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

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

pub(crate) async fn put_of_bucket(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let bucket = api.engine.bucket(&request.bucket).await?;
    check(api, &bucket, Granted::of(&request.headers, &body, &bucket.owner)?).await?;
    Ok(Reply::ok())
}

pub(crate) async fn put_of_object(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let bucket = api.engine.bucket(&request.bucket).await?;
    let found = api.engine.check_object(&request.bucket, &request.key, request.version_id()?.as_deref()).await;
    found.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    check(api, &bucket, Granted::of(&request.headers, &body, &bucket.owner)?).await?;
    Ok(Reply::ok())
}

/// To whom an ACL grants rights, the owner of the bucket aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Granted {
    Nobody,
    Somebody,
    Public,
}

/// Groups whose members nobody knows. Source: S3 user guide, "Access control list overview".
const PUBLIC_GROUPS: [&str; 2] = ["/groups/global/AllUsers", "/groups/global/AuthenticatedUsers"];

/// What stands for an ACL: the name of a canned one, grants in headers, or a document.
const CANNED: &str = "x-amz-acl";
const GRANTS: &str = "x-amz-grant-";

impl Granted {
    fn of(headers: &HeaderMap, body: &[u8], owner: &str) -> Result<Self, Refusal> {
        let canned = headers::filled(headers, CANNED)?;
        let has_grants = headers.keys().any(|name| name.as_str().starts_with(GRANTS));
        match (canned, has_grants, body) {
            (Some(name), false, []) => Self::canned(&name),
            (None, true, []) => Self::in_headers(headers, owner),
            (None, false, []) => Err(Refusal::InvalidRequest(format!("An ACL is needed: {CANNED}, headers {GRANTS}… or a document."))),
            (None, false, body) => Self::in_document(body, owner),
            _ => Err(Refusal::InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed".to_owned())),
        }
    }

    fn canned(name: &str) -> Result<Self, Refusal> {
        match name {
            "private" | "bucket-owner-full-control" | "bucket-owner-read" => Ok(Self::Nobody),
            "aws-exec-read" | "log-delivery-write" => Ok(Self::Somebody),
            "public-read" | "public-read-write" | "authenticated-read" => Ok(Self::Public),
            _ => Err(Refusal::InvalidArgument(format!("{name} is no canned ACL."))),
        }
    }

    /// `id="…"`, `uri="…"` or `emailAddress="…"`, several of them with commas between.
    fn in_headers(headers: &HeaderMap, owner: &str) -> Result<Self, Refusal> {
        let mut granted = Self::Nobody;
        for name in headers.keys().filter(|name| name.as_str().starts_with(GRANTS)) {
            for grantee in headers::list(headers, name.as_str()) {
                let (kind, value) = grantee.split_once('=').ok_or_else(|| Refusal::InvalidArgument(format!("{name}: {grantee}")))?;
                granted = granted.max(Self::to(kind.trim() == "uri", value.trim().trim_matches('"'), owner));
            }
        }
        Ok(granted)
    }

    fn in_document(body: &[u8], owner: &str) -> Result<Self, Refusal> {
        let mut granted = Self::Nobody;
        let mut has_list = false;
        read(body, "AccessControlPolicy", |root| {
            root.children(|name, element| {
                if name != "AccessControlList" {
                    return Ok(());
                }
                has_list = true;
                element.children(|name, grant| match name {
                    "Grant" => {
                        granted = granted.max(Self::in_grant(grant, owner)?);
                        Ok(())
                    }
                    _ => Ok(()),
                })
            })
        })?;
        if has_list { Ok(granted) } else { Err(Refusal::MalformedXml) }
    }

    fn in_grant(grant: &mut Element<'_, '_>, owner: &str) -> Result<Self, Refusal> {
        let mut granted = None;
        grant.children(|name, element| match name {
            "Grantee" => element.children(|name, element| {
                let is_uri = name == "URI";
                if is_uri || ["ID", "EmailAddress"].contains(&name) {
                    granted = granted.max(Some(Self::to(is_uri, element.text()?.trim(), owner)));
                }
                Ok(())
            }),
            _ => Ok(()),
        })?;
        granted.ok_or(Refusal::MalformedXml)
    }

    fn to(is_uri: bool, grantee: &str, owner: &str) -> Self {
        match grantee {
            _ if is_uri && PUBLIC_GROUPS.iter().any(|group| grantee.ends_with(group)) => Self::Public,
            _ if !is_uri && grantee == owner => Self::Nobody,
            _ => Self::Somebody,
        }
    }
}

/// Whether the bucket takes an ACL that grants rights to these.
async fn check(api: &Api, bucket: &Bucket, granted: Granted) -> Result<(), Refusal> {
    if granted == Granted::Nobody {
        return Ok(());
    }
    if api.engine.bucket_ownership(&bucket.name).await?.is_none_or(|ownership| ownership == ObjectOwnership::BucketOwnerEnforced) {
        return Err(Refusal::AclNotSupported);
    }
    let blocks = api.engine.public_access_block(&bucket.name).await?.is_some_and(|block| block.block_public_acls);
    if granted == Granted::Public && blocks {
        return Err(Error::AccessDenied.into());
    }
    Err(Refusal::NotImplemented("An ACL that grants rights to others than the owner".to_owned()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderName;

    use super::*;

    fn granted(headers: &[(&str, &str)], body: &str) -> Result<Granted, Refusal> {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()));
        Granted::of(&pairs.collect(), body.as_bytes(), "ann")
    }

    fn document(grantee: &str) -> String {
        format!(
            "<AccessControlPolicy><Owner><ID>ann</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:type=\"Any\">{grantee}</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
        )
    }

    #[test]
    fn an_acl_grants_something_to_nobody_else_to_somebody_or_to_the_public() {
        let all_users = "http://acs.amazonaws.com/groups/global/AllUsers";
        for (header, value, expected) in [
            (CANNED, "private", Granted::Nobody),
            (CANNED, "bucket-owner-full-control", Granted::Nobody),
            (CANNED, "log-delivery-write", Granted::Somebody),
            (CANNED, "public-read", Granted::Public),
            (CANNED, "authenticated-read", Granted::Public),
            ("x-amz-grant-full-control", "id=\"ann\"", Granted::Nobody),
            ("x-amz-grant-read", "id=\"ann\", id=\"bob\"", Granted::Somebody),
            ("x-amz-grant-read-acp", &format!("id=\"bob\",uri=\"{all_users}\""), Granted::Public),
            ("x-amz-grant-write", "emailAddress=\"bob@example.org\"", Granted::Somebody),
        ] {
            assert_eq!(granted(&[(header, value)], "").unwrap(), expected, "{header}: {value}");
        }
        for (grantee, expected) in [
            ("<ID>ann</ID><DisplayName>Ann</DisplayName>".to_owned(), Granted::Nobody),
            ("<ID>bob</ID>".to_owned(), Granted::Somebody),
            (format!("<URI>{all_users}</URI>"), Granted::Public),
            ("<URI>ann</URI>".to_owned(), Granted::Somebody),
        ] {
            assert_eq!(granted(&[], &document(&grantee)).unwrap(), expected, "{grantee}");
        }
    }

    #[test]
    fn an_acl_that_is_none_or_comes_twice_is_refused() {
        assert!(matches!(granted(&[], ""), Err(Refusal::InvalidRequest(_))));
        assert!(matches!(granted(&[(CANNED, "private"), ("x-amz-grant-read", "id=ann")], ""), Err(Refusal::InvalidRequest(_))));
        assert!(matches!(granted(&[(CANNED, "private")], &document("<ID>ann</ID>")), Err(Refusal::InvalidRequest(_))));
        assert!(matches!(granted(&[(CANNED, "public")], ""), Err(Refusal::InvalidArgument(_))));
        assert!(matches!(granted(&[("x-amz-grant-read", "ann")], ""), Err(Refusal::InvalidArgument(_))));
        for wrong in ["<AccessControlPolicy/>".to_owned(), document(""), "no document".to_owned()] {
            assert!(matches!(granted(&[], &wrong), Err(Refusal::MalformedXml)), "{wrong}");
        }
    }
}
