//! Resources by their Amazon names, and the patterns that policies write for them.

use std::fmt;

use crate::action::SERVICES;
use crate::error::StatementProblem;
use crate::identity::{MAIN_ACCOUNT, is_account};
use crate::key::{Key, Question};
use crate::template::{Fit, Reading, Template};
use crate::wildcard::Pattern;

/// The resource of [`crate::Action::ListAllMyBuckets`].
pub const ALL_BUCKETS: &str = "arn:aws:s3:::";

/// The resource of what concerns every KMS key, or one that has no id yet. No key has the id `*`.
pub const ALL_KEYS: &str = "arn:aws:kms:us-east-1:000000000000:key/*";

/// The resource of key management as a whole.
pub const KMS: &str = "arn:aws:strongroom:::kms";

/// The region of every KMS key.
const KEY_REGION: &str = "us-east-1";

/// A bucket.
pub fn bucket(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// An object of a bucket.
pub fn object(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// An account, as the resource of what concerns all identities in it. No identity has the name `*`.
pub fn account(account: &str) -> String {
    format!("arn:aws:iam::{account}:*")
}

/// Root of an account.
pub fn root(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// A user of an account. The path begins and ends with a slash, here and in the others.
pub fn user(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:user{path}{name}")
}

/// A group of an account.
pub fn group(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:group{path}{name}")
}

/// A role of an account.
pub fn role(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role{path}{name}")
}

/// A managed policy of an account, or of the account `aws`, whose policies are everybody's.
pub fn policy(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}

/// A provider of OpenID Connect, by its URL without the scheme.
pub fn oidc_provider(account: &str, url: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// A session of a role.
pub fn assumed_role(account: &str, role: &str, session: &str) -> String {
    format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
}

/// Somebody whom another directory knows, without a role.
pub fn federated_user(account: &str, name: &str) -> String {
    format!("arn:aws:sts::{account}:federated-user/{name}")
}

/// What an ARN of `iam` or `sts` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityKind {
    /// `root`
    Root,
    /// `user/…`
    User,
    /// `group/…`
    Group,
    /// `role/…`
    Role,
    /// `policy/…`
    Policy,
    /// `oidc-provider/…`; its name is the URL without the scheme.
    OidcProvider,
    /// `assumed-role/ROLE/SESSION`; the role is its path, between slashes.
    AssumedRole,
    /// `federated-user/…`
    FederatedUser,
}

/// An ARN of `iam` or `sts`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entity<'a> {
    /// Twelve digits; of policies also `aws`. Empty where the ARN leaves it out.
    pub account: &'a str,
    /// What it names.
    pub kind: EntityKind,
    /// Begins and ends with a slash.
    pub path: &'a str,
    /// The last part; empty of root.
    pub name: &'a str,
}

impl<'a> Entity<'a> {
    /// None where it is no ARN of an identity, a policy or a provider.
    pub fn parse(arn: &'a str) -> Option<Self> {
        let [scheme, partition, service, region, account, relative] = split(arn)?;
        let is_known = is_account(account) || account.is_empty() || account == "aws";
        if (scheme, partition, region) != ("arn", "aws", "") || !is_known {
            return None;
        }
        if (service, relative) == ("iam", "root") {
            return Some(Self { account, kind: EntityKind::Root, path: "/", name: "" });
        }
        let at = relative.find('/')?;
        let (kind, rest) = relative.split_at(at);
        let kind = match (service, kind) {
            ("iam", "user") => EntityKind::User,
            ("iam", "group") => EntityKind::Group,
            ("iam", "role") => EntityKind::Role,
            ("iam", "policy") => EntityKind::Policy,
            ("iam", "oidc-provider") => EntityKind::OidcProvider,
            ("sts", "assumed-role") => EntityKind::AssumedRole,
            ("sts", "federated-user") => EntityKind::FederatedUser,
            _ => return None,
        };
        let cut = if kind == EntityKind::OidcProvider { 1 } else { rest.rfind('/').map_or(0, |slash| slash + 1) };
        let (path, name) = rest.split_at(cut);
        let has_role = kind != EntityKind::AssumedRole || (path.len() > 2 && !path[1..path.len() - 1].contains('/'));
        (!name.is_empty() && has_role).then_some(Self { account, kind, path, name })
    }
}

/// A KMS key of the main account, by its bare id.
pub fn key(key_id: &str) -> String {
    key_of(MAIN_ACCOUNT, key_id)
}

/// A KMS key of an account, by its bare id.
pub fn key_of(account: &str, key_id: &str) -> String {
    format!("arn:aws:kms:{KEY_REGION}:{account}:key/{key_id}")
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
    pub(crate) service: &'a str,
    /// It tells identities and keys of one account from those of another; buckets have none.
    pub(crate) account: &'a str,
    relative: &'a str,
}

impl<'a> Arn<'a> {
    /// None where it is no ARN.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let [scheme, _partition, service, _region, account, relative] = split(text)?;
        (scheme == "arn").then_some(Self { service, account, relative })
    }
}

/// A policy's pattern for resources.
#[derive(Debug)]
pub(crate) enum ArnPattern {
    /// `*`
    Any,
    /// An ARN. A wildcard never reaches over a colon of the first five fields.
    Fields { services: Vec<&'static str>, account: Pattern, relative: Template },
}

/// Whether the resources of a service belong to an account by their names.
fn has_account(service: &str) -> bool {
    matches!(service, "iam" | "sts")
}

/// Whether a pattern's account means that of a resource. For keys none stands for every one.
fn is_of_account(service: &str, pattern: &Pattern, account: &str) -> bool {
    match service {
        "kms" => pattern.matches("") || pattern.matches(account),
        _ => !has_account(service) || pattern.matches(account),
    }
}

impl ArnPattern {
    /// Refuses what could never match a resource of this server.
    pub(crate) fn parse(text: &str, has_variables: bool) -> Result<Self, StatementProblem> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Fields { services, account, relative } = parse_fields(text)?;
        Ok(Self::Fields { services, account, relative: Template::parse(relative, Reading::Pattern, has_variables)? })
    }

    /// Whether it may mean the bucket or something in it.
    pub(crate) fn reaches_into(&self, bucket: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Fields { services, relative, .. } => services.contains(&"s3") && relative.reaches_into(bucket),
        }
    }

    /// Whether it matches, as its variables are filled in for this request.
    pub(crate) fn fits(&self, arn: Arn<'_>, question: &Question<'_>) -> Fit {
        match self {
            Self::Any => Fit::Yes,
            Self::Fields { services, account, relative } => {
                let may = services.contains(&arn.service) && is_of_account(arn.service, account, arn.account);
                if may { relative.fits(arn.relative, question) } else { Fit::No }
            }
        }
    }

    /// The keys of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Key> {
        let relative = if let Self::Fields { relative, .. } = self { Some(relative) } else { None };
        relative.into_iter().flat_map(Template::variables)
    }
}

impl fmt::Display for ArnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Fields { services, account, relative } => {
                let service = services.first().copied().unwrap_or("*");
                let account = if has_account(service) || service == "kms" { account.to_string() } else { String::new() };
                write!(f, "arn:aws:{service}::{account}:{relative}")
            }
        }
    }
}

/// The pattern for the bare key id that is written in a policy: the id itself, or an ARN of KMS.
pub(crate) fn key_id_pattern(text: &str) -> Result<&str, StatementProblem> {
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    let Fields { services, relative, .. } = parse_fields(text)?;
    match relative.strip_prefix("key/") {
        Some(id) if services.contains(&"kms") => Ok(id),
        _ => Err(StatementProblem::NoKey(text.to_owned())),
    }
}

/// The services that a pattern may mean, its account and its last field.
struct Fields<'a> {
    services: Vec<&'static str>,
    account: Pattern,
    relative: &'a str,
}

fn parse_fields(text: &str) -> Result<Fields<'_>, StatementProblem> {
    let malformed = || StatementProblem::MalformedResource(text.to_owned());
    let Some([scheme, partition, service, region, account, relative]) = split(text) else {
        return Err(if text.contains("${") { StatementProblem::VariablePlace(text.to_owned()) } else { malformed() });
    };
    if [scheme, partition, service, region, account].iter().any(|field| field.contains("${")) {
        return Err(StatementProblem::VariablePlace(text.to_owned()));
    }
    if scheme != "arn" || relative.is_empty() || !Pattern::new(partition)?.matches("aws") {
        return Err(malformed());
    }
    let may_be_an_account = account == "aws" || account.contains(['*', '?']) || is_account(account);
    let may_be_a_key_s = account.is_empty() || account.contains(['*', '?']) || is_account(account);
    let (service, region, account) = (Pattern::new(service)?, Pattern::new(region)?, Pattern::new(account)?);
    let possible = |known: &&'static str| {
        let is_of_keys = *known == "kms" && (region.matches("") || region.matches(KEY_REGION)) && may_be_a_key_s;
        let is_of_account = has_account(known) && region.matches("") && may_be_an_account;
        let is_bare = !has_account(known) && account.matches("") && (region.matches("") || *known == "kms" && region.matches(KEY_REGION));
        service.matches(known) && (is_bare || is_of_keys || is_of_account)
    };
    let services: Vec<_> = SERVICES.into_iter().filter(possible).collect();
    if services.is_empty() { Err(StatementProblem::ForeignResource(text.to_owned())) } else { Ok(Fields { services, account, relative }) }
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
    use crate::{Action, Conditions, Identity};

    fn matches(pattern: &str, resource: &str) -> bool {
        let (identity, conditions) = (Identity::anonymous(), Conditions::new(true));
        let question = Question { identity: &identity, action: Action::GetObject, conditions: &conditions, resource_account: None };
        ArnPattern::parse(pattern, true).unwrap().fits(Arn::parse(resource).unwrap(), &question) == Fit::Yes
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
            assert!(matches!(ArnPattern::parse(text, true), Err(StatementProblem::MalformedResource(_))), "{text}");
        }
        for text in [
            "arn:aws:ec2:::i",
            "arn:aws:s3:us-east-1::b",
            "arn:aws:s3::1:b",
            "arn:aws:kms:eu-west-1::key/k",
            "arn:aws:kms::1:key/k",
            "arn:aws:iam:::user/a",
            "arn:aws:iam::1:user/a",
            "arn:aws:sts:eu-west-1:111122223333:assumed-role/r/s",
        ] {
            assert!(matches!(ArnPattern::parse(text, true), Err(StatementProblem::ForeignResource(_))), "{text}");
        }
        for text in ["arn:aws:${s3:prefix}:::b", "arn:aws:iam::${aws:PrincipalAccount}:user/a", "${aws:PrincipalArn}"] {
            assert!(matches!(ArnPattern::parse(text, true), Err(StatementProblem::VariablePlace(_))), "{text}");
        }
        assert!(ArnPattern::parse("arn:aws:s3:::home/${aws:username}/*", true).is_ok());
        assert!(matches!(ArnPattern::parse("arn:aws:s3:::home/${aws:username}/*", false), Err(StatementProblem::VariableVersion(_))));
    }

    #[test]
    fn an_identity_matches_only_in_the_account_that_the_pattern_names() {
        let alice = user("111122223333", "/team/", "alice");
        assert_eq!(alice, "arn:aws:iam::111122223333:user/team/alice");
        for (pattern, fits) in [
            ("arn:aws:iam::111122223333:user/team/alice", true),
            ("arn:aws:iam::111122223333:user/*", true),
            ("arn:aws:iam::1111*:user/*/a?ice", true),
            ("arn:aws:iam::*:*", true),
            ("arn:aws:*:*:*:user/*", true),
            ("*", true),
            ("arn:aws:iam::111122223333:user/alice", false),
            ("arn:aws:iam::000000000000:user/team/alice", false),
            ("arn:aws:iam::222*:*", false),
            ("arn:aws:iam::111122223333:group/*", false),
            ("arn:aws:sts::111122223333:*", false),
            ("arn:aws:*:::*", false),
        ] {
            assert_eq!(matches(pattern, &alice), fits, "{pattern}");
        }
        assert!(matches("arn:aws:sts::*:assumed-role/r/*", &assumed_role("111122223333", "r", "s")));
        assert!(matches("arn:aws:iam::111122223333:*", &account("111122223333")));
        assert!(!matches("arn:aws:iam::111122223333:user/*", &account("111122223333")));
        // The account of a bucket's and of a key's name tells nothing.
        assert!(matches("arn:aws:s3:::b", "arn:aws:s3::1:b") && matches("arn:aws:kms:::key/k", &key("k")));
    }

    #[test]
    fn an_identity_is_taken_apart_as_it_was_put_together() {
        use EntityKind::{AssumedRole, FederatedUser, Group, OidcProvider, Policy, Role, Root, User};
        let account = "111122223333";
        for (arn, kind, path, name) in [
            (root(account), Root, "/", ""),
            (user(account, "/", "alice"), User, "/", "alice"),
            (user(account, "/a/b/", "alice"), User, "/a/b/", "alice"),
            (group(account, "/", "staff"), Group, "/", "staff"),
            (role(account, "/x/", "r"), Role, "/x/", "r"),
            (policy(account, "/", "p"), Policy, "/", "p"),
            (oidc_provider(account, "idp.example.org/realms/x"), OidcProvider, "/", "idp.example.org/realms/x"),
            (assumed_role(account, "r", "s"), AssumedRole, "/r/", "s"),
            (federated_user(account, "bob"), FederatedUser, "/", "bob"),
        ] {
            assert_eq!(Entity::parse(&arn), Some(Entity { account, kind, path, name }), "{arn}");
        }
        for text in [
            "",
            "alice",
            "arn:aws:iam::12345:root",
            "arn:aws:iam:us-east-1:111122223333:user/alice",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:user",
            "arn:aws:iam::111122223333:server/alice",
            "arn:aws:sts::111122223333:user/alice",
            "arn:aws:sts::111122223333:assumed-role/r",
            "arn:aws:sts::111122223333:assumed-role/a/r/s",
            "arn:aws:s3:::user/alice",
        ] {
            assert_eq!(Entity::parse(text), None, "{text}");
        }
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
