//! One request on its way through.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use strongroom_access::{Action, Conditions, Decision, arn};
use strongroom_audit::{Event, Outcome};
use strongroom_kms::{Kms, resolve_key_id};

use super::ApiError;
use crate::admin::{Inner, Signer};

/// The most characters that are recorded of a text from a request, and the most texts that are noted: so that every event fits into the audit
/// log, though JSON takes six bytes for some characters.
const MAX_NOTED_CHARS: usize = 256;
const MAX_NOTES: usize = 32;
/// In the details of what is recorded before a change runs.
const BEGUN: (&str, &str) = ("phase", "begun");

/// What came: everything an input can be read from.
pub(crate) struct Received {
    pub(crate) path: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// What a handler works with. What it notes goes into the audit record.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) inner: Arc<Inner>,
    pub(crate) signer: Signer,
    /// `?backend=`
    pub(crate) backend: Option<String>,
    event: Arc<Mutex<Event>>,
}

impl Call {
    pub(crate) fn new(inner: Arc<Inner>, signer: Signer, operation: &str, backend: Option<String>) -> Self {
        let event = Event {
            request_id: signer.request_id.clone(),
            who: signer.identity.name.clone(),
            operation: operation.to_owned(),
            ..Event::default()
        };
        Self { inner, signer, backend, event: Arc::new(Mutex::new(event)) }
    }

    /// Whether the signer may list this bucket, and so learn the names of its objects.
    pub(crate) fn may_list(&self, bucket: &str) -> bool {
        self.may_in_bucket(Action::ListBucket, bucket)
    }

    /// Whether the signer may do this with this bucket.
    pub(crate) fn may_in_bucket(&self, action: Action, bucket: &str) -> bool {
        let conditions = Conditions::new(self.signer.secure);
        // What the policies of another account say of a bucket, its own would have to say too.
        !self.is_of_a_tenant() && self.signer.identity.may(action, &arn::bucket(bucket), &conditions) == Decision::Allow
    }

    /// Key material travels over TLS, or not at all.
    pub(crate) fn require_secure(&self) -> Result<(), ApiError> {
        if self.signer.secrets_allowed {
            return Ok(());
        }
        Err(ApiError::invalid("Requests that carry key material must be made over a secure connection."))
    }

    /// The name of the backend that is meant: `?backend=`, else the one in force.
    pub(crate) fn backend_name(&self) -> Result<String, ApiError> {
        let live = self.inner.parts.keyring.backends();
        match &self.backend {
            Some(name) if live.contains(name) => Ok(name.clone()),
            Some(name) => Err(no_such_backend(name, &live)),
            None => live.into_iter().next().ok_or_else(|| strongroom_kms::KmsError::NotConfigured.into()),
        }
    }

    /// The same call, with another backend in the place of `?backend=`.
    pub(crate) fn on_backend(self, name: &str) -> Self {
        Self { backend: Some(name.to_owned()), ..self }
    }

    /// The backend that is meant, and its name.
    pub(crate) fn kms(&self) -> Result<(String, Arc<dyn Kms>), ApiError> {
        let name = self.backend_name()?;
        let kms = self.inner.parts.keyring.kms(Some(&name))?;
        self.note_event(|event| event.backend.clone_from(&name));
        Ok((name, kms))
    }

    /// The bare id of a key that a client named, for the audit record too.
    pub(crate) fn key_id<'a>(&self, given: &'a str) -> Result<&'a str, ApiError> {
        let key_id = resolve_key_id(given)?;
        self.note_event(|event| key_id.clone_into(&mut event.key_id));
        Ok(key_id)
    }

    /// Says in the audit record which key it was about.
    pub(crate) fn about_key(&self, key_id: &str, version: u32) {
        self.note_event(|event| (event.key_id, event.key_version) = (key_id.to_owned(), version));
    }

    /// Adds to the audit record, shortened where it is long. Never a secret.
    pub(crate) fn note(&self, name: &str, value: impl AsRef<str>) {
        self.note_event(|event| note(event, name, value.as_ref()));
    }

    /// Says in the audit record which bucket it was about.
    pub(crate) fn about_bucket(&self, bucket: &str) {
        self.note_event(|event| event.bucket = shortened(bucket));
    }

    pub(crate) fn note_event(&self, change: impl FnOnce(&mut Event)) {
        change(&mut self.event.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The audit record of how it ended.
    pub(crate) fn event(&self, failed: Option<&'static str>) -> Event {
        let mut event = self.event.lock().unwrap_or_else(PoisonError::into_inner).clone();
        event.outcome = failed.map_or(Outcome::Ok, |code| Outcome::Error(code.to_owned()));
        event
    }

    /// The audit record that it is about to be done.
    pub(crate) fn begun(&self) -> Event {
        let mut event = self.event(None);
        event.details.insert(BEGUN.0.to_owned(), BEGUN.1.to_owned());
        event
    }
}

fn note(event: &mut Event, name: &str, value: &str) {
    if event.details.len() < MAX_NOTES {
        event.details.insert(name.to_owned(), shortened(value));
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_NOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) fn no_such_backend(name: &str, live: &[String]) -> ApiError {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    ApiError::not_found(format!("There is no backend {shown}. There are: {}.", live.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_of_the_longest_and_the_most_notes_fits_into_the_audit_log() {
        let longest = "\u{1}".repeat(64 << 10);
        let mut event = Event { bucket: shortened(&longest), ..Event::default() };
        for number in 0..1000 {
            note(&mut event, &format!("{number}"), &longest);
        }
        assert_eq!(event.details.len(), MAX_NOTES);
        assert!(serde_json::to_vec(&event).unwrap().len() < 60 << 10);
    }

    #[test]
    fn a_text_is_recorded_whole_up_to_its_bound() {
        let whole = "ü".repeat(MAX_NOTED_CHARS);
        assert_eq!(shortened(&whole), whole);
        assert_eq!(shortened(&format!("{whole}x")), format!("{whole}…"));
    }
}
