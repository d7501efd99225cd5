//! Sets of actions, as the patterns of policies mean them.

use crate::Action;
use crate::action::SERVICES;
use crate::error::StatementProblem;
use crate::wildcard::Pattern;

/// A set of actions: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActionSet([u64; Action::ALL.len().div_ceil(64)]);

impl ActionSet {
    /// The actions that a policy's action pattern means. The empty set is no error: AWS knows actions that this server does not have.
    pub(crate) fn matching(pattern: &str) -> Result<Self, StatementProblem> {
        check_form(pattern)?;
        let compiled = Pattern::new(&pattern.to_ascii_lowercase())?;
        let mut set = Self::default();
        for action in Action::ALL.iter().filter(|action| compiled.matches(&action.as_str().to_ascii_lowercase())) {
            let (word, bit) = action.place();
            set.0[word] |= bit;
        }
        Ok(set)
    }

    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn contains(&self, action: Action) -> bool {
        let (word, bit) = action.place();
        self.0[word] & bit != 0
    }
}

/// `*`, or `service:name` of a service there is.
fn check_form(pattern: &str) -> Result<(), StatementProblem> {
    if pattern == "*" {
        return Ok(());
    }
    let malformed = || StatementProblem::MalformedAction(pattern.to_owned());
    let (service, name) = pattern.split_once(':').ok_or_else(malformed)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'*' || byte == b'?';
    if service.is_empty() || name.is_empty() || !service.bytes().chain(name.bytes()).all(allowed) {
        return Err(malformed());
    }
    let service_pattern = Pattern::new(&service.to_ascii_lowercase())?;
    if SERVICES.iter().any(|known| service_pattern.matches(known)) {
        Ok(())
    } else {
        Err(StatementProblem::ForeignService(pattern.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matching(pattern: &str) -> Vec<Action> {
        let set = ActionSet::matching(pattern).unwrap();
        Action::ALL.iter().copied().filter(|action| set.contains(*action)).collect()
    }

    #[test]
    fn patterns_match_whatever_the_case() {
        assert_eq!(matching("s3:getobject"), [Action::GetObject]);
        assert_eq!(matching("S3:GetObject"), [Action::GetObject]);
        assert_eq!(matching("KMS:*Data*"), [Action::GenerateDataKey]);
        assert_eq!(matching("kms:*Deletion"), [Action::ScheduleKeyDeletion, Action::CancelKeyDeletion]);
        assert!(matching("kms:*").iter().all(|action| action.as_str().starts_with("kms:")));
        let deletes = [Action::DeleteObject, Action::DeleteObjectVersion, Action::DeleteObjectTagging, Action::DeleteObjectVersionTagging];
        assert_eq!(matching("s3:DeleteObject*"), deletes);
        assert_eq!(matching("s3:?utObject"), [Action::PutObject]);
        assert_eq!(matching("*"), Action::ALL);
        assert_eq!(matching("*:*"), Action::ALL);
        assert_eq!(matching("s3:GetObjectTorrent"), []);
        assert_eq!(matching("sts:*"), Action::ALL[Action::ALL.len() - 8..]);
        assert_eq!(matching("iam:*ccessKey*").len(), 5);
    }

    #[test]
    fn what_is_no_action_is_refused() {
        for pattern in ["", "s3", "s3:", ":GetObject", "GetObject", "s3:Get Object", "s3:Get/Object", "s3:${x}", "s3:a:b"] {
            assert_eq!(ActionSet::matching(pattern), Err(StatementProblem::MalformedAction(pattern.to_owned())));
        }
        for pattern in ["ec2:RunInstances", "s4:GetObject", "e*:*"] {
            assert_eq!(ActionSet::matching(pattern), Err(StatementProblem::ForeignService(pattern.to_owned())));
        }
    }
}
