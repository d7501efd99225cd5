//! What can be typed after `strongroom inventory`.

use clap::{Args, ValueEnum};

use super::ConnectionArgs;

/// Printed below the help.
pub(crate) const AFTER_HELP: &str = "\
A line for each version of an object; delete markers hold no data and have none. In CSV, keys are percent-encoded, as in
Amazon's inventories: a line never breaks, and no spreadsheet takes a key for a formula.

The server and the credentials come from the same places as those of strongroom kms (see its help).

Exit status: 0 done; 1 failed, or rows were altered, which standard error names; 2 wrong usage; 3 no such bucket; 4 not
permitted, or not for every bucket; 6 server away.";

/// List the mode and key of each version of an object, as CSV or JSON lines
#[derive(Args)]
pub(crate) struct InventoryArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How each line is written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// Only versions in this bucket
    #[arg(long, value_name = "NAME")]
    pub(crate) bucket: Option<String>,
    /// Only versions whose key begins so
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only versions of this mode: SSE-S3, SSE-KMS, DSSE-KMS, SSE-C or none
    #[arg(long, value_name = "MODE", value_parser = ["SSE-S3", "SSE-KMS", "DSSE-KMS", "SSE-C", "none"], hide_possible_values = true)]
    pub(crate) mode: Option<String>,
    /// Only versions under this KMS key
    #[arg(long, value_name = "KEY")]
    pub(crate) key_id: Option<String>,
    /// Only versions under this version of their KMS key
    #[arg(long, value_name = "NUMBER")]
    pub(crate) key_version: Option<u32>,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// RFC 4180, with a line of headings
    Csv,
    /// A JSON object for each line
    Jsonl,
}
