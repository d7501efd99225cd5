//! Who may do what with a KMS key that belongs to an account: its policy, its grants, and the policies of who asks.

mod grant;
#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use crate::arn::{self, Arn};
use crate::evaluate::Asked;
use crate::policy::Meant;
use crate::{Action, Authorized, Conditions, Decision, Denied, Identity, IdentityError, KeyPolicy, MAIN_ACCOUNT};

pub use grant::{GRANT_OPERATIONS, GrantConstraint, GrantPrincipal, GrantProblem, KeyGrant};

/// The most grants of a key.
pub const MAX_KEY_GRANTS: usize = 100;

/// `kms:ViaService` of what is done to a key for a request of S3.
pub const VIA_S3: &str = "s3.us-east-1.amazonaws.com";

/// What a key itself says of who may do what with it.
#[derive(Debug)]
pub struct KeyRules {
    /// The account that it belongs to.
    pub account: String,
    /// Its policy.
    pub policy: KeyPolicy,
    /// Its grants.
    pub grants: Vec<KeyGrant>,
}

/// Finds the rules of keys as they are now.
#[async_trait]
pub trait KeyRulesSource: Send + Sync + 'static {
    /// The rules of the key of that bare id; none where the key is the store's own, and has none.
    async fn key_rules(&self, key_id: &str) -> Result<Option<Arc<KeyRules>>, IdentityError>;
}

/// What the store's root does with every key, whoever owns it: seeing to it, and not using it. Whoever runs the store can take a key away, and must
/// be able to; what lies under it stays closed to them.
const ADMINISTRATIVE: [Action; 18] = [
    Action::ListKeys,
    Action::DescribeKey,
    Action::EnableKey,
    Action::DisableKey,
    Action::RotateKeyOnDemand,
    Action::EnableKeyRotation,
    Action::DisableKeyRotation,
    Action::SealKey,
    Action::UnsealKey,
    Action::TagResource,
    Action::UntagResource,
    Action::UpdateKeyDescription,
    Action::ScheduleKeyDeletion,
    Action::CancelKeyDeletion,
    Action::DeleteKeyNow,
    Action::DeleteLockedKey,
    Action::GetKeyPolicy,
    Action::ListGrants,
];

impl Identity {
    /// Whether this identity may do the action with the key of that bare id. Source: "Determining access to AWS KMS keys".
    ///
    /// - The key's policy is the root of all rights: without rules, which none but the store's own keys are, the identity's policies decide.
    /// - A Deny of the key's policy or of the identity's policies beats everything.
    /// - Within the account the key's policy must allow it to the identity, or to the account, whose own policies must allow it then; or a
    ///   grant must.
    /// - To another account the key's policy or a grant must allow it, and that account's policies too.
    /// - Whoever allows it, the identity's boundary and its session must allow it too.
    /// - The store's root administers every key, and the key's policy does not keep it from that. It uses none that is not opened to it.
    /// - An anonymous request has no right to any key.
    pub fn may_with_key(&self, rules: Option<&KeyRules>, action: Action, key_id: &str, conditions: &Conditions) -> Decision {
        let Some(rules) = rules else { return self.may(action, &arn::key(key_id), conditions) };
        let resource = arn::key_of(&rules.account, key_id);
        let question = self.question(&Asked { bucket: None, object: None, action, resource: &resource, conditions });
        let Some(key) = Arn::parse(&resource).filter(|_| !self.is_anonymous()) else { return Decision::ImplicitDeny };
        let own = self.own(&question, Some(key), &mut ());
        if self.is_root_of(MAIN_ACCOUNT) && ADMINISTRATIVE.contains(&action) {
            return own.decision();
        }
        // What outlives an account's wish for its own data, only who runs the store undoes.
        if action == Action::DeleteLockedKey && self.account != MAIN_ACCOUNT {
            return Decision::ImplicitDeny;
        }
        let said = rules.policy.say(&question, key, &mut ());
        if said.denies {
            return Decision::ExplicitDeny;
        }
        let granted = rules.grants.iter().map(|grant| grant.gives(self, action, conditions)).max().unwrap_or(Meant::Not);
        let opened = said.meant.max(granted);
        let of_account = own.given() || self.is_root_of(&self.account);
        let given = match opened {
            Meant::Not => false,
            Meant::Directly if self.account == rules.account => true,
            Meant::AsOfAccount | Meant::Directly => of_account,
        };
        own.decision_with(given)
    }

    /// As [`Identity::may_with_key`], with the proof.
    pub fn authorize_with_key(
        &self,
        rules: Option<&KeyRules>,
        action: Action,
        key_id: &str,
        conditions: &Conditions,
    ) -> Result<Authorized, Denied> {
        let account = rules.map_or(MAIN_ACCOUNT, |rules| rules.account.as_str());
        let decision = self.may_with_key(rules, action, key_id, conditions);
        self.proven(decision, action, &arn::key_of(account, key_id))
    }

    /// Whether this identity may do what concerns all keys of that account, with `*` for the key, or one that is not there yet: of its own
    /// account, or, where it is of the main account, of any.
    pub fn authorize_with_keys_of(
        &self,
        account: &str,
        action: Action,
        key_id: &str,
        conditions: &Conditions,
    ) -> Result<Authorized, Denied> {
        let resource = arn::key_of(account, key_id);
        let question = self.question(&Asked { bucket: None, object: None, action, resource: &resource, conditions });
        let own = self.own(&question, Arn::parse(&resource), &mut ());
        let is_possible = !self.is_anonymous() && (self.account == account || self.account == MAIN_ACCOUNT);
        let decision = own.decision_with(is_possible && (own.given() || self.is_root_of(account)));
        self.proven(decision, action, &resource)
    }
}
