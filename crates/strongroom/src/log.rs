//! Logging, to standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Libraries that log what users cannot act upon, and the SDK of AWS, which logs whole answers, data keys included.
const QUIETED: &str = "hyper=warn,hyper_util=warn,rustls=warn,tokio_rustls=warn,reqwest=warn,aws_config=warn,aws_credential_types=warn,\
                       aws_runtime=warn,aws_sdk_kms=warn,aws_sdk_sts=warn,aws_sigv4=warn,aws_smithy_runtime=warn,aws_smithy_runtime_api=warn";

/// Starts logging at the configured level.
pub(crate) fn start(settings: &Settings) {
    let filter = EnvFilter::new(format!("{},{QUIETED}", settings.log_level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
