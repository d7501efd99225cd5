//! What can go wrong, and which exit status tells it.

use std::path::PathBuf;

use strongroom_outbound::{BodyError, OutboundError};

/// Why a command failed. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments or the profile make no sense; the text says what would.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The server cannot be reached.
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The server's answer cannot be read.
    #[error("the server's answer cannot be read: {0}")]
    Answer(#[from] BodyError),
    /// The server refuses.
    #[error("{message} ({code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error's code.
        code: String,
        /// What to do.
        message: String,
    },
    /// A re-key job did not do all of its work.
    #[error("{0}")]
    JobFailed(String),
}

impl Error {
    /// The exit status, as `strongroom kms --help` lists them.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Outbound(_) | Self::Answer(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 6,
            Self::JobFailed(_) => 7,
            Self::Refused { status, .. } => match status {
                400 => 2,
                404 => 3,
                401 | 403 => 4,
                409 => 5,
                503 => 6,
                501 => 8,
                _ => 1,
            },
        }
    }
}
