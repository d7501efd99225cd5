//! New keys: of AWS's own material or of the caller's.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{self, AlgorithmSpec, ExpirationModelType, KeySpec, KeyUsageType, OriginType, WrappingKeySpec};
use strongroom_kms::{KeyMetadata, KmsError, NewKey, check_new_key_id};
use zeroize::Zeroizing;

use super::tags::aws_tags;
use crate::AwsKms;
use crate::fault::Call;
use crate::keys::{malformed, metadata};

/// Where the names of keys live, apart from the aliases of others.
const ALIAS_PREFIX: &str = "alias/strongroom/";
/// The shortest window there is for taking back a key that nobody has seen.
const UNDO_WINDOW_DAYS: i32 = 7;

impl AwsKms {
    /// A key of AWS's or the given material. What fails half-way leaves no key but one scheduled for deletion.
    pub(super) async fn create(&self, new: NewKey, material: Option<Zeroizing<Vec<u8>>>) -> Result<KeyMetadata, KmsError> {
        let alias = new.name.as_deref().map(alias_of).transpose()?;
        if let Some(alias) = &alias {
            self.check_free(alias).await?;
        }
        let origin = if material.is_some() { OriginType::External } else { OriginType::AwsKms };
        let key = self.create_nameless(&new, origin).await?;
        match self.complete(&key.key_id, alias.as_deref(), material).await {
            Ok(()) => self.new_key(key, new).await,
            Err(error) => {
                self.take_back(&key.key_id).await;
                Err(error)
            }
        }
    }

    /// Asked before a key is made, which costs money and cannot be undone for a week.
    async fn check_free(&self, alias: &str) -> Result<(), KmsError> {
        match self.description(alias).await {
            Ok(_) => Err(KmsError::KeyExists(alias.to_owned())),
            Err(KmsError::KeyNotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn create_nameless(&self, new: &NewKey, origin: OriginType) -> Result<types::KeyMetadata, KmsError> {
        let call = Call { action: "kms:CreateKey", key_id: new.name.as_deref().unwrap_or_default() };
        let tags = aws_tags(&new.tags)?;
        let tags = Some(tags).filter(|tags| !tags.is_empty());
        let request = |aws: Client| {
            aws.create_key()
                .key_spec(KeySpec::SymmetricDefault)
                .key_usage(KeyUsageType::EncryptDecrypt)
                .origin(origin.clone())
                .description(&new.description)
                .set_tags(tags.clone())
                .send()
        };
        let answer = self.connection.send(call, request).await.map_err(|fault| fault.into_error(call))?;
        answer.key_metadata.ok_or_else(|| malformed("made a key and does not describe it"))
    }

    async fn complete(&self, key_id: &str, alias: Option<&str>, material: Option<Zeroizing<Vec<u8>>>) -> Result<(), KmsError> {
        if let Some(material) = material {
            self.import(key_id, &material).await?;
        }
        let Some(alias) = alias else { return Ok(()) };
        let call = Call { action: "kms:CreateAlias", key_id: alias };
        let request = |aws: Client| aws.create_alias().alias_name(alias).target_key_id(key_id).send();
        self.connection.send(call, request).await.map(drop).map_err(|fault| fault.into_error(call))
    }

    /// Hands the material over, encrypted to a key pair that AWS makes for this one time.
    async fn import(&self, key_id: &str, material: &[u8]) -> Result<(), KmsError> {
        let call = Call { action: "kms:GetParametersForImport", key_id };
        let request = |aws: Client| {
            aws.get_parameters_for_import()
                .key_id(key_id)
                .wrapping_algorithm(AlgorithmSpec::RsaesOaepSha256)
                .wrapping_key_spec(WrappingKeySpec::Rsa4096)
                .send()
        };
        let parameters = self.connection.send(call, request).await.map_err(|fault| fault.into_error(call))?;
        let (Some(token), Some(public_key)) = (parameters.import_token, parameters.public_key) else {
            return Err(malformed("gives no parameters for an import"));
        };
        let encrypted = Blob::new(encrypt_to(public_key.as_ref(), material).ok_or_else(|| malformed("gives a key that is not RSA"))?);
        let call = Call { action: "kms:ImportKeyMaterial", key_id };
        let request = |aws: Client| {
            aws.import_key_material()
                .key_id(key_id)
                .import_token(token.clone())
                .encrypted_key_material(encrypted.clone())
                .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
                .send()
        };
        self.connection.send(call, request).await.map(drop).map_err(|fault| fault.into_error(call))
    }

    /// As AWS describes it now; imported material has changed its state.
    async fn new_key(&self, key: types::KeyMetadata, new: NewKey) -> Result<KeyMetadata, KmsError> {
        if key.key_state == Some(types::KeyState::Enabled) {
            return Ok(metadata(&key, new.tags));
        }
        self.settled(&key.key_id, |key| key.key_state == Some(types::KeyState::Enabled)).await
    }

    async fn take_back(&self, key_id: &str) {
        let call = Call { action: "kms:ScheduleKeyDeletion", key_id };
        let request = |aws: Client| aws.schedule_key_deletion().key_id(key_id).pending_window_in_days(UNDO_WINDOW_DAYS).send();
        if let Err(fault) = self.connection.send(call, request).await {
            let error = fault.into_error(call);
            tracing::warn!(key_id, %error, "a key that was made half-way stays behind in AWS KMS: delete it there");
        }
    }
}

fn alias_of(name: &str) -> Result<String, KmsError> {
    check_new_key_id(name)?;
    Ok(format!("{ALIAS_PREFIX}{name}"))
}

/// RSAES-OAEP with SHA-256. Source: RFC 8017; AWS KMS `RSAES_OAEP_SHA_256`.
fn encrypt_to(public_key: &[u8], material: &[u8]) -> Option<Vec<u8>> {
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public_key).ok()?).ok()?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let len = key.encrypt(&OAEP_SHA256_MGF1SHA256, material, &mut ciphertext, None).ok()?.len();
    ciphertext.truncate(len);
    Some(ciphertext)
}
