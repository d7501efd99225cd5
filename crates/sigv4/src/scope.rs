//! The scope of a signature, and the credential that names it.

use std::fmt;

/// What ends every scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// What a signing key is good for: one day, one region, one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
}

impl Scope {
    /// The day as `YYYYMMDD`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// As the client wrote it; it may be empty, or no region's name at all.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Such as `s3`, `iam` or `sts`.
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// As it stands in the string to sign.
impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// `AccessKey/date/region/service/aws4_request`. An access key may hold slashes; nothing else may.
pub(crate) struct Credential {
    pub(crate) access_key: String,
    pub(crate) scope: Scope,
}

impl Credential {
    /// The error says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut fields = text.rsplitn(5, '/');
        let mut next = || fields.next().ok_or("the credential needs the form AccessKey/YYYYMMDD/region/service/aws4_request");
        let (terminator, service, region, date, access_key) = (next()?, next()?, next()?, next()?, next()?);
        if terminator != TERMINATOR {
            return Err("the credential must end in aws4_request");
        }
        if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("the date in the credential must have the format YYYYMMDD");
        }
        if access_key.is_empty() {
            return Err("the credential has no access key");
        }
        let scope = Scope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() };
        Ok(Self { access_key: access_key.to_owned(), scope })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_credential_is_read_from_its_end() {
        let Credential { access_key, scope } = Credential::parse("a/b/20130524//s3/aws4_request").unwrap();
        assert_eq!((access_key.as_str(), scope.date(), scope.region(), scope.service()), ("a/b", "20130524", "", "s3"));
        assert_eq!(scope.to_string(), "20130524//s3/aws4_request");
    }

    #[test]
    fn what_is_no_credential_is_refused() {
        for text in ["", "a", "20130524/us-east-1/s3/aws4_request", "a/20130524/us-east-1/s3/aws4_requests", "a/2013052/r/s3/aws4_request"]
        {
            assert!(Credential::parse(text).is_err(), "{text}");
        }
        assert!(Credential::parse("/20130524/us-east-1/s3/aws4_request").is_err());
        assert!(Credential::parse("a/2013052x/us-east-1/s3/aws4_request").is_err());
    }
}
