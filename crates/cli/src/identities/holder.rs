//! What can be done with users, groups and roles alike.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Session;
use super::requests::document;
use crate::error::Error;

/// What has policies, as the names of calls spell it.
pub(super) struct Holder {
    /// `User`, `Group` or `Role`.
    pub(super) noun: &'static str,
}

/// One that is there.
#[derive(Args)]
pub(super) struct NameArg {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}

/// Its name and the name of a policy that stands in it.
#[derive(Args)]
pub(super) struct InlineArg {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// The name of the policy in it
    #[arg(value_name = "INLINE_POLICY")]
    policy_name: String,
}

/// Its name and a managed policy.
#[derive(Args)]
pub(super) struct AttachedArg {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The managed policy, by its name or its ARN
    #[arg(value_name = "POLICY")]
    pub(super) policy: String,
}

/// Tags to add.
#[derive(Args)]
pub(super) struct TagArg {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// NAME=VALUE
    #[arg(value_name = "TAG", required = true, value_parser = crate::args::tag)]
    pub(super) tags: Vec<(String, String)>,
}

/// Tags to remove.
#[derive(Args)]
pub(super) struct UntagArg {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Their names
    #[arg(value_name = "TAG", required = true)]
    pub(super) keys: Vec<String>,
}

/// What users, groups and roles have in common.
#[derive(Subcommand)]
pub(super) enum HolderCommand {
    /// List all of them
    List {
        /// Those whose path begins so
        #[arg(long, value_name = "PATH")]
        path_prefix: Option<String>,
    },
    /// Delete one that has no policies, members and keys any more
    Delete(NameArg),
    /// Attach a managed policy
    Attach(AttachedArg),
    /// Detach a managed policy
    Detach(AttachedArg),
    /// Put a policy into it, or replace the one of that name
    PutPolicy {
        #[command(flatten)]
        which: InlineArg,
        /// The file with the policy, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show a policy that stands in it
    GetPolicy(InlineArg),
    /// Delete a policy that stands in it
    DeletePolicy(InlineArg),
}

impl Holder {
    /// Runs such a command.
    pub(super) async fn ask(&self, command: &HolderCommand, session: &Session<'_>) -> Result<(), Error> {
        let noun = self.noun;
        match command {
            HolderCommand::List { path_prefix } => {
                let (name, id, list) = (self.name(), format!("{noun}Id"), format!("{noun}s"));
                let columns = [name.as_str(), "Path", &id, "CreateDate"];
                session.list(&format!("List{noun}s"), json!({ "PathPrefix": path_prefix }), &list, &columns).await
            }
            HolderCommand::Delete(NameArg { name }) => session.tell(&format!("Delete{noun}"), self.params(name)).await,
            HolderCommand::Attach(attached) => self.attached("Attach", attached, session).await,
            HolderCommand::Detach(attached) => self.attached("Detach", attached, session).await,
            HolderCommand::PutPolicy { which, file } => {
                let params = with(self.inline(which), "PolicyDocument", document(file)?);
                session.tell(&format!("Put{noun}Policy"), params).await
            }
            HolderCommand::GetPolicy(which) => self.get_policy(which, session).await,
            HolderCommand::DeletePolicy(which) => session.tell(&format!("Delete{noun}Policy"), self.inline(which)).await,
        }
    }

    /// What its policies are: attached ones, and those that stand in it.
    pub(super) async fn policies(&self, name: &str, session: &Session<'_>) -> Result<(Vec<Value>, Vec<Value>), Error> {
        let noun = self.noun;
        let attached = session.all(&format!("ListAttached{noun}Policies"), self.params(name), "AttachedPolicies").await?;
        let attached = attached.into_iter().map(|mut policy| policy["PolicyArn"].take()).collect();
        Ok((attached, session.all(&format!("List{noun}Policies"), self.params(name), "PolicyNames").await?))
    }

    /// The parameters of a call about one of them.
    pub(super) fn params(&self, name: &str) -> Value {
        with(json!({}), &self.name(), json!(name))
    }

    /// Bounds what all its policies may allow, or ends that.
    pub(super) async fn bound(&self, name: &str, policy: Option<&str>, session: &Session<'_>) -> Result<(), Error> {
        let noun = self.noun;
        let Some(policy) = policy else {
            return session.tell(&format!("Delete{noun}PermissionsBoundary"), self.params(name)).await;
        };
        let params = with(self.params(name), "PermissionsBoundary", json!(session.policy_arn(policy).await?));
        session.tell(&format!("Put{noun}PermissionsBoundary"), params).await
    }

    pub(super) async fn tag(&self, TagArg { name, tags }: &TagArg, session: &Session<'_>) -> Result<(), Error> {
        let params = with(self.params(name), "Tags", super::requests::tags(tags));
        session.tell(&format!("Tag{}", self.noun), params).await
    }

    pub(super) async fn untag(&self, UntagArg { name, keys }: &UntagArg, session: &Session<'_>) -> Result<(), Error> {
        let params = with(self.params(name), "TagKeys", json!(keys));
        session.tell(&format!("Untag{}", self.noun), params).await
    }

    async fn attached(&self, verb: &str, AttachedArg { name, policy }: &AttachedArg, session: &Session<'_>) -> Result<(), Error> {
        let params = with(self.params(name), "PolicyArn", json!(session.policy_arn(policy).await?));
        session.tell(&format!("{verb}{}Policy", self.noun), params).await
    }

    /// The document as it was put, so that it can be changed and put again.
    async fn get_policy(&self, which: &InlineArg, session: &Session<'_>) -> Result<(), Error> {
        let answer = session.call(&format!("Get{}Policy", self.noun), self.inline(which)).await?;
        session.output.document(&answer, "PolicyDocument");
        Ok(())
    }

    fn inline(&self, InlineArg { name, policy_name }: &InlineArg) -> Value {
        with(self.params(name), "PolicyName", json!(policy_name))
    }

    fn name(&self) -> String {
        format!("{}Name", self.noun)
    }
}

fn with(mut params: Value, name: &str, value: Value) -> Value {
    params[name] = value;
    params
}
