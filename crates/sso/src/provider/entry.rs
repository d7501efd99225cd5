//! What is known of the keys of one provider, and what is to be done about it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    TokenError,
    jwt::{Header, KeySet},
};

/// Keys are asked for again when they are so old.
const FRESH: Duration = Duration::from_mins(5);
/// And not used any more when they are so old: a key that a provider takes back counts no longer than this, even while it is away.
const LONGEST: Duration = Duration::from_hours(1);
/// The shortest time between two questions, whatever tokens come: neither a flood of unknown keys nor a provider that is away costs more.
const REST: Duration = Duration::from_secs(10);

/// What is known of the keys of a provider.
#[derive(Default)]
pub(super) struct Known {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// When the last answer came, or was given up.
    asked: Option<Instant>,
    /// How that ended, where it failed.
    failed: Option<TokenError>,
}

/// What to do for a token.
pub(super) enum Advice {
    /// Verify it with these keys.
    Use(Arc<KeySet>),
    /// Ask the provider; while another request does, these will do.
    Ask(Option<Arc<KeySet>>),
    /// Refuse it.
    Refuse(TokenError),
}

impl Known {
    pub(super) fn advise(&self, header: &Header, now: Instant) -> Advice {
        let is_rested = self.asked.is_none_or(|asked| now.duration_since(asked) >= REST);
        let usable = self.keys.as_ref().filter(|(_, fetched)| now.duration_since(*fetched) < LONGEST);
        let fitting = usable.filter(|(keys, _)| keys.fitting(header).next().is_some());
        match (fitting, is_rested) {
            (Some((keys, fetched)), is_rested) if !is_rested || now.duration_since(*fetched) < FRESH => Advice::Use(Arc::clone(keys)),
            (fitting, true) => Advice::Ask(fitting.map(|(keys, _)| Arc::clone(keys))),
            (_, false) => Advice::Refuse(self.failed.clone().filter(|_| usable.is_none()).unwrap_or(TokenError::UnknownKey)),
        }
    }

    pub(super) fn note_answer(&mut self, answer: Result<KeySet, TokenError>, now: Instant) {
        self.asked = Some(now);
        match answer {
            Ok(keys) => (self.keys, self.failed) = (Some((Arc::new(keys), now)), None),
            Err(error) => self.failed = Some(error),
        }
    }
}
