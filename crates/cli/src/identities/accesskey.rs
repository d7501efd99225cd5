//! `strongroom accesskey …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Ask, Session};
use crate::error::Error;
use crate::run::write_new;

/// `strongroom accesskey …`
#[derive(Subcommand)]
pub(super) enum AccessKeyCommand {
    /// Create an access key for a user; its secret is shown this once
    Create {
        /// The user
        #[arg(value_name = "USER")]
        user: String,
        /// Write the secret to this file, which must not exist, in place of showing it
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// List the access keys of a user
    List {
        /// The user
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Show whose an access key is, and when it was used last
    Show(KeyArg),
    /// Refuse an access key until it is activated
    Deactivate(KeyArg),
    /// Let an access key work again
    Activate(KeyArg),
    /// Delete an access key for good
    Delete(KeyArg),
}

/// An access key.
#[derive(Args)]
pub(super) struct KeyArg {
    /// Its id
    #[arg(value_name = "ACCESS_KEY")]
    pub(super) id: String,
}

impl Ask for AccessKeyCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        match self {
            Self::Create { user, secret_file } => {
                create("CreateAccessKey", json!({ "UserName": user }), secret_file.as_ref(), session).await
            }
            Self::List { user } => {
                let columns = ["AccessKeyId", "Status", "CreateDate"];
                session.list("ListAccessKeys", json!({ "UserName": user }), "AccessKeyMetadata", &columns).await
            }
            Self::Show(KeyArg { id }) => session.tell("GetAccessKeyLastUsed", json!({ "AccessKeyId": id })).await,
            Self::Deactivate(key) => session.tell("UpdateAccessKey", with_status(key, "Inactive", session).await?).await,
            Self::Activate(key) => session.tell("UpdateAccessKey", with_status(key, "Active", session).await?).await,
            Self::Delete(key) => session.tell("DeleteAccessKey", of_owner(key, session).await?).await,
        }
    }
}

/// Makes the call that creates a key, and shows the secret or writes it to a file.
pub(super) async fn create(action: &str, params: Value, secret_file: Option<&PathBuf>, session: &Session<'_>) -> Result<(), Error> {
    // Before there is a secret that could not be written.
    if let Some(path) = secret_file.filter(|path| path.exists()) {
        return Err(Error::Usage(format!("{} exists; give a file that does not", path.display())));
    }
    let mut answer = session.call(action, params).await?;
    if let Some(path) = secret_file {
        let secret = answer["AccessKey"]["SecretAccessKey"].take();
        write_new(path, secret.as_str().unwrap_or_default().as_bytes())?;
        answer["AccessKey"]["SecretAccessKey"] = json!(format!("in {}", path.display()));
    }
    session.output.value(&answer);
    Ok(())
}

/// Calls about a key name its user too.
async fn of_owner(KeyArg { id }: &KeyArg, session: &Session<'_>) -> Result<Value, Error> {
    let mut found = session.call("GetAccessKeyLastUsed", json!({ "AccessKeyId": id })).await?;
    Ok(json!({ "AccessKeyId": id, "UserName": found["UserName"].take() }))
}

async fn with_status(key: &KeyArg, status: &str, session: &Session<'_>) -> Result<Value, Error> {
    let mut params = of_owner(key, session).await?;
    params["Status"] = json!(status);
    Ok(params)
}
