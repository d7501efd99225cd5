//! Key material on its way into Transit: AES key wrap under an ephemeral key, which RSA-OAEP carries. Source: Vault, "Import key".

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_kms::KmsError;
use zeroize::Zeroizing;

const EPHEMERAL_LEN: usize = 32;

/// `material` as only the owner of the PEM public key can read it, in base64.
pub(super) fn wrap(public_key: &str, material: &[u8]) -> Result<String, KmsError> {
    let public = public_key_of(public_key).ok_or_else(|| KmsError::Unavailable("Vault's wrapping key is no RSA key".to_owned()))?;
    let mut ephemeral = Zeroizing::new([0; EPHEMERAL_LEN]);
    rand::fill(&mut *ephemeral).map_err(|_| failed())?;
    let mut carried = vec![0; public.ciphertext_size()];
    let carried = public.encrypt(&OAEP_SHA256_MGF1SHA256, &*ephemeral, &mut carried, None).map_err(|_| failed())?;
    let kek = AesKek::new(&AES_256, &*ephemeral).map_err(|_| failed())?;
    // RFC 5649 adds a block of 8 bytes and pads to the next one.
    let mut wrapped = vec![0; material.len() + 16];
    let wrapped = kek.wrap_with_padding(material, &mut wrapped).map_err(|_| failed())?;
    Ok(STANDARD.encode([carried, wrapped].concat()))
}

fn public_key_of(pem: &str) -> Option<OaepPublicEncryptingKey> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(base64).ok()?;
    OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&der).ok()?).ok()
}

fn failed() -> KmsError {
    KmsError::Broken("the cryptographic library failed to wrap key material".to_owned())
}
