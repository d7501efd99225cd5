//! Calls of IAM, and this server's own beside them, in JSON: the same rows of the table as the query protocol has, with their parameters as an object and their answers as they are.

use serde_json::{Map, Value};
use strongroom_access::Action;

use crate::{
    Caller, Iam, IamError, Params,
    parameters::{self, Parameter, ParameterKind},
    table::{OWN_ROWS, On, ROWS, Row, Service},
};

/// So deep may lists and objects lie in each other in a parameter.
const MAX_DEPTH: usize = 4;

/// A call that front ends offer.
#[derive(Clone, Copy)]
pub struct Operation(&'static Row);

impl Operation {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().filter(|row| row.service != Service::Sts).chain(OWN_ROWS).map(Self)
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|operation| operation.name() == name)
    }

    /// Whether AWS has it.
    pub fn is_of_aws(self) -> bool {
        self.0.service == Service::Iam
    }

    /// As AWS calls it, if it is one of AWS's.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether users of every account may make it, each for the own one; else it is about the store as a whole.
    pub fn is_of_every_account(self) -> bool {
        self.0.on != On::Store
    }

    /// The right that it needs on what it is about.
    pub fn action(self) -> &'static Action {
        &self.0.action
    }

    /// What it takes.
    pub fn parameters(self) -> Vec<Parameter> {
        parameters::of(self.name()).unwrap_or_default()
    }

    /// Its parameters from a JSON object; an empty body is an empty object. What it does not take is refused, and named.
    pub fn read(self, body: &[u8]) -> Result<Params, IamError> {
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        // Of a body that does not parse only the place is told: there may be a secret in it.
        let place = |error: serde_json::Error| {
            let message = format!("The body must be a JSON object; line {}, column {} is none.", error.line(), error.column());
            IamError::validation(message)
        };
        let given: Map<String, Value> = serde_json::from_slice(body).map_err(place)?;
        self.params(given)
    }

    /// The same of an object that is at hand.
    pub fn params(self, given: Map<String, Value>) -> Result<Params, IamError> {
        let taken = self.parameters();
        let mut params = Vec::new();
        for (name, value) in given {
            let Some(parameter) = taken.iter().find(|parameter| parameter.name == name) else {
                return Err(self.unknown(&name, &taken));
            };
            check(parameter, &value)?;
            flatten(&mut params, name, value, 0)?;
        }
        Params::new(params)
    }

    /// Those of an object that the call takes.
    pub fn some_params(self, given: &Value) -> Result<Params, IamError> {
        let taken = self.parameters();
        let given = given.as_object().into_iter().flatten().filter(|(name, _)| taken.iter().any(|parameter| parameter.name == *name));
        self.params(given.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn unknown(self, name: &str, taken: &[Parameter]) -> IamError {
        let shown: String = name.chars().filter(|one| !one.is_control()).take(64).collect();
        let names: Vec<&str> = taken.iter().map(|parameter| parameter.name).collect();
        let listed = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        IamError::validation(format!("unknown field `{shown}`; {} takes {listed}.", self.name()))
    }
}

impl Iam {
    /// Refuses who may not make a call, as [`Iam::call`] does, and makes none.
    pub async fn permit(&self, operation: Operation, params: &Params, caller: &Caller) -> Result<(), IamError> {
        self.check(operation.0, params, caller).await
    }

    /// Makes a call for who signed it: permits, records and runs it as the query protocol does. Null where there is nothing to answer.
    pub async fn call(&self, operation: Operation, params: &Params, caller: &Caller) -> Result<Value, IamError> {
        let done = self.run(operation.0, params, caller).await;
        if let Err(error) = &done {
            crate::answer::report(error, operation.name(), &caller.request_id);
        }
        done.map(plain)
    }
}

fn check(parameter: &Parameter, value: &Value) -> Result<(), IamError> {
    let is_right = match parameter.kind {
        ParameterKind::Text => value.is_string(),
        ParameterKind::Number => value.is_u64() || value.is_string(),
        ParameterKind::Flag => value.is_boolean() || value.is_string(),
        ParameterKind::Document => value.is_object() || value.is_string(),
        ParameterKind::Texts => value.as_array().is_some_and(|members| members.iter().all(Value::is_string)),
        ParameterKind::Objects => value.as_array().is_some_and(|members| members.iter().all(Value::is_object)),
    };
    let expected = match parameter.kind {
        ParameterKind::Text => "a string",
        ParameterKind::Number => "a whole number",
        ParameterKind::Flag => "true or false",
        ParameterKind::Document => "a policy, as an object or as its text",
        ParameterKind::Texts => "a list of strings",
        ParameterKind::Objects => "a list of objects",
    };
    if is_right { Ok(()) } else { Err(IamError::validation(format!("{}: expected {expected}.", parameter.name))) }
}

/// As the query protocol spells it: `Tags.member.1.Key`. Policies are texts there.
fn flatten(params: &mut Vec<(String, String)>, name: String, value: Value, depth: usize) -> Result<(), IamError> {
    match value {
        Value::Null => {}
        Value::String(text) => params.push((name, text)),
        Value::Bool(_) | Value::Number(_) => params.push((name, value.to_string())),
        Value::Object(_) if depth == 0 => params.push((name, value.to_string())),
        _ if depth == MAX_DEPTH => return Err(IamError::validation("The body has too many levels.")),
        Value::Array(members) => {
            for (at, member) in members.into_iter().enumerate() {
                flatten(params, format!("{name}.member.{}", at + 1), member, depth + 1)?;
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(params, format!("{name}.{field}"), value, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// Without what is not there; and a map, which XML has as a list of its entries, as an object.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(members) => members.into_iter().map(plain).collect(),
        Value::Object(mut fields) => {
            if let Some(Value::Array(entries)) = fields.get_mut("entry") {
                let pair = |entry: &mut Value| Some((entry["key"].as_str()?.to_owned(), entry["value"].take()));
                return Value::Object(entries.iter_mut().filter_map(pair).collect());
            }
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, plain(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, body: &str) -> Result<Params, IamError> {
        Operation::named(name).unwrap().read(body.as_bytes())
    }

    fn refusal(name: &str, body: &str) -> String {
        match read(name, body) {
            Err(IamError::Validation(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_call_of_iam_says_what_it_takes() {
        for operation in Operation::all() {
            assert!(parameters::of(operation.name()).is_some(), "add {} and its parameters to iam/src/parameters.rs", operation.name());
        }
    }

    #[test]
    fn an_object_has_the_parameters_of_the_query_protocol() {
        let body = r#"{"UserName": "ada", "Tags": [{"Key": "team", "Value": "red"}, {"Key": "a", "Value": ""}]}"#;
        let params = read("CreateUser", body).unwrap();
        assert_eq!(params.get("UserName"), Some("ada"));
        assert_eq!(params.pairs("Tags"), [("team".to_owned(), "red".to_owned()), ("a".to_owned(), String::new())]);
        let params = read("UntagUser", r#"{"UserName": "ada", "TagKeys": ["a", "b"]}"#).unwrap();
        assert_eq!(params.list("TagKeys"), ["a", "b"]);
        let params = read("ListPolicies", r#"{"OnlyAttached": true, "MaxItems": 7, "Scope": null}"#);
        assert!(params.is_err(), "null is no text");
        let params = read("ListPolicies", r#"{"OnlyAttached": true, "MaxItems": 7}"#).unwrap();
        assert_eq!((params.get("OnlyAttached"), params.get("MaxItems")), (Some("true"), Some("7")));
        assert!(read("GetAccountSummary", " ").is_ok());
    }

    #[test]
    fn a_policy_is_an_object_or_a_text() {
        let of = |document: Value| {
            let body = json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": document}).to_string();
            read("PutUserPolicy", &body).unwrap().get("PolicyDocument").unwrap().to_owned()
        };
        assert_eq!(of(json!({"Statement": []})), r#"{"Statement":[]}"#);
        assert_eq!(of(json!(r#"{ "Statement": [] }"#)), r#"{ "Statement": [] }"#);
    }

    #[test]
    fn what_a_call_does_not_take_is_named_and_no_value_is_repeated() {
        let message = refusal("CreateUser", r#"{"UserName": "ada", "Secret": "s3cret"}"#);
        assert_eq!(message, "unknown field `Secret`; CreateUser takes UserName, Path, PermissionsBoundary, Tags.");
        assert_eq!(refusal("GetAccountSummary", r#"{"x": 1}"#), "unknown field `x`; GetAccountSummary takes nothing.");
        assert_eq!(refusal("CreateUser", r#"{"UserName": ["s3cret"]}"#), "UserName: expected a string.");
        assert_eq!(refusal("CreateUser", r#"{"Tags": {"s3cret": 1}}"#), "Tags: expected a list of objects.");
        for body in ["[]", "7", "{\"UserName\": \"s3cret\"", "{} {}"] {
            assert!(!refusal("CreateUser", body).contains("s3cret"), "{body}");
        }
        let deep = r#"{"Tags": [{"Key": [[[["x"]]]]}]}"#;
        assert_eq!(refusal("CreateUser", deep), "The body has too many levels.");
        let many: Vec<Value> = (0..2000).map(|_| json!({"Key": "k", "Value": "v"})).collect();
        assert!(refusal("CreateUser", &json!({"Tags": many}).to_string()).contains("1000 parameters"));
    }

    #[test]
    fn an_answer_has_nothing_that_is_not_there() {
        let value = json!({"User": {"UserName": "ada", "Tags": null}, "SummaryMap": {"entry": [{"key": "Users", "value": 1}]}});
        assert_eq!(plain(value), json!({"User": {"UserName": "ada"}, "SummaryMap": {"Users": 1}}));
    }
}
