//! Calls of IAM, one by one or page by page.

use std::path::Path;

use serde_json::{Value, json};

use super::Session;
use crate::calls::{Call, read_text};
use crate::error::Error;

/// The server's own largest page.
const ITEMS_PER_PAGE: u32 = 1000;
/// A server with more pages does not come to an end.
const MAX_PAGES: usize = 10_000;
/// What stands before the name of a policy that every account has.
const BUILT_IN: &str = "arn:aws:iam::aws:policy/";

impl Session<'_> {
    /// Makes a call. Parameters that are null are left out.
    pub(super) async fn call(&self, action: &str, mut params: Value) -> Result<Value, Error> {
        if let Some(fields) = params.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.client.call(&Call::iam(action, params)).await
    }

    /// Makes a call, and prints what it answers.
    pub(super) async fn tell(&self, action: &str, params: Value) -> Result<(), Error> {
        let answer = self.call(action, params).await?;
        let is_empty = answer.as_object().is_some_and(serde_json::Map::is_empty);
        // Most changes answer nothing.
        self.output.value(if is_empty && !self.output.is_json() { &Value::Null } else { &answer });
        Ok(())
    }

    /// What all pages of a listing have in a field.
    pub(super) async fn all(&self, action: &str, params: Value, list: &str) -> Result<Vec<Value>, Error> {
        let (mut items, mut marker) = (Vec::new(), Value::Null);
        for _ in 0..MAX_PAGES {
            let mut page = params.clone();
            page["MaxItems"] = json!(ITEMS_PER_PAGE);
            page["Marker"] = marker;
            let mut answer = self.call(action, page).await?;
            if let Value::Array(found) = answer[list].take() {
                items.extend(found);
            }
            marker = answer["Marker"].take();
            if marker.is_null() {
                break;
            }
        }
        Ok(items)
    }

    /// Prints a listing with these columns.
    pub(super) async fn list(&self, action: &str, params: Value, list: &str, columns: &[&str]) -> Result<(), Error> {
        let items = self.all(action, params, list).await?;
        self.output.rows(&json!({ list: items }), list, columns);
        Ok(())
    }

    /// The ARN of a managed policy that is given by its name, or by it. One of the account goes before one that every account has.
    pub(super) async fn policy_arn(&self, given: &str) -> Result<String, Error> {
        if given.starts_with("arn:") {
            return Ok(given.to_owned());
        }
        let policies = self.all("ListPolicies", json!({}), "Policies").await?;
        let named = policies.iter().filter(|policy| policy["PolicyName"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(given)));
        let arns: Vec<&str> = named.filter_map(|policy| policy["Arn"].as_str()).collect();
        let found = arns.iter().find(|arn| !arn.starts_with(BUILT_IN)).or(arns.first());
        let missing = || Error::Refused {
            status: 404,
            code: "NoSuchEntity".to_owned(),
            message: format!("there is no policy {given}; strongroom policy list shows those there are"),
        };
        found.map(|arn| (*arn).to_owned()).ok_or_else(missing)
    }
}

/// The text of a policy, from a file or from standard input.
pub(super) fn document(file: &Path) -> Result<Value, Error> {
    Ok(json!(read_text(file)?))
}

/// Tags as IAM has them; null where there are none.
pub(super) fn tags(tags: &[(String, String)]) -> Value {
    if tags.is_empty() {
        return Value::Null;
    }
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
