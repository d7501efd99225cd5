//! An account as a whole.

use serde_json::{Value, json};

use crate::{
    IamError,
    call::Call,
    directory::Record,
    model::{Group, ManagedPolicy, Provider, Role, User},
};

const STEP: usize = 1000;
/// So many of each kind are counted at the most.
const MAX_COUNTED: usize = 200_000;

/// How much there is of each kind, and how much there may be.
pub(crate) async fn summary(call: &Call<'_>) -> Result<Value, IamError> {
    let counts = [
        ("Users", count::<User>(call).await?),
        ("Groups", count::<Group>(call).await?),
        ("Roles", count::<Role>(call).await?),
        ("Policies", count::<ManagedPolicy>(call).await?),
        ("Providers", count::<Provider>(call).await?),
        ("AccessKeysPerUserQuota", 2),
        ("GroupsPerUserQuota", 10),
        ("AttachedPoliciesPerUserQuota", 10),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 10),
        ("UserPolicySizeQuota", 2048),
        ("GroupPolicySizeQuota", 5120),
        ("RolePolicySizeQuota", 10_240),
        ("PolicySizeQuota", 6144),
        ("VersionsPerPolicyQuota", 5),
        ("MFADevices", 0),
        ("AccountMFAEnabled", 0),
    ];
    let entries: Vec<Value> = counts.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    Ok(json!({"SummaryMap": {"entry": entries}}))
}

async fn count<R: Record>(call: &Call<'_>) -> Result<usize, IamError> {
    let (mut counted, mut after) = (0, None::<String>);
    loop {
        let step = call.directory().list::<R>(&call.account, after.as_deref(), STEP).await?;
        counted += step.len();
        after = step.last().map(|seen| seen.record.name());
        if step.len() < STEP || counted >= MAX_COUNTED {
            return Ok(counted);
        }
    }
}
