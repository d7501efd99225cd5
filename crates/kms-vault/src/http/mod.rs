//! Calls to the server.

mod call;
mod client;
mod reply;
mod wire;

pub(crate) use call::{Call, Verb};
pub(crate) use client::Client;
pub(crate) use reply::{Answer, Reply, data, unexpected};
pub(crate) use wire::Wire;
