//! The `[[notification_targets]]` of the configuration file.

use std::path::Path;
use std::time::Duration;

use strongroom_notify::{Format, TargetConfig};
use toml::Value;

use super::ConfigError;
use super::entry::{Entry, entries};

const KEYS: &[&str] = &[
    "name",
    "url",
    "format",
    "secret_file",
    "token_file",
    "ca_file",
    "buckets",
    "timeout_seconds",
    "max_in_flight",
    "max_age_seconds",
    "max_queued",
    "max_dead",
];

/// Each may hold some megabytes of events that wait.
const MAX_TARGETS: usize = 32;

/// Reads the array of tables `notification_targets`.
pub(super) fn from_toml(path: &Path, value: Value) -> Result<Vec<TargetConfig>, ConfigError> {
    let entries = entries(path, "notification_targets", value, KEYS)?;
    if let Some(entry) = entries.get(MAX_TARGETS) {
        return Err(entry.invalid("name", &format!("comes {MAX_TARGETS} times at the most")));
    }
    entries.into_iter().map(target).collect()
}

fn target(mut entry: Entry<'_>) -> Result<TargetConfig, ConfigError> {
    let format = match entry.text("format")?.as_deref() {
        None | Some("s3") => Format::S3,
        Some("cloudevents") => Format::CloudEvents,
        Some(_) => return Err(entry.invalid("format", "is one of s3, cloudevents")),
    };
    let secret_file = entry.file("secret_file")?.ok_or_else(|| entry.missing("secret_file"))?;
    let seconds = |entry: &mut Entry<'_>, key, default, most| entry.number(key, default, 1..=most).map(Duration::from_secs);
    Ok(TargetConfig {
        name: entry.required("name")?,
        url: entry.required("url")?,
        format,
        secret_file,
        token_file: entry.file("token_file")?,
        ca_file: entry.file("ca_file")?,
        buckets: entry.texts("buckets")?.unwrap_or_else(|| vec!["*".to_owned()]),
        timeout: seconds(&mut entry, "timeout_seconds", 10, 120)?,
        max_in_flight: usize::try_from(entry.number("max_in_flight", 8, 1..=256)?).unwrap_or(1),
        max_age: seconds(&mut entry, "max_age_seconds", 24 * 3600, 366 * 24 * 3600)?,
        max_queued: entry.number("max_queued", 1_000_000, 1..=100_000_000)?,
        max_dead: entry.number("max_dead", 100_000, 1..=10_000_000)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use toml::Table;

    use super::*;

    const LEAST: &str = "[[notification_targets]]\nname='a'\nurl='https://a.test/'\nsecret_file='/etc/a.secret'\n";

    fn targets(text: &str) -> Result<Vec<TargetConfig>, String> {
        let value = text.parse::<Table>().unwrap().remove("notification_targets").unwrap();
        from_toml(Path::new("s.toml"), value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_needs_a_name_a_url_and_a_secret_and_has_defaults() {
        let found = targets(LEAST).unwrap().remove(0);
        assert_eq!((found.format, found.buckets.as_slice(), found.max_in_flight), (Format::S3, ["*".to_owned()].as_slice(), 8));
        assert_eq!((found.timeout.as_secs(), found.max_age.as_secs(), found.max_queued, found.max_dead), (10, 86_400, 1_000_000, 100_000));
        for key in ["name", "url", "secret_file"] {
            let without: Vec<_> = LEAST.lines().filter(|line| !line.starts_with(key)).collect();
            assert_eq!(targets(&without.join("\n")).unwrap_err(), format!("s.toml: number 1 of notification_targets lacks {key}"));
        }
    }

    #[test]
    fn what_a_target_does_not_take_is_named() {
        for (line, says) in [
            ("ur='x'", "s.toml: notification_targets.ur is not an option; did you mean notification_targets.url?"),
            ("format='xml'", "notification_targets.format (from s.toml) is one of s3, cloudevents"),
            ("max_in_flight=0", "notification_targets.max_in_flight (from s.toml) takes a whole number from 1 to 256"),
            ("max_queued='many'", "notification_targets.max_queued (from s.toml) takes a whole number from 1 to 100000000"),
            ("buckets='a'", "s.toml: notification_targets.buckets has a value of the wrong type"),
        ] {
            assert_eq!(targets(&format!("{LEAST}{line}")).unwrap_err(), says);
        }
        assert!(targets(&LEAST.repeat(33)).unwrap_err().contains("32 times at the most"));
        let all = format!(
            "{LEAST}format='cloudevents'\nbuckets=['logs-*']\ntoken_file='t'\nca_file='c.pem'\ntimeout_seconds=1\nmax_age_seconds=5"
        );
        let found = targets(&all).unwrap().remove(0);
        assert!(found.format == Format::CloudEvents && found.token_file.unwrap().is_absolute() && found.max_age.as_secs() == 5);
    }
}
