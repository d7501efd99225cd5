//! Whom a statement of the policy of a bucket or a key, or of a role's trust policy, is about.

use crate::arn::{Entity, EntityKind};
use crate::error::StatementProblem;
use crate::identity::{Identity, MAIN_ACCOUNT, Principal, is_account, is_name};

use super::document::{OneOrMany, RawPrincipal, UniqueMap};

/// The principals of a statement.
#[derive(Debug)]
pub(super) struct Principals {
    any_of: Vec<Whom>,
    /// `NotPrincipal`: all but those.
    negated: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever asks, also without a signature.
    Anybody,
    /// Whoever belongs to the account.
    Account(String),
    /// The user of that name, which is unique among all accounts, or root.
    Name(String),
    /// Who goes by that canonical id: a user of the configuration, or all of an account.
    Owner(String),
    /// One user.
    User { account: String, name: String },
    /// Every session of a role.
    Role { account: String, name: String },
    /// One session of a role.
    Session { account: String, role: String, session: String },
    /// Somebody whom another directory knows, without a role.
    FederatedUser { account: String, name: String },
    /// Whom a provider vouches for.
    Provider(String),
    /// A service of Amazon, which never asks anything here.
    Nobody,
}

/// How a statement means an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meant {
    Not,
    /// As one of its account, which decides itself what its users may: an Allow alone gives them nothing within the account.
    AsOfAccount,
    Directly,
}

impl Principals {
    /// Of `Principal` or `NotPrincipal`, of which one must be there.
    /// A name without an account is one of the account `home`; where none is given, it is unique among all accounts.
    pub(super) fn compile(
        plain: Option<RawPrincipal>,
        negated: Option<RawPrincipal>,
        home: Option<&str>,
    ) -> Result<Self, StatementProblem> {
        let (raw, negated) = match (plain, negated) {
            (Some(raw), None) => (raw, false),
            (None, Some(raw)) => (raw, true),
            _ => return Err(StatementProblem::EitherOr("Principal")),
        };
        let any_of = match raw {
            RawPrincipal::Text(text) if text == "*" => vec![Whom::Anybody],
            RawPrincipal::Text(text) => return Err(StatementProblem::NoPrincipal(text)),
            RawPrincipal::ByKind(UniqueMap(kinds)) => {
                let mut all = Vec::new();
                for (kind, OneOrMany(names)) in kinds {
                    for name in names {
                        all.push(Whom::parse(&kind, &name, home)?);
                    }
                }
                all
            }
        };
        if any_of.is_empty() { Err(StatementProblem::Empty("Principal".to_owned())) } else { Ok(Self { any_of, negated }) }
    }

    /// Whether the identity is meant.
    pub(super) fn mean(&self, identity: &Identity) -> Meant {
        let meant = self.any_of.iter().map(|principal| principal.is(identity)).max().unwrap_or(Meant::Not);
        match (self.negated, meant) {
            (false, meant) => meant,
            (true, Meant::Not) => Meant::Directly,
            (true, _) => Meant::Not,
        }
    }

    /// Whether people are meant who are not named.
    pub(super) fn are_open(&self) -> bool {
        self.negated || self.any_of.contains(&Whom::Anybody)
    }
}

impl Whom {
    fn parse(kind: &str, name: &str, home: Option<&str>) -> Result<Self, StatementProblem> {
        let wrong = || StatementProblem::NoPrincipal(name.to_owned());
        match kind {
            "AWS" if name == "*" => Ok(Self::Anybody),
            "AWS" if is_account(name) => Ok(Self::Account(name.to_owned())),
            "AWS" => Self::of_arn(name, home).ok_or_else(wrong),
            "CanonicalUser" if is_name(name) => Ok(Self::Owner(name.to_owned())),
            "Federated" if !name.is_empty() && !name.contains('*') => Ok(Self::Provider(name.to_owned())),
            "Service" => Ok(Self::Nobody),
            _ => Err(wrong()),
        }
    }

    /// Of the names of users and roles the paths do not count: an account has no two of one name.
    pub(crate) fn of_arn(arn: &str, home: Option<&str>) -> Option<Self> {
        let Entity { account, kind, path, name } = Entity::parse(arn)?;
        let name = name.to_owned();
        let named = is_name(&name);
        // Names without an account are those of earlier releases, which are unique among all of them.
        match (kind, account, home) {
            (EntityKind::Root, "", home) => return Some(Self::Account(home.unwrap_or(MAIN_ACCOUNT).to_owned())),
            (EntityKind::User, "", Some(home)) if named => return Some(Self::User { account: home.to_owned(), name }),
            (EntityKind::User, "", None) if named => return Some(Self::Name(name)),
            _ if is_account(account) => {}
            _ => return None,
        }
        let account = account.to_owned();
        match kind {
            EntityKind::Root => Some(Self::Account(account)),
            EntityKind::User if named => Some(Self::User { account, name }),
            EntityKind::Role if named => Some(Self::Role { account, name }),
            EntityKind::AssumedRole if named => {
                let role = path.trim_matches('/').to_owned();
                is_name(&role).then_some(Self::Session { account, role, session: name })
            }
            EntityKind::FederatedUser if named => Some(Self::FederatedUser { account, name }),
            _ => None,
        }
    }

    pub(crate) fn is(&self, identity: &Identity) -> Meant {
        let is_meant = match (self, &identity.principal) {
            (Self::Anybody, _) => true,
            (_, Principal::Anonymous) => false,
            (Self::Account(account), _) => return if identity.account == *account { Meant::AsOfAccount } else { Meant::Not },
            (Self::Owner(owner), _) if identity.owner() == owner => {
                return if identity.name == *owner { Meant::Directly } else { Meant::AsOfAccount };
            }
            // A session of a user, or a service account, has the user's name before a slash.
            (Self::Name(name), Principal::Root | Principal::User { .. }) => identity.name.split('/').next() == Some(name),
            (Self::User { account, name }, Principal::User { name: user, .. }) => identity.account == *account && user == name,
            (Self::Role { account, name }, Principal::AssumedRole { role, .. }) => identity.account == *account && role == name,
            (Self::Session { account, role, session }, Principal::AssumedRole { role: of_role, session: of_session, .. }) => {
                identity.account == *account && of_role == role && of_session == session
            }
            (Self::FederatedUser { account, name }, Principal::FederatedUser { name: user }) => {
                identity.account == *account && user == name
            }
            (Self::Provider(name), Principal::VouchedFor { provider }) => name == provider,
            _ => false,
        };
        if is_meant { Meant::Directly } else { Meant::Not }
    }
}
