//! The backend against a real Barbican, with a real Keystone and alone. One of each serves all tests of this file.
#![allow(clippy::unwrap_used)]

mod auth;
mod common;
mod conformance;
mod failures;
mod forms;
mod keystone;
mod lifecycle;
mod proxy;
mod rest;
mod rotation;
