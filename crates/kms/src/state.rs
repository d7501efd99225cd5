//! Where key management keeps what it must remember: its configuration, and of keys what a backend cannot hold.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::KmsError;

/// Longest document in bytes.
pub const MAX_STATE_LEN: usize = 1 << 20;

/// Small documents by name, durable, confidential and authenticated: they may hold credentials.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// The document of this name, if there is one.
    async fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KmsError>;

    /// Writes the document, of up to [`MAX_STATE_LEN`] bytes. `present` is what [`Self::load`] gave: if another writer was faster,
    /// answers [`KmsError::Conflict`] and changes nothing.
    async fn save(&self, name: &str, present: Option<&[u8]>, document: &[u8]) -> Result<(), KmsError>;
}
