//! When access keys were used last: noted in memory, and written in groups now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use strongroom_catalog::{AccessKeyUse, UnixMillis};

/// What is not written yet of more keys is dropped: it is a date that people look at.
const MAX_NOTED: usize = 20_000;

/// Uses of access keys that are not written yet, the last of each.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<String, AccessKeyUse>>);

impl Uses {
    pub(crate) fn note(&self, access_key: &str, used: UnixMillis, service: &str, region: &str) {
        let mut noted = self.uses();
        if let Some(last) = noted.get_mut(access_key) {
            if (last.service.as_str(), last.region.as_str()) != (service, region) {
                (last.service, last.region) = (service.to_owned(), region.to_owned());
            }
            last.used = used;
        } else if noted.len() < MAX_NOTED {
            let one = AccessKeyUse { access_key: access_key.to_owned(), used, service: service.to_owned(), region: region.to_owned() };
            noted.insert(access_key.to_owned(), one);
        }
    }

    /// All that is to be written, and nothing is noted any more.
    pub(crate) fn take(&self) -> Vec<AccessKeyUse> {
        std::mem::take(&mut *self.uses()).into_values().collect()
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<String, AccessKeyUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
