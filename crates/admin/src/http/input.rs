//! Reading what an endpoint is told: strictly, so that a misspelt field is an error and never a default.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use strongroom_access::{Action, ConditionKey};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Required, Type};
use utoipa::{IntoParams, ToSchema};

use super::{ApiError, Received};
use crate::openapi::Schemas;

/// What a request is about, as far as decisions look at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The key, as it was named.
    pub(crate) key_id: Option<String>,
    /// The backend that has it, where the request says so by itself.
    pub(crate) backend: Option<String>,
    /// The account that a key is to belong to.
    pub(crate) owner: Option<String>,
    /// What a data key is bound to.
    pub(crate) encryption_context: BTreeMap<String, String>,
    /// What else conditions see of it.
    pub(crate) conditions: Vec<(ConditionKey, String)>,
}

/// What an endpoint is told.
pub(crate) trait Input: Sized + Send + 'static {
    /// Reads it. What is not understood is refused, and named.
    fn read(received: &Received) -> Result<Self, ApiError>;

    /// The key that it is about.
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// What decisions see of it.
    fn about(&self) -> About {
        About { key_id: self.key_id().map(str::to_owned), ..About::default() }
    }

    /// What it takes, of the actions that its endpoint declares.
    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        declared.to_vec()
    }

    /// Describes it in the OpenAPI document.
    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder;
}

/// Which key a request is about, and whether it asks for more than others of its kind.
pub(crate) trait Subject {
    /// The key.
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// See [`Input::about`].
    fn about(&self) -> About {
        About { key_id: self.key_id().map(str::to_owned), ..About::default() }
    }

    /// See [`Input::actions`].
    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        declared.to_vec()
    }
}

/// Nothing: no body, no parameters.
pub(crate) struct Empty;

impl Input for Empty {
    fn read(received: &Received) -> Result<Self, ApiError> {
        refuse_query(received)?;
        if received.body.is_empty() || received.body.trim_ascii() == b"{}" {
            return Ok(Self);
        }
        Err(ApiError::invalid("This call takes no body."))
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        operation
    }
}

/// A JSON object. An empty body is an empty object.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema + Subject + Send + 'static> Input for Json<T> {
    fn read(received: &Received) -> Result<Self, ApiError> {
        refuse_query(received)?;
        from_json(&received.body).map(Self)
    }

    fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    fn about(&self) -> About {
        self.0.about()
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        self.0.actions(declared)
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        let content = ContentBuilder::new().schema(Some(schemas.reference::<T>())).build();
        operation.request_body(Some(RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build()))
    }
}

/// A JSON object, or the same as query parameters where there is no body.
pub(crate) struct JsonOrQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema + Subject + Send + 'static> Input for JsonOrQuery<T> {
    fn read(received: &Received) -> Result<Self, ApiError> {
        if received.body.is_empty() && !received.query.is_empty() {
            return from_query(&received.query).map(Self);
        }
        refuse_query(received)?;
        from_json(&received.body).map(Self)
    }

    fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    fn about(&self) -> About {
        self.0.about()
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        self.0.actions(declared)
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        Json::<T>::describe(operation, schemas)
    }
}

/// Query parameters, and no body.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + IntoParams + Subject + Send + 'static> Input for Query<T> {
    fn read(received: &Received) -> Result<Self, ApiError> {
        from_query(&received.query).map(Self)
    }

    fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    fn about(&self) -> About {
        self.0.about()
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        self.0.actions(declared)
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        operation.parameters(Some(T::into_params(|| Some(ParameterIn::Query))))
    }
}

/// The key in the path.
pub(crate) struct KeyPath(pub(crate) String);

impl Input for KeyPath {
    fn read(received: &Received) -> Result<Self, ApiError> {
        refuse_query(received)?;
        path_parameter(received, "key_id").map(Self)
    }

    fn key_id(&self) -> Option<&str> {
        Some(&self.0)
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        operation.parameter(in_path("key_id", "The key's bare id."))
    }
}

/// The only parameter of a path that is no key's.
pub(crate) struct Path(pub(crate) String);

impl Input for Path {
    fn read(received: &Received) -> Result<Self, ApiError> {
        refuse_query(received)?;
        path_parameter(received, "id").map(Self)
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        operation.parameter(in_path("id", "The id of a job or a rule, or a backend's name."))
    }
}

/// A body that is not JSON.
pub(crate) struct Raw(pub(crate) String);

impl Input for Raw {
    fn read(received: &Received) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(&received.body).map_err(|_| ApiError::invalid("The body is not UTF-8."))?;
        Ok(Self(text.to_owned()))
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let content = ContentBuilder::new().schema(Some(schema)).build();
        operation.request_body(Some(RequestBodyBuilder::new().content("application/yaml", content).required(Some(Required::True)).build()))
    }
}

/// Reads JSON. Of a value of the wrong type only the place is told: it may be a secret in the wrong field.
pub(crate) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    // A list would be read as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("The body must be a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(without_value(&path, &error.into_inner().to_string()))
    })?;
    reader.end().map_err(|_| ApiError::invalid("The body has something after its JSON object."))?;
    Ok(value)
}

/// `unknown field`, `missing field` and syntax errors as they are; of `invalid type` and the like what was expected, and where.
fn without_value(path: &str, message: &str) -> String {
    let shows_value = ["invalid type", "invalid value", "unknown variant"].iter().any(|prefix| message.starts_with(prefix));
    match message.split_once(", expected ") {
        Some((_, expected)) if shows_value => format!("{path}: expected {expected}"),
        _ => message.to_owned(),
    }
}

fn from_query<T: DeserializeOwned>(query: &[(String, String)]) -> Result<T, ApiError> {
    let encoded = serde_urlencoded::to_string(query).map_err(|error| ApiError::internal(&error))?;
    serde_urlencoded::from_str(&encoded).map_err(|error| ApiError::invalid(format!("query: {error}")))
}

/// Refuses whatever stands in the query.
pub(crate) fn refuse_query(received: &Received) -> Result<(), ApiError> {
    match received.query.first() {
        None => Ok(()),
        Some((name, _)) => {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            Err(ApiError::invalid(format!("unknown query parameter `{shown}`")))
        }
    }
}

fn path_parameter(received: &Received, name: &str) -> Result<String, ApiError> {
    let found = received.path.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.clone()).ok_or_else(|| ApiError::invalid(format!("missing {name}")))
}

fn in_path(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code, reason = "read by serde")]
        count: u32,
        #[serde(default)]
        #[allow(dead_code, reason = "read by serde")]
        nested: BTreeMap<String, bool>,
    }

    fn refused(body: &str) -> String {
        let error = from_json::<Example>(body.as_bytes()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, "InvalidRequest"));
        error.message
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(refused(r#"{"count":1,"cuont":2}"#).contains("unknown field `cuont`"));
        assert!(refused("").contains("missing field `count`"));
        assert!(refused(r#"{"count":1"#).contains("EOF"));
        assert!(refused(r#"{"count":1} x"#).contains("after"));
        assert!(from_json::<Example>(b"{\"count\":1} \n").is_ok());
    }

    #[test]
    fn a_value_in_the_wrong_place_is_not_repeated() {
        let message = refused(r#"{"count":"s.very-secret"}"#);
        assert!(message.starts_with("count: expected u32"), "{message}");
        let message = refused(r#"{"count":1,"nested":{"flag":"s.very-secret"}}"#);
        assert!(message.starts_with("nested.flag: expected a boolean"), "{message}");
    }
}
