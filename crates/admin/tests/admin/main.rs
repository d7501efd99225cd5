//! The admin API over a real keyring, a real engine and a real audit log, all in one temporary directory.
#![allow(clippy::unwrap_used)]

mod accounts;
mod audited;
mod backends;
mod backup;
mod data_keys;
mod deletion;
mod deletion_races;
mod erasure_rules;
mod erasure_rules_cut_short;
mod events;
mod hold;
mod iam;
mod inventory;
mod key_policies;
mod keys;
mod locked_keys;
mod mc;
mod openapi;
mod permissions;
mod rekey;
mod rig;
mod rotation;
mod service;
mod slow_kms;
