//! One condition of a statement: an operator, a key and its values.

use crate::error::StatementProblem;
use crate::wildcard::Pattern;
use crate::{Action, ConditionKey, Conditions, arn};

use super::document::{OneOrMany, Scalar, UniqueMap};

/// A compiled condition. Source: "IAM JSON policy elements: Condition operators".
#[derive(Debug)]
pub(super) struct Condition {
    key: ConditionKey,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// `Null`: the key is absent (true), or present (false).
    Absent(bool),
    /// Any other operator.
    Value {
        any_of: Vec<Expected>,
        /// The `Not` operators: none of the values matches, or the key is absent.
        negated: bool,
        /// `…IfExists`: holds where the key is absent.
        if_exists: bool,
    },
}

#[derive(Debug)]
enum Expected {
    Text(String),
    Like(Pattern),
    Bool(bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Equals,
    Like,
    Bool,
}

impl Condition {
    /// Every condition of a block; all of them must hold.
    pub(super) fn compile_all(block: UniqueMap<UniqueMap<OneOrMany<Scalar>>>) -> Result<Vec<Self>, StatementProblem> {
        let mut conditions = Vec::new();
        for (operator, UniqueMap(keys)) in block.0 {
            if keys.is_empty() {
                return Err(StatementProblem::Empty(operator));
            }
            for (key, OneOrMany(values)) in keys {
                conditions.push(Self::compile(&operator, &key, values)?);
            }
        }
        Ok(conditions)
    }

    fn compile(operator: &str, key_name: &str, values: Vec<Scalar>) -> Result<Self, StatementProblem> {
        let key = ConditionKey::parse(key_name).ok_or_else(|| StatementProblem::UnknownKey(key_name.to_owned()))?;
        if values.is_empty() {
            return Err(StatementProblem::Empty(key_name.to_owned()));
        }
        if operator == "Null" {
            let [Scalar(value)] = values.as_slice() else { return Err(StatementProblem::NoBool("a list".to_owned())) };
            return Ok(Self { key, test: Test::Absent(parse_bool(value)?) });
        }
        let (kind, negated, if_exists) = parse_operator(operator)?;
        if (kind == Kind::Bool) != (key == ConditionKey::SecureTransport) {
            return Err(StatementProblem::UnsuitableOperator { operator: operator.to_owned(), key: key_name.to_owned() });
        }
        let any_of = values.into_iter().map(|Scalar(value)| Expected::compile(kind, key, &value)).collect::<Result<_, _>>()?;
        Ok(Self { key, test: Test::Value { any_of, negated, if_exists } })
    }

    pub(super) fn holds(&self, action: Action, request: &Conditions) -> bool {
        match (&self.test, request.get(action, self.key)) {
            (Test::Absent(expected), present) => *expected == present.is_none(),
            (Test::Value { negated, if_exists, .. }, None) => *negated || *if_exists,
            (Test::Value { any_of, negated, .. }, Some(value)) => any_of.iter().any(|expected| expected.is(value)) != *negated,
        }
    }
}

impl Expected {
    fn compile(kind: Kind, key: ConditionKey, value: &str) -> Result<Self, StatementProblem> {
        if value.contains("${") {
            return Err(StatementProblem::Variable(value.to_owned()));
        }
        // A key is the same key by its id and by its ARN, lest a Deny be evaded by spelling.
        let value = if key == ConditionKey::EncryptionKeyId { arn::key_id_pattern(value)? } else { value };
        Ok(match kind {
            Kind::Equals => Self::Text(value.to_owned()),
            Kind::Like => Self::Like(Pattern::new(value)?),
            Kind::Bool => Self::Bool(parse_bool(value)?),
        })
    }

    fn is(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Like(pattern) => pattern.matches(value),
            Self::Bool(expected) => parse_bool(value) == Ok(*expected),
        }
    }
}

/// The kind, whether it is negated, and whether it holds where the key is absent.
fn parse_operator(operator: &str) -> Result<(Kind, bool, bool), StatementProblem> {
    let base = operator.strip_suffix("IfExists");
    let (kind, negated) = match base.unwrap_or(operator) {
        "StringEquals" => (Kind::Equals, false),
        "StringNotEquals" => (Kind::Equals, true),
        "StringLike" => (Kind::Like, false),
        "StringNotLike" => (Kind::Like, true),
        "Bool" => (Kind::Bool, false),
        _ => return Err(StatementProblem::UnknownOperator(operator.to_owned())),
    };
    Ok((kind, negated, base.is_some()))
}

fn parse_bool(value: &str) -> Result<bool, StatementProblem> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(StatementProblem::NoBool(value.to_owned()))
    }
}
