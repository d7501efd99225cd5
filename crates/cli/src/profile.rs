//! Which server, and as whom: a profile, the server's own data directory, or the environment.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strongroom_kms::Secret;

use crate::args::ConnectionArgs;
use crate::error::Error;

const DEFAULT_ENDPOINT: &str = "https://127.0.0.1:9001";
const DEFAULT_REGION: &str = "us-east-1";
/// Longest file of profiles or of a secret, in bytes.
const MAX_FILE_LEN: u64 = 1 << 20;

/// A server and an identity.
pub(crate) struct Profile {
    pub(crate) endpoint: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) region: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profiles: BTreeMap<String, Table>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    endpoint: Option<String>,
    access_key: Option<String>,
    secret_key: Option<Secret>,
    secret_key_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    region: Option<String>,
}

impl Profile {
    /// What the arguments, the file of profiles and the environment (`variable` reads it) say together. Arguments win.
    pub(crate) fn find(args: &ConnectionArgs, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let table = match (&args.data_dir, &args.profile) {
            (Some(_), Some(_)) => return Err(Error::Usage("--data-dir and --profile exclude each other".to_owned())),
            (Some(dir), None) => of_data_dir(dir)?,
            (None, name) => of_file(args, name.as_deref(), &variable)?,
        };
        let missing = || {
            let text = "no credentials: give --profile, --data-dir, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (strongroom kms --help)";
            Error::Usage(text.to_owned())
        };
        let secret_key = match (&table.secret_key, &table.secret_key_file) {
            (Some(_), Some(path)) => {
                return Err(Error::Usage(format!("the profile has a secret_key beside its secret_key_file {}", path.display())));
            }
            (Some(secret), None) => Some(secret.clone()),
            (None, Some(path)) => Some(Secret::new(read_private(path)?.trim())),
            (None, None) => variable("AWS_SECRET_ACCESS_KEY").map(Secret::new),
        };
        let endpoint = args.endpoint.clone().or(table.endpoint).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            access_key: table.access_key.or_else(|| variable("AWS_ACCESS_KEY_ID")).ok_or_else(missing)?,
            secret_key: secret_key.ok_or_else(missing)?,
            ca: args.ca.clone().or(table.ca).or_else(|| variable("AWS_CA_BUNDLE").map(PathBuf::from)),
            region: table.region.or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        })
    }
}

/// The root identity that the server made at its first start, and its local CA.
fn of_data_dir(dir: &Path) -> Result<Table, Error> {
    let dir: PathBuf = dir.components().collect();
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".secrets");
    let secrets = dir.with_file_name(name);
    let path = secrets.join("root-credentials");
    let mut table: Table = parse(&path, &read_private(&path)?)?;
    let ca = secrets.join("tls").join("ca.pem");
    table.ca = ca.exists().then_some(ca);
    Ok(table)
}

/// The named profile; without a name, `default` where there is one.
fn of_file(args: &ConnectionArgs, name: Option<&str>, variable: &impl Fn(&str) -> Option<String>) -> Result<Table, Error> {
    let path = match &args.profiles {
        Some(path) => path.clone(),
        None => match config_home(variable) {
            Some(home) => home.join("strongroom").join("config.toml"),
            None => return Ok(Table::default()),
        },
    };
    if name.is_none() && args.profiles.is_none() && !path.exists() {
        return Ok(Table::default());
    }
    let mut file: File = parse(&path, &read_private(&path)?)?;
    match (file.profiles.remove(name.unwrap_or("default")), name) {
        (Some(table), _) => Ok(table),
        (None, None) => Ok(Table::default()),
        (None, Some(name)) => {
            let known: Vec<_> = file.profiles.into_keys().collect();
            Err(Error::Usage(format!("{} has no profile {name}, only: {}", path.display(), known.join(", "))))
        }
    }
}

fn config_home(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| Path::new(&home).join(".config"));
    variable("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home)
}

/// A file that nobody else may read.
pub(crate) fn read_private(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::Usage(format!("{0} holds secrets and others can read it; run: chmod 600 {0}", path.display())));
    }
    if metadata.len() > MAX_FILE_LEN {
        return Err(Error::Usage(format!("{} is longer than {MAX_FILE_LEN} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    // The parser's own message quotes the line, which may hold a secret.
    toml::from_str(text).map_err(|error| Error::Usage(format!("{}: {}", path.display(), error.message())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn profiles(dir: &Path, text: &str) -> ConnectionArgs {
        let path = dir.join("config.toml");
        write(&path, text, 0o600);
        ConnectionArgs { profiles: Some(path), ..ConnectionArgs::default() }
    }

    #[test]
    fn a_named_profile_is_taken_whole_and_an_argument_wins() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        write(&secret, "top\n", 0o600);
        let text = format!(
            "[profiles.p]\nendpoint = \"https://a:1/\"\naccess_key = \"AK\"\nsecret_key_file = {:?}\nca = \"/ca\"\nregion = \"eu\"\n",
            secret.display()
        );
        let mut args = profiles(dir.path(), &text);
        args.profile = Some("p".to_owned());
        let profile = Profile::find(&args, |_| None).unwrap();
        assert_eq!((profile.endpoint.as_str(), profile.access_key.as_str(), profile.secret_key.expose()), ("https://a:1", "AK", "top"));
        assert_eq!((profile.ca, profile.region.as_str()), (Some(PathBuf::from("/ca")), "eu"));
        args.endpoint = Some("https://b:2".to_owned());
        assert_eq!(Profile::find(&args, |_| None).unwrap().endpoint, "https://b:2");
    }

    #[test]
    fn an_unknown_profile_names_those_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = profiles(dir.path(), "[profiles.a]\n[profiles.b]\n");
        args.profile = Some("c".to_owned());
        let error = Profile::find(&args, |_| None).err().unwrap();
        assert!(error.to_string().ends_with("has no profile c, only: a, b"), "{error}");
        assert_eq!(error.exit_status(), 2);
    }

    #[test]
    fn secrets_that_others_can_read_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let args = profiles(dir.path(), "");
        std::fs::set_permissions(args.profiles.as_ref().unwrap(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Profile::find(&args, |_| None).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_mistake_in_the_file_is_told_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let args = profiles(dir.path(), "[profiles.default]\nsecret_key = \"canary\" x\n");
        let error = Profile::find(&args, |_| None).err().unwrap().to_string();
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn the_environment_of_aws_serves_where_there_is_no_profile() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(dir.path().display().to_string()),
            "AWS_ACCESS_KEY_ID" => Some("AK".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("sk".to_owned()),
            _ => None,
        };
        let profile = Profile::find(&ConnectionArgs::default(), variable).unwrap();
        assert_eq!((profile.endpoint.as_str(), profile.secret_key.expose()), (DEFAULT_ENDPOINT, "sk"));
        let none = Profile::find(&ConnectionArgs::default(), |name| variable(name).filter(|_| name == "XDG_CONFIG_HOME"));
        assert_eq!(none.err().unwrap().exit_status(), 2);
    }

    #[test]
    fn the_data_directory_gives_the_root_identity_and_its_authority() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("data.secrets");
        std::fs::create_dir_all(secrets.join("tls")).unwrap();
        write(&secrets.join("root-credentials"), "access_key = \"AK\"\nsecret_key = \"sk\"\n", 0o600);
        write(&secrets.join("tls/ca.pem"), "", 0o644);
        let args = ConnectionArgs { data_dir: Some(dir.path().join("data/")), ..ConnectionArgs::default() };
        let profile = Profile::find(&args, |_| None).unwrap();
        assert_eq!((profile.access_key.as_str(), profile.secret_key.expose()), ("AK", "sk"));
        assert_eq!(profile.ca.unwrap(), secrets.join("tls/ca.pem"));
    }
}
