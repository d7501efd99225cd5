//! `strongroom account …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::accesskey::{KeyArg, create};
use super::{Ask, Session};
use crate::error::Error;

/// `strongroom account …`
#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// Create an account
    Create {
        /// What people call it
        #[arg(value_name = "NAME")]
        name: String,
        /// Twelve digits [default: chosen by the server]
        #[arg(long, value_name = "ACCOUNT")]
        id: Option<String>,
    },
    /// List the accounts beside the main one
    List,
    /// Show an account, and how much is in it
    Show(AccountArg),
    /// Delete an account without users, roles, policies, buckets and keys
    Delete(AccountArg),
    /// Take identities of a MinIO server into the account of whoever asks
    Import {
        /// What mc admin cluster iam export wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Say what would be taken, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Create and withdraw access keys of its root
    #[command(subcommand)]
    Key(KeyCommand),
}

/// An account.
#[derive(Args)]
pub(super) struct AccountArg {
    /// Its id: twelve digits
    #[arg(value_name = "ACCOUNT")]
    id: String,
}

/// A key of the root of an account.
#[derive(Args)]
pub(super) struct RootKeyArg {
    #[command(flatten)]
    account: AccountArgOfKey,
    #[command(flatten)]
    key: KeyArg,
}

/// The account of a key.
#[derive(Args)]
pub(super) struct AccountArgOfKey {
    /// The account's id: twelve digits
    #[arg(value_name = "ACCOUNT")]
    account: String,
}

/// `strongroom account key …`
#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Create an access key for the root of an account; its secret is shown this once
    Create {
        #[command(flatten)]
        account: AccountArgOfKey,
        /// Write the secret to this file, which must not exist, in place of showing it
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// List the access keys of the root of an account
    List(AccountArgOfKey),
    /// Refuse an access key until it is activated
    Deactivate(RootKeyArg),
    /// Let an access key work again
    Activate(RootKeyArg),
    /// Delete an access key for good
    Delete(RootKeyArg),
}

impl Ask for AccountCommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error> {
        let named = |AccountArg { id }: &AccountArg| json!({ "AccountId": id });
        match self {
            Self::Create { name, id } => session.tell("CreateAccount", json!({ "AccountName": name, "AccountId": id })).await,
            Self::List => session.list("ListAccounts", json!({}), "Accounts", &["AccountId", "AccountName", "CreateDate"]).await,
            Self::Show(account) => session.tell("GetAccount", named(account)).await,
            Self::Delete(account) => session.tell("DeleteAccount", named(account)).await,
            Self::Import { file, dry_run } => super::import::run(file, *dry_run, session).await,
            Self::Key(command) => key(command, session).await,
        }
    }
}

async fn key(command: &KeyCommand, session: &Session<'_>) -> Result<(), Error> {
    let of_root = |AccountArgOfKey { account }: &AccountArgOfKey| json!({ "AccountId": account });
    match command {
        KeyCommand::Create { account, secret_file } => create("CreateAccountKey", of_root(account), secret_file.as_ref(), session).await,
        KeyCommand::List(account) => {
            let columns = ["AccessKeyId", "Status", "CreateDate"];
            session.list("ListAccountKeys", of_root(account), "AccessKeyMetadata", &columns).await
        }
        KeyCommand::Deactivate(key) => session.tell("UpdateAccountKey", named_key(key, Some("Inactive"))).await,
        KeyCommand::Activate(key) => session.tell("UpdateAccountKey", named_key(key, Some("Active"))).await,
        KeyCommand::Delete(key) => session.tell("DeleteAccountKey", named_key(key, None)).await,
    }
}

fn named_key(RootKeyArg { account, key }: &RootKeyArg, status: Option<&str>) -> Value {
    json!({ "AccountId": account.account, "AccessKeyId": key.id, "Status": status })
}
