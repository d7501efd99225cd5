//! What no account of this server has: passwords, devices, certificates. Tools ask for it on the way, so it is answered as AWS answers an account
//! that has none of it.

use std::future::{Ready, ready};

use serde_json::{Value, json};

use crate::{IamError, call::Call, model::User};

/// Nobody signs in with a password.
pub(crate) async fn login_profile(call: &Call<'_>) -> Result<Value, IamError> {
    let name = named(call).await?;
    Err(IamError::NoSuchEntity(format!("Login Profile for User {name} cannot be found.")))
}

pub(crate) async fn mfa_devices(call: &Call<'_>) -> Result<Value, IamError> {
    of_user(call, "MFADevices").await
}

pub(crate) async fn ssh_public_keys(call: &Call<'_>) -> Result<Value, IamError> {
    of_user(call, "SSHPublicKeys").await
}

pub(crate) async fn signing_certificates(call: &Call<'_>) -> Result<Value, IamError> {
    of_user(call, "Certificates").await
}

pub(crate) async fn service_specific_credentials(call: &Call<'_>) -> Result<Value, IamError> {
    named(call).await?;
    Ok(json!({"ServiceSpecificCredentials": []}))
}

pub(crate) fn virtual_mfa_devices(_: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Ok(none("VirtualMFADevices")))
}

pub(crate) fn instance_profiles(_: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Ok(none("InstanceProfiles")))
}

pub(crate) fn server_certificates(_: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Ok(none("ServerCertificateMetadataList")))
}

pub(crate) fn saml_providers(_: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Ok(json!({"SAMLProviderList": []})))
}

pub(crate) fn account_aliases(_: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Ok(none("AccountAliases")))
}

pub(crate) fn password_policy(call: &Call<'_>) -> Ready<Result<Value, IamError>> {
    ready(Err(IamError::NoSuchEntity(format!("The Password Policy with domain name {} cannot be found.", call.account))))
}

async fn of_user(call: &Call<'_>, list: &str) -> Result<Value, IamError> {
    named(call).await?;
    Ok(none(list))
}

fn none(list: &str) -> Value {
    json!({list: [], "IsTruncated": false})
}

/// The user that is asked about, who must be there; root has no record.
async fn named(call: &Call<'_>) -> Result<String, IamError> {
    match call.user_name() {
        Some(name) => Ok(call.directory().get::<User>(&call.account, &name).await?.record.name),
        None => Ok(call.identity.name.clone()),
    }
}
