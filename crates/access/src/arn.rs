//! Resources by their Amazon names, and the patterns that policies write for them.

use std::fmt;

use crate::action::SERVICES;
use crate::error::StatementProblem;
use crate::identity::ROOT_NAME;
use crate::wildcard::Pattern;

/// The resource of [`crate::Action::ListAllMyBuckets`].
pub const ALL_BUCKETS: &str = "arn:aws:s3:::";

/// The resource of what concerns every KMS key, or one that has no id yet. No key has the id `*`.
pub const ALL_KEYS: &str = "arn:aws:kms:us-east-1:000000000000:key/*";

/// The resource of key management as a whole.
pub const KMS: &str = "arn:aws:strongroom:::kms";

/// Region and account of every KMS key.
const KEY_REGION: &str = "us-east-1";
const KEY_ACCOUNT: &str = "000000000000";

/// A bucket.
pub fn bucket(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// An object of a bucket.
pub fn object(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// A user of an account, or root.
pub fn user(account: &str, name: &str) -> String {
    let path = if name == ROOT_NAME { name.to_owned() } else { format!("user/{name}") };
    format!("arn:aws:iam::{account}:{path}")
}

/// A KMS key, by its bare id.
pub fn key(key_id: &str) -> String {
    format!("arn:aws:kms:{KEY_REGION}:{KEY_ACCOUNT}:key/{key_id}")
}

/// The bare id of a KMS key that a client names by id or by ARN.
pub(crate) fn key_id(id_or_arn: &str) -> &str {
    match Arn::parse(id_or_arn) {
        Some(arn) if arn.service == "kms" => arn.relative.strip_prefix("key/").unwrap_or(id_or_arn),
        _ => id_or_arn,
    }
}

/// A resource taken apart, as far as it tells resources of this server from each other.
#[derive(Clone, Copy)]
pub(crate) struct Arn<'a> {
    service: &'a str,
    relative: &'a str,
}

impl<'a> Arn<'a> {
    /// None where it is no ARN.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let [scheme, _partition, service, _region, _account, relative] = split(text)?;
        (scheme == "arn").then_some(Self { service, relative })
    }
}

/// A policy's pattern for resources.
#[derive(Debug)]
pub(crate) enum ArnPattern {
    /// `*`
    Any,
    /// An ARN. A wildcard never reaches over a colon of the first five fields.
    Fields { services: Vec<&'static str>, relative: Pattern },
}

impl ArnPattern {
    /// Refuses what could never match a resource of this server.
    pub(crate) fn parse(text: &str) -> Result<Self, StatementProblem> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (services, relative) = parse_fields(text)?;
        Ok(Self::Fields { services, relative: Pattern::new(relative)? })
    }

    /// Whether it may mean the bucket or something in it.
    pub(crate) fn reaches_into(&self, bucket: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Fields { services, relative } => services.contains(&"s3") && relative.reaches_into(bucket),
        }
    }

    pub(crate) fn matches(&self, arn: Arn<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Fields { services, relative } => services.contains(&arn.service) && relative.matches(arn.relative),
        }
    }
}

impl fmt::Display for ArnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Fields { services, relative } => write!(f, "arn:aws:{}:::{relative}", services.first().copied().unwrap_or("*")),
        }
    }
}

/// The pattern for the bare key id that is written in a policy: the id itself, or an ARN of KMS.
pub(crate) fn key_id_pattern(text: &str) -> Result<&str, StatementProblem> {
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    let (services, relative) = parse_fields(text)?;
    match relative.strip_prefix("key/") {
        Some(id) if services.contains(&"kms") => Ok(id),
        _ => Err(StatementProblem::NoKey(text.to_owned())),
    }
}

/// The services that the pattern may mean, and its last field.
fn parse_fields(text: &str) -> Result<(Vec<&'static str>, &str), StatementProblem> {
    if text.contains("${") {
        return Err(StatementProblem::Variable(text.to_owned()));
    }
    let malformed = || StatementProblem::MalformedResource(text.to_owned());
    let [scheme, partition, service, region, account, relative] = split(text).ok_or_else(malformed)?;
    if scheme != "arn" || relative.is_empty() || !Pattern::new(partition)?.matches("aws") {
        return Err(malformed());
    }
    let (service, region, account) = (Pattern::new(service)?, Pattern::new(region)?, Pattern::new(account)?);
    let possible = |known: &&'static str| {
        service.matches(known)
            && (region.matches("") && account.matches("")
                || *known == "kms"
                    && (region.matches("") || region.matches(KEY_REGION))
                    && (account.matches("") || account.matches(KEY_ACCOUNT)))
    };
    let services: Vec<_> = SERVICES.into_iter().filter(possible).collect();
    if services.is_empty() { Err(StatementProblem::ForeignResource(text.to_owned())) } else { Ok((services, relative)) }
}

fn split(text: &str) -> Option<[&str; 6]> {
    let mut fields = text.splitn(6, ':');
    let split = [fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    Some(split)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matches(pattern: &str, resource: &str) -> bool {
        ArnPattern::parse(pattern).unwrap().matches(Arn::parse(resource).unwrap())
    }

    #[test]
    fn buckets_and_objects_match_as_in_iam() {
        assert!(matches("arn:aws:s3:::b", &bucket("b")));
        assert!(!matches("arn:aws:s3:::b", &object("b", "k")));
        assert!(!matches("arn:aws:s3:::b/*", &bucket("b")));
        assert!(matches("arn:aws:s3:::b/*", &object("b", "a/b:c/d")));
        assert!(matches("arn:aws:s3:::b*", &object("bb", "k")));
        assert!(matches("arn:aws:s3:::*", &object("b", "k")));
        assert!(matches("arn:aws:s3:::*", ALL_BUCKETS));
        assert!(!matches("arn:aws:s3:::b*", ALL_BUCKETS));
        assert!(matches("*", ALL_BUCKETS));
        assert!(!matches("arn:aws:s3:::*", &key("k")));
    }

    #[test]
    fn a_key_matches_with_and_without_region_and_account() {
        assert_eq!(key("k1"), "arn:aws:kms:us-east-1:000000000000:key/k1");
        for pattern in [
            "arn:aws:kms:::key/k1",
            "arn:aws:kms:*:*:key/k1",
            "arn:aws:kms:us-east-1:000000000000:key/k1",
            "arn:aws:kms:us-*:*:key/*",
            "arn:aws:kms:::*",
            "arn:aws:*:*:*:key/k?",
            "*",
        ] {
            assert!(matches(pattern, &key("k1")), "{pattern}");
        }
        assert!(!matches("arn:aws:kms:::key/k1", &key("k2")));
        assert!(!matches("arn:aws:kms:::key/k1", &object("key", "k1")));
    }

    #[test]
    fn rights_to_some_keys_are_none_to_all_of_them() {
        assert_eq!(ALL_KEYS, key("*"));
        for pattern in ["arn:aws:kms:::key/*", "arn:aws:kms:::*", "*"] {
            assert!(matches(pattern, ALL_KEYS), "{pattern}");
        }
        assert!(!matches("arn:aws:kms:::key/team-*", ALL_KEYS));
        assert!(matches("arn:aws:strongroom:::*", KMS) && matches("*", KMS));
        assert!(!matches("arn:aws:kms:::*", KMS));
    }

    #[test]
    fn a_wildcard_does_not_reach_over_a_field() {
        assert!(!matches("arn:aws:kms:*:*:key/k1", &key("x:key/k1")));
        assert!(!matches("arn:aws:s3:*:*:k", &bucket("x:k")));
    }

    #[test]
    fn a_pattern_that_can_never_match_is_refused() {
        for text in ["", "b/*", "arn:aws:s3:b", "arn:aws:s3:::", "arn:gcp:s3:::b", "arn:*", "urn:aws:s3:::b"] {
            assert!(matches!(ArnPattern::parse(text), Err(StatementProblem::MalformedResource(_))), "{text}");
        }
        for text in
            ["arn:aws:ec2:::i", "arn:aws:s3:us-east-1::b", "arn:aws:s3::1:b", "arn:aws:kms:eu-west-1::key/k", "arn:aws:kms::1:key/k"]
        {
            assert!(matches!(ArnPattern::parse(text), Err(StatementProblem::ForeignResource(_))), "{text}");
        }
        assert!(matches!(ArnPattern::parse("arn:aws:s3:::home/${aws:username}/*"), Err(StatementProblem::Variable(_))));
    }

    #[test]
    fn a_key_is_the_same_by_id_and_by_arn() {
        assert_eq!(key_id("k1"), "k1");
        assert_eq!(key_id("arn:aws:kms:eu-west-1:1:key/k1"), "k1");
        assert_eq!(key_id("arn:aws:s3:::key/k1"), "arn:aws:s3:::key/k1");
        assert_eq!(key_id_pattern("k*").unwrap(), "k*");
        assert_eq!(key_id_pattern("arn:aws:kms:*:*:key/k*").unwrap(), "k*");
        assert_eq!(key_id_pattern("arn:aws:kms:::alias/a"), Err(StatementProblem::NoKey("arn:aws:kms:::alias/a".to_owned())));
    }
}
