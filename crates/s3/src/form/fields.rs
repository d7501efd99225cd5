//! The fields of a form, and what they mean to PutObject.

use std::ops::Deref;

use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroize;

use crate::{
    lock::{LEGAL_HOLD_HEADER, RETENTION_HEADERS},
    ops::tagging::{TAGGING_HEADER, header_of, tag_set},
    query::encode,
    refusal::Refusal,
    service::hide_secrets,
};

const FILENAME: &str = "${filename}";

/// Fields that are headers of the same name. Source: S3 API reference, "POST Object".
const HEADERS: [&str; 7] =
    ["cache-control", "content-type", "content-disposition", "content-encoding", "content-language", "content-md5", "expires"];
/// As [`HEADERS`], of those that begin with `x-amz-`.
const AMZ_HEADERS: [&str; 4] = ["x-amz-acl", "x-amz-storage-class", "x-amz-website-redirect-location", TAGGING_HEADER];
/// Beginnings of such names.
const AMZ_PREFIXES: [&str; 5] = ["x-amz-meta-", "x-amz-server-side-encryption", "x-amz-checksum-", "x-amz-sdk-checksum-", "x-amz-grant-"];
/// What the signature is made of.
const SIGNATURE: [&str; 5] = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"];
/// What the file's name has no place in.
const VERBATIM: [&str; 2] = ["policy", "signature"];

/// The fields before the file, in their order. Their values are wiped from memory in the end: one may be a key.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Deref for Fields {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

impl Fields {
    pub(super) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The value of the field, by its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Puts the name of the file where fields ask for it. Some clients send a whole path, of which S3 takes what is behind the last separator.
    pub(super) fn set_filename(&mut self, filename: &str) {
        let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
        for (name, value) in &mut self.0 {
            let is_verbatim = VERBATIM.iter().chain(&SIGNATURE).any(|other| name.eq_ignore_ascii_case(other));
            if !is_verbatim && value.contains(FILENAME) {
                *value = value.replace(FILENAME, filename);
            }
        }
    }

    /// The headers of the PutObject that says the same. A field that would be passed over though it asks for something is refused.
    pub(super) fn headers(&self) -> Result<HeaderMap, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let Some((name, value)) = header(&name.to_ascii_lowercase(), value)? else { continue };
            let invalid = || Refusal::InvalidArgument(format!("The form field {name} holds no header value."));
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?, value);
        }
        hide_secrets(&mut headers);
        Ok(headers)
    }
}

/// The header that says the same as a field, if it is about the object.
fn header(name: &str, value: &str) -> Result<Option<(String, String)>, Refusal> {
    let same = || Ok(Some((name.to_owned(), value.to_owned())));
    match name {
        "acl" => Ok(Some(("x-amz-acl".to_owned(), value.to_owned()))),
        "tagging" => Ok(Some((TAGGING_HEADER.to_owned(), header_of(&tag_set(value.as_bytes())?, encode)))),
        _ if HEADERS.contains(&name) || is_of_object(name) => same(),
        _ if name.starts_with("x-amz-") && !SIGNATURE.contains(&name) => {
            Err(Refusal::InvalidArgument(format!("A form cannot have the field {name}.")))
        }
        _ => Ok(None),
    }
}

fn is_of_object(name: &str) -> bool {
    let is_lock = RETENTION_HEADERS.contains(&name) || name == LEGAL_HOLD_HEADER;
    is_lock || AMZ_HEADERS.contains(&name) || AMZ_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
