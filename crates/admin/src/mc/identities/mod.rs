//! `mc admin user`, `group`, `policy`, `user svcacct` and `accesskey`, unmodified.
//!
//! MinIO knows a user by an access key: here that is a user of this name with an access key of this id. Each command is made of calls of
//! identity management, with their rights and their records. Before the first of them changes anything, the caller is asked for the rights to
//! all that it certainly takes.

mod asked;
mod cipher;
mod groups;
mod policies;
mod service_accounts;
mod users;

use http::{Method, StatusCode};
use strongroom_access::Action;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, Required, Schema};

use crate::http::{Answer, ApiError, Endpoint, Shape, of_identities};
use asked::Asked;

/// A policy of 20 KiB with its white space, or as many names as a shell takes.
const MAX_BODY_BYTES: usize = 256 << 10;

/// What carries secrets is encrypted with the secret key of who signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Plain,
    Encrypted,
}

/// Every call, under the paths that `mc` uses.
#[rustfmt::skip]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    use Action::{
        AddUserToGroup, AttachUserPolicy, CreateAccessKey, CreateGroup, CreatePolicy, CreatePolicyVersion, CreateUser, DeleteAccessKey, DeletePolicy,
        DeletePolicyVersion, DeleteUser, DeleteUserPolicy, DetachUserPolicy, GetGroup, GetPolicy, GetPolicyVersion, GetUser, ListAccessKeys,
        ListGroups, ListPolicies, ListPolicyVersions, ListUsers, UpdateAccessKey, UpdateGroup, UpdateUser,
    };
    let remove_user = &[ListAccessKeys, DeleteAccessKey, GetUser, DetachUserPolicy, DeleteUserPolicy, DeleteUser];
    let (put, get, post, delete) = (Method::PUT, Method::GET, Method::POST, Method::DELETE);
    vec![
        row(&put, "add-user", &[CreateUser, CreateAccessKey, UpdateUser], "mc admin user add", Body::Encrypted, &["accessKey"], async |asked| users::add(asked).await),
        row(&delete, "remove-user", remove_user, "mc admin user remove", Body::None, &["accessKey"], async |asked| users::remove(asked).await),
        row(&get, "list-users", &[ListUsers], "mc admin user list", Body::None, &[], async |asked| users::list(asked).await),
        row(&get, "user-info", &[GetUser], "mc admin user info", Body::None, &["accessKey"], async |asked| users::info(asked).await),
        row(&put, "set-user-status", &[UpdateUser], "mc admin user enable, disable", Body::None, &["accessKey", "status"], async |asked| users::set_status(asked).await),

        row(&put, "update-group-members", &[CreateGroup, AddUserToGroup], "mc admin group add, remove", Body::Plain, &[], async |asked| groups::update(asked).await),
        row(&get, "group", &[GetGroup], "mc admin group info", Body::None, &["group"], async |asked| groups::info(asked).await),
        row(&get, "groups", &[ListGroups], "mc admin group list", Body::None, &[], async |asked| groups::list(asked).await),
        row(&put, "set-group-status", &[UpdateGroup], "mc admin group enable, disable", Body::None, &["group", "status"], async |asked| groups::set_status(asked).await),

        row(&put, "add-canned-policy", &[CreatePolicy, ListPolicyVersions, CreatePolicyVersion, DeletePolicyVersion], "mc admin policy create", Body::Plain, &["name"], async |asked| policies::put(asked).await),
        row(&get, "list-canned-policies", &[ListPolicies, GetPolicyVersion], "mc admin policy list", Body::None, &[], async |asked| policies::list(asked).await),
        row(&get, "info-canned-policy", &[GetPolicy, GetPolicyVersion], "mc admin policy info", Body::None, &["name", "v"], async |asked| policies::info(asked).await),
        row(&delete, "remove-canned-policy", &[GetPolicy, ListPolicyVersions, DeletePolicyVersion, DeletePolicy], "mc admin policy remove", Body::None, &["name"], async |asked| policies::remove(asked).await),
        row(&post, "idp/builtin/policy/attach", &[AttachUserPolicy], "mc admin policy attach; of a group iam:AttachGroupPolicy", Body::Encrypted, &[], async |asked| policies::attach(asked).await),
        row(&post, "idp/builtin/policy/detach", &[DetachUserPolicy], "mc admin policy detach; of a group iam:DetachGroupPolicy", Body::Encrypted, &[], async |asked| policies::detach(asked).await),
        row(&get, "idp/builtin/policy-entities", &[ListUsers, ListGroups], "mc admin policy entities", Body::None, &["user", "group", "policy"], async |asked| policies::entities(asked).await),

        row(&put, "add-service-account", &[CreateAccessKey], "mc admin user svcacct add, accesskey create", Body::Encrypted, &[], async |asked| service_accounts::add(asked).await),
        row(&post, "update-service-account", &[UpdateAccessKey], "mc admin user svcacct edit, accesskey edit", Body::Encrypted, &["accessKey"], async |asked| service_accounts::update(asked).await),
        row(&get, "list-service-accounts", &[ListAccessKeys], "mc admin user svcacct list", Body::None, &["user"], async |asked| service_accounts::list(asked).await),
        row(&get, "info-service-account", &[ListAccessKeys], "mc admin user svcacct info", Body::None, &["accessKey"], async |asked| service_accounts::info(asked).await),
        row(&delete, "delete-service-account", &[DeleteAccessKey], "mc admin user svcacct remove, accesskey remove", Body::None, &["accessKey"], async |asked| service_accounts::delete(asked).await),
        row(&get, "list-access-keys-bulk", &[ListUsers, ListAccessKeys], "mc admin accesskey list", Body::None, &["users", "all", "listType"], async |asked| service_accounts::list_of_many(asked).await),
        row(&get, "info-access-key", &[ListAccessKeys], "mc admin accesskey info", Body::None, &["accessKey"], async |asked| service_accounts::info_of_key(asked).await),
    ]
}

type Given = std::pin::Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

fn row<F, R>(
    method: &Method,
    name: &'static str,
    actions: &'static [Action],
    summary: &'static str,
    body: Body,
    query: &'static [&'static str],
    handler: F,
) -> Endpoint
where
    F: Fn(Asked) -> R + Send + Sync + Copy + 'static,
    R: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    let path = (method.clone(), format!("/minio/admin/v3/{name}"));
    let described = move |operation, _: &mut _| describe(operation, body, query);
    let endpoint = of_identities(path, (name, actions), summary.to_owned(), described, move |call, received| {
        call.require_secure()?;
        let asked = Asked::read(call, received, query)?;
        let answering: Given = Box::pin(async move { handler(asked).await });
        Ok(answering)
    });
    let (status, shape) = answer(name);
    endpoint.of_every_account().with_max_body_bytes(MAX_BODY_BYTES).with_answer(status, shape)
}

/// What a call answers, as `mc` reads it.
fn answer(name: &str) -> (StatusCode, Shape) {
    const ENCRYPTED: Shape = Shape::Text("application/octet-stream");
    match name {
        "list-users"
        | "idp/builtin/policy/attach"
        | "idp/builtin/policy/detach"
        | "idp/builtin/policy-entities"
        | "add-service-account"
        | "list-service-accounts"
        | "info-service-account"
        | "list-access-keys-bulk"
        | "info-access-key" => (StatusCode::OK, ENCRYPTED),
        "groups" => (StatusCode::OK, Shape::List),
        "user-info" | "group" | "list-canned-policies" | "info-canned-policy" => (StatusCode::OK, Shape::Any),
        "update-service-account" | "delete-service-account" => (StatusCode::NO_CONTENT, Shape::Nothing),
        _ => (StatusCode::OK, Shape::Nothing),
    }
}

fn describe(mut operation: OperationBuilder, body: Body, query: &[&str]) -> OperationBuilder {
    for name in query {
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query);
        operation = operation.parameter(parameter.description(Some("As mc sends it.")).schema(Some(Schema::default())));
    }
    let content_type = match body {
        Body::None => return operation,
        Body::Plain => "application/json",
        Body::Encrypted => "application/octet-stream",
    };
    let content = ContentBuilder::new().schema(Some(Schema::default())).build();
    operation.request_body(Some(RequestBodyBuilder::new().content(content_type, content).required(Some(Required::True)).build()))
}
