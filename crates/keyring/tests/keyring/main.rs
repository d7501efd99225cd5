//! The keyring and its wrappers, over backends and stores that fail on demand.
#![allow(clippy::unwrap_used)]

mod commits;
mod conformance;
mod failures;
mod local;
mod outside;
mod overlay;
mod overlay_deletion;
mod persistence;
mod sealing;
mod secrecy;
mod service;
mod support;
