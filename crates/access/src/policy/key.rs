//! The policy of a KMS key: the root of all rights to it.

use crate::AccessError;
use crate::arn::Arn;
use crate::evaluate::{PolicyKind, Witness};
use crate::key::Question;

use super::principal::Meant;
use super::statement::Statement;

/// The size of a key policy of AWS.
const MAX_KEY_POLICY_BYTES: usize = 32 * 1024;

/// A compiled policy of a KMS key (KMS `PutKeyPolicy`).
#[derive(Debug)]
pub struct KeyPolicy {
    statements: Vec<Statement>,
}

/// What the policy of a key says of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaidOfKey {
    /// Whom its best Allow means.
    pub(crate) meant: Meant,
    pub(crate) denies: bool,
}

impl KeyPolicy {
    /// Compiles the policy of a key of that account (JSON, at the most 32 KiB and 128 statements). It has principals, actions of `kms`, and the
    /// resource `*`, which is the key. What cannot be honoured is refused.
    pub fn parse(account: &str, json: &str) -> Result<Self, AccessError> {
        // Actions that match nothing here are those of AWS, which policies name at will.
        let compiled =
            super::compile_up_to(MAX_KEY_POLICY_BYTES, json, |raw, frame| Statement::compile_of_key(raw, account, frame, &mut Vec::new()));
        compiled.map(|statements| Self { statements })
    }

    /// What a key has whose owner says nothing else: the account decides by the policies of its identities.
    pub fn default_document(account: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Id":"key-default-1","Statement":[{{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":"kms:*","Resource":"*"}}]}}"#
        )
    }

    pub(crate) fn say(&self, question: &Question<'_>, key: Arn<'_>, witness: &mut impl Witness) -> SaidOfKey {
        let mut said = SaidOfKey { meant: Meant::Not, denies: false };
        for statement in self.statements.iter().filter(|statement| statement.applies(key, question)) {
            let meant = statement.means(question.identity);
            if meant == Meant::Not {
                continue;
            }
            if statement.allows() {
                said.meant = said.meant.max(meant);
            } else {
                said.denies = true;
            }
            witness.applies(PolicyKind::Key, "", statement);
        }
        said
    }
}
