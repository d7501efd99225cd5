//! Identities over HTTP: each call of IAM as a POST of its parameters in JSON. Who may, what is recorded and what is done is the call's own
//! matter, as it is where tools of AWS make it.

use http::{Method, StatusCode};
use strongroom_iam::{Caller, Operation, Parameter, ParameterKind};
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ArrayBuilder, ContentBuilder, ObjectBuilder, RefOr, Required, Schema, Type};

use crate::admin::Signer;
use crate::http::{Answer, Call, Endpoint, of_identities, refuse_query};

/// Where the calls stand; the first on the admin port alone.
pub(crate) const PREFIXES: [&str; 2] = ["/iam", "/strongroom/admin/v1/iam"];

/// A policy of 20 KiB with its white space, escaped, and all else.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Every call, behind each of [`PREFIXES`].
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mounted = |operation: Operation| {
        let endpoint = endpoint(operation).with_max_body_bytes(MAX_BODY_BYTES);
        if operation.is_of_every_account() { endpoint.of_every_account() } else { endpoint }
    };
    Operation::all().map(mounted).collect()
}

fn endpoint(operation: Operation) -> Endpoint {
    let name = operation.name();
    of_identities(
        (Method::POST, format!("/{name}")),
        (name, std::slice::from_ref(operation.action())),
        summary(operation),
        move |builder, _| describe(builder, &operation.parameters()),
        move |call, received| {
            call.require_secure()?;
            refuse_query(received)?;
            let params = operation.read(&received.body)?;
            Ok(Box::pin(async move {
                let answer = call.inner.parts.iam.call(operation, &params, &caller(&call)).await?;
                let answer = if answer.is_null() { serde_json::json!({}) } else { answer };
                Answer::json(StatusCode::OK, &answer)
            }))
        },
    )
}

fn summary(operation: Operation) -> String {
    let name = operation.name();
    match (operation.is_of_aws(), operation.is_of_every_account()) {
        (true, _) => format!("{name} of AWS IAM, for the caller's account"),
        (false, true) => format!("{name} of this server, for the caller's account"),
        (false, false) => format!("{name} of this server, for who administers the whole store"),
    }
}

/// Who calls, as identity management sees it.
pub(crate) fn caller(call: &Call) -> Caller {
    let Signer { identity, request_id, peer, secure, conditions, .. } = call.signer.clone();
    Caller { identity, request_id, peer, secure, conditions }
}

fn describe(operation: OperationBuilder, parameters: &[Parameter]) -> OperationBuilder {
    let mut body = ObjectBuilder::new().schema_type(Type::Object);
    for parameter in parameters {
        body = body.property(parameter.name, schema(parameter.kind));
        if parameter.is_required {
            body = body.required(parameter.name);
        }
    }
    let needs_body = if parameters.iter().any(|parameter| parameter.is_required) { Required::True } else { Required::False };
    let content = ContentBuilder::new().schema(Some(body.build())).build();
    operation.request_body(Some(RequestBodyBuilder::new().content("application/json", content).required(Some(needs_body)).build()))
}

fn schema(kind: ParameterKind) -> RefOr<Schema> {
    let of = |kind| ObjectBuilder::new().schema_type(kind);
    match kind {
        ParameterKind::Text => of(Type::String).into(),
        ParameterKind::Number => of(Type::Integer).into(),
        ParameterKind::Flag => of(Type::Boolean).into(),
        ParameterKind::Document => of(Type::Object).description(Some("A policy; its text, as a string, will do.")).into(),
        ParameterKind::Texts => ArrayBuilder::new().items(of(Type::String)).into(),
        ParameterKind::Objects => ArrayBuilder::new().items(of(Type::Object).description(Some("Such as a Key and its Value."))).into(),
    }
}
