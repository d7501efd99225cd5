//! Condition keys by their names, and what a request has for each.

use std::borrow::Cow;
use std::fmt;

use crate::conditions::ValueKind;
use crate::identity::Principal;
use crate::{Action, ConditionKey, Conditions, Identity};

/// What a condition or a variable of a policy looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Of(ConditionKey),
    Caller(CallerKey),
    Tag(TagKind, String),
    /// `s3:RequestObjectTagKeys`: the names of the tags that the request gives to an object.
    ObjectTagKeys,
    /// `aws:TagKeys`: the names of the tags that the request gives to an identity or a session, or takes from it.
    TagKeys,
    /// The account that the resource belongs to.
    ResourceAccount,
    /// `aws:EpochTime`: `aws:CurrentTime`, which operators for numbers take too.
    EpochTime,
    /// `kms:EncryptionContext:NAME`: what a data key is bound to under that name.
    Context(String),
    /// `kms:EncryptionContextKeys`: the names of all that it is bound to.
    ContextKeys,
    /// What a provider, directory or certificate says of the caller: `idp.example.org:sub`, `jwt:groups`, `ldap:user`.
    Claim(String),
}

/// What the evaluator knows of the caller, whatever the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerKey {
    UserName,
    UserId,
    PrincipalArn,
    PrincipalAccount,
    /// The same, for actions on keys alone.
    CallerAccount,
    PrincipalType,
    TokenIssueTime,
    SourceIdentity,
    /// Nobody signs with a second factor, so the key is always absent.
    MultiFactorAuthPresent,
    /// No other service asks in somebody's name, so both are always false.
    ViaAwsService,
    PrincipalIsAwsService,
}

/// Whose tag it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagKind {
    /// Of the object that is there.
    ExistingObject,
    /// One that the request gives to an object.
    RequestObject,
    /// Of the caller.
    Principal,
    /// One that the request gives to an identity or a session.
    Request,
    /// Of the identity that the request is about.
    Resource,
}

const CALLER_KEYS: [(CallerKey, &str, ValueKind); 11] = [
    (CallerKey::UserName, "aws:username", ValueKind::Text),
    (CallerKey::UserId, "aws:userid", ValueKind::Text),
    (CallerKey::PrincipalArn, "aws:PrincipalArn", ValueKind::Text),
    (CallerKey::PrincipalAccount, "aws:PrincipalAccount", ValueKind::Text),
    (CallerKey::CallerAccount, "kms:CallerAccount", ValueKind::Text),
    (CallerKey::PrincipalType, "aws:PrincipalType", ValueKind::Text),
    (CallerKey::TokenIssueTime, "aws:TokenIssueTime", ValueKind::Date),
    (CallerKey::SourceIdentity, "aws:SourceIdentity", ValueKind::Text),
    (CallerKey::MultiFactorAuthPresent, "aws:MultiFactorAuthPresent", ValueKind::Bool),
    (CallerKey::ViaAwsService, "aws:ViaAWSService", ValueKind::Bool),
    (CallerKey::PrincipalIsAwsService, "aws:PrincipalIsAWSService", ValueKind::Bool),
];

/// The keys that have the name of a tag behind them.
const TAG_KEYS: [(TagKind, &str); 6] = [
    (TagKind::ExistingObject, "s3:ExistingObjectTag/"),
    (TagKind::RequestObject, "s3:RequestObjectTag/"),
    (TagKind::Principal, "aws:PrincipalTag/"),
    (TagKind::Request, "aws:RequestTag/"),
    (TagKind::Resource, "aws:ResourceTag/"),
    (TagKind::Resource, "iam:ResourceTag/"),
];

/// What stands before the name of an entry of an encryption context.
const CONTEXT_KEY: &str = "kms:EncryptionContext:";

/// The others, of which some have two names.
const OTHER_KEYS: [(Key, &str); 6] = [
    (Key::ContextKeys, "kms:EncryptionContextKeys"),
    (Key::ObjectTagKeys, "s3:RequestObjectTagKeys"),
    (Key::TagKeys, "aws:TagKeys"),
    (Key::ResourceAccount, "aws:ResourceAccount"),
    (Key::ResourceAccount, "s3:ResourceAccount"),
    (Key::EpochTime, "aws:EpochTime"),
];

impl Key {
    /// The key of that name, in whatever case; names of tags and claims have one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let tag = |(kind, start): &(TagKind, &str)| {
            let (head, tag) = name.split_at_checked(start.len())?;
            (head.eq_ignore_ascii_case(start) && !tag.is_empty()).then(|| Self::Tag(*kind, tag.to_owned()))
        };
        let context = || {
            let (head, entry) = name.split_at_checked(CONTEXT_KEY.len())?;
            (head.eq_ignore_ascii_case(CONTEXT_KEY) && !entry.is_empty()).then(|| Self::Context(entry.to_owned()))
        };
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let of_caller = || CALLER_KEYS.iter().find(|(_, known, _)| is(known)).map(|(key, ..)| Self::Caller(*key));
        let other = || OTHER_KEYS.iter().find(|(_, known)| is(known)).map(|(key, _)| key.clone());
        let named = TAG_KEYS.iter().find_map(tag).or_else(context).or_else(of_caller).or_else(other);
        named.or_else(|| ConditionKey::parse(name).map(Self::Of)).or_else(|| claim(name).map(Self::Claim))
    }

    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Of(key) => key.kind(),
            Self::Caller(key) => CALLER_KEYS.iter().find(|(known, ..)| known == key).map_or(ValueKind::Text, |(.., kind)| *kind),
            Self::Tag(..) | Self::Claim(_) | Self::EpochTime => ValueKind::Any,
            Self::Context(_) | Self::ContextKeys | Self::ObjectTagKeys | Self::TagKeys | Self::ResourceAccount => ValueKind::Text,
        }
    }

    /// Whether a request may have several values for it, whatever they are.
    pub(crate) fn is_a_list(&self) -> bool {
        matches!(self, Self::ObjectTagKeys | Self::TagKeys | Self::ContextKeys)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Of(key) => key.as_str(),
            Self::Caller(key) => CALLER_KEYS.iter().find(|(known, ..)| known == key).map_or("", |(_, name, _)| name),
            Self::Tag(kind, tag) => {
                let start = TAG_KEYS.iter().find(|(known, _)| known == kind).map_or("", |(_, start)| start);
                return write!(f, "{start}{tag}");
            }
            Self::Context(entry) => return write!(f, "{CONTEXT_KEY}{entry}"),
            Self::Claim(name) => name,
            other => OTHER_KEYS.iter().find(|(known, _)| known == other).map_or("", |(_, name)| name),
        };
        f.write_str(name)
    }
}

/// The name of a claim as it is compared, where it is one: the provider's URL without the scheme, `jwt` or `ldap`, then a colon and
/// the claim. Hosts have no case; paths and claims do.
pub(crate) fn claim(name: &str) -> Option<String> {
    let (source, claim) = name.rsplit_once(':').filter(|(_, claim)| !claim.is_empty())?;
    let is_known = ["jwt", "ldap"].iter().any(|known| known.eq_ignore_ascii_case(source));
    let (host, path) = source.split_at(source.find('/').unwrap_or(source.len()));
    let (domain, port) = host.split_once(':').map_or((host, None), |(domain, port)| (domain, Some(port)));
    let is_domain = !domain.is_empty() && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_url = is_domain && is_port && source.contains(['.', '/', ':']);
    (is_known || is_url).then(|| format!("{}{path}:{claim}", host.to_ascii_lowercase()))
}

/// All names, for messages and for the document that users read.
pub(crate) fn known_keys() -> Vec<String> {
    let of_requests = ConditionKey::ALL.iter().map(|key| key.as_str().to_owned());
    let of_callers = CALLER_KEYS.iter().map(|(_, name, _)| (*name).to_owned());
    let others = OTHER_KEYS.iter().map(|(_, name)| (*name).to_owned());
    let of_tags = TAG_KEYS.iter().map(|(_, start)| format!("{start}NAME"));
    let contexts = [format!("{CONTEXT_KEY}NAME")];
    let claims = ["ISSUER:CLAIM", "jwt:CLAIM", "ldap:CLAIM"].map(str::to_owned);
    of_requests.chain(of_callers).chain(others).chain(of_tags).chain(contexts).chain(claims).collect()
}

/// What a request has for a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Values<'a> {
    Absent,
    One(Cow<'a, str>),
    /// Two and more, or one of a list.
    Many(Vec<&'a str>),
}

impl<'a> Values<'a> {
    fn one(value: Option<&'a str>) -> Self {
        value.map_or(Self::Absent, |value| Self::One(Cow::Borrowed(value)))
    }

    fn owned(value: Option<String>) -> Self {
        value.map_or(Self::Absent, |value| Self::One(Cow::Owned(value)))
    }

    fn many(values: Vec<&'a str>) -> Self {
        if values.is_empty() { Self::Absent } else { Self::Many(values) }
    }

    pub(crate) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }

    /// Whether one value at least is so.
    pub(crate) fn any(&self, mut is_so: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Absent => false,
            Self::One(value) => is_so(value),
            Self::Many(values) => values.iter().any(|value| is_so(value)),
        }
    }

    /// The only value; none where there are several.
    pub(crate) fn single(&self) -> Option<&str> {
        match self {
            Self::One(value) => Some(value),
            Self::Many(values) if values.len() == 1 => values.first().copied(),
            Self::Absent | Self::Many(_) => None,
        }
    }
}

/// What is asked, as far as conditions and variables look at it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) action: Action,
    pub(crate) conditions: &'a Conditions,
    /// None where the resource is nobody's, or is not known.
    pub(crate) resource_account: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// What the request has for the key.
    pub(crate) fn values(&self, key: &Key) -> Values<'a> {
        let conditions = self.conditions;
        if let Some(stated) = conditions.stated(key) {
            return Values::many(stated.iter().map(String::as_str).collect());
        }
        match key {
            Key::Of(key) => Values::one(conditions.get(*key).filter(|_| self.action.has(*key))),
            Key::Caller(key) => self.of_caller(*key),
            Key::Tag(kind, name) => {
                // Tags of identities are one in whatever case, and those of objects are not.
                let is_of_object = matches!(kind, TagKind::ExistingObject | TagKind::RequestObject);
                let is_meant = |tag: &str| if is_of_object { tag == name } else { tag.eq_ignore_ascii_case(name) };
                Values::one(self.tags(*kind).iter().find(|(tag, _)| is_meant(tag)).map(|(_, value)| value.as_str()))
            }
            Key::ObjectTagKeys => Values::many(names(self.tags(TagKind::RequestObject))),
            Key::TagKeys => Values::many(names(self.tags(TagKind::Request))),
            Key::Context(entry) => Values::one(self.context().iter().find(|(name, _)| name == entry).map(|(_, value)| value.as_str())),
            Key::ContextKeys => Values::many(names(self.context())),
            Key::ResourceAccount => Values::one(self.resource_account),
            Key::EpochTime => Values::one(conditions.get(ConditionKey::CurrentTime)),
            Key::Claim(name) => {
                let claim = self.identity.claims.iter().find(|(claim, _)| claim == name);
                Values::many(claim.map(|(_, values)| values.iter().map(String::as_str).collect()).unwrap_or_default())
            }
        }
    }

    fn context(&self) -> &'a [(String, String)] {
        if self.action.has_encryption_context() { self.conditions.encryption_context() } else { &[] }
    }

    fn tags(&self, kind: TagKind) -> &'a [(String, String)] {
        match kind {
            TagKind::Principal => &self.identity.tags,
            TagKind::ExistingObject if self.action.has_existing_tags() => self.conditions.existing_tags(),
            TagKind::Resource if self.action.is_about_identities() => self.conditions.existing_tags(),
            TagKind::RequestObject if self.action.has_request_tags() => self.conditions.request_tags(),
            TagKind::Request if self.action.gives_tags_to_identities() => self.conditions.request_tags(),
            TagKind::ExistingObject | TagKind::Resource | TagKind::RequestObject | TagKind::Request => &[],
        }
    }

    fn of_caller(&self, key: CallerKey) -> Values<'a> {
        let identity = self.identity;
        let is_known = !identity.is_anonymous();
        match key {
            CallerKey::UserName => match &identity.principal {
                Principal::User { name, .. } => Values::one(Some(name)),
                _ => Values::Absent,
            },
            CallerKey::UserId => Values::one(Some(identity.user_id.as_str()).filter(|id| !id.is_empty())),
            CallerKey::PrincipalArn => Values::owned(identity.principal_arn()),
            CallerKey::CallerAccount if self.action.service() != "kms" => Values::Absent,
            CallerKey::PrincipalAccount | CallerKey::CallerAccount => {
                Values::one(Some(identity.account.as_str()).filter(|account| is_known && !account.is_empty()))
            }
            CallerKey::PrincipalType => Values::one(Some(identity.principal.type_name())),
            CallerKey::TokenIssueTime => Values::owned(identity.token_issued_at.map(|seconds| seconds.to_string())),
            CallerKey::SourceIdentity => Values::one(identity.source_identity.as_deref()),
            CallerKey::MultiFactorAuthPresent => Values::Absent,
            CallerKey::ViaAwsService | CallerKey::PrincipalIsAwsService => Values::one(Some("false")),
        }
    }
}

fn names(tags: &[(String, String)]) -> Vec<&str> {
    tags.iter().map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_name_in_whatever_case_but_for_tags_and_claims() {
        for name in known_keys() {
            if name.starts_with("ISSUER") {
                continue;
            }
            let key = Key::parse(&name).unwrap();
            let (start, end) = name.split_at(name.rfind("NAME").unwrap_or(name.len()));
            let is_claim = matches!(key, Key::Claim(_));
            assert!(is_claim || Key::parse(&format!("{}{end}", start.to_ascii_uppercase())) == Some(key.clone()), "{name}");
            assert_eq!(Key::parse(&key.to_string()), Some(key), "{name}");
        }
        assert_ne!(Key::parse("aws:PrincipalTag/Team"), Key::parse("aws:PrincipalTag/team"));
        assert_eq!(Key::parse("KMS:encryptioncontext:aws:s3:arn"), Some(Key::Context("aws:s3:arn".to_owned())));
        assert_ne!(Key::parse("kms:EncryptionContext:Team"), Key::parse("kms:EncryptionContext:team"));
        assert_eq!(Key::parse("IDP.example.org/Realm:sub"), Some(Key::Claim("idp.example.org/Realm:sub".to_owned())));
        assert_eq!(Key::parse("localhost:5556/dex:aud"), Some(Key::Claim("localhost:5556/dex:aud".to_owned())));
        assert_ne!(Key::parse("idp.example.org/Realm:sub"), Key::parse("idp.example.org/realm:sub"));
        for unknown in [
            "",
            ":",
            "aws:",
            "aws:SourceVpc",
            "ec2:Region",
            "username",
            "aws:PrincipalTag/",
            "kms:EncryptionContext:",
            "idp.example.org:",
            "s3:a:b c:d",
        ] {
            assert_eq!(Key::parse(unknown), None, "{unknown}");
        }
    }
}
