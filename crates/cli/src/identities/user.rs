//! `strongroom user …`

use clap::Subcommand;
use serde_json::json;

use super::holder::{AttachedArg, Holder, HolderCommand, NameArg, TagArg, UntagArg};
use super::requests::tags;
use super::{Ask, Session};
use crate::error::Error;

const USER: Holder = Holder { noun: "User" };

/// `strongroom user …`
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Create a user, who may do nothing yet
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The folder in which it is listed, such as /lab/
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
        /// The managed policy that bounds what all others may allow
        #[arg(long, value_name = "POLICY")]
        boundary: Option<String>,
        /// NAME=VALUE; may be given more than once
        #[arg(long = "tag", value_name = "TAG", value_parser = crate::args::tag)]
        tags: Vec<(String, String)>,
    },
    /// Show a user, with its groups, policies and access keys
    Show(NameArg),
    /// Give a user another name
    Rename {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its new name
        #[arg(value_name = "NEW_NAME")]
        new_name: String,
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

impl Ask for UserCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        match self {
            Self::Create { name, path, boundary, tags: given } => {
                let boundary = match boundary {
                    Some(policy) => Some(session.policy_arn(policy).await?),
                    None => None,
                };
                let params = json!({ "UserName": name, "Path": path, "PermissionsBoundary": boundary, "Tags": tags(given) });
                session.tell("CreateUser", params).await
            }
            Self::Show(NameArg { name }) => show(name, session).await,
            Self::Rename { name, new_name } => session.tell("UpdateUser", json!({ "UserName": name, "NewUserName": new_name })).await,
            Self::Bound(AttachedArg { name, policy }) => USER.bound(name, Some(policy), session).await,
            Self::Unbound(NameArg { name }) => USER.bound(name, None, session).await,
            Self::Tag(tags) => USER.tag(tags, session).await,
            Self::Untag(keys) => USER.untag(keys, session).await,
            Self::Holder(command) => USER.ask(command, session).await,
        }
    }
}

async fn show(name: &str, session: &Session<'_>) -> Result<(), Error> {
    let mut user = session.call("GetUser", USER.params(name)).await?;
    let groups = session.all("ListGroupsForUser", USER.params(name), "Groups").await?;
    let groups: Vec<_> = groups.into_iter().map(|mut group| group["GroupName"].take()).collect();
    let (attached, inline) = USER.policies(name, session).await?;
    let keys = session.all("ListAccessKeys", USER.params(name), "AccessKeyMetadata").await?;
    user["Groups"] = json!(groups);
    user["AttachedPolicies"] = json!(attached);
    user["InlinePolicies"] = json!(inline);
    user["AccessKeys"] = json!(keys);
    session.output.value(&user);
    Ok(())
}
