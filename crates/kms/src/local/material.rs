//! Key material in the sealed document: base64 text, in buffers that are wiped.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use zeroize::Zeroizing;

use crate::crypto::SecretKey;

#[allow(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(material: &Option<Arc<SecretKey>>, serializer: S) -> Result<S::Ok, S::Error> {
    match material {
        None => serializer.serialize_none(),
        Some(key) => serializer.serialize_str(&Zeroizing::new(STANDARD.encode(key.expose()))),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<SecretKey>>, D::Error> {
    deserializer.deserialize_any(MaterialVisitor)
}

/// 32 bytes of base64, or nothing. Errors never quote what was found.
pub(super) fn decode(text: &[u8]) -> Option<SecretKey> {
    SecretKey::from_slice(&Zeroizing::new(STANDARD.decode(text).ok()?))
}

struct MaterialVisitor;

impl Visitor<'_> for MaterialVisitor {
    type Value = Option<Arc<SecretKey>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("32 bytes in base64, or null")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        decode(text.as_bytes()).map(|key| Some(Arc::new(key))).ok_or_else(|| E::custom("malformed key material"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
