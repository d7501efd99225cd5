//! Values by option, each with where it was set, and the typed reading of them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::ConfigError;
use super::options::{Fallback, Kind, OptionSpec, by_key};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(String),
    Variable(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// What one source, or several laid over each other, sets. Values may be secret, so there is no `Debug`.
#[derive(Default)]
pub(crate) struct Layer {
    values: BTreeMap<&'static str, (Zeroizing<String>, Origin)>,
}

impl Layer {
    pub(crate) fn set(&mut self, option: &OptionSpec, value: String, origin: Origin) {
        // The table is static, so its key is too.
        if let Some(option) = by_key(option.key) {
            self.values.insert(option.key, (Zeroizing::new(value), origin));
        }
    }

    /// Takes over what `lower` sets and this layer does not.
    pub(crate) fn over(mut self, lower: Layer) -> Layer {
        for (key, value) in lower.values {
            self.values.entry(key).or_insert(value);
        }
        self
    }

    /// What is set; `None` where nothing is.
    pub(crate) fn get(&self, key: &str) -> Option<(&str, &Origin)> {
        self.values.get(key).map(|(value, origin)| (value.as_str(), origin))
    }

    /// What is set, else the default of the table.
    ///
    /// # Panics
    /// Where the table has no such option, or gives it no plain default: a mistake in this program.
    fn value(&self, key: &str) -> (&str, Origin) {
        match (self.get(key), by_key(key).map(|option| option.fallback)) {
            (Some((value, origin)), _) => (value, origin.clone()),
            (None, Some(Fallback::Value(value))) => (value, Origin::Default),
            _ => panic!("the option {key} has no default in the table"),
        }
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.value(key).0.to_owned()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        self.value(key).0.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// As [`Self::list`], each read by `parse`; what it does not know is refused, with what the option takes.
    pub(crate) fn list_of<T>(&self, key: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ConfigError> {
        let parsed: Option<_> = self.list(key).iter().map(|item| parse(item)).collect();
        parsed.ok_or_else(|| invalid(key, &self.value(key).1, expected))
    }

    pub(crate) fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some((value, origin)) = self.get(key) else { return Ok(None) };
        let absolute = std::path::absolute(value).map_err(|_| invalid(key, origin, "is not a path"))?;
        Ok(Some(absolute))
    }

    pub(crate) fn switch(&self, key: &str) -> Result<bool, ConfigError> {
        let (value, origin) = self.value(key);
        value.parse().map_err(|_| invalid(key, &origin, "takes true or false"))
    }

    pub(crate) fn choice(&self, key: &str) -> Result<&str, ConfigError> {
        let (value, origin) = self.value(key);
        match by_key(key).map(|option| option.kind) {
            Some(Kind::Choice(words)) if words.contains(&value) => Ok(value),
            Some(Kind::Choice(words)) => Err(invalid(key, &origin, &format!("is one of {}", words.join(", ")))),
            _ => Ok(value),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, ConfigError> {
        let (value, origin) = self.value(key);
        parse_number(key, value, &origin)
    }

    /// As [`Self::number`], of no more than `most`.
    pub(crate) fn number_up_to(&self, key: &str, most: u64) -> Result<u64, ConfigError> {
        let (number, (_, origin)) = (self.number(key)?, self.value(key));
        let least = match by_key(key).map(|option| option.kind) {
            Some(Kind::Number(least)) => least,
            _ => 1,
        };
        let expected = || invalid(key, &origin, &format!("takes a whole number from {least} to {most}"));
        if number <= most { Ok(number) } else { Err(expected()) }
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, ConfigError> {
        let (value, origin) = self.value(key);
        to_size(key, parse_number(key, value, &origin)?, &origin)
    }

    pub(crate) fn optional_size(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let Some((value, origin)) = self.get(key) else { return Ok(None) };
        to_size(key, parse_number(key, value, origin)?, origin).map(Some)
    }

    pub(crate) fn seconds(&self, key: &str) -> Result<Duration, ConfigError> {
        self.number(key).map(Duration::from_secs)
    }
}

/// No limit of this program is meant to be larger, and sums of two such numbers still fit.
const LARGEST_NUMBER: u64 = 1 << 31;

fn parse_number(key: &str, value: &str, origin: &Origin) -> Result<u64, ConfigError> {
    let least = match by_key(key).map(|option| option.kind) {
        Some(Kind::Number(least)) => least,
        _ => 0,
    };
    let number = value.parse().map_err(|_: ParseIntError| invalid(key, origin, "takes a whole number"))?;
    if (least..=LARGEST_NUMBER).contains(&number) {
        return Ok(number);
    }
    Err(invalid(key, origin, &format!("takes a whole number from {least} to {LARGEST_NUMBER}")))
}

fn to_size(key: &str, number: u64, origin: &Origin) -> Result<usize, ConfigError> {
    usize::try_from(number).map_err(|_| invalid(key, origin, "is larger than this machine can address"))
}

fn invalid(key: &str, origin: &Origin, expected: &str) -> ConfigError {
    ConfigError::InvalidValue { key: key.to_owned(), origin: origin.to_string(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn layer(key: &str, value: &str) -> Layer {
        let mut layer = Layer::default();
        layer.set(by_key(key).unwrap(), value.to_owned(), Origin::Flag(key.to_owned()));
        layer
    }

    #[test]
    fn the_upper_layer_wins_and_the_default_fills() {
        let both = layer("region", "upper").over(layer("region", "lower")).over(layer("domains", "a.test, b.test"));
        assert_eq!(both.text("region"), "upper");
        assert_eq!(both.list("domains"), ["a.test", "b.test"]);
        assert_eq!(both.text("address"), "127.0.0.1:9000");
    }

    #[test]
    fn a_number_out_of_range_names_option_origin_and_range() {
        let error = layer("max_connections", "0").size("max_connections").unwrap_err();
        assert_eq!(error.to_string(), "max_connections (from --max_connections) takes a whole number from 1 to 2147483648");
    }

    #[test]
    fn a_word_outside_the_choice_is_refused() {
        let error = layer("log_format", "xml").choice("log_format").unwrap_err();
        assert_eq!(error.to_string(), "log_format (from --log_format) is one of text, json");
    }

    #[test]
    fn every_plain_default_is_a_value_of_its_kind() {
        let none = Layer::default();
        for option in super::super::options::OPTIONS.iter().filter(|option| matches!(option.fallback, Fallback::Value(_))) {
            match option.kind {
                Kind::Number(_) => drop(none.number(option.key).unwrap()),
                Kind::Switch => drop(none.switch(option.key).unwrap()),
                Kind::Choice(_) => drop(none.choice(option.key).unwrap()),
                Kind::Text | Kind::Path | Kind::List | Kind::Secret => {}
            }
        }
    }
}
