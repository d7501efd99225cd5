//! How often an outside key may encrypt under random IVs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::KmsError;

/// How many random IVs of 96 bits one key may see. Source: NIST SP 800-38D, 8.3.
const MAX_IVS: u64 = 1 << 32;

/// For backends whose service encrypts with AES-GCM under IVs drawn here: counts them for each version of each key since the start of this
/// process, and ends before they may repeat.
#[derive(Default)]
pub struct IvBudget(Mutex<HashMap<(String, u32), u64>>);

impl IvBudget {
    /// Takes one IV. [`KmsError::Conflict`] when there is none left.
    pub fn spend(&self, key_id: &str, key_version: u32) -> Result<(), KmsError> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = drawn.entry((key_id.to_owned(), key_version)).or_default();
        if *drawn >= MAX_IVS {
            return Err(KmsError::Conflict(format!("version {key_version} of the key {key_id} has wrapped 2^32 data keys: rotate it")));
        }
        *drawn += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_version_that_used_up_its_ivs_is_refused_until_rotated() {
        let budget = IvBudget::default();
        budget.0.lock().unwrap().insert(("a".to_owned(), 1), MAX_IVS - 1);
        assert!(budget.spend("a", 1).is_ok());
        let Err(KmsError::Conflict(text)) = budget.spend("a", 1) else { panic!() };
        assert_eq!(text, "version 1 of the key a has wrapped 2^32 data keys: rotate it");
        assert!(budget.spend("a", 2).is_ok());
        assert!(budget.spend("b", 1).is_ok());
    }
}
