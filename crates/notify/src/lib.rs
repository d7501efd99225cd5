//! Delivers the events of the outbox to webhooks: at least once, those of one key in their order, and a receiver that is away holds up nobody else.
//!
//! ```text
//! engine's outbox ─▶ worker, one for each target ─▶ lanes: what may go now ─▶ sender: format, sign, POST over outbound
//!        ▲                                                                        │
//!        └──────────── settled in groups: delivered, or dead ◀────────────────────┘
//! ```
//!
//! - [`target`]: a target as the operator configures it, and what is refused of it.
//! - [`worker`]: the loop of a target.
//! - [`lanes`]: which event is next. No I/O, no clock of its own.
//! - [`sender`]: one attempt, and what a receiver can make of it.
//! - [`s3`], [`cloudevents`]: what is sent. [`signature`]: Standard Webhooks. [`secrets`]: files of secrets, read again when they change.
#![forbid(unsafe_code)]

mod cloudevents;
mod deliveries;
mod lanes;
mod s3;
mod secrets;
mod sender;
mod signature;
mod target;
mod worker;

pub use deliveries::{Deliveries, DeliveryNumbers};
pub use target::{Format, NotifyError, TargetConfig};
pub use worker::Outbox;
