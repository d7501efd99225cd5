//! `strongroom role …`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::holder::{AttachedArg, Holder, HolderCommand, NameArg, TagArg, UntagArg};
use super::requests::{document, tags};
use super::{Ask, Session};
use crate::error::Error;

const ROLE: Holder = Holder { noun: "Role" };

/// `strongroom role …`
#[derive(Subcommand)]
pub(super) enum RoleCommand {
    /// Create a role
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The file with its trust policy, which says who may take it on; or - for standard input
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// The folder in which it is listed, such as /lab/
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// The longest session: an hour to twelve
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<u32>,
        /// The managed policy that bounds what all others may allow
        #[arg(long, value_name = "POLICY")]
        boundary: Option<String>,
        /// NAME=VALUE; may be given more than once
        #[arg(long = "tag", value_name = "TAG", value_parser = crate::args::tag)]
        tags: Vec<(String, String)>,
    },
    /// Show a role, with its trust policy and policies
    Show(NameArg),
    /// Replace the trust policy
    Trust {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The file with the trust policy, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Change description and longest session
    Update {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// The longest session: an hour to twelve
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<u32>,
    },
    /// Bound what all other policies may allow
    Bound(AttachedArg),
    /// End the bounding
    Unbound(NameArg),
    /// Add tags, or replace those of the same name
    Tag(TagArg),
    /// Remove tags
    Untag(UntagArg),
    #[command(flatten)]
    Holder(HolderCommand),
}

impl Ask for RoleCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        match self {
            Self::Create { name, trust, path, description, max_session, boundary, tags: given } => {
                let boundary = match boundary {
                    Some(policy) => Some(session.policy_arn(policy).await?),
                    None => None,
                };
                let params = json!({
                    "RoleName": name, "AssumeRolePolicyDocument": document(trust)?, "Path": path, "Description": description,
                    "MaxSessionDuration": max_session, "PermissionsBoundary": boundary, "Tags": tags(given),
                });
                session.tell("CreateRole", params).await
            }
            Self::Show(NameArg { name }) => show(name, session).await,
            Self::Trust { name, file } => {
                session.tell("UpdateAssumeRolePolicy", json!({ "RoleName": name, "PolicyDocument": document(file)? })).await
            }
            Self::Update { name, description, max_session } => {
                let params = json!({ "RoleName": name, "Description": description, "MaxSessionDuration": max_session });
                session.tell("UpdateRole", params).await
            }
            Self::Bound(AttachedArg { name, policy }) => ROLE.bound(name, Some(policy), session).await,
            Self::Unbound(NameArg { name }) => ROLE.bound(name, None, session).await,
            Self::Tag(tags) => ROLE.tag(tags, session).await,
            Self::Untag(keys) => ROLE.untag(keys, session).await,
            Self::Holder(command) => ROLE.ask(command, session).await,
        }
    }
}

async fn show(name: &str, session: &Session<'_>) -> Result<(), Error> {
    let mut role = session.call("GetRole", ROLE.params(name)).await?;
    let (attached, inline) = ROLE.policies(name, session).await?;
    role["AttachedPolicies"] = json!(attached);
    role["InlinePolicies"] = json!(inline);
    session.output.value(&role);
    Ok(())
}
