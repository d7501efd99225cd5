//! ACLs of buckets and objects. The engine says whether they count, and which of them a bucket takes.

use http::{HeaderMap, HeaderName};
use strongroom_access::{Acl, Grant, Grantee, Permission};
use strongroom_engine::Error;

use crate::{
    api::Api,
    authorize::hide_missing,
    headers,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

/// Groups by their names. Source: S3 user guide, "Access control list overview".
const GROUPS: [(Grantee, &str); 3] = [
    (Grantee::AllUsers, "http://acs.amazonaws.com/groups/global/AllUsers"),
    (Grantee::AuthenticatedUsers, "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"),
    (Grantee::LogDelivery, "http://acs.amazonaws.com/groups/s3/LogDelivery"),
];

/// What stands for an ACL: the name of a canned one, grants in headers, or a document.
const CANNED: &str = "x-amz-acl";
const GRANTS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

/// The canned list that gives an object to the bucket's owner where that is preferred.
const TO_BUCKET_OWNER: &str = "bucket-owner-full-control";

pub(crate) async fn of_bucket(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::xml(document(&api.engine.bucket_acl(&request.bucket).await?)))
}

pub(crate) async fn of_object(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let found = api.engine.object_acl(&request.caller, &request.object_version()?).await;
    let (acl, version_id) = found.map_err(|error| hide_missing(request, &request.bucket, error))?;
    of_version(Reply::xml(document(&acl)), version_id.as_deref())
}

pub(crate) async fn put_of_bucket(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let present = api.engine.bucket_acl(&request.bucket).await?;
    let acl = given(&request.headers, &body, &present.owner, &present.owner)?;
    api.engine.set_bucket_acl(&request.bucket, &acl).await?;
    Ok(Reply::ok())
}

pub(crate) async fn put_of_object(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let named = request.object_version()?;
    let bucket = api.engine.bucket(&request.bucket).await?;
    let found = api.engine.object_acl(&request.caller, &named).await;
    let (present, _) = found.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    let acl = given(&request.headers, &body, &present.owner, &bucket.owner)?;
    let changed = api.engine.set_object_acl(&request.caller, &named, &acl).await;
    let version_id = changed.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    of_version(Reply::ok(), version_id.as_deref())
}

/// What the headers grant on a bucket that is being created; none where they grant nothing.
pub(crate) fn of_new_bucket(request: &Request) -> Result<Option<Acl>, Refusal> {
    let owner = request.caller.identity.owner();
    in_headers(&request.headers, owner, owner)
}

/// Whose a new object is, and what its headers grant on it; none where it is the bucket's owner's and nobody else's. Within an account the
/// bucket's owner owns all objects.
pub(crate) fn of_new_object(request: &Request) -> Result<Option<Acl>, Refusal> {
    let Some(rules) = request.access.bucket.as_deref() else { return Ok(None) };
    let Some(bucket_acl) = &rules.acl else { return check_harmless(&request.headers).map(|()| None) };
    let (caller, bucket_owner) = (&request.caller.identity, &bucket_acl.owner);
    let is_of_account = caller.is_of_account(&rules.account);
    let gives_away = rules.prefers_bucket_owner && headers::filled(&request.headers, CANNED)?.as_deref() == Some(TO_BUCKET_OWNER);
    let owner = if is_of_account || gives_away { bucket_owner } else { caller.owner() };
    let acl = in_headers(&request.headers, owner, bucket_owner)?.unwrap_or_else(|| Acl::private(owner));
    Ok(Some(acl).filter(|acl| *acl != Acl::private(bucket_owner)))
}

/// Whether the headers of a new object grant anything to others than its owner and the bucket's: that takes a right of its own.
pub(crate) fn grants_to_others(request: &Request) -> Result<bool, Refusal> {
    let Some(acl) = of_new_object(request)? else { return Ok(false) };
    let bucket_owner = request.access.bucket.as_deref().and_then(|rules| rules.acl.as_ref()).map(|acl| &acl.owner);
    let is_own = |grant: &Grant| matches!(&grant.to, Grantee::User(name) if *name == acl.owner || Some(name) == bucket_owner);
    Ok(!acl.grants.iter().all(is_own))
}

/// Where no ACL counts only those are taken that would change nothing.
fn check_harmless(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_granting = GRANTS.iter().any(|(name, _)| headers.contains_key(*name));
    match headers::filled(headers, CANNED)?.as_deref() {
        None | Some("private" | TO_BUCKET_OWNER) if !is_granting => Ok(()),
        _ => Err(Error::AclNotSupported.into()),
    }
}

/// What a request for an ACL gives: in its headers or in its document.
fn given(headers: &HeaderMap, body: &[u8], owner: &str, bucket_owner: &str) -> Result<Acl, Refusal> {
    match (in_headers(headers, owner, bucket_owner)?, body) {
        (Some(acl), []) => Ok(acl),
        (None, []) => Err(Refusal::InvalidRequest(format!("An ACL is needed: {CANNED}, headers x-amz-grant-… or a document."))),
        (None, body) => in_document(body, owner),
        (Some(_), _) => Err(twice()),
    }
}

fn twice() -> Refusal {
    Refusal::InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed".to_owned())
}

/// The ACL that headers give, if any.
fn in_headers(headers: &HeaderMap, owner: &str, bucket_owner: &str) -> Result<Option<Acl>, Refusal> {
    let canned = headers::filled(headers, CANNED)?;
    let mut grants = Vec::new();
    for (name, permission) in GRANTS {
        for grantee in headers::list(headers, name) {
            grants.push(Grant { to: in_header(name, &grantee)?, permission });
        }
    }
    match canned {
        Some(_) if !grants.is_empty() => Err(twice()),
        Some(name) => {
            let unknown = || Refusal::InvalidArgument(format!("{name} is no canned ACL."));
            Acl::canned(&name, owner, bucket_owner).ok_or_else(unknown).map(Some)
        }
        None if grants.is_empty() => Ok(None),
        None => Ok(Some(Acl { owner: owner.to_owned(), grants })),
    }
}

/// `id="…"` or `uri="…"`; several of them stand with commas between.
fn in_header(name: &str, grantee: &str) -> Result<Grantee, Refusal> {
    let (kind, value) = grantee.split_once('=').ok_or_else(|| Refusal::InvalidArgument(format!("{name}: {grantee}")))?;
    let value = value.trim().trim_matches('"');
    match kind.trim() {
        "id" => Ok(Grantee::User(value.to_owned())),
        "uri" => group(value),
        "emailAddress" => Err(Refusal::UnresolvableGrant),
        _ => Err(Refusal::InvalidArgument(format!("{name}: {grantee}"))),
    }
}

fn group(uri: &str) -> Result<Grantee, Refusal> {
    let found = GROUPS.into_iter().find(|(_, name)| *name == uri).map(|(group, _)| group);
    found.ok_or_else(|| Refusal::InvalidArgument("Invalid group uri".to_owned()))
}

fn in_document(body: &[u8], owner: &str) -> Result<Acl, Refusal> {
    let mut grants = None;
    read(body, "AccessControlPolicy", |root| {
        root.children(|name, element| {
            if name != "AccessControlList" {
                return Ok(());
            }
            let grants = grants.get_or_insert_with(Vec::new);
            element.children(|name, grant| match name {
                "Grant" => {
                    grants.push(in_grant(grant)?);
                    Ok(())
                }
                _ => Ok(()),
            })
        })
    })?;
    let grants = grants.ok_or(Refusal::MalformedXml)?;
    Ok(Acl { owner: owner.to_owned(), grants })
}

fn in_grant(grant: &mut Element<'_, '_>) -> Result<Grant, Refusal> {
    let (mut to, mut permission) = (None, None);
    grant.children(|name, element| match name {
        "Grantee" => element.children(|name, element| {
            to = match name {
                "ID" => Some(Grantee::User(element.text()?.trim().to_owned())),
                "URI" => Some(group(element.text()?.trim())?),
                "EmailAddress" => return Err(Refusal::UnresolvableGrant),
                _ => return Ok(()),
            };
            Ok(())
        }),
        "Permission" => {
            let text = element.text()?;
            permission = Permission::ALL.into_iter().find(|(_, name)| *name == text.trim()).map(|(permission, _)| permission);
            Ok(())
        }
        _ => Ok(()),
    })?;
    match (to, permission) {
        (Some(to), Some(permission)) => Ok(Grant { to, permission }),
        _ => Err(Refusal::MalformedXml),
    }
}

fn document(acl: &Acl) -> Xml {
    Xml::document("AccessControlPolicy", |xml| {
        xml.identity("Owner", &acl.owner);
        xml.element("AccessControlList", |xml| {
            for grant in &acl.grants {
                xml.element("Grant", |xml| {
                    write_grantee(xml, &grant.to);
                    xml.text("Permission", grant.permission.name());
                });
            }
        });
    })
}

fn write_grantee(xml: &mut Xml, to: &Grantee) {
    let of_kind = |kind: &str| format!("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"{kind}\"");
    match to {
        Grantee::User(name) => xml.element_with("Grantee", &of_kind("CanonicalUser"), |xml| {
            xml.text("ID", name);
            xml.text("DisplayName", name);
        }),
        group => xml.element_with("Grantee", &of_kind("Group"), |xml| {
            let uri = GROUPS.iter().find(|(known, _)| known == group).map_or("", |(_, uri)| uri);
            xml.text("URI", uri);
        }),
    }
}

fn of_version(mut reply: Reply, version_id: Option<&str>) -> Result<Reply, Refusal> {
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), version_id)?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(pairs: &[(&str, &str)], body: &str) -> Result<Acl, Refusal> {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()));
        given(&pairs.collect(), body.as_bytes(), "ann", "carl")
    }

    fn policy(grants: &str) -> String {
        format!("<AccessControlPolicy><Owner><ID>ann</ID></Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>")
    }

    fn grant(grantee: &str, permission: &str) -> String {
        format!(
            "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Any\">{grantee}</Grantee>\
             <Permission>{permission}</Permission></Grant>"
        )
    }

    #[test]
    fn an_acl_stands_in_headers_or_in_a_document() {
        let to = |name: &str, permission| Grant { to: Grantee::User(name.to_owned()), permission };
        let all = "http://acs.amazonaws.com/groups/global/AllUsers";
        let acl = |grants| Acl { owner: "ann".to_owned(), grants };
        let public = Grant { to: Grantee::AllUsers, permission: Permission::Read };
        assert_eq!(of(&[(CANNED, "private")], "").unwrap(), Acl::private("ann"));
        assert_eq!(of(&[(CANNED, "public-read")], "").unwrap(), acl(vec![public.clone(), to("ann", Permission::FullControl)]));
        let headers = [("x-amz-grant-read", format!("id=\"bob\", uri=\"{all}\"")), ("x-amz-grant-full-control", "id=ann".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected = acl(vec![to("bob", Permission::Read), public.clone(), to("ann", Permission::FullControl)]);
        assert_eq!(of(&headers, "").unwrap(), expected);
        let document = policy(
            &[grant("<ID>bob</ID><DisplayName>Bob</DisplayName>", "WRITE_ACP"), grant(&format!("<URI>{all}</URI>"), "READ")].concat(),
        );
        assert_eq!(of(&[], &document).unwrap(), acl(vec![to("bob", Permission::WriteAcp), public]));
        assert_eq!(of(&[], &policy("")).unwrap(), acl(Vec::new()));
    }

    #[test]
    fn an_acl_that_is_none_or_comes_twice_is_refused() {
        let twice = [(CANNED, "private"), ("x-amz-grant-read", "id=ann")];
        for (headers, body) in [(&[][..], String::new()), (&twice[..], String::new()), (&[(CANNED, "private")], policy(""))] {
            assert!(matches!(of(headers, &body), Err(Refusal::InvalidRequest(_))), "{headers:?} {body}");
        }
        for (name, value) in [(CANNED, "public"), ("x-amz-grant-read", "ann"), ("x-amz-grant-read", "uri=everybody")] {
            assert!(matches!(of(&[(name, value)], ""), Err(Refusal::InvalidArgument(_))), "{name}: {value}");
        }
        for wrong in [
            "<AccessControlPolicy/>".to_owned(),
            policy(&grant("", "READ")),
            policy(&grant("<ID>bob</ID>", "ALL")),
            "no document".to_owned(),
        ] {
            assert!(matches!(of(&[], &wrong), Err(Refusal::MalformedXml)), "{wrong}");
        }
        assert!(matches!(of(&[], &policy(&grant("<EmailAddress>a@b</EmailAddress>", "READ"))), Err(Refusal::UnresolvableGrant)));
    }

    #[test]
    fn a_document_is_read_as_it_is_written() {
        for name in ["private", "public-read-write", "authenticated-read", "bucket-owner-full-control", "log-delivery-write"] {
            let acl = Acl::canned(name, "ann", "carl").unwrap();
            assert_eq!(in_document(&document(&acl).into_bytes(), "ann").unwrap(), acl, "{name}");
        }
    }
}
