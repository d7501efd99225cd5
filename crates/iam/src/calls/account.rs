//! An account as a whole.

use serde_json::{Value, json};

use crate::{
    IamError,
    call::Call,
    directory::Record,
    model::{Group, ManagedPolicy, Provider, Role, User},
};

/// How much there is of each kind, and how much there may be.
pub(crate) async fn summary(call: &Call<'_>) -> Result<Value, IamError> {
    let counts = [
        ("Users", count::<User>(call).await?),
        ("UsersQuota", User::QUOTA),
        ("Groups", count::<Group>(call).await?),
        ("GroupsQuota", Group::QUOTA),
        ("Roles", count::<Role>(call).await?),
        ("RolesQuota", Role::QUOTA),
        ("Policies", count::<ManagedPolicy>(call).await?),
        ("PoliciesQuota", ManagedPolicy::QUOTA),
        ("Providers", count::<Provider>(call).await?),
        ("AccessKeysPerUserQuota", 2),
        ("GroupsPerUserQuota", 10),
        ("AttachedPoliciesPerUserQuota", 10),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 10),
        ("UserPolicySizeQuota", 2048),
        ("GroupPolicySizeQuota", 5120),
        ("RolePolicySizeQuota", 10_240),
        ("AssumeRolePolicySizeQuota", 4096),
        ("PolicySizeQuota", 6144),
        ("VersionsPerPolicyQuota", 5),
        ("MFADevices", 0),
        ("AccountMFAEnabled", 0),
    ];
    let entries: Vec<Value> = counts.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    Ok(json!({"SummaryMap": {"entry": entries}}))
}

async fn count<R: Record>(call: &Call<'_>) -> Result<u64, IamError> {
    call.directory().count::<R>(&call.account).await
}
