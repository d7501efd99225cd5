//! What a browser gets for its upload.

use http::{HeaderName, StatusCode, Uri, header, request::Parts};
use strongroom_engine::api::Stored;

use super::Fields;
use crate::{
    checksum, headers,
    query::encode,
    refusal::Refusal,
    reply::Reply,
    sse::{self, Answering},
    xml::Xml,
};

/// How a form asks to be answered. Source: S3 API reference, "POST Object", `success_action_redirect` and `success_action_status`.
pub(crate) struct Answer {
    /// Where the browser goes on; none where the form names no page.
    redirect: Option<String>,
    status: StatusCode,
    /// The bucket's address as the browser used it, with a slash behind it.
    base: String,
}

impl Answer {
    pub(super) fn of(fields: &Fields, secure: bool, parts: &Parts, by_host: bool, bucket: &str) -> Result<Self, Refusal> {
        let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
        let status = match fields.get("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            // As S3 has it, also for what is no status.
            _ => StatusCode::NO_CONTENT,
        };
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let host = headers::value(&parts.headers, "host")?.or(authority).unwrap_or_default();
        let scheme = if secure { "https" } else { "http" };
        let base = if by_host { format!("{scheme}://{host}/") } else { format!("{scheme}://{host}/{bucket}/") };
        Ok(Self { redirect: redirect.filter(|url| is_page(url)).map(str::to_owned), status, base })
    }

    /// The reply for the object that was stored.
    pub(crate) fn reply(&self, bucket: &str, key: &str, stored: &Stored) -> Result<Reply, Refusal> {
        let quoted = headers::quoted(&stored.etag);
        let (status, location) = match &self.redirect {
            Some(page) => (StatusCode::SEE_OTHER, with_parameters(page, &[("bucket", bucket), ("key", key), ("etag", &quoted)])),
            None => (self.status, format!("{}{}", self.base, encode(key))),
        };
        let mut reply = match status {
            StatusCode::CREATED => Reply::xml(Xml::plain_document("PostResponse", |xml| {
                xml.text("Location", &location);
                xml.text("Bucket", bucket);
                xml.text("Key", key);
                xml.etag(&stored.etag);
            })),
            _ => Reply::ok(),
        };
        reply.status = status;
        reply.header(header::LOCATION, &location)?;
        reply.header(header::ETAG, &quoted)?;
        reply.optional_header(HeaderName::from_static("x-amz-version-id"), stored.version_id.as_deref())?;
        checksum::answer(&mut reply, stored.checksum.as_ref())?;
        sse::answer(&mut reply, &stored.sse, Answering::Write)?;
        Ok(reply)
    }
}

/// Whether a browser can be sent there.
fn is_page(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some())
}

fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let (url, fragment) = url.split_once('#').map_or((url, String::new()), |(url, fragment)| (url, format!("#{fragment}")));
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{}{fragment}", pairs.join("&"))
}
