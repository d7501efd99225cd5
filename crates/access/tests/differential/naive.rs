//! IAM's rules, word for word over the JSON of a policy: slow, without a compiled form, and with no line of the crate under test.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Map, Value};
use strongroom_access::Decision;

/// What is asked: keys in small letters, each with its values.
pub(crate) struct Request {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) keys: HashMap<String, Vec<String>>,
}

/// A character of a filled-in pattern.
#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    Literal(char),
    One,
    Many,
}

/// The decision of one document.
pub(crate) fn decide(document: &Value, request: &Request) -> Decision {
    let applying: Vec<_> = list(&document["Statement"]).into_iter().filter(|statement| applies(statement, request)).collect();
    if applying.iter().any(|statement| statement["Effect"] == "Deny") {
        Decision::ExplicitDeny
    } else if applying.is_empty() {
        Decision::ImplicitDeny
    } else {
        Decision::Allow
    }
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(value).into_iter().map(text).collect()
}

fn applies(statement: &Value, request: &Request) -> bool {
    let fields = statement.as_object().expect("a statement is an object");
    let is_allow = statement["Effect"] == "Allow";
    action_applies(fields, request) && resource_applies(fields, request, is_allow) && conditions_hold(fields, request, is_allow)
}

fn action_applies(fields: &Map<String, Value>, request: &Request) -> bool {
    let names = |value: &Value| texts(value).iter().any(|pattern| glob(&symbols(&pattern.to_lowercase()), &request.action.to_lowercase()));
    match (fields.get("Action"), fields.get("NotAction")) {
        (Some(actions), None) => names(actions),
        (None, Some(actions)) => !names(actions),
        _ => panic!("a statement has either"),
    }
}

fn resource_applies(fields: &Map<String, Value>, request: &Request, is_allow: bool) -> bool {
    let (patterns, negated) = match (fields.get("Resource"), fields.get("NotResource")) {
        (Some(patterns), None) => (texts(patterns), false),
        (None, Some(patterns)) => (texts(patterns), true),
        _ => panic!("a statement has either"),
    };
    let found: Vec<_> =
        patterns.iter().map(|pattern| if pattern == "*" { Some(true) } else { arn(pattern, &request.resource, request) }).collect();
    verdict(&found, negated, is_allow)
}

/// None where a variable has no value: nothing fits, which an Allow does not take for a reason to apply.
fn verdict(found: &[Option<bool>], negated: bool, is_allow: bool) -> bool {
    if found.contains(&Some(true)) { !negated } else { negated && !(is_allow && found.contains(&None)) }
}

fn arn(pattern: &str, text: &str, request: &Request) -> Option<bool> {
    let wanted = colons(pattern);
    let found: Vec<_> = text.splitn(6, ':').collect();
    if wanted.len() != 6 || found.len() != 6 {
        return Some(false);
    }
    let fits: Vec<_> =
        wanted.iter().zip(&found).map(|(field, text)| filled(field, true, request).map(|symbols| glob(&symbols, text))).collect();
    if fits.contains(&Some(false)) { Some(false) } else { fits.into_iter().collect::<Option<Vec<_>>>().map(|_| true) }
}

/// The six fields, with no cut inside of `${…}`.
fn colons(text: &str) -> Vec<String> {
    let (mut fields, mut depth) = (vec![String::new()], false);
    for char in text.chars() {
        let last = fields.len() - 1;
        match char {
            ':' if !depth && fields.len() < 6 => fields.push(String::new()),
            char => {
                depth = (depth || (char == '{' && fields[last].ends_with('$'))) && char != '}';
                fields[last].push(char);
            }
        }
    }
    fields
}

fn symbols(pattern: &str) -> Vec<Symbol> {
    pattern
        .chars()
        .map(|char| {
            if char == '*' {
                Symbol::Many
            } else if char == '?' {
                Symbol::One
            } else {
                Symbol::Literal(char)
            }
        })
        .collect()
}

/// The symbols of a text with variables; none where one has no value.
fn filled(text: &str, wildcards: bool, request: &Request) -> Option<Vec<Symbol>> {
    let literal = |text: &str| text.chars().map(Symbol::Literal).collect::<Vec<_>>();
    let plain = |text: &str| if wildcards { symbols(text) } else { literal(text) };
    let Some(start) = text.find("${") else { return Some(plain(text)) };
    let end = start + text[start..].find('}').expect("a variable ends");
    let inside = &text[start + 2..end];
    let value = match inside {
        "*" | "?" | "$" => Some(inside.to_owned()),
        _ => {
            let (key, default) = inside.split_once(", ").map_or((inside, None), |(key, default)| (key, Some(default.trim_matches('\''))));
            match request.keys.get(&key.to_lowercase()).map(Vec::as_slice) {
                Some([value]) => Some(value.clone()),
                _ => default.map(str::to_owned),
            }
        }
    };
    let rest = filled(&text[end + 1..], wildcards, request);
    Some([plain(&text[..start]), literal(&value?), rest?].concat())
}

fn glob(pattern: &[Symbol], text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let mut reached = vec![false; chars.len() + 1];
    reached[0] = true;
    for symbol in pattern {
        let mut next = vec![false; chars.len() + 1];
        for at in 0..=chars.len() {
            next[at] = match symbol {
                Symbol::Many => reached[..=at].contains(&true),
                Symbol::One => at > 0 && reached[at - 1],
                Symbol::Literal(char) => at > 0 && reached[at - 1] && chars[at - 1] == *char,
            };
        }
        reached = next;
    }
    reached[chars.len()]
}

fn conditions_hold(fields: &Map<String, Value>, request: &Request, is_allow: bool) -> bool {
    let Some(block) = fields.get("Condition").and_then(Value::as_object) else { return true };
    block.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("an operator has keys");
        keys.iter().all(|(key, values)| condition_holds(operator, key, &texts(values), request, is_allow))
    })
}

fn condition_holds(operator: &str, key: &str, wanted: &[String], request: &Request, is_allow: bool) -> bool {
    let present = request.keys.get(&key.to_lowercase()).filter(|values| !values.is_empty());
    if operator == "Null" {
        return (wanted[0] == "true") == present.is_none();
    }
    let (set, name) = operator.split_once(':').map_or((None, operator), |(set, name)| (Some(set), name));
    let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let negated = name.contains("Not");
    let positive = name.replace("Not", "");
    let Some(values) = present else {
        return if_exists || set == Some("ForAllValues") || (set.is_none() && negated);
    };
    let all: Vec<Vec<Option<bool>>> =
        values.iter().map(|value| wanted.iter().map(|wanted| compare(&positive, value, wanted, request)).collect()).collect();
    match set {
        Some("ForAllValues") => all.iter().all(|found| verdict(found, negated, is_allow)),
        Some(_) => all.iter().any(|found| verdict(found, negated, is_allow)),
        None => verdict(&all.concat(), negated, is_allow),
    }
}

fn compare(operator: &str, value: &str, wanted: &str, request: &Request) -> Option<bool> {
    let written = |symbols: Vec<Symbol>| {
        symbols.into_iter().filter_map(|symbol| if let Symbol::Literal(char) = symbol { Some(char) } else { None }).collect::<String>()
    };
    let number = |text: &str| text.parse::<i64>().ok();
    let ordered = |order: &str| {
        let (Some(value), Some(wanted)) = (number(value), number(wanted)) else { return false };
        match order {
            "Equals" => value == wanted,
            "LessThan" => value < wanted,
            "LessThanEquals" => value <= wanted,
            "GreaterThan" => value > wanted,
            "GreaterThanEquals" => value >= wanted,
            other => panic!("{other}"),
        }
    };
    match operator {
        "StringEquals" => filled(wanted, false, request).map(|symbols| written(symbols) == value),
        "StringEqualsIgnoreCase" => filled(wanted, false, request).map(|symbols| written(symbols).to_lowercase() == value.to_lowercase()),
        "StringLike" => filled(wanted, true, request).map(|symbols| glob(&symbols, value)),
        "ArnEquals" | "ArnLike" if wanted == "*" => Some(true),
        "ArnEquals" | "ArnLike" => arn(wanted, value, request),
        "Bool" => Some(value == wanted),
        "IpAddress" => Some(in_block(value, wanted)),
        other => Some(ordered(other.strip_prefix("Numeric").or_else(|| other.strip_prefix("Date")).expect("an operator"))),
    }
}

/// Of IPv4, which is all that the tests have.
fn in_block(value: &str, block: &str) -> bool {
    let bits = |text: &str| match text.parse().expect("an address") {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => panic!("{address}"),
    };
    let (network, length) = block.split_once('/').unwrap_or((block, "32"));
    let differ = bits(value) ^ bits(network);
    u64::from(differ) >> (32 - length.parse::<u32>().expect("a length")) == 0
}
