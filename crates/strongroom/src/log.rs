//! Logging, to standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Libraries that log what users cannot act upon, and `s3s`, which logs whole requests, signatures included.
const QUIETED: &str = "s3s=off,hyper=warn,hyper_util=warn,rustls=warn,tokio_rustls=warn";

/// Starts logging at the configured level.
pub(crate) fn start(settings: &Settings) {
    let filter = EnvFilter::new(format!("{},{QUIETED}", settings.log_level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
