//! On record: somebody tries out secrets.

use std::{collections::BTreeMap, net::IpAddr};

use strongroom_access::ANONYMOUS_NAME;
use strongroom_audit::{Event, Outcome};

use crate::Engine;

impl Engine {
    /// Records that so many wrong signatures have come from an address. It takes nothing of what the log reserves, and a log that is full does
    /// not matter to anybody: the server's own log has the same.
    pub async fn record_guessing(&self, request_id: &str, address: IpAddr, count: u32) {
        tracing::warn!(%address, count, "many wrong signatures come from an address; its refusals are delayed");
        let details = [("source_ip", address.to_string()), ("count", count.to_string())];
        let event = Event {
            request_id: request_id.to_owned(),
            who: ANONYMOUS_NAME.to_owned(),
            operation: "GuessSecretKey".to_owned(),
            outcome: Outcome::Error("SignatureDoesNotMatch".to_owned()),
            details: details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
            ..Event::default()
        };
        if let Err(error) = self.audit().record(event).await {
            tracing::debug!(%error, "it is not in the audit log");
        }
    }
}
