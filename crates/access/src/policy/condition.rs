//! One condition of a statement: an operator, a key and its values.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::conditions::{Key, ValueKind};
use crate::error::StatementProblem;
use crate::wildcard::Pattern;
use crate::{Action, ConditionKey, Conditions, Network, arn};

use super::document::{OneOrMany, Scalar, UniqueMap};

/// A compiled condition. Source: "IAM JSON policy elements: Condition operators".
#[derive(Debug)]
pub(super) struct Condition {
    key: Key,
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
    /// In small letters.
    AnyCase(String),
    Like(Pattern),
    Bool(bool),
    Within(Network),
    /// A number, or seconds since 1970.
    Number(Order, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Equals,
    EqualsAnyCase,
    Like,
    Bool,
    Address,
    Number(Order),
    Date(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
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
        let key = Key::parse(key_name).ok_or_else(|| StatementProblem::UnknownKey(key_name.to_owned()))?;
        if values.is_empty() {
            return Err(StatementProblem::Empty(key_name.to_owned()));
        }
        if operator == "Null" {
            let [Scalar(value)] = values.as_slice() else { return Err(StatementProblem::NoBool("a list".to_owned())) };
            return Ok(Self { key, test: Test::Absent(parse_bool(value)?) });
        }
        let (kind, negated, if_exists) = parse_operator(operator)?;
        if !kind.suits(key.kind()) {
            return Err(StatementProblem::UnsuitableOperator { operator: operator.to_owned(), key: key_name.to_owned() });
        }
        let any_of = values.into_iter().map(|Scalar(value)| Expected::compile(kind, &key, &value)).collect::<Result<_, _>>()?;
        Ok(Self { key, test: Test::Value { any_of, negated, if_exists } })
    }

    pub(super) fn holds(&self, action: Action, request: &Conditions) -> bool {
        match (&self.test, request.get(action, &self.key)) {
            (Test::Absent(expected), present) => *expected == present.is_none(),
            (Test::Value { negated, if_exists, .. }, None) => *negated || *if_exists,
            (Test::Value { any_of, negated, .. }, Some(value)) => any_of.iter().any(|expected| expected.is(value)) != *negated,
        }
    }

    /// Whether it looks at the tags of the object that is there.
    pub(super) fn needs_existing_tags(&self) -> bool {
        matches!(self.key, Key::ExistingTag(_))
    }

    /// Whether it looks at the tags or the lock that the request gives to an object.
    pub(super) fn needs_given_attributes(&self) -> bool {
        use ConditionKey::{LockLegalHold, LockMode, LockRemainingDays, LockRetainUntil};
        matches!(self.key, Key::RequestTag(_) | Key::Of(LockMode | LockRetainUntil | LockRemainingDays | LockLegalHold))
    }

    /// Whether it confines who may be meant to a closed circle, so that a statement for everybody is not a public one. Source: "The meaning
    /// of public" in the user guide of S3.
    pub(super) fn confines(&self) -> bool {
        let Test::Value { any_of, negated: false, if_exists: false } = &self.test else { return false };
        let fixed = |expected: &Expected| match expected {
            Expected::Text(_) | Expected::AnyCase(_) => true,
            Expected::Like(pattern) => pattern.is_fixed(),
            Expected::Within(network) => !is_broad(*network),
            Expected::Bool(_) | Expected::Number(..) => false,
        };
        let names_callers = matches!(
            self.key,
            Key::Of(
                ConditionKey::SourceIp
                    | ConditionKey::UserName
                    | ConditionKey::PrincipalArn
                    | ConditionKey::PrincipalAccount
                    | ConditionKey::EncryptionKeyId
            )
        );
        names_callers && any_of.iter().all(fixed)
    }
}

/// A block of addresses that is as good as all of them: wider than /8, or /32 of IPv6.
fn is_broad(network: Network) -> bool {
    let (fixed, width) = network.bits();
    fixed < if width == 32 { 8 } else { 32 }
}

impl Kind {
    fn suits(self, values: ValueKind) -> bool {
        match self {
            Self::Equals | Self::EqualsAnyCase | Self::Like => values == ValueKind::Text,
            Self::Bool => values == ValueKind::Bool,
            Self::Address => values == ValueKind::Address,
            Self::Number(_) => values == ValueKind::Number,
            Self::Date(_) => values == ValueKind::Date,
        }
    }
}

impl Expected {
    fn compile(kind: Kind, key: &Key, value: &str) -> Result<Self, StatementProblem> {
        if value.contains("${") {
            return Err(StatementProblem::Variable(value.to_owned()));
        }
        // A key is the same key by its id and by its ARN, lest a Deny be evaded by spelling.
        let value = if *key == Key::Of(ConditionKey::EncryptionKeyId) { arn::key_id_pattern(value)? } else { value };
        Ok(match kind {
            Kind::Equals => Self::Text(value.to_owned()),
            Kind::EqualsAnyCase => Self::AnyCase(value.to_lowercase()),
            Kind::Like => Self::Like(Pattern::new(value)?),
            Kind::Bool => Self::Bool(parse_bool(value)?),
            Kind::Address => Self::Within(value.parse().map_err(|_| StatementProblem::NoAddress(value.to_owned()))?),
            Kind::Number(order) => Self::Number(order, value.parse().map_err(|_| StatementProblem::NoNumber(value.to_owned()))?),
            Kind::Date(order) => Self::Number(order, parse_date(value)?),
        })
    }

    fn is(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::AnyCase(text) => *text == value.to_lowercase(),
            Self::Like(pattern) => pattern.matches(value),
            Self::Bool(expected) => parse_bool(value) == Ok(*expected),
            Self::Within(network) => value.parse().is_ok_and(|address| network.contains(address)),
            Self::Number(order, bound) => value.parse().is_ok_and(|value: i64| order.holds(value, *bound)),
        }
    }
}

impl Order {
    fn holds(self, value: i64, bound: i64) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }

    /// The order that the end of an operator's name says, and whether it is negated.
    fn parse(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }
}

/// The kind, whether it is negated, and whether it holds where the key is absent.
fn parse_operator(operator: &str) -> Result<(Kind, bool, bool), StatementProblem> {
    let base = operator.strip_suffix("IfExists");
    let name = base.unwrap_or(operator);
    let ordered = |start: &str| Order::parse(name.strip_prefix(start)?);
    let (kind, negated) = match name {
        "StringEquals" => (Kind::Equals, false),
        "StringNotEquals" => (Kind::Equals, true),
        "StringEqualsIgnoreCase" => (Kind::EqualsAnyCase, false),
        "StringNotEqualsIgnoreCase" => (Kind::EqualsAnyCase, true),
        // Those for ARNs take wildcards, whatever their names say.
        "StringLike" | "ArnLike" | "ArnEquals" => (Kind::Like, false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Kind::Like, true),
        "Bool" => (Kind::Bool, false),
        "IpAddress" => (Kind::Address, false),
        "NotIpAddress" => (Kind::Address, true),
        _ => {
            let number = ordered("Numeric").map(|(order, negated)| (Kind::Number(order), negated));
            let date = || ordered("Date").map(|(order, negated)| (Kind::Date(order), negated));
            number.or_else(date).ok_or_else(|| StatementProblem::UnknownOperator(operator.to_owned()))?
        }
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

/// Seconds since 1970, or a date of RFC 3339: with or without a time, as IAM takes them.
fn parse_date(value: &str) -> Result<i64, StatementProblem> {
    let whole = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
    let date = value.parse().ok().or_else(|| whole(value)).or_else(|| whole(&format!("{value}T00:00:00Z")));
    date.ok_or_else(|| StatementProblem::NoDate(value.to_owned()))
}
