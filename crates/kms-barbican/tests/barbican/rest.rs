//! Barbican's API as anybody uses it, to look behind the backend's back.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use strongroom_kms_barbican::BarbicanConfig;
use strongroom_outbound::{TlsOptions, http_client};

pub(crate) fn http() -> Client {
    http_client(&TlsOptions::default()).unwrap()
}

/// The secrets of one project of the Barbican without Keystone.
pub(crate) struct Rest {
    http: Client,
    url: String,
    project_id: String,
}

impl Rest {
    /// In the same project as a backend of this configuration.
    pub(crate) fn beside(config: &BarbicanConfig) -> Self {
        Self { http: http(), url: config.endpoint.clone().unwrap(), project_id: config.project_id.clone().unwrap() }
    }

    /// Status and body.
    pub(crate) async fn call(&self, method: Method, path: &str, accept: &str, body: Option<Value>) -> (StatusCode, Vec<u8>) {
        let request = self.http.request(method, format!("{}/v1/secrets{path}", self.url));
        let request = request.header("x-project-id", &self.project_id).header("accept", accept);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, "application/json", None).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn payload(&self, id: &str) -> Vec<u8> {
        let (status, body) = self.call(Method::GET, &format!("/{id}/payload"), "application/octet-stream", None).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    pub(crate) async fn status(&self, id: &str) -> StatusCode {
        self.call(Method::GET, &format!("/{id}"), "application/json", None).await.0
    }

    /// Stores a secret of these fields; its id.
    pub(crate) async fn store(&self, fields: Value) -> String {
        let (status, body) = self.call(Method::POST, "", "application/json", Some(fields)).await;
        assert_eq!(status, StatusCode::CREATED);
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["secret_ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Stores a text that says it is an AES key of 256 bits; its id.
    pub(crate) async fn store_text(&self, payload: &str) -> String {
        self.store(json!({"algorithm": "aes", "bit_length": 256, "payload": payload, "payload_content_type": "text/plain"})).await
    }

    pub(crate) async fn delete(&self, id: &str) {
        assert_eq!(self.call(Method::DELETE, &format!("/{id}"), "application/json", None).await.0, StatusCode::NO_CONTENT);
    }

    pub(crate) async fn metadata(&self, id: &str) -> Value {
        self.json(&format!("/{id}/metadata")).await["metadata"].clone()
    }

    pub(crate) async fn add_metadata(&self, id: &str, key: &str, value: &str) {
        let row = Some(json!({"key": key, "value": value}));
        assert_eq!(self.call(Method::POST, &format!("/{id}/metadata"), "application/json", row).await.0, StatusCode::CREATED);
    }

    pub(crate) async fn change_metadata(&self, id: &str, key: &str, value: &str) {
        let row = Some(json!({"key": key, "value": value}));
        assert_eq!(self.call(Method::PUT, &format!("/{id}/metadata/{key}"), "application/json", row).await.0, StatusCode::OK);
    }
}
