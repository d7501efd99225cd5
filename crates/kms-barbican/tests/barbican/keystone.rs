//! Keystone's API, for making and unmaking users and credentials.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use strongroom_kms::random_key_id;
use strongroom_testbed::barbican::{ADMIN, User};

use crate::common::{keystone_url, server};
use crate::rest::http;

/// A session of one user.
pub(crate) struct Keystone {
    http: Client,
    token: String,
    user_id: String,
}

impl Keystone {
    pub(crate) async fn login(user: User) -> Self {
        let domain = json!({"id": "default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": user.name, "domain": domain, "password": user.password}}},
            "scope": {"project": {"name": user.project, "domain": domain}},
        }});
        let http = http();
        let request = http.post(format!("{}/auth/tokens", keystone_url())).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        Self { http, token, user_id: body["token"]["user"]["id"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn admin() -> Self {
        Self::login(ADMIN).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/{path}", keystone_url())).header("x-auth-token", &self.token);
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.bytes().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// A user of its own with one role in the project of this name; its id and name. The password is `initial`.
    pub(crate) async fn new_user(&self, project: &str, role: &str) -> (String, String) {
        let name = random_key_id().unwrap();
        let user = self.call(Method::POST, "users", json!({"user": {"name": name, "password": "initial", "domain_id": "default"}})).await;
        let user_id = user["user"]["id"].as_str().unwrap().to_owned();
        let projects = self.call(Method::GET, &format!("projects?name={project}"), Value::Null).await;
        let roles = self.call(Method::GET, &format!("roles?name={role}"), Value::Null).await;
        let id = |list: &Value| list[0]["id"].as_str().unwrap().to_owned();
        let path = format!("projects/{}/users/{user_id}/roles/{}", id(&projects["projects"]), id(&roles["roles"]));
        self.call(Method::PUT, &path, Value::Null).await;
        (user_id, name)
    }

    pub(crate) async fn change_user(&self, user_id: &str, change: Value) {
        self.call(Method::PATCH, &format!("users/{user_id}"), json!({"user": change})).await;
    }

    /// The credential's id and secret.
    pub(crate) async fn new_application_credential(&self) -> (String, String) {
        let path = format!("users/{}/application_credentials", self.user_id);
        let body = json!({"application_credential": {"name": random_key_id().unwrap(), "roles": [{"name": "member"}]}});
        let answer = self.call(Method::POST, &path, body).await;
        let field = |name: &str| answer["application_credential"][name].as_str().unwrap().to_owned();
        (field("id"), field("secret"))
    }

    pub(crate) async fn delete_application_credential(&self, id: &str) {
        self.call(Method::DELETE, &format!("users/{}/application_credentials/{id}", self.user_id), Value::Null).await;
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let request = self.http.delete(format!("{}/auth/tokens", keystone_url()));
        let answer = request.header("x-auth-token", &self.token).header("x-subject-token", token).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        until_refused(token).await;
    }
}

/// Barbican remembers for a while that it found a token good.
pub(crate) async fn until_refused(token: &str) {
    for _ in 0..200 {
        let answer = http().get(format!("{}/v1/secrets?limit=1", server().url)).header("x-auth-token", token).send().await.unwrap();
        if answer.status() == 401 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the token goes on being accepted");
}
