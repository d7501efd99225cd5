//! Events: what the changes of a bucket tell, to whom, and the outbox in which they wait.
//!
//! - [`name`]: the names of events, and which of them a pattern means.
//! - [`configuration`]: what S3's `PutBucketNotificationConfiguration` takes, and which event it sends where.
//! - [`targets`]: the targets that the operator has configured. A bucket's configuration names one of them, and never an address.
//! - [`document`]: the configuration as a document of the bucket.
//! - [`record`]: what is known of an event, sealed in its row.
//! - [`occur`]: the events of each kind of change. They go to the catalog with the change, and are committed with it or not at all.
//! - [`outbox`]: what the delivery reads and settles, and what an operator does with dead events. The delivery itself is not the engine's.

mod configuration;
mod document;
mod name;
mod occur;
mod outbox;
mod record;
mod targets;

pub use configuration::{FilterEnd, FilterRule, Notification, NotificationKind, Notifications};
pub use name::EventName;
pub use outbox::{DeadEvent, DeadEvents, QueuedEvent, Settled};
pub use record::{EventEncryption, EventFailure, EventRecord};
pub use strongroom_catalog::{EventId, Lane, OutboxTarget};
pub use targets::{NotificationOptions, NotificationTarget};

pub(crate) use occur::{Cause, Removal};
pub(crate) use targets::Targets;
