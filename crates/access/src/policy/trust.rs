//! The trust policy of a role: who may have a session of it.

use crate::AccessError;
use crate::arn::Arn;
use crate::evaluate::{PolicyKind, Witness};
use crate::key::Question;

use super::principal::Meant;
use super::statement::Statement;

/// A compiled trust policy (IAM `AssumeRolePolicyDocument`).
#[derive(Debug)]
pub struct TrustPolicy {
    statements: Vec<Statement>,
}

/// What a trust policy says.
pub(crate) struct Trusted {
    /// Whom its best Allow means.
    pub(crate) meant: Meant,
    pub(crate) denies: bool,
}

impl TrustPolicy {
    /// Compiles a trust policy (JSON, at the most 20 KiB and 128 statements). It has principals, actions of `sts` and no resource. What cannot
    /// be honoured is refused.
    pub fn parse(json: &str) -> Result<Self, AccessError> {
        super::compile(json, Statement::compile_of_role).map(|statements| Self { statements })
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(crate) fn say(&self, question: &Question<'_>, role: Arn<'_>, witness: &mut impl Witness) -> Trusted {
        let mut trusted = Trusted { meant: Meant::Not, denies: false };
        for statement in self.statements.iter().filter(|statement| statement.applies(role, question)) {
            let meant = statement.means(question.identity);
            if meant == Meant::Not {
                continue;
            }
            if statement.allows() {
                trusted.meant = trusted.meant.max(meant);
            } else {
                trusted.denies = true;
            }
            witness.applies(PolicyKind::Trust, "", statement);
        }
        trusted
    }
}
