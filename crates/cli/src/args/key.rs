//! Arguments about keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `strongroom kms key …`
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key
    Create {
        #[command(flatten)]
        key: NewKeyArgs,
        /// The account that it is to belong to
        #[arg(long, value_name = "ACCOUNT")]
        owner: Option<String>,
        /// The file that holds its policy; it then belongs to your own account
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Take a policy that you could not change any more
        #[arg(long, requires = "policy")]
        bypass_lockout_check: bool,
    },
    /// Read the policy of a key, or give it one
    #[command(subcommand)]
    Policy(KeyPolicyCommand),
    /// Grants: rights to a key for one user or role
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Bring a key of one's own: 32 bytes, raw or in base64
    Import {
        #[command(flatten)]
        key: NewKeyArgs,
        /// The file that holds the key
        #[arg(long, value_name = "FILE")]
        material_file: PathBuf,
    },
    /// List all keys
    List,
    /// Show all that is known of a key
    Describe(KeyArg),
    /// Show which buckets, objects and bytes depend on a key and its versions
    Usage(KeyArg),
    /// List every key that something depends on
    InUse,
    /// Let a disabled key be used again
    Enable(KeyArg),
    /// Refuse every use of a key
    Disable(KeyArg),
    /// Make a new version, or set when that is to happen by itself
    Rotate {
        #[command(flatten)]
        key: KeyArg,
        /// Rotate by itself every so many days from now on
        #[arg(long, value_name = "DAYS", conflicts_with = "never")]
        every_days: Option<u32>,
        /// No longer rotate by itself
        #[arg(long)]
        never: bool,
    },
    /// Lock everything that a key protects, until unsealed
    Seal(KeyArg),
    /// End the sealing of a key
    Unseal(KeyArg),
    /// Add tags, or replace those of the same name
    Tag {
        #[command(flatten)]
        key: KeyArg,
        /// NAME=VALUE
        #[arg(required = true, value_parser = tag)]
        tags: Vec<(String, String)>,
    },
    /// Remove tags
    Untag {
        #[command(flatten)]
        key: KeyArg,
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Replace the description
    UpdateDescription {
        #[command(flatten)]
        key: KeyArg,
        /// The text
        description: String,
    },
    /// Schedule a key's deletion; the answer says what would be lost
    Delete {
        #[command(flatten)]
        key: KeyArg,
        /// Days until it is gone, 7 to 30
        #[arg(long, default_value_t = 30, value_name = "DAYS", conflicts_with = "now")]
        pending_days: u32,
        /// Destroy it at once; needs --confirm
        #[arg(long, requires = "confirm")]
        now: bool,
        /// The key's id once more
        #[arg(long, value_name = "KEY")]
        confirm: Option<String>,
        /// Destroy it though Object Lock keeps versions that depend on it; needs --now
        #[arg(long, requires = "now")]
        destroy_locked: bool,
    },
    /// Take a scheduled deletion back
    CancelDeletion(KeyArg),
}

/// `strongroom kms key policy …`
#[derive(Subcommand)]
pub(crate) enum KeyPolicyCommand {
    /// Show to whom a key belongs, and its policy
    Get(KeyArg),
    /// Give a key a policy, or another one
    Put {
        #[command(flatten)]
        key: KeyArg,
        /// The file that holds it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Take a policy that you could not change any more
        #[arg(long)]
        bypass_lockout_check: bool,
    },
}

/// `strongroom kms key grant …`
#[derive(Subcommand)]
pub(crate) enum GrantCommand {
    /// Add a grant
    Create {
        #[command(flatten)]
        key: KeyArg,
        /// Who it is for, by ARN
        #[arg(long, value_name = "ARN")]
        to: String,
        /// What it allows: Decrypt, GenerateDataKey, DescribeKey, RetireGrant; may be repeated
        #[arg(long = "operation", value_name = "NAME", required = true)]
        operations: Vec<String>,
        /// Who else may give it up, by ARN
        #[arg(long, value_name = "ARN")]
        retiring: Option<String>,
        /// Only for encryption contexts with this pair; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
        context: Vec<(String, String)>,
        /// Only for encryption contexts without further pairs
        #[arg(long, requires = "context")]
        exact: bool,
        /// The same grant under the same name is made once
        #[arg(long)]
        name: Option<String>,
    },
    /// List the grants of a key
    List(KeyArg),
    /// List the grants of your account's keys that somebody may give up
    Retirable {
        /// Who, by ARN
        #[arg(value_name = "ARN")]
        principal: String,
    },
    /// Take a grant away
    Revoke(GrantArgs),
    /// Give up a grant that names you for it
    Retire(GrantArgs),
}

/// A grant of a key.
#[derive(Args)]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    pub(crate) key: KeyArg,
    /// The grant's id
    #[arg(value_name = "GRANT")]
    pub(crate) grant_id: String,
}

/// A key.
#[derive(Args)]
pub(crate) struct KeyArg {
    /// The key's id
    #[arg(value_name = "KEY")]
    pub(crate) key_id: String,
}

/// A key to be.
#[derive(Args)]
pub(crate) struct NewKeyArgs {
    /// The key's id [default: chosen by the backend]
    #[arg(value_name = "KEY")]
    pub(crate) name: Option<String>,
    /// Free text
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
}

/// `NAME=VALUE`.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
