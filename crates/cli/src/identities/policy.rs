//! `strongroom policy …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::requests::{document, tags};
use super::{Ask, Session};
use crate::error::Error;

/// `strongroom policy …`
#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Create a managed policy from a file
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The file with the policy, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The folder in which it is listed, such as /lab/
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// NAME=VALUE; may be given more than once
        #[arg(long = "tag", value_name = "TAG", value_parser = crate::args::tag)]
        tags: Vec<(String, String)>,
    },
    /// List managed policies
    List {
        /// Which ones
        #[arg(long, value_name = "SCOPE", default_value = "all")]
        scope: Scope,
        /// Those that somebody has
        #[arg(long)]
        attached: bool,
    },
    /// Show a managed policy, and what it says
    Show(PolicyArg),
    /// Print the document of a managed policy
    Document(PolicyArg),
    /// Show which users, groups and roles have a managed policy
    Entities(PolicyArg),
    /// Delete a managed policy that nobody has
    Delete(PolicyArg),
    /// Add, list and remove versions; one of them counts
    #[command(subcommand)]
    Version(VersionCommand),
}

/// Whose policies.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Scope {
    /// Those of the account and those that every account has
    All,
    /// Those of the account
    Local,
    /// Those that every account has
    Aws,
}

/// A managed policy.
#[derive(Args)]
pub(super) struct PolicyArg {
    /// The managed policy, by its name or its ARN
    #[arg(value_name = "POLICY")]
    policy: String,
}

/// A version of a managed policy.
#[derive(Args)]
pub(super) struct VersionArg {
    /// The managed policy, by its name or its ARN
    #[arg(value_name = "POLICY")]
    policy: String,
    /// The version, such as v2
    #[arg(value_name = "VERSION")]
    version: String,
}

/// `strongroom policy version …`
#[derive(Subcommand)]
pub(super) enum VersionCommand {
    /// Add a version from a file
    Add {
        /// The managed policy, by its name or its ARN
        #[arg(value_name = "POLICY")]
        policy: String,
        /// The file with the policy, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Make it the one that counts
        #[arg(long)]
        set_default: bool,
    },
    /// List the versions
    List(PolicyArg),
    /// Show a version and what it says
    Show(VersionArg),
    /// Make a version the one that counts
    SetDefault(VersionArg),
    /// Delete a version that does not count
    Delete(VersionArg),
}

impl Ask for PolicyCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        match self {
            Self::Create { name, file, path, description, tags: given } => {
                let params = json!({
                    "PolicyName": name, "PolicyDocument": document(file)?, "Path": path, "Description": description, "Tags": tags(given),
                });
                session.tell("CreatePolicy", params).await
            }
            Self::List { scope, attached } => list(*scope, *attached, session).await,
            Self::Show(which) => show(which, session).await,
            Self::Document(which) => {
                let version = default_version(&arn(which, session).await?, session).await?;
                session.output.document(&version["PolicyVersion"], "Document");
                Ok(())
            }
            Self::Entities(which) => entities(which, session).await,
            Self::Delete(which) => session.tell("DeletePolicy", arn(which, session).await?).await,
            Self::Version(command) => version(command, session).await,
        }
    }
}

async fn list(scope: Scope, attached: bool, session: &Session<'_>) -> Result<(), Error> {
    let scope = match scope {
        Scope::All => "All",
        Scope::Local => "Local",
        Scope::Aws => "AWS",
    };
    let columns = ["PolicyName", "DefaultVersionId", "AttachmentCount", "Arn"];
    session.list("ListPolicies", json!({ "Scope": scope, "OnlyAttached": attached }), "Policies", &columns).await
}

async fn show(which: &PolicyArg, session: &Session<'_>) -> Result<(), Error> {
    let arn = arn(which, session).await?;
    let mut policy = session.call("GetPolicy", arn.clone()).await?;
    policy["PolicyVersion"] = default_version(&arn, session).await?["PolicyVersion"].take();
    session.output.value(&policy);
    Ok(())
}

async fn default_version(arn: &Value, session: &Session<'_>) -> Result<Value, Error> {
    let policy = session.call("GetPolicy", arn.clone()).await?;
    let mut params = arn.clone();
    params["VersionId"] = policy["Policy"]["DefaultVersionId"].clone();
    session.call("GetPolicyVersion", params).await
}

async fn entities(which: &PolicyArg, session: &Session<'_>) -> Result<(), Error> {
    let arn = arn(which, session).await?;
    let mut shown = json!({});
    for (filter, list, name) in
        [("User", "PolicyUsers", "UserName"), ("Group", "PolicyGroups", "GroupName"), ("Role", "PolicyRoles", "RoleName")]
    {
        let mut params = arn.clone();
        params["EntityFilter"] = json!(filter);
        let found = session.all("ListEntitiesForPolicy", params, list).await?;
        shown[list] = found.into_iter().map(|mut one| one[name].take()).collect();
    }
    session.output.value(&shown);
    Ok(())
}

async fn version(command: &VersionCommand, session: &Session<'_>) -> Result<(), Error> {
    match command {
        VersionCommand::Add { policy, file, set_default } => {
            let params = json!({
                "PolicyArn": session.policy_arn(policy).await?, "PolicyDocument": document(file)?, "SetAsDefault": set_default,
            });
            session.tell("CreatePolicyVersion", params).await
        }
        VersionCommand::List(which) => {
            let columns = ["VersionId", "IsDefaultVersion", "CreateDate"];
            session.list("ListPolicyVersions", arn(which, session).await?, "Versions", &columns).await
        }
        VersionCommand::Show(which) => session.tell("GetPolicyVersion", of_version(which, session).await?).await,
        VersionCommand::SetDefault(which) => session.tell("SetDefaultPolicyVersion", of_version(which, session).await?).await,
        VersionCommand::Delete(which) => session.tell("DeletePolicyVersion", of_version(which, session).await?).await,
    }
}

async fn arn(PolicyArg { policy }: &PolicyArg, session: &Session<'_>) -> Result<Value, Error> {
    Ok(json!({ "PolicyArn": session.policy_arn(policy).await? }))
}

async fn of_version(VersionArg { policy, version }: &VersionArg, session: &Session<'_>) -> Result<Value, Error> {
    Ok(json!({ "PolicyArn": session.policy_arn(policy).await?, "VersionId": version }))
}
