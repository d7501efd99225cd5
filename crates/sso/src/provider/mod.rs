//! Providers that speak OpenID Connect: where their keys are, fetching and remembering these, and believing their tokens.

mod client;
mod discovery;
mod entry;
mod keys;

use std::{path::PathBuf, sync::Arc};

use strongroom_outbound::OutboundError;

use crate::{Token, TokenError, Vouched};
use client::Clients;
use keys::Keys;

/// How providers are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderOptions {
    /// Hosts, or hosts with a port, that may have private addresses. All others must have public ones.
    pub private_hosts: Vec<String>,
    /// The only authority to trust for those hosts; without it, those of the system.
    pub ca_file: Option<PathBuf>,
}

/// For whom a token is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The account whose provider it is: what one account's providers cost holds up no other.
    pub account: &'a str,
    /// The provider's URL, with its scheme.
    pub issuer: &'a str,
    /// For which clients its tokens are taken.
    pub client_ids: &'a [String],
    /// In seconds since 1970.
    pub now: i64,
}

/// All providers, and their keys as far as they are known.
pub struct Providers {
    keys: Keys,
}

impl Providers {
    /// Reads the authority's file, if there is one; blocks while it does.
    pub fn new(options: &ProviderOptions) -> Result<Self, OutboundError> {
        Ok(Self { keys: Keys::new(Arc::new(Clients::new(options)?)) })
    }

    /// What the token says, if the provider signed it, for one of these clients, and it holds now.
    pub async fn verify(&self, token: Token<'_>, asked: Asked<'_>) -> Result<Vouched, TokenError> {
        if token.issuer()?.trim_end_matches('/') != asked.issuer.trim_end_matches('/') {
            return Err(TokenError::WrongIssuer);
        }
        let keys = self.keys.of(asked.account, asked.issuer, token.header()).await?;
        token.verify(&keys)?.vouch(asked.issuer, asked.client_ids, asked.now)
    }
}
