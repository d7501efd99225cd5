//! What can be typed after `strongroom kms`.

pub(crate) mod inventory;
mod key;
mod rekey;
mod service;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use inventory::{Format, InventoryArgs};
pub(crate) use key::{GrantArgs, GrantCommand, KeyCommand, KeyPolicyCommand, tag};
pub(crate) use rekey::RekeyCommand;
pub(crate) use service::{BackendCommand, ConfigureArgs};

/// Printed below the help.
pub(crate) const AFTER_HELP: &str = "\
The server and the credentials come from --profile NAME, a table of ~/.config/strongroom/config.toml
($XDG_CONFIG_HOME is honoured):

    [profiles.production]
    endpoint = \"https://store.example:9001\"
    access_key = \"OPERATOR\"
    secret_key_file = \"/etc/strongroom/operator.secret\"
    ca = \"/etc/ssl/own-ca.pem\"

or from --data-dir DIR, on the machine of the server itself, with the root identity it made at its first start;
or from --endpoint with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_CA_BUNDLE).

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such key or job; 4 not permitted; 5 wrong state, or still in use;
6 server or backend away; 7 a re-key job ended with failures; 8 the backend cannot do this.";

/// Manage the key service, keys and re-keying
#[derive(Args)]
pub(crate) struct KmsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: KmsCommand,
}

/// Which server, and as whom.
#[derive(Args, Default)]
pub(crate) struct ConnectionArgs {
    /// The profile to use [default: the one named default, if there is one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The file with the profiles
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) profiles: Option<PathBuf>,
    /// The server's data directory: take its root credentials and its CA
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server's admin port, or its S3 port
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The certificate authority to trust, PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The backend that a key belongs to [default: the active one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) backend: Option<String>,
}

/// `strongroom kms …`
#[derive(Subcommand)]
pub(crate) enum KmsCommand {
    /// Show whether the service runs and its backend answers
    Status,
    /// Show the configuration, without secrets
    Config,
    /// Configure the service for the first time
    Configure(ConfigureArgs),
    /// Change the given settings of the running service
    Reconfigure(ConfigureArgs),
    /// Start the service
    Start,
    /// Stop the service; the configuration stays
    Stop,
    /// Lock everything that keys of the service protect, until unsealed
    Seal,
    /// End the sealing
    Unseal,
    /// Wipe every cached data key
    ClearCache,
    /// Show and remove backends
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Create, change and delete keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Wrap objects' keys anew under another key or version; no data is moved
    #[command(subcommand)]
    Rekey(RekeyCommand),
    /// Write an encrypted backup of the local keys to FILE
    Backup {
        /// The file to write; it must not exist
        file: PathBuf,
        /// A file that holds the bundle's passphrase
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Bring keys back from a backup; keys that are there are never overwritten
    Restore {
        /// The bundle
        file: PathBuf,
        /// A file that holds the bundle's passphrase
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the signed receipts of deleted keys
    Receipts,
}
