//! Who may do what: identities, IAM policies, and the one decision over them. No I/O.
//!
//! An [`IdentitySource`] finds the caller by access key: [`Configured`] the users of the configuration, and [`Identity::resolved`] makes any
//! other, from what was looked up elsewhere. [`Identity::authorize`], and [`Identity::authorize_in`] for what lies in a bucket, decide deny-first (an explicit Deny beats
//! every Allow, and what nothing allows is denied). They are the only makers of [`Authorized`], so that what takes one cannot be reached by a
//! request that was not decided on. [`Identity::authorize_with_key`] decides about KMS keys, which may have [`KeyRules`] of their own. [`Identity::may_assume`] decides who gets a session of a role, and [`Identity::explain`] says which
//! statements a decision rests on. What conditions and variables see of the caller comes from the identity, all else from [`Conditions`].
//! Policies are compiled when they are loaded: what this server cannot honour is refused then, never ignored. `docs/access.md` tells users
//! the same.
//!
//! ```
//! use strongroom_access::{Action, Conditions, Identity, PolicySet, SecretKey, arn};
//!
//! # fn main() -> Result<(), strongroom_access::AccessError> {
//! let policies = PolicySet::from_config(&["readonly"], None)?;
//! let reader = Identity::user("reader", "reader-key", SecretKey::new("another secret".to_owned())?, policies)?;
//! let conditions = Conditions::new(true);
//! assert!(reader.authorize(Action::GetObject, &arn::object("photos", "cat.jpg"), &conditions).is_ok());
//! assert!(reader.authorize(Action::PutObject, &arn::object("photos", "cat.jpg"), &conditions).is_err());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod acl;
mod action;
mod action_keys;
mod action_set;
pub mod arn;
mod conditions;
mod configured;
mod error;
mod evaluate;
mod explain;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod identity;
mod key;
mod key_rules;
mod network;
mod policy;
mod rights;
mod secret;
mod source;
mod template;
#[cfg(test)]
mod testing;
mod wildcard;

pub use acl::{Acl, Grant, Grantee, MAX_GRANTS, Permission, is_of_object};
pub use action::Action;
pub use conditions::{ConditionKey, Conditions};
pub use configured::Configured;
pub use error::{AccessError, StatementProblem};
pub use evaluate::{Authorized, BucketRules, Decision, Denied, PolicyKind};
pub use explain::{Explanation, Matched};
pub use identity::{ANONYMOUS_NAME, Identity, MAIN_ACCOUNT, Principal, ROOT_NAME, Resolved, is_account};
pub use key_rules::{
    GRANT_OPERATIONS, GrantConstraint, GrantPrincipal, GrantProblem, KeyGrant, KeyRules, KeyRulesSource, MAX_KEY_GRANTS, VIA_S3,
};
pub use network::{InvalidNetwork, Network};
pub use policy::{BucketPolicy, CANNED_POLICIES, KeyPolicy, Policy, PolicySet, TrustPolicy};
pub use secret::SecretKey;
pub use source::{IdentityError, IdentitySource};
