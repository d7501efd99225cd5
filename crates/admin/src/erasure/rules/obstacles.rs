//! What keeps the key of a rule from being destroyed.

use strongroom_engine::api::LockedVersion;
use strongroom_engine::elsewhere::Elsewhere;

use super::Rule;
use crate::admin::Inner;
use crate::http::{ApiError, Call};
use crate::keys;

/// So many locked versions are looked at.
const MAX_LOCKED: usize = 100;

/// A reason why a rule cannot be carried out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Something outside of the rule's bucket or prefix depends on the key.
    Elsewhere(Elsewhere),
    /// Object Lock keeps versions that depend on the key.
    Locked(Vec<LockedVersion>),
    /// The backend does not know the key, and nobody told that it was destroyed.
    UnknownKey,
    /// The system clock is not believed.
    Clock(String),
    /// It was tried, or could not be looked at.
    Failed(String),
}

/// Everything that keeps the rule from being carried out now; nothing where its key may be destroyed.
pub(super) async fn look(inner: &Inner, rule: &Rule) -> Result<Vec<Obstacle>, ApiError> {
    let engine = &inner.parts.engine;
    let locked = engine.locked_under_key(&rule.backend, &rule.key_id, MAX_LOCKED).await?;
    let elsewhere = engine.key_elsewhere(&rule.backend, &rule.key_id, &rule.part()).await?;
    let locked = (!locked.is_empty()).then_some(Obstacle::Locked(locked));
    let elsewhere = (!elsewhere.is_nothing()).then_some(Obstacle::Elsewhere(elsewhere));
    Ok(locked.into_iter().chain(elsewhere).collect())
}

/// For people. Whoever asks is told the names of locked objects in buckets that he may list; the log of the server, which nobody asks, none.
pub(super) fn told(obstacles: &[Obstacle], rule: &Rule, asker: Option<&Call>) -> Vec<String> {
    obstacles.iter().flat_map(|obstacle| obstacle.told(rule, asker)).collect()
}

impl Obstacle {
    fn told(&self, rule: &Rule, asker: Option<&Call>) -> Vec<String> {
        match self {
            Self::Elsewhere(elsewhere) => of_elsewhere(elsewhere, rule),
            Self::Locked(locked) => {
                let named = asker.map_or_else(|| format!("{} of them or more", locked.len()), |call| keys::named_to(call, locked));
                vec![format!("Object Lock keeps versions that depend on the key: {named}.")]
            }
            Self::UnknownKey => vec![
                "The backend does not know the key, and there is no receipt of its end. Restore the key, or remove the rule.".to_owned(),
            ],
            Self::Clock(why) => vec![format!("The clock is not believed: {why}.")],
            Self::Failed(why) => vec![format!("The key could not be destroyed, which is tried again: {why}")],
        }
    }
}

fn of_elsewhere(elsewhere: &Elsewhere, rule: &Rule) -> Vec<String> {
    let Elsewhere { objects, uploads, buckets, default_of, is_default_key } = elsewhere;
    let mut told = Vec::new();
    if *is_default_key {
        told.push("It is the default key, under which all buckets have their SSE-S3 objects. Make another key the default.".to_owned());
    }
    if objects + uploads > 0 {
        let outside = match rule.prefix.as_str() {
            "" => format!("of the bucket {}", rule.bucket),
            prefix => format!("of the prefix {prefix} in the bucket {}", rule.bucket),
        };
        let others = if buckets.is_empty() { String::new() } else { format!(" (in {})", buckets.join(", ")) };
        told.push(format!("{objects} objects and {uploads} uploads outside {outside} depend on the key{others}. Re-key or delete them."));
    }
    if !default_of.is_empty() {
        told.push(format!("The key is in the default encryption of {}. Change that.", default_of.join(", ")));
    }
    told
}
