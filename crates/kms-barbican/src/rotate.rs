//! Rotation. Barbican's secrets never change, so each later version is a secret of its own, referenced from the metadata of the key.
//!
//! 1. The new secret is stored, and marked as no key of its own. A crash here leaves a secret that nothing refers to.
//! 2. A row claims the next number for it. Nobody uses a claimed version.
//! 3. The rows are read again. Of two servers that claim the same number at once, each wrote before it read, so at least one sees the
//!    other; whoever sees another withdraws, waits for a random while, and claims anew.
//! 4. The row is put in force: from now on data keys are wrapped under the new version.
//!
//! Whatever a crash leaves keeps its number for good, and is deleted with the key: nothing is cleaned up that a request still on its way
//! could put in force.

use std::time::Duration;

use aws_lc_rs::rand;
use strongroom_kms::KmsError;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::BarbicanKms;
use crate::material::KEY_LEN;
use crate::record::{Record, claimed, in_force, version_of, version_row};
use crate::secrets::version_name;

/// How often a number is claimed before another server's rotations win.
const MAX_CLAIMS: u32 = 6;
/// The longest wait after the first claim that was withdrawn; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The most versions of a key, unfinished ones included.
const MAX_VERSIONS: usize = 1000;

impl BarbicanKms {
    /// Adds a version of random material.
    pub(crate) async fn rotate(&self, key_id: &str) -> Result<(), KmsError> {
        let _one_at_a_time = self.rotating.lock().await;
        // Fails for a secret that is no key.
        self.first_material(key_id).await?;
        let record = self.record(key_id).await?;
        if record.claims.len() + 1 >= MAX_VERSIONS {
            return Err(KmsError::Conflict(format!(
                "the key {key_id} has {MAX_VERSIONS} versions, and no more are possible: create another key"
            )));
        }
        let secret_id = self.client.store(Some(&version_name(key_id)), &random_key()?).await?;
        self.client.set_first_rows(&secret_id, &version_of(key_id)).await?;
        let row = self.claim(key_id, &secret_id, record).await?;
        // If this fails, the version may be in force or not; either is sound.
        if self.client.replace_row(key_id, &row, &in_force(OffsetDateTime::now_utc())).await? {
            return Ok(());
        }
        Err(KmsError::Conflict(format!("the key {key_id} or its metadata was removed during the rotation")))
    }

    /// Claims a number for the secret that no other claims; the row.
    async fn claim(&self, key_id: &str, secret_id: &str, mut record: Record) -> Result<String, KmsError> {
        for attempt in 0..MAX_CLAIMS {
            let number = record.next_version().ok_or_else(|| contested(key_id))?;
            let row = version_row(number, secret_id);
            if !self.client.add_row(key_id, &row, claimed()).await? {
                return Err(contested(key_id));
            }
            record = self.record(key_id).await?;
            if !record.is_contested(number, secret_id) {
                return Ok(row);
            }
            // Safe: only this rotation puts its row in force, and it has not.
            self.client.remove_row(key_id, &row).await?;
            tokio::time::sleep(random_wait(attempt)?).await;
            record = self.record(key_id).await?;
        }
        self.client.delete_if_there(secret_id).await?;
        Err(contested(key_id))
    }
}

/// 32 bytes from the system's generator.
pub(crate) fn random_key() -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    fill_random(&mut key)?;
    Ok(key)
}

/// Two servers that withdraw in step would do so for ever.
fn random_wait(attempt: u32) -> Result<Duration, KmsError> {
    let mut share = [0];
    fill_random(&mut share)?;
    Ok(FIRST_WAIT * 2_u32.pow(attempt) * u32::from(share[0]) / 255)
}

fn fill_random(buffer: &mut [u8]) -> Result<(), KmsError> {
    rand::fill(buffer).map_err(|_| KmsError::Broken("the random number generator failed; this machine cannot run the KMS".to_owned()))
}

fn contested(key_id: &str) -> KmsError {
    KmsError::Conflict(format!("the key {key_id} is being rotated by another server; try again"))
}
