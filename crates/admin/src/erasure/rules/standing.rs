//! How rules stand that are due. It is found out anew after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::document::{self, Rule};
use super::obstacles::Obstacle;
use crate::admin::Inner;

/// The rules that are being carried out.
#[derive(Default)]
pub(crate) struct AtWork {
    /// Held while a key is destroyed and while a rule is removed: a rule that was removed destroys nothing any more.
    pub(super) alone: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By the ids of rules.
    standings: BTreeMap<String, Standing>,
    /// Those of which the audit log knows since the start that they were begun with.
    begun: BTreeSet<String>,
}

/// How a rule stands that is due and not done.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) due: Due,
    /// When it is its turn again.
    pub(super) again: Instant,
}

/// What a rule that is due waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// That nothing keeps its key any more.
    Blocked(Vec<Obstacle>),
    /// That the backend destroys the key, which it does by itself at this time.
    Pending { until: OffsetDateTime },
}

impl AtWork {
    pub(super) fn standing(&self, rule: &Rule) -> Option<Due> {
        self.known().standings.get(&rule.id).map(|standing| standing.due.clone())
    }

    /// Whether the rule is to be looked at now.
    pub(super) fn is_its_turn(&self, rule: &Rule) -> bool {
        self.known().standings.get(&rule.id).is_none_or(|standing| standing.again <= Instant::now())
    }

    /// Notes how the rule stands; how it stood before.
    pub(super) fn note(&self, rule: &Rule, standing: Standing) -> Option<Due> {
        self.known().standings.insert(rule.id.clone(), standing).map(|standing| standing.due)
    }

    /// Whether the audit log knows since the start that the rule was begun with.
    pub(super) fn is_begun(&self, rule: &Rule) -> bool {
        self.known().begun.contains(&rule.id)
    }

    pub(super) fn note_begun(&self, rule: &Rule) {
        self.known().begun.insert(rule.id.clone());
    }

    /// Forgets all but these rules.
    pub(super) fn retain(&self, due: &[Rule]) {
        let is_due = |id: &String| due.iter().any(|rule| rule.id == *id);
        let mut known = self.known();
        known.standings.retain(|id, _| is_due(id));
        known.begun.retain(is_due);
    }

    pub(super) fn forget(&self, rule: &Rule) {
        let mut known = self.known();
        known.standings.remove(&rule.id);
        known.begun.remove(&rule.id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state's name, in answers and metrics.
pub(super) fn state(inner: &Inner, rule: &Rule) -> &'static str {
    match inner.at_work.standing(rule) {
        _ if !rule.is_live() => "Done",
        None => "Scheduled",
        Some(Due::Blocked(_)) => "Blocked",
        Some(Due::Pending { .. }) => "PendingDeletion",
    }
}

/// How many rules there are in each state.
pub(crate) async fn numbers(inner: &Inner) -> Vec<(&'static str, u64)> {
    let rules = document::all(inner).await.unwrap_or_default();
    let count = |name| rules.iter().filter(|rule| state(inner, rule) == name).count() as u64;
    ["Scheduled", "Blocked", "PendingDeletion", "Done"].map(|name| (name, count(name))).to_vec()
}
