//! What the secret of a key holds. Specified in `docs/kms/vault.md`.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_kms::{KeyMaterial, KeyMetadata, KeyState, KeyVersionInfo, KmsError, Secret};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// The only format there is.
const FORMAT: u32 = 1;
/// The most versions of one key, so that its secret stays far below the server's limit of 1 MiB.
const MAX_VERSIONS: usize = 1000;
const KEY_LEN: usize = 32;

/// All versions of a key, oldest first.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: u32,
    versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    /// 32 bytes in base64.
    material: Secret,
}

impl Document {
    /// A key of one version.
    pub(super) fn new(material: &[u8]) -> Self {
        Self { format: FORMAT, versions: vec![Version::new(material)] }
    }

    /// Refuses what this release did not write.
    pub(super) fn check(self, key_id: &str) -> Result<Self, KmsError> {
        if self.format == FORMAT && !self.versions.is_empty() { Ok(self) } else { Err(malformed(key_id)) }
    }

    /// Adds a version of new random material.
    pub(super) fn rotate(&mut self, key_id: &str) -> Result<(), KmsError> {
        if self.versions.len() >= MAX_VERSIONS {
            let text = format!("the key {key_id} has {MAX_VERSIONS} versions, the most there can be; create another key");
            return Err(KmsError::InvalidArgument(text));
        }
        self.versions.push(Version::new(&*random_material()?));
        Ok(())
    }

    /// The material of a version, or of the present one.
    pub(super) fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError> {
        let version = version.unwrap_or_else(|| self.current_version());
        let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let of = index.and_then(|index| self.versions.get(index)).ok_or(KmsError::Rejected)?;
        let bytes = STANDARD.decode(of.material.expose()).map(Zeroizing::new).map_err(|_| malformed(key_id))?;
        Ok(KeyMaterial { key_id: key_id.to_owned(), version, bytes })
    }

    pub(super) fn metadata(&self, key_id: &str) -> KeyMetadata {
        let versions: Vec<_> = (1..).zip(&self.versions).map(|(version, of)| KeyVersionInfo { version, created: of.created }).collect();
        KeyMetadata {
            key_id: key_id.to_owned(),
            description: String::new(),
            tags: BTreeMap::new(),
            state: KeyState::Enabled,
            created: versions.first().map_or(OffsetDateTime::UNIX_EPOCH, |first| first.created),
            versions,
            current_version: self.current_version(),
        }
    }

    fn current_version(&self) -> u32 {
        // MAX_VERSIONS is far below.
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }
}

impl Version {
    fn new(material: &[u8]) -> Self {
        Self { created: OffsetDateTime::now_utc(), material: Secret::new(STANDARD.encode(material)) }
    }
}

/// A new key.
pub(super) fn random_material() -> Result<Zeroizing<[u8; KEY_LEN]>, KmsError> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    rand::fill(&mut *bytes).map_err(|_| KmsError::Broken("the random number generator failed".to_owned()))?;
    Ok(bytes)
}

/// Says nothing of what was found: it may hold a key.
pub(super) fn malformed(key_id: &str) -> KmsError {
    KmsError::Broken(format!("the secret of the key {key_id} in Vault is not one the store wrote; restore it with: bao kv rollback"))
}
