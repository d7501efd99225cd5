//! The keys that a provider publishes. Source: RFC 7517, RFC 7518 (section 6) and RFC 8037.

use std::fmt;

use aws_lc_rs::signature::{ED25519, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    algorithm::{Algorithm, Curve},
    token::Header,
};

/// More than any provider has.
const MAX_KEYS: usize = 100;
/// So many are tried for one signature at the most.
const MAX_TRIED: usize = 8;
/// Of a modulus of 8,192 bits; longer ones would take their time.
const MAX_MODULUS_BYTES: usize = 1024;
const MAX_EXPONENT_BYTES: usize = 8;
const ED25519_BYTES: usize = 32;
/// Before the two coordinates of a point.
const UNCOMPRESSED: u8 = 4;

/// The keys of one provider that are for signatures.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

/// One of them.
pub(crate) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ec { curve: Curve, point: Vec<u8> },
    Ed25519([u8; ED25519_BYTES]),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Of a private key, which nobody should ever have published.
    d: Option<serde::de::IgnoredAny>,
}

impl KeySet {
    /// The keys of a document, without those that are for something else or of an unknown kind. None where it is no set of keys.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let Document { keys } = serde_json::from_slice(json).ok()?;
        let of_value = |value| serde_json::from_value(value).ok().and_then(Key::new);
        (keys.len() <= MAX_KEYS).then(|| Self(keys.into_iter().filter_map(of_value).collect()))
    }

    /// Those that could have made such a signature. A token that names no key may be of any of them.
    pub(crate) fn fitting<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        let is_named = |key: &&Key| header.key_id.is_none() || header.key_id == key.id;
        self.0.iter().filter(is_named).filter(|key| key.suits(header.algorithm)).take(MAX_TRIED)
    }
}

impl Key {
    fn new(raw: RawKey) -> Option<Self> {
        let is_for_signatures = raw.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && raw.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        let algorithm = match raw.alg.as_deref() {
            None => None,
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let material = Material::new(&raw)?;
        (is_for_signatures && raw.d.is_none()).then_some(Self { id: raw.kid, algorithm, material })
    }

    /// A key is for signatures of its own kind alone, whatever the token says.
    fn suits(&self, algorithm: Algorithm) -> bool {
        let is_of_kind = match &self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::Ec { curve, .. } => algorithm.curve() == Some(*curve),
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        is_of_kind && self.algorithm.is_none_or(|only| only == algorithm)
    }

    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => algorithm
                .rsa()
                .is_some_and(|how| RsaPublicKeyComponents { n: modulus, e: exponent }.verify(how, message, signature).is_ok()),
            Material::Ec { curve, point } => {
                algorithm.curve() == Some(*curve) && UnparsedPublicKey::new(curve.verification(), point).verify(message, signature).is_ok()
            }
            Material::Ed25519(bytes) => {
                algorithm == Algorithm::EdDsa && UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature).is_ok()
            }
        }
    }
}

impl Material {
    fn new(raw: &RawKey) -> Option<Self> {
        match raw.kty.as_str() {
            "RSA" => {
                let (modulus, exponent) = (unsigned(raw.n.as_ref()?)?, unsigned(raw.e.as_ref()?)?);
                let is_short = modulus.len() <= MAX_MODULUS_BYTES && exponent.len() <= MAX_EXPONENT_BYTES;
                is_short.then_some(Self::Rsa { modulus, exponent })
            }
            "EC" => {
                let curve = Curve::parse(raw.crv.as_deref()?)?;
                let (x, y) = (decode(raw.x.as_ref()?)?, decode(raw.y.as_ref()?)?);
                let len = curve.coordinate_bytes();
                let point = [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat();
                (x.len() == len && y.len() == len).then_some(Self::Ec { curve, point })
            }
            "OKP" if raw.crv.as_deref() == Some("Ed25519") => decode(raw.x.as_ref()?)?.try_into().ok().map(Self::Ed25519),
            // Secrets that both sides have (`oct`) among them.
            _ => None,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.id)
    }
}

fn decode(text: &String) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without the zeroes that some write before it.
fn unsigned(text: &String) -> Option<Vec<u8>> {
    let bytes = decode(text)?;
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeroes..].to_vec()).filter(|bytes| !bytes.is_empty())
}
