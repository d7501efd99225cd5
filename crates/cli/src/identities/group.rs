//! `strongroom group …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::holder::{Holder, HolderCommand, NameArg};
use super::{Ask, Session};
use crate::error::Error;

const GROUP: Holder = Holder { noun: "Group" };

/// `strongroom group …`
#[derive(Subcommand)]
pub(super) enum GroupCommand {
    /// Create a group
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The folder in which it is listed, such as /lab/
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
    /// Show a group, with its members and policies
    Show(NameArg),
    /// Give a group another name
    Rename {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its new name
        #[arg(value_name = "NEW_NAME")]
        new_name: String,
    },
    /// Make a user a member
    Add(MemberArg),
    /// Make a user no member any more
    Remove(MemberArg),
    #[command(flatten)]
    Holder(HolderCommand),
}

/// A group and a user.
#[derive(Args)]
pub(super) struct MemberArg {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,
    /// The user
    #[arg(value_name = "USER")]
    user: String,
}

impl Ask for GroupCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        let member = |MemberArg { name, user }: &MemberArg| json!({ "GroupName": name, "UserName": user });
        match self {
            Self::Create { name, path } => session.tell("CreateGroup", json!({ "GroupName": name, "Path": path })).await,
            Self::Show(NameArg { name }) => show(name, session).await,
            Self::Rename { name, new_name } => session.tell("UpdateGroup", json!({ "GroupName": name, "NewGroupName": new_name })).await,
            Self::Add(which) => session.tell("AddUserToGroup", member(which)).await,
            Self::Remove(which) => session.tell("RemoveUserFromGroup", member(which)).await,
            Self::Holder(command) => GROUP.ask(command, session).await,
        }
    }
}

async fn show(name: &str, session: &Session<'_>) -> Result<(), Error> {
    let mut first = GROUP.params(name);
    first["MaxItems"] = json!(1);
    let mut group = session.call("GetGroup", first).await?;
    let members = session.all("GetGroup", GROUP.params(name), "Users").await?;
    let members: Vec<_> = members.into_iter().map(|mut user| user["UserName"].take()).collect();
    let (attached, inline) = GROUP.policies(name, session).await?;
    let shown = json!({ "Group": group["Group"].take(), "Users": members, "AttachedPolicies": attached, "InlinePolicies": inline });
    session.output.value(&shown);
    Ok(())
}
