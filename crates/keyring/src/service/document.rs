//! What the service remembers across restarts.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, MAX_STATE_LEN};
use zeroize::Zeroizing;

use super::Configuration;

/// Its name in the state store.
pub(super) const NAME: &str = "kms-service";

const FORMAT: u32 = 1;

/// Everything that is configured, and whether it is started or sealed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) format: u32,
    pub(super) configuration: Option<Configuration>,
    /// The configuration of flags, environment and file that was last taken: it is taken again only when it changes.
    pub(super) initial: Option<Configuration>,
    pub(super) started: bool,
    pub(super) sealed: bool,
}

impl Default for Document {
    fn default() -> Self {
        Self { format: FORMAT, configuration: None, initial: None, started: false, sealed: false }
    }
}

impl Document {
    /// Reads what [`Self::to_bytes`] wrote.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, KmsError> {
        // The error is not quoted: it may hold what was found.
        let document: Self = serde_json::from_slice(bytes).map_err(|_| {
            KmsError::Broken("the configuration of the KMS is malformed, or a newer Strongroom wrote it; start that one".to_owned())
        })?;
        if document.format != FORMAT {
            let text = format!("the configuration of the KMS has format {}; start the newer Strongroom that wrote it", document.format);
            return Err(KmsError::Broken(text));
        }
        Ok(document)
    }

    /// The document in one buffer that is wiped: its length is found first, so that no shorter buffer is left behind.
    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let unwritable = |_| KmsError::Broken("the configuration of the KMS cannot be written".to_owned());
        let mut len = Count(0);
        serde_json::to_writer(&mut len, self).map_err(unwritable)?;
        if len.0 > MAX_STATE_LEN {
            return Err(KmsError::InvalidArgument(format!("the configuration is longer than {MAX_STATE_LEN} bytes")));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(len.0));
        serde_json::to_writer(&mut *bytes, self).map_err(unwritable)?;
        Ok(bytes)
    }
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
