//! A target as the operator configures it.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use reqwest::Url;
use strongroom_engine::events::NotificationTarget;
use strongroom_outbound::{OutboundError, TlsOptions};

/// What a webhook gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The records of Amazon S3: `{"Records": […]}`, one in each request.
    #[default]
    S3,
    /// CloudEvents 1.0, structured JSON, with S3's record as data.
    CloudEvents,
}

/// A webhook, and how events go there.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// Its name, in the ARN. Letters, digits, `-` and `_`, 64 of them at the most.
    pub name: String,
    /// Where it is. `https`, or `http` on this machine.
    pub url: String,
    /// What it gets.
    pub format: Format,
    /// A file with the secret that requests are signed with, or several, one in each line.
    pub secret_file: PathBuf,
    /// A file with a token that is sent as `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// The only authority to trust; without it, those of the system.
    pub ca_file: Option<PathBuf>,
    /// The buckets that may use it: names, or beginnings of names followed by `*`.
    pub buckets: Vec<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// So many requests are under way at a time.
    pub max_in_flight: usize,
    /// An event that is older and fails again is dead.
    pub max_age: Duration,
    /// So many events may be queued.
    pub max_queued: u64,
    /// So many dead events are kept.
    pub max_dead: u64,
}

/// Why a target cannot be used: a mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The name does not fit into an ARN.
    #[error("the notification target \"{0}\": its name must be letters, digits, - and _, 64 of them at the most")]
    Name(String),
    /// Two targets have one name.
    #[error("there are two notification targets \"{0}\": give each a name of its own")]
    SameName(String),
    /// The address cannot be used.
    #[error("the notification target \"{name}\": its url {why}")]
    Url {
        /// The target.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A pattern of buckets cannot be used.
    #[error("the notification target \"{name}\": buckets takes names, with * at the end alone, and not \"{pattern}\"")]
    Buckets {
        /// The target.
        name: String,
        /// The pattern.
        pattern: String,
    },
    /// A file cannot be used.
    #[error("the notification target \"{name}\": {} {why}", path.display())]
    File {
        /// The target.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("the notification target \"{name}\"")]
    Tls {
        /// The target.
        name: String,
        /// Why.
        #[source]
        source: OutboundError,
    },
}

impl TargetConfig {
    /// Checks all of it but the files.
    pub fn check(&self) -> Result<(), NotifyError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(fits) {
            return Err(NotifyError::Name(self.name.clone()));
        }
        if let Some(pattern) = self.buckets.iter().find(|pattern| pattern.strip_suffix('*').unwrap_or(pattern).contains('*')) {
            return Err(NotifyError::Buckets { name: self.name.clone(), pattern: pattern.clone() });
        }
        self.parsed_url().map(drop)
    }

    /// What the engine has to know of it.
    pub fn for_engine(&self) -> NotificationTarget {
        NotificationTarget { name: self.name.clone(), buckets: self.buckets.clone(), max_queued: self.max_queued, max_dead: self.max_dead }
    }

    pub(crate) fn parsed_url(&self) -> Result<Url, NotifyError> {
        let refused = |why| NotifyError::Url { name: self.name.clone(), why };
        let url = Url::parse(&self.url).map_err(|_| refused("does not parse: write it as https://host/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("holds a user or a password: put a token into token_file"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) => Ok(url),
            "http" => Err(refused("is http: that is taken for this machine alone, since anybody on the way could read and alter events")),
            _ => Err(refused("must begin with https://")),
        }
    }

    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions { ca_file: self.ca_file.clone(), ..TlsOptions::default() }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn config(url: &str) -> TargetConfig {
        TargetConfig {
            name: "hook".to_owned(),
            url: url.to_owned(),
            format: Format::S3,
            secret_file: PathBuf::new(),
            token_file: None,
            ca_file: None,
            buckets: vec!["*".to_owned()],
            timeout: Duration::from_secs(10),
            max_in_flight: 4,
            max_age: Duration::from_hours(1),
            max_queued: 10,
            max_dead: 10,
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_alone_and_no_address_holds_a_password() {
        for good in ["https://a.test/x?y=z", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost:1"] {
            config(good).check().unwrap();
        }
        for bad in ["", "a.test", "http://a.test/", "http://10.0.0.1/", "http://127.0.0.1.a.test/", "ftp://a.test/", "https://u:p@a.test/"]
        {
            assert!(matches!(config(bad).check(), Err(NotifyError::Url { .. })), "{bad}");
        }
    }

    #[test]
    fn a_name_fits_into_an_arn_and_a_pattern_ends_in_its_star() {
        for bad in ["", "a:b", "a b", &"x".repeat(65)] {
            let config = TargetConfig { name: bad.to_owned(), ..config("https://a.test/") };
            assert!(matches!(config.check(), Err(NotifyError::Name(_))), "{bad}");
        }
        let with = |pattern: &str| TargetConfig { buckets: vec![pattern.to_owned()], ..config("https://a.test/") };
        assert!(with("logs-*").check().is_ok() && with("logs").check().is_ok());
        assert!(matches!(with("*-logs").check(), Err(NotifyError::Buckets { .. })));
    }
}
