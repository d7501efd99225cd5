//! The engine through its public API, over real and failing parts.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

#[path = "engine/attribute_races.rs"]
mod attribute_races;
#[path = "engine/audit.rs"]
mod audit;
#[path = "engine/bodies.rs"]
mod bodies;
#[path = "engine/conditional_deletes.rs"]
mod conditional_deletes;
#[path = "engine/conditions.rs"]
mod conditions;
#[path = "engine/copies.rs"]
mod copies;
#[path = "engine/copy_races.rs"]
mod copy_races;
#[path = "engine/cors.rs"]
mod cors;
#[path = "engine/elsewhere.rs"]
mod elsewhere;
#[path = "engine/events.rs"]
mod events;
#[path = "engine/golden.rs"]
mod golden;
#[path = "engine/golden_events.rs"]
mod golden_events;
#[path = "engine/golden_format.rs"]
mod golden_format;
#[path = "engine/golden_store.rs"]
mod golden_store;
#[path = "engine/golden_versions.rs"]
mod golden_versions;
#[path = "engine/inventory.rs"]
mod inventory;
#[path = "engine/key_fences.rs"]
mod key_fences;
#[path = "engine/key_policies.rs"]
mod key_policies;
#[path = "engine/kms_calls.rs"]
mod kms_calls;
#[path = "engine/kms_states.rs"]
mod kms_states;
#[path = "engine/lifecycle.rs"]
mod lifecycle;
#[path = "engine/lifecycle_model.rs"]
mod lifecycle_model;
#[path = "engine/lock_acts.rs"]
mod lock_acts;
#[path = "engine/locks.rs"]
mod locks;
#[path = "engine/locks_model.rs"]
mod locks_model;
#[path = "engine/memory.rs"]
mod memory;
#[path = "engine/model.rs"]
mod model;
#[path = "engine/model_attributes.rs"]
mod model_attributes;
#[path = "engine/model_lists.rs"]
mod model_lists;
#[path = "engine/model_ops.rs"]
mod model_ops;
#[path = "engine/model_state.rs"]
mod model_state;
#[path = "engine/model_uploads.rs"]
mod model_uploads;
#[path = "engine/multipart.rs"]
mod multipart;
#[path = "engine/policies.rs"]
mod policies;
#[path = "engine/ranges.rs"]
mod ranges;
#[path = "engine/rekey.rs"]
mod rekey;
#[path = "engine/rekey_limits.rs"]
mod rekey_limits;
#[path = "engine/rekey_model.rs"]
mod rekey_model;
#[path = "engine/rekey_races.rs"]
mod rekey_races;
#[path = "engine/rekey_rights.rs"]
mod rekey_rights;
#[path = "engine/rights.rs"]
mod rights;
#[path = "engine/settings.rs"]
mod settings;
#[path = "engine/shared_parts.rs"]
mod shared_parts;
#[path = "engine/sweeps.rs"]
mod sweeps;
#[path = "engine/tampered_blobs.rs"]
mod tampered_blobs;
#[path = "engine/tampered_buckets.rs"]
mod tampered_buckets;
#[path = "engine/tampered_listings.rs"]
mod tampered_listings;
#[path = "engine/tampered_rows.rs"]
mod tampered_rows;
#[path = "engine/update_encryption.rs"]
mod update_encryption;
#[path = "engine/version_races.rs"]
mod version_races;
#[path = "engine/write_rules.rs"]
mod write_rules;
