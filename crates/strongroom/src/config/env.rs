//! Options from the environment.

use std::ffi::OsString;

use super::options::{OPTIONS, OptionSpec, nearest};
use super::{ConfigError, DATA_DIR_VARIABLE, FILE_VARIABLE, Layer, Origin};

/// What the names of all variables begin with.
pub(crate) const PREFIX: &str = "STRONGROOM_";

/// What the environment sets.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) layer: Layer,
    pub(crate) data_dir: Option<String>,
    pub(crate) config_file: Option<String>,
}

/// Reads the variables of Strongroom; one that is no option's is an error.
pub(crate) fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, ConfigError> {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let value = value.into_string().map_err(|_| ConfigError::NotUtf8(name.to_owned()))?;
        match name {
            DATA_DIR_VARIABLE => environment.data_dir = Some(value),
            FILE_VARIABLE => environment.config_file = Some(value),
            _ => match OPTIONS.iter().find(|option| option.variable() == name) {
                Some(option) => environment.layer.set(option, value, Origin::Variable(name.to_owned())),
                None if is_service_link(name) => {}
                None => return Err(unknown(name)),
            },
        }
    }
    Ok(environment)
}

fn unknown(name: &str) -> ConfigError {
    let known: Vec<String> = OPTIONS.iter().map(OptionSpec::variable).collect();
    let candidates = known.iter().map(String::as_str).chain([DATA_DIR_VARIABLE, FILE_VARIABLE]);
    ConfigError::UnknownVariable { name: name.to_owned(), nearest: nearest(name, candidates) }
}

/// Kubernetes sets such variables in every pod for a Service whose name begins with `strongroom`.
fn is_service_link(name: &str) -> bool {
    let name = &name[PREFIX.len()..];
    let tail = |word: &str| name == word || name.ends_with(&format!("_{word}"));
    let middle = |word: &str| name.starts_with(word) || name.contains(&format!("_{word}"));
    tail("SERVICE_HOST") || tail("SERVICE_PORT") || tail("PORT") || middle("SERVICE_PORT_") || is_port_link(name, middle)
}

/// As in `PORT_9000_TCP_ADDR`.
fn is_port_link(name: &str, middle: impl Fn(&str) -> bool) -> bool {
    middle("PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Environment, ConfigError> {
        read(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_name() {
        let error = read_pairs(&[("STRONGROOM_ADRESS", "x")]).err().expect("a misspelt variable is an error");
        assert_eq!(error.to_string(), "STRONGROOM_ADRESS is not an option; did you mean STRONGROOM_ADDRESS?");
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_option() {
        let links = ["STRONGROOM_SERVICE_HOST", "STRONGROOM_SERVICE_PORT", "STRONGROOM_SERVICE_PORT_S3", "STRONGROOM_PORT"];
        let more = ["STRONGROOM_PORT_9000_TCP", "STRONGROOM_PORT_9000_TCP_ADDR", "STRONGROOM_ADMIN_SERVICE_HOST"];
        for name in links.into_iter().chain(more) {
            assert!(read_pairs(&[(name, "tcp://10.0.0.1:9000")]).is_ok(), "{name}");
        }
    }

    #[test]
    fn other_programs_variables_are_left_alone() {
        assert!(read_pairs(&[("PATH", "/bin"), ("AWS_REGION", "x")]).is_ok());
    }
}
