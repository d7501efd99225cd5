//! Small JSON documents in the state store, changed by one writer at a time.

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_kms::{KmsError, StateStore};
use zeroize::Zeroizing;

use crate::http::ApiError;

/// How often a change is tried again that another writer forestalled.
const MAX_ATTEMPTS: usize = 16;

/// The document; a new one where there is none.
pub(crate) async fn load<T: DeserializeOwned + Default>(store: &dyn StateStore, name: &str) -> Result<T, ApiError> {
    parse(store.load(name).await?.as_ref())
}

/// Changes the document. `apply` may run several times, each time on what there is by then; what it refuses changes nothing.
pub(crate) async fn change<T, R>(
    store: &dyn StateStore,
    name: &str,
    mut apply: impl FnMut(&mut T) -> Result<R, ApiError> + Send,
) -> Result<R, ApiError>
where
    T: DeserializeOwned + Serialize + Default + PartialEq + Clone + Send,
{
    for _ in 0..MAX_ATTEMPTS {
        let present = store.load(name).await?;
        let mut document: T = parse(present.as_ref())?;
        let before = document.clone();
        let result = apply(&mut document)?;
        if document == before {
            return Ok(result);
        }
        let written = serde_json::to_vec(&document).map_err(|error| ApiError::internal(&error))?;
        match store.save(name, present.as_ref().map(|present| present.as_slice()), &written).await {
            Ok(()) => return Ok(result),
            Err(KmsError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("Conflict", "Others keep changing the same: try again."))
}

fn parse<T: DeserializeOwned + Default>(document: Option<&Zeroizing<Vec<u8>>>) -> Result<T, ApiError> {
    document.map_or_else(|| Ok(T::default()), |document| serde_json::from_slice(document).map_err(|error| ApiError::internal(&error)))
}
