//! One condition of a statement: an operator, a key and its values.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::conditions::ValueKind;
use crate::error::StatementProblem;
use crate::key::{CallerKey, Key, Question};
use crate::template::{Fit, Reading, Template};
use crate::{ConditionKey, Network, arn};

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
        of: Of,
        /// The `Not` operators: none of the values matches, or the key is absent.
        negated: bool,
        /// `…IfExists`: holds where the key is absent.
        if_exists: bool,
    },
}

/// Which of the request's values must pass, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Without a prefix: one must match, or with a `Not` operator none.
    Them,
    /// `ForAnyValue:` one must pass, and there must be one.
    Any,
    /// `ForAllValues:` each must pass, so it holds where there is none.
    All,
}

#[derive(Debug)]
enum Expected {
    Text(Template),
    AnyCase(Template),
    Like(Template),
    /// Field by field; none of a wildcard that stands for any ARN.
    Arn(Option<Box<[Template; ARN_FIELDS]>>),
    Bool(bool),
    Within(Network),
    Number(Order, Decimal),
    /// Seconds since 1970.
    Date(Order, i64),
}

const ARN_FIELDS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Equals,
    EqualsAnyCase,
    Like,
    Arn,
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
    pub(super) fn compile_all(block: UniqueMap<UniqueMap<OneOrMany<Scalar>>>, has_variables: bool) -> Result<Vec<Self>, StatementProblem> {
        let mut conditions = Vec::new();
        for (operator, UniqueMap(keys)) in block.0 {
            if keys.is_empty() {
                return Err(StatementProblem::Empty(operator));
            }
            for (key, OneOrMany(values)) in keys {
                conditions.push(Self::compile(&operator, &key, values, has_variables)?);
            }
        }
        Ok(conditions)
    }

    fn compile(operator: &str, key_name: &str, values: Vec<Scalar>, has_variables: bool) -> Result<Self, StatementProblem> {
        let key = Key::parse(key_name).ok_or_else(|| StatementProblem::UnknownKey(key_name.to_owned()))?;
        if values.is_empty() {
            return Err(StatementProblem::Empty(key_name.to_owned()));
        }
        if operator == "Null" {
            let [Scalar(value)] = values.as_slice() else { return Err(StatementProblem::NoBool("a list".to_owned())) };
            return Ok(Self { key, test: Test::Absent(parse_bool(value)?) });
        }
        let Operator { of, kind, negated, if_exists } = parse_operator(operator)?;
        if !kind.suits(key.kind()) {
            return Err(StatementProblem::UnsuitableOperator { operator: operator.to_owned(), key: key_name.to_owned() });
        }
        let compile = |Scalar(value)| Expected::compile(kind, &key, &value, has_variables);
        let any_of = values.into_iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { key, test: Test::Value { any_of, of, negated, if_exists } })
    }

    /// Whether it holds for the request. Where a variable has no value no text fits, which an Allow does not take for a reason to hold.
    pub(super) fn holds(&self, question: &Question<'_>, is_of_allow: bool) -> bool {
        let values = question.values(&self.key);
        let Test::Value { any_of, of, negated, if_exists } = &self.test else {
            return self.test.is_absent(values.is_absent());
        };
        if values.is_absent() {
            return *if_exists || *of == Of::All || (*of == Of::Them && *negated);
        }
        let fit = |value: &str| any_of.iter().map(|expected| expected.fits(value, question)).max().unwrap_or(Fit::No);
        let passes = |fit: Fit| match fit {
            Fit::Yes => !negated,
            Fit::No => *negated,
            Fit::Unknown => *negated && !is_of_allow,
        };
        match of {
            Of::Them => {
                let mut best = Fit::No;
                values.any(|value| {
                    best = best.max(fit(value));
                    best == Fit::Yes
                });
                passes(best)
            }
            Of::Any => values.any(|value| passes(fit(value))),
            Of::All => !values.any(|value| !passes(fit(value))),
        }
    }

    /// The key that it looks at, and those of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let any_of = if let Test::Value { any_of, .. } = &self.test { any_of.as_slice() } else { &[] };
        std::iter::once(&self.key).chain(any_of.iter().flat_map(Expected::templates).flat_map(Template::variables))
    }

    /// Whether it confines who may be meant to a closed circle, so that a statement for everybody is not a public one. Source: "The meaning
    /// of public" in the user guide of S3.
    pub(super) fn confines(&self) -> bool {
        let Test::Value { any_of, of: Of::Them | Of::Any, negated: false, if_exists: false } = &self.test else { return false };
        let fixed = |expected: &Expected| match expected {
            Expected::Arn(fields) => fields.as_ref().is_some_and(|fields| fields.iter().all(Template::is_fixed)),
            Expected::Text(text) | Expected::AnyCase(text) | Expected::Like(text) => text.is_fixed(),
            Expected::Within(network) => !is_broad(*network),
            Expected::Bool(_) | Expected::Number(..) | Expected::Date(..) => false,
        };
        let names_callers = matches!(
            self.key,
            Key::Of(ConditionKey::SourceIp | ConditionKey::EncryptionKeyId)
                | Key::Caller(CallerKey::UserName | CallerKey::UserId | CallerKey::PrincipalArn | CallerKey::PrincipalAccount)
        );
        names_callers && any_of.iter().all(fixed)
    }
}

impl Test {
    fn is_absent(&self, is_absent: bool) -> bool {
        matches!(self, Self::Absent(expected) if *expected == is_absent)
    }
}

/// A block of addresses that is as good as all of them: wider than /8, or /32 of IPv6.
fn is_broad(network: Network) -> bool {
    let (fixed, width) = network.bits();
    fixed < if width == 32 { 8 } else { 32 }
}

impl Kind {
    fn suits(self, values: ValueKind) -> bool {
        if values == ValueKind::Any {
            return true;
        }
        match self {
            Self::Equals | Self::EqualsAnyCase | Self::Like | Self::Arn => values == ValueKind::Text,
            Self::Bool => values == ValueKind::Bool,
            Self::Address => values == ValueKind::Address,
            Self::Number(_) => values == ValueKind::Number,
            Self::Date(_) => values == ValueKind::Date,
        }
    }
}

impl Expected {
    fn compile(kind: Kind, key: &Key, value: &str, has_variables: bool) -> Result<Self, StatementProblem> {
        // A key is the same key by its id and by its ARN, lest a Deny be evaded by spelling.
        let is_key_id = *key == Key::Of(ConditionKey::EncryptionKeyId);
        let value = if is_key_id { arn::key_id_pattern(value)? } else { value };
        let template = |text: &str, reading| Template::parse(text, reading, has_variables);
        Ok(match kind {
            Kind::Equals => Self::Text(template(value, Reading::Text)?),
            Kind::EqualsAnyCase => Self::AnyCase(template(value, Reading::Text)?),
            // An id of a key is no ARN any more.
            Kind::Arn if is_key_id => Self::Like(template(value, Reading::Pattern)?),
            Kind::Like => Self::Like(template(value, Reading::Pattern)?),
            Kind::Arn if value == "*" => Self::Arn(None),
            Kind::Arn => {
                let fields = split_arn(value).into_iter().map(|field| template(field, Reading::Pattern)).collect::<Result<Vec<_>, _>>()?;
                let fields = <[Template; ARN_FIELDS]>::try_from(fields).map_err(|_| StatementProblem::NoArn(value.to_owned()))?;
                Self::Arn(Some(Box::new(fields)))
            }
            Kind::Bool => Self::Bool(parse_bool(value)?),
            Kind::Address => Self::Within(value.parse().map_err(|_| StatementProblem::NoAddress(value.to_owned()))?),
            Kind::Number(order) => Self::Number(order, parse_number(value).ok_or_else(|| StatementProblem::NoNumber(value.to_owned()))?),
            Kind::Date(order) => Self::Date(order, parse_date(value)?),
        })
    }

    fn fits(&self, value: &str, question: &Question<'_>) -> Fit {
        match self {
            Self::Text(text) | Self::Like(text) => text.fits(value, question),
            Self::AnyCase(text) => text.fits_any_case(value, question),
            Self::Arn(None) => Fit::Yes,
            Self::Arn(Some(fields)) => {
                let found: Vec<_> = value.splitn(ARN_FIELDS, ':').collect();
                let each = fields.iter().zip(&found).map(|(field, found)| field.fits(found, question));
                if found.len() == ARN_FIELDS { each.min().unwrap_or(Fit::No) } else { Fit::No }
            }
            Self::Bool(expected) => (parse_bool(value) == Ok(*expected)).into(),
            Self::Within(network) => value.parse().is_ok_and(|address| network.contains(address)).into(),
            Self::Number(order, bound) => parse_number(value).is_some_and(|value| order.holds(&value, bound)).into(),
            Self::Date(order, bound) => parse_date(value).is_ok_and(|value| order.holds(&value, bound)).into(),
        }
    }

    fn templates(&self) -> &[Template] {
        match self {
            Self::Text(text) | Self::AnyCase(text) | Self::Like(text) => std::slice::from_ref(text),
            Self::Arn(Some(fields)) => fields.as_slice(),
            Self::Arn(None) | Self::Bool(_) | Self::Within(_) | Self::Number(..) | Self::Date(..) => &[],
        }
    }
}

/// The fields of a pattern for ARNs: a colon within a variable parts none.
fn split_arn(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut in_variable) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        match char {
            '{' if text[..at].ends_with('$') => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && fields.len() + 1 < ARN_FIELDS => {
                fields.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&text[start..]);
    fields
}

impl Order {
    fn holds<T: Ord>(self, value: &T, bound: &T) -> bool {
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

/// An operator by its name.
struct Operator {
    of: Of,
    kind: Kind,
    negated: bool,
    if_exists: bool,
}

fn parse_operator(operator: &str) -> Result<Operator, StatementProblem> {
    let (of, unprefixed) = match operator.split_once(':') {
        Some(("ForAllValues", rest)) => (Of::All, rest),
        Some(("ForAnyValue", rest)) => (Of::Any, rest),
        _ => (Of::Them, operator),
    };
    let base = unprefixed.strip_suffix("IfExists");
    let name = base.unwrap_or(unprefixed);
    let ordered = |start: &str| Order::parse(name.strip_prefix(start)?);
    let (kind, negated) = match name {
        "StringEquals" => (Kind::Equals, false),
        "StringNotEquals" => (Kind::Equals, true),
        "StringEqualsIgnoreCase" => (Kind::EqualsAnyCase, false),
        "StringNotEqualsIgnoreCase" => (Kind::EqualsAnyCase, true),
        "StringLike" => (Kind::Like, false),
        "StringNotLike" => (Kind::Like, true),
        // All of them take wildcards, whatever their names say.
        "ArnLike" | "ArnEquals" => (Kind::Arn, false),
        "ArnNotLike" | "ArnNotEquals" => (Kind::Arn, true),
        "Bool" => (Kind::Bool, false),
        "IpAddress" => (Kind::Address, false),
        "NotIpAddress" => (Kind::Address, true),
        _ => {
            let number = ordered("Numeric").map(|(order, negated)| (Kind::Number(order), negated));
            let date = || ordered("Date").map(|(order, negated)| (Kind::Date(order), negated));
            number.or_else(date).ok_or_else(|| StatementProblem::UnknownOperator(operator.to_owned()))?
        }
    };
    Ok(Operator { of, kind, negated, if_exists: base.is_some() })
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

/// A number with at the most six places behind the point, in millionths.
type Decimal = i128;

const PLACES: usize = 6;

/// A whole number, or one with a point, such as a version of TLS.
fn parse_number(value: &str) -> Option<Decimal> {
    let (sign, digits) = value.strip_prefix('-').map_or((1, value), |digits| (-1, digits));
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(behind) || behind.len() > PLACES {
        return None;
    }
    let millionths: Decimal = format!("{behind:0<PLACES$}").parse().ok()?;
    Some(sign * (whole.parse::<Decimal>().ok()? * 1_000_000 + millionths))
}

/// Seconds since 1970, or a date of RFC 3339: with or without a time, as IAM takes them.
fn parse_date(value: &str) -> Result<i64, StatementProblem> {
    let whole = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
    let date = value.parse().ok().or_else(|| whole(value)).or_else(|| whole(&format!("{value}T00:00:00Z")));
    date.ok_or_else(|| StatementProblem::NoDate(value.to_owned()))
}
