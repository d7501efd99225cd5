//! The OpenAPI document: made of the table that the router is made of, so that it cannot differ.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    Schema, Type,
};

use crate::http::{Endpoint, ErrorBody, Shape};
use crate::{iam, routes};

const DESCRIPTION: &str = "Management of keys and identities of Strongroom. Requests are signed with AWS Signature Version 4 (service `s3`). \
    What stands under `/kms` on the admin port stands on the S3 port under `/strongroom/admin/v1/kms` and `/rustfs/admin/v3/kms`; what \
    stands under `/iam` stands there under `/strongroom/admin/v1/iam`.";

/// Every status that an error may have; each has the same body.
const ERRORS: [(u16, &str); 9] = [
    (400, "A body, a field or a parameter that is not acceptable"),
    (401, "Not signed"),
    (403, "Not permitted"),
    (404, "No such key, job, backend or identity"),
    (405, "Another method is meant"),
    (409, "A state that does not allow this, or still referenced"),
    (500, "A fault of the server"),
    (501, "The backend cannot do this"),
    (503, "The backend, or the audit log, is away"),
];

/// The schemas that the document refers to, by name.
#[derive(Default)]
pub(crate) struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// A reference to the schema of `T`, which is added with all that it refers to.
    pub(crate) fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut nested = Vec::new();
        T::schemas(&mut nested);
        self.0.extend(nested);
        let name = T::name().into_owned();
        self.0.insert(name.clone(), T::schema());
        RefOr::Ref(Ref::from_schema_name(name))
    }
}

/// The document as JSON.
pub(crate) fn document() -> String {
    let mut schemas = Schemas::default();
    let error = schemas.reference::<ErrorBody<'static>>();
    let mut paths = PathsBuilder::new();
    for (path, endpoint) in documented() {
        let item = PathItem::new(method(&endpoint), operation(&endpoint, &error, &mut schemas));
        paths = paths.path(path, item);
    }
    let signature = ApiKey::Header(ApiKeyValue::with_description("Authorization", "AWS Signature Version 4"));
    let components =
        ComponentsBuilder::new().schemas_from_iter(schemas.0).security_scheme("sigv4", SecurityScheme::ApiKey(signature)).build();
    let document = OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Strongroom admin API").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION)).build())
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>("sigv4", [])]))
        .build();
    // It is made of strings and numbers.
    document.to_pretty_json().unwrap_or_default()
}

/// Every endpoint with its path, under the first prefix.
pub(crate) fn documented() -> Vec<(String, Endpoint)> {
    let under = |prefix: &str, endpoint: Endpoint| (format!("{prefix}{}", endpoint.path), endpoint);
    let kms = routes::kms().into_iter().map(|endpoint| under(routes::KMS_PREFIXES[0], endpoint));
    let identities = iam::endpoints().into_iter().map(|endpoint| under(iam::PREFIXES[0], endpoint));
    kms.chain(identities).chain(routes::mc().into_iter().map(|endpoint| under("", endpoint))).collect()
}

fn method(endpoint: &Endpoint) -> HttpMethod {
    match endpoint.method.as_str() {
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        "PUT" => HttpMethod::Put,
        _ => HttpMethod::Get,
    }
}

fn operation(endpoint: &Endpoint, error: &RefOr<Schema>, schemas: &mut Schemas) -> OperationBuilder {
    let needs: Vec<_> = endpoint.actions.iter().map(|action| format!("`{}`", action.as_str())).collect();
    let mut operation = (endpoint.describe)(OperationBuilder::new(), schemas)
        .operation_id(Some(operation_id(endpoint)))
        .summary(Some(endpoint.summary.clone()))
        .description(Some(format!("Needs {}.", needs.join(" and "))));
    if endpoint.of_backend {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name("backend")
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some("The backend that is meant; without it the one in force."))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String).build())),
        );
    }
    operation = operation.response(endpoint.status.as_str(), success(&endpoint.shape, schemas));
    for (status, description) in ERRORS {
        let content = ContentBuilder::new().schema(Some(error.clone())).build();
        operation = operation
            .response(status.to_string(), ResponseBuilder::new().description(description).content("application/json", content).build());
    }
    operation
}

/// The operation's name; an alias has its path behind it, because ids must not repeat.
fn operation_id(endpoint: &Endpoint) -> String {
    let path: String = endpoint.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{}{}_{}", endpoint.operation, path.trim_end_matches('_'), endpoint.method.as_str().to_ascii_lowercase())
}

fn success(shape: &Shape, schemas: &mut Schemas) -> utoipa::openapi::Response {
    let response = ResponseBuilder::new().description("Done");
    match shape {
        Shape::Json(schema) => response.content("application/json", ContentBuilder::new().schema(Some(schema(schemas))).build()).build(),
        Shape::Stream | Shape::Any => {
            response.content("application/json", ContentBuilder::new().schema(Some(Schema::default())).build()).build()
        }
        Shape::List => response.content("application/json", ContentBuilder::new().schema(Some(ArrayBuilder::new())).build()).build(),
        Shape::Text(content_type) => response.content(*content_type, ContentBuilder::new().schema(Some(Schema::default())).build()).build(),
        Shape::Nothing => response.build(),
    }
}
