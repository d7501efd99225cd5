//! The configuration: flags over environment over file over defaults.

mod entry;
mod env;
mod error;
mod file;
mod kms;
mod layer;
mod notifications;
pub(crate) mod options;
mod settings;
mod users;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use error::ConfigError;
pub(crate) use kms::{KmsSettings, MasterKey};
pub(crate) use layer::{Layer, Origin};
pub(crate) use settings::{AuditSettings, Lists, LogFormat, RootKeys, Settings, TlsFiles};
pub(crate) use users::User;

/// The variable that stands for the argument `DATA_DIR`.
pub(crate) const DATA_DIR_VARIABLE: &str = "STRONGROOM_DATA_DIR";
/// The variable that stands for `--config`.
pub(crate) const FILE_VARIABLE: &str = "STRONGROOM_CONFIG";

/// What the command line sets.
#[derive(Default)]
pub(crate) struct CommandLine {
    pub(crate) layer: Layer,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) config_file: Option<PathBuf>,
}

/// Lays the sources over each other and checks each value.
pub(crate) fn load(command_line: CommandLine, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Settings, ConfigError> {
    let environment = env::read(variables)?;
    let file = match command_line.config_file.or(environment.config_file.map(PathBuf::from)) {
        Some(path) => file::read(&path)?,
        None => file::File::default(),
    };
    let data_dir = command_line.data_dir.or(environment.data_dir.map(PathBuf::from)).or(file.data_dir.map(PathBuf::from));
    let layer = command_line.layer.over(environment.layer).over(file.layer);
    Settings::assemble(&data_dir.ok_or(ConfigError::NoDataDir)?, &layer, file.lists)
}
