//! Policies of users, groups and roles: the same calls for each of them.

use serde_json::{Value, json};
use strongroom_access::TrustPolicy;

use super::{page, policies, shapes};
use crate::{
    IamError,
    call::Call,
    directory::Record,
    model::{Group, Policies, PolicyRef, Role, Tags, User, group, role, user},
};

/// What has policies.
pub(crate) trait Holder: Record {
    /// The parameter that names it.
    const PARAMETER: &'static str;
    /// Of all its inline policies together, without white space.
    const MAX_INLINE_BYTES: usize;

    fn policies(&mut self) -> &mut Policies;
}

impl Holder for User {
    const PARAMETER: &'static str = "UserName";
    const MAX_INLINE_BYTES: usize = user::MAX_INLINE_BYTES;

    fn policies(&mut self) -> &mut Policies {
        &mut self.policies
    }
}

impl Holder for Group {
    const PARAMETER: &'static str = "GroupName";
    const MAX_INLINE_BYTES: usize = group::MAX_INLINE_BYTES;

    fn policies(&mut self) -> &mut Policies {
        &mut self.policies
    }
}

impl Holder for Role {
    const PARAMETER: &'static str = "RoleName";
    const MAX_INLINE_BYTES: usize = role::MAX_INLINE_BYTES;

    fn policies(&mut self) -> &mut Policies {
        &mut self.policies
    }
}

pub(crate) async fn put_policy<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let (policy_name, document) = (call.params.text("PolicyName")?, call.params.text("PolicyDocument")?);
    change::<H>(call, |policies, _| policies.put(policy_name, document, H::MAX_INLINE_BYTES)).await
}

pub(crate) async fn get_policy<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let policy_name = call.params.text("PolicyName")?;
    let (name, policies) = policies_of::<H>(call).await?;
    Ok(json!({H::PARAMETER: name, "PolicyName": policy_name, "PolicyDocument": policies.inline(policy_name, &name)?}))
}

pub(crate) async fn delete_policy<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let policy_name = call.params.text("PolicyName")?;
    change::<H>(call, |policies, name| policies.remove(policy_name, name)).await
}

pub(crate) async fn list_policies<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let (_, policies) = policies_of::<H>(call).await?;
    let page = page::of_names(&call.params.page()?, policies.inline.into_keys());
    Ok(page.answer("PolicyNames", |name| json!(name)))
}

pub(crate) async fn attach<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let policy = policies::existing(call, "PolicyArn").await?;
    change::<H>(call, |policies, _| policies.attach(policy.clone())).await
}

pub(crate) async fn detach<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let arn = call.params.text("PolicyArn")?;
    let policy = PolicyRef::parse(arn, &call.account)?;
    change::<H>(call, |policies, _| policies.detach(&policy, arn)).await
}

pub(crate) async fn list_attached<H: Holder>(call: &Call<'_>) -> Result<Value, IamError> {
    let prefix = page::path_prefix(call)?;
    let (_, policies) = policies_of::<H>(call).await?;
    let lies_below =
        |policy: &&PolicyRef| policy.arn(&call.account).split_once(":policy").is_some_and(|(_, path)| path.starts_with(&prefix));
    let attached = policies.attached.iter().filter(lies_below).map(|policy| shapes::attached(&call.account, policy));
    Ok(json!({"AttachedPolicies": attached.collect::<Vec<_>>(), "IsTruncated": false}))
}

async fn policies_of<H: Holder>(call: &Call<'_>) -> Result<(String, Policies), IamError> {
    let mut holder = call.directory().get::<H>(&call.account, call.params.text(H::PARAMETER)?).await?.record;
    Ok((holder.name(), std::mem::take(holder.policies())))
}

async fn change<H: Holder>(call: &Call<'_>, change: impl Fn(&mut Policies, &str) -> Result<(), IamError>) -> Result<Value, IamError> {
    let change = |holder: &mut H| {
        let name = holder.name();
        change(holder.policies(), &name)
    };
    call.directory().change(&call.account, call.params.text(H::PARAMETER)?, change).await?;
    Ok(Value::Null)
}

/// What has tags, and is named by a parameter.
pub(crate) trait Tagged: Record {
    const PARAMETER: &'static str;

    fn tags(&mut self) -> &mut Tags;

    /// Its name, as the call names it; of what is named by an ARN, if it is there under this very one.
    fn name(call: &Call<'_>) -> impl Future<Output = Result<String, IamError>> + Send {
        async { Ok(call.params.text(Self::PARAMETER)?.to_owned()) }
    }
}

impl Tagged for User {
    const PARAMETER: &'static str = "UserName";

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for Role {
    const PARAMETER: &'static str = "RoleName";

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for crate::model::ManagedPolicy {
    const PARAMETER: &'static str = "PolicyArn";

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }

    async fn name(call: &Call<'_>) -> Result<String, IamError> {
        policies::of_account(call).await
    }
}

impl Tagged for crate::model::Provider {
    const PARAMETER: &'static str = "OpenIDConnectProviderArn";

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }

    async fn name(call: &Call<'_>) -> Result<String, IamError> {
        super::providers::named(call).await
    }
}

pub(crate) async fn tag<T: Tagged>(call: &Call<'_>) -> Result<Value, IamError> {
    let added = call.params.pairs("Tags");
    set_tags::<T>(call, |tags| tags.set(added.clone())).await
}

pub(crate) async fn untag<T: Tagged>(call: &Call<'_>) -> Result<Value, IamError> {
    let removed = call.params.list("TagKeys");
    let remove = |tags: &mut Tags| {
        tags.remove(&removed);
        Ok(())
    };
    set_tags::<T>(call, remove).await
}

pub(crate) async fn list_tags<T: Tagged>(call: &Call<'_>) -> Result<Value, IamError> {
    let mut record = call.directory().get::<T>(&call.account, &<T as Tagged>::name(call).await?).await?.record;
    Ok(json!({"Tags": shapes::tags(record.tags()), "IsTruncated": false}))
}

async fn set_tags<T: Tagged>(call: &Call<'_>, change: impl Fn(&mut Tags) -> Result<(), IamError>) -> Result<Value, IamError> {
    call.directory().change(&call.account, &<T as Tagged>::name(call).await?, |record: &mut T| change(record.tags())).await?;
    Ok(Value::Null)
}

/// Refuses a trust policy that cannot be honoured.
pub(crate) fn check_trust(document: &str) -> Result<(), IamError> {
    if crate::model::bytes_that_count(document) > role::MAX_TRUST_BYTES {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for ACLSizePerRole: {}", role::MAX_TRUST_BYTES)));
    }
    TrustPolicy::parse(document)?;
    Ok(())
}
