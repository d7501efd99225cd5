//! The header `Authorization`.

use std::borrow::Cow;

use crate::{
    error::SignatureError,
    key::parse_signature,
    scope::{Credential, Scope},
};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Metadata of 2 KiB, which is what S3 takes, can be some hundred headers. Each header of a request is looked up in the list.
const MAX_SIGNED_HEADERS: usize = 1024;
const ASYMMETRIC: &str = "AWS4-ECDSA-P256-SHA256";

/// What the header or the query says of the signature, whichever carries it.
pub(crate) struct Fields {
    pub(crate) access_key: String,
    pub(crate) scope: Scope,
    pub(crate) signed_headers: SignedHeaders,
    pub(crate) signature: [u8; 32],
}

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, the fields in any order.
pub(crate) fn parse(value: &str) -> Result<Fields, SignatureError> {
    let (scheme, rest) = value.trim().split_once([' ', '\t']).unwrap_or((value.trim(), ""));
    known_scheme(scheme, rest)?;
    let [mut credential, mut signed_headers, mut signature] = [None; 3];
    for field in rest.split(',') {
        let (name, text) = field.trim().split_once('=').ok_or_else(|| malformed("a field has no value"))?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(malformed("it may have the fields Credential, SignedHeaders and Signature only")),
        };
        if slot.replace(text).is_some() {
            return Err(malformed("a field came more than once"));
        }
    }
    let missing = || malformed("it needs the fields Credential, SignedHeaders and Signature");
    let Credential { access_key, scope } = Credential::parse(credential.ok_or_else(missing)?).map_err(malformed)?;
    let signed_headers = SignedHeaders::parse(signed_headers.ok_or_else(missing)?).map_err(malformed)?;
    let signature = parse_signature(signature.ok_or_else(missing)?.as_bytes()).ok_or(SignatureError::Mismatch)?;
    Ok(Fields { access_key, scope, signed_headers, signature })
}

fn known_scheme(scheme: &str, rest: &str) -> Result<(), SignatureError> {
    match scheme {
        ALGORITHM => Ok(()),
        ASYMMETRIC => Err(SignatureError::AsymmetricNotImplemented),
        "AWS" if rest.contains(':') => Err(SignatureError::VersionTwo),
        _ => Err(SignatureError::UnsupportedScheme),
    }
}

/// The same for `X-Amz-Algorithm`.
pub(crate) fn known_algorithm(algorithm: &str) -> Result<(), SignatureError> {
    match algorithm {
        ALGORITHM => Ok(()),
        ASYMMETRIC => Err(SignatureError::AsymmetricNotImplemented),
        _ => Err(SignatureError::MalformedQuery(Cow::Borrowed("X-Amz-Algorithm only supports AWS4-HMAC-SHA256"))),
    }
}

fn malformed(what: &'static str) -> SignatureError {
    SignatureError::MalformedHeader(Cow::Borrowed(what))
}

/// The names of the headers that a signature covers, sorted as they are signed. No name is there twice.
pub(crate) struct SignedHeaders {
    /// With semicolons between them.
    text: String,
    /// Where each ends in the text.
    ends: Vec<usize>,
}

impl SignedHeaders {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut names: Vec<&str> = text.split(';').take(MAX_SIGNED_HEADERS + 1).collect();
        if names.len() > MAX_SIGNED_HEADERS {
            return Err("it names too many signed headers");
        }
        if !names.iter().all(|name| !name.is_empty() && name.bytes().all(is_name_byte)) {
            return Err("the signed headers must be lower-case names, separated by semicolons");
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a signed header is named more than once");
        }
        let ends = names.iter().scan(0, |begin, name| {
            let end = *begin + name.len();
            *begin = end + 1;
            Some(end)
        });
        Ok(Self { ends: ends.collect(), text: names.join(";") })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.text.split(';')
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let behind = self.ends.binary_search_by(|end| {
            let begin = self.text[..*end].rfind(';').map_or(0, |before| before + 1);
            self.text[begin..*end].cmp(name)
        });
        behind.is_ok()
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SIGNATURE: &str = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

    fn code(value: &str) -> &'static str {
        parse(value).map_or_else(|error| error.code(), |_| "")
    }

    #[test]
    fn a_header_is_signed_if_its_whole_name_is_in_the_list() {
        let names = ["content-md5", "host", "x-amz-acl", "x-amz-acl-2", "x-amz-date"];
        for count in 1..=names.len() {
            let signed = SignedHeaders::parse(&names[..count].join(";")).unwrap();
            for (at, name) in names.iter().enumerate() {
                assert_eq!(signed.has(name), at < count, "{name} in {}", signed.text());
            }
            for absent in ["", "a", "hos", "hosts", "x-amz", "x-amz-acl-", "z", ";", "content-md5;host"] {
                assert!(!signed.has(absent), "{absent} in {}", signed.text());
            }
        }
    }

    #[test]
    fn the_fields_come_in_any_order_with_or_without_spaces() {
        let credential = "Credential=AKID/20130524/us-east-1/s3/aws4_request";
        let rows = [
            format!("AWS4-HMAC-SHA256 {credential},SignedHeaders=host;x-amz-date,Signature={SIGNATURE}"),
            format!("AWS4-HMAC-SHA256  Signature={SIGNATURE} , {credential},\tSignedHeaders=x-amz-date;host "),
        ];
        for row in rows {
            let fields = parse(&row).unwrap();
            assert_eq!((fields.access_key.as_str(), fields.scope.region()), ("AKID", "us-east-1"));
            assert_eq!(fields.signed_headers.names().collect::<Vec<_>>(), ["host", "x-amz-date"]);
            assert_eq!(hex::encode(fields.signature), SIGNATURE);
        }
    }

    #[test]
    fn each_malformed_header_has_its_code() {
        let valid = format!("AWS4-HMAC-SHA256 Credential=AKID/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature={SIGNATURE}");
        assert_eq!(code(&valid), "");
        let malformed = [
            valid.replace("Credential=", "Credentials="),
            valid.replace("AKID/", "/"),
            valid.replace("aws4_request", "aws5_request"),
            valid.replace("=host", "=Host"),
            valid.replace("=host", "=host;host"),
            valid.replace("=host", "="),
            valid.replace("=host", "=host;;x-amz-date"),
            valid.replace(",SignedHeaders=host", ""),
            valid.replace(",SignedHeaders=host", ",SignedHeaders"),
            valid.clone() + ",Signature=0",
            valid.clone() + ",",
            valid.clone() + ",Extra=1",
            valid.replace("=host", &format!("=host{}", (0..1024).map(|number| format!(";h{number}")).collect::<Vec<_>>().concat())),
            "AWS4-HMAC-SHA256".to_owned(),
        ];
        for value in malformed {
            assert_eq!(code(&value), "AuthorizationHeaderMalformed", "{value}");
        }
        assert_eq!(code(&valid.replace(SIGNATURE, &SIGNATURE.to_uppercase())), "SignatureDoesNotMatch");
        assert_eq!(code(&valid.replace(SIGNATURE, "0")), "SignatureDoesNotMatch");
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        assert_eq!(parse("AWS AKID:c2ln").err().unwrap(), SignatureError::VersionTwo);
        assert_eq!(parse("AWS HAHAHA").err().unwrap(), SignatureError::UnsupportedScheme);
        assert_eq!(parse("Basic YTpi").err().unwrap(), SignatureError::UnsupportedScheme);
        assert_eq!(parse("x").err().unwrap(), SignatureError::UnsupportedScheme);
        assert_eq!(parse("AWS4-ECDSA-P256-SHA256 Credential=a").err().unwrap(), SignatureError::AsymmetricNotImplemented);
        assert_eq!(parse("aws4-hmac-sha256 Credential=a").err().unwrap(), SignatureError::UnsupportedScheme);
    }
}
