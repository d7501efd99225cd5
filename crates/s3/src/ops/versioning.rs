//! The versioning of a bucket.

use strongroom_engine::{Error, api::VersioningStatus};

use crate::{
    api::Api,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Xml, read},
};

/// Of a bucket that never was versioned S3 says nothing.
pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let status = api.engine.bucket_versioning(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("VersioningConfiguration", |xml| {
        xml.optional("Status", status.map(name_of));
    })))
}

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let status = status(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_versioning(&request.bucket, status).await?;
    Ok(Reply::ok())
}

fn name_of(status: VersioningStatus) -> &'static str {
    match status {
        VersioningStatus::Enabled => "Enabled",
        VersioningStatus::Suspended => "Suspended",
    }
}

fn status(body: &[u8]) -> Result<VersioningStatus, Refusal> {
    let (status, mfa_delete) = read(body, "VersioningConfiguration", |root| {
        let (mut status, mut mfa_delete, mut exclude_folders) = (None, None, None);
        root.children(|name, element| match name {
            "Status" => element.text_into(&mut status),
            "MfaDelete" => element.text_into(&mut mfa_delete),
            // Extensions of MinIO. Passed over, they would leave a client with versions that it wanted none of.
            "ExcludedPrefixes" => Err(Refusal::NotImplemented(name.to_owned())),
            "ExcludeFolders" => element.value_into(&mut exclude_folders),
            _ => Ok(()),
        })?;
        if exclude_folders == Some(true) {
            return Err(Refusal::NotImplemented("ExcludeFolders".to_owned()));
        }
        Ok((status, mfa_delete))
    })?;
    if mfa_delete.is_some_and(|mfa_delete: String| mfa_delete != "Disabled") {
        return Err(Refusal::NotImplemented("MfaDelete".to_owned()));
    }
    match status.as_deref() {
        Some("Enabled") => Ok(VersioningStatus::Enabled),
        Some("Suspended") => Ok(VersioningStatus::Suspended),
        Some(_) => Err(Refusal::Engine(Error::MalformedXml("Status must be Enabled or Suspended".to_owned()))),
        None => Err(Refusal::Engine(Error::IllegalVersioning)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn configuration(content: &str) -> String {
        format!("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</VersioningConfiguration>")
    }

    #[test]
    fn a_status_is_read_and_what_is_not_implemented_may_only_be_off() {
        let of = |content: &str| status(configuration(content).as_bytes());
        assert_eq!(of("<Status>Enabled</Status>").unwrap(), VersioningStatus::Enabled);
        assert_eq!(of("<MfaDelete>Disabled</MfaDelete><Status>Suspended</Status>").unwrap(), VersioningStatus::Suspended);
        assert_eq!(of("<Status>Enabled</Status><ExcludeFolders>false</ExcludeFolders>").unwrap(), VersioningStatus::Enabled);
        for (content, code) in [
            ("<Status>Enabled</Status><ExcludeFolders>true</ExcludeFolders>", "NotImplemented"),
            ("<Status>Enabled</Status><ExcludeFolders>maybe</ExcludeFolders>", "MalformedXML"),
            ("<Status>Enabled</Status><ExcludedPrefixes><Prefix>tmp/</Prefix></ExcludedPrefixes>", "NotImplemented"),
            ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", "NotImplemented"),
            ("<Status>enabled</Status>", "MalformedXML"),
            ("<Status></Status>", "MalformedXML"),
            ("", "IllegalVersioningConfigurationException"),
        ] {
            assert_eq!(of(content).unwrap_err().verdict(crate::ErrorDialect::Strongroom).code, code, "{content}");
        }
        assert_eq!(status(b"").unwrap_err().verdict(crate::ErrorDialect::Strongroom).code, "MalformedXML");
    }
}
