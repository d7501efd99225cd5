//! Arguments about re-keying.

use clap::{Args, Subcommand};
use serde::Serialize;

/// `strongroom kms rekey …`
#[derive(Subcommand)]
pub(crate) enum RekeyCommand {
    /// Start a job
    Start {
        #[command(flatten)]
        scope: RekeyScope,
        /// Stay and show its progress until it ends
        #[arg(long)]
        watch: bool,
    },
    /// Show a job's progress until it ends
    Watch(JobArg),
    /// Show a job
    Show(JobArg),
    /// List the jobs, newest first
    List,
    /// Stop a job; what is re-keyed stays re-keyed
    Cancel(JobArg),
}

/// A job.
#[derive(Args)]
pub(crate) struct JobArg {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub(crate) job_id: String,
}

/// What to re-key, and to what.
#[derive(Args, Serialize)]
pub(crate) struct RekeyScope {
    /// Only objects of this bucket
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    /// Only objects whose keys begin so
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// Only objects under keys of this backend
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_backend: Option<String>,
    /// Only objects under this key
    #[arg(long, value_name = "KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_key: Option<String>,
    /// Only objects under this version of the key
    #[arg(long, value_name = "NUMBER", requires = "from_key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_version: Option<u32>,
    /// Only objects of this mode: SSE-S3, SSE-KMS, DSSE-KMS or none
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// The key to wrap under [default: each object's own, at its present version]
    #[arg(long, value_name = "KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    to_key: Option<String>,
    /// Count, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Also give SSE-S3 to objects that were stored without encryption
    #[arg(long)]
    encrypt_plain: bool,
    /// No faster than this
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_objects_per_second: Option<u32>,
}
