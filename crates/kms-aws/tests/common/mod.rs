//! What the test files share: backends against the test servers, and the names of situations.
#![allow(dead_code, reason = "no test file uses all of it")]

use strongroom_kms::{EncryptionContext, KeyLifecycle, KmsError, NewKey, Secret};
use strongroom_kms_aws::{AwsKms, Config};
use strongroom_testbed::aws::REGION;

pub(crate) const NAME: &str = "aws-test";

/// A configuration with credentials of its own.
pub(crate) fn config(url: &str, id: &str, secret: &str) -> Config {
    let json = serde_json::json!({ "region": REGION, "endpoint": url, "access_key_id": id, "secret_access_key": secret });
    serde_json::from_value(json).unwrap()
}

/// A backend with credentials of its own.
pub(crate) fn backend(url: &str, id: &str, secret: &str) -> AwsKms {
    AwsKms::new(NAME, config(url, id, secret)).unwrap()
}

/// A new key without a name; its id.
pub(crate) async fn new_key(kms: &AwsKms) -> String {
    kms.create_key(NewKey::default()).await.unwrap().key_id
}

pub(crate) fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// Asserts the variant, by its name, and gives the text.
pub(crate) fn refused<T>(answer: Result<T, KmsError>, variant: &str) -> String {
    let error = answer.err().unwrap_or_else(|| panic!("must be {variant}, but succeeded"));
    let debug = format!("{error:?}");
    assert!(debug.starts_with(variant), "must be {variant}: {debug}");
    error.to_string()
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text)
}

/// Twelve random digits: LocalStack takes them for an account, which nobody else uses.
pub(crate) fn account() -> String {
    let id = strongroom_kms::random_key_id().unwrap();
    let number = u64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap() % 900_000_000_000;
    (100_000_000_000 + number).to_string()
}
