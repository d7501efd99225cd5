//! Whom a statement of a bucket policy is about.

use crate::error::StatementProblem;
use crate::identity::{Identity, MAIN_ACCOUNT, ROOT_NAME, is_account};

use super::document::{OneOrMany, RawPrincipal, UniqueMap};

/// The principals of a statement.
#[derive(Debug)]
pub(super) struct Principals {
    any_of: Vec<Principal>,
    /// `NotPrincipal`: all but those.
    negated: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Principal {
    /// Whoever asks, also without a signature.
    Anybody,
    /// Whoever belongs to the account.
    Account(String),
    /// One user, of the account if it is named: names are unique among all accounts.
    User { account: Option<String>, name: String },
    /// A service of Amazon or another directory of users, which never asks anything here.
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
    pub(super) fn compile(plain: Option<RawPrincipal>, negated: Option<RawPrincipal>) -> Result<Self, StatementProblem> {
        let (raw, negated) = match (plain, negated) {
            (Some(raw), None) => (raw, false),
            (None, Some(raw)) => (raw, true),
            _ => return Err(StatementProblem::EitherOr("Principal")),
        };
        let any_of = match raw {
            RawPrincipal::Text(text) if text == "*" => vec![Principal::Anybody],
            RawPrincipal::Text(text) => return Err(StatementProblem::NoPrincipal(text)),
            RawPrincipal::ByKind(UniqueMap(kinds)) => {
                let mut all = Vec::new();
                for (kind, OneOrMany(names)) in kinds {
                    for name in names {
                        all.push(Principal::parse(&kind, &name)?);
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
        self.negated || self.any_of.contains(&Principal::Anybody)
    }
}

impl Principal {
    fn parse(kind: &str, name: &str) -> Result<Self, StatementProblem> {
        let wrong = || StatementProblem::NoPrincipal(name.to_owned());
        match kind {
            "AWS" if name == "*" => Ok(Self::Anybody),
            "AWS" if is_account(name) => Ok(Self::Account(name.to_owned())),
            "AWS" => Self::of_arn(name).ok_or_else(wrong),
            // An identity's name is its canonical id.
            "CanonicalUser" if is_name(name) => Ok(Self::User { account: None, name: name.to_owned() }),
            "Service" | "Federated" => Ok(Self::Nobody),
            _ => Err(wrong()),
        }
    }

    /// `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:iam::ACCOUNT:root`. Without an account it is the user of that name.
    fn of_arn(arn: &str) -> Option<Self> {
        let fields: Vec<_> = arn.splitn(6, ':').collect();
        let ["arn", _partition, "iam", "", account, relative] = fields[..] else { return None };
        let account = if account.is_empty() { None } else { Some(account.to_owned()).filter(|account| is_account(account)).map(Some)? };
        match (account, relative) {
            (Some(account), "root") => Some(Self::Account(account)),
            (None, "root") => Some(Self::Account(MAIN_ACCOUNT.to_owned())),
            (account, relative) => {
                let name = relative.strip_prefix("user/").map(|path| path.rsplit('/').next().unwrap_or(path))?;
                is_name(name).then(|| Self::User { account, name: name.to_owned() })
            }
        }
    }

    fn is(&self, identity: &Identity) -> Meant {
        match self {
            Self::Anybody => Meant::Directly,
            _ if identity.is_anonymous() => Meant::Not,
            Self::Account(account) if identity.account == *account => Meant::AsOfAccount,
            Self::User { account, name }
                if identity.name == *name && account.as_ref().is_none_or(|account| *account == identity.account) =>
            {
                Meant::Directly
            }
            Self::Account(_) | Self::User { .. } | Self::Nobody => Meant::Not,
        }
    }
}

fn is_name(text: &str) -> bool {
    text == ROOT_NAME || Identity::is_user_name(text)
}
