//! The user metadata of a secret. Source: Key Manager API v1, Secret User Metadata.
//!
//! Rows are written one by one: replacing all at once could drop the reference to a version that another server just added.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use strongroom_kms::KmsError;

use crate::client::{About, Call, Client};

/// Longest name and value of a row, in characters.
pub(crate) const MAX_ROW_CHARS: usize = 255;

#[derive(Serialize, Deserialize)]
struct Metadata<T> {
    metadata: T,
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    value: &'a str,
}

impl Client {
    /// Every row of a secret.
    pub(crate) async fn metadata(&self, secret_id: &str) -> Result<BTreeMap<String, String>, KmsError> {
        let about = About { doing: "to read the metadata of a secret", rule: "secret_meta:get", secret_id: Some(secret_id) };
        let answer = self.call(&Call::new(Method::GET, all_rows(secret_id), about), None).await?;
        answer.json::<Metadata<_>>().map(|answer| answer.metadata)
    }

    /// The rows of a new secret that nobody else knows yet.
    pub(crate) async fn set_first_rows(&self, secret_id: &str, rows: &BTreeMap<String, String>) -> Result<(), KmsError> {
        let about = About { doing: "to write the metadata of a secret", rule: "secret_meta:put", secret_id: Some(secret_id) };
        let body = Some(json(&Metadata { metadata: rows })?);
        self.call(&Call { body, ..Call::new(Method::PUT, all_rows(secret_id), about) }, None).await.map(drop)
    }

    /// A new row; false if there is one of this name.
    pub(crate) async fn add_row(&self, secret_id: &str, key: &str, value: &str) -> Result<bool, KmsError> {
        let about = About { doing: "to add to the metadata of a secret", rule: "secret_meta:post", secret_id: Some(secret_id) };
        let call = Call { body: Some(json(&Row { key, value })?), ..Call::new(Method::POST, all_rows(secret_id), about) };
        Ok(self.call(&call, Some(StatusCode::CONFLICT)).await?.status != StatusCode::CONFLICT)
    }

    /// Another value for a row; false if there is none of this name, or no such secret.
    pub(crate) async fn replace_row(&self, secret_id: &str, key: &str, value: &str) -> Result<bool, KmsError> {
        let about = About { doing: "to change the metadata of a secret", rule: "secret_meta:put", secret_id: Some(secret_id) };
        let call = Call { body: Some(json(&Row { key, value })?), ..Call::new(Method::PUT, one_row(secret_id, key), about) };
        Ok(self.call(&call, Some(StatusCode::NOT_FOUND)).await?.status != StatusCode::NOT_FOUND)
    }

    /// Writes a row, whether there is one of this name or not.
    pub(crate) async fn set_row(&self, secret_id: &str, key: &str, value: &str) -> Result<(), KmsError> {
        if self.replace_row(secret_id, key, value).await? || self.add_row(secret_id, key, value).await? {
            return Ok(());
        }
        Err(KmsError::Conflict(format!("the metadata of the key {secret_id} is being changed by someone else; try again")))
    }

    /// Removes a row, if there is one.
    pub(crate) async fn remove_row(&self, secret_id: &str, key: &str) -> Result<(), KmsError> {
        let about = About { doing: "to remove metadata of a secret", rule: "secret_meta:delete", secret_id: Some(secret_id) };
        self.call(&Call::new(Method::DELETE, one_row(secret_id, key), about), None).await.map(drop)
    }
}

fn all_rows(secret_id: &str) -> String {
    format!("/secrets/{secret_id}/metadata")
}

/// Barbican allows letters, digits, `_` and `-` in names: nothing that needs escaping in an address.
fn one_row(secret_id: &str, key: &str) -> String {
    format!("/secrets/{secret_id}/metadata/{key}")
}

fn json(value: &impl Serialize) -> Result<Bytes, KmsError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|_| KmsError::Broken("metadata cannot be written as JSON".to_owned()))
}
