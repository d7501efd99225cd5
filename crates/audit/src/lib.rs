//! One append-only record of every use of a key and of every act of administration.
//!
//! ```text
//! engine, admin ──▶ AuditSink = AuditLog ──▶ queue ──▶ writer thread ──▶ audit-….jsonl, hash-chained and signed
//!                                                keeper thread ──▶ audit-….jsonl.gz, and removal by age and size, on record
//! operator      ──▶ verify(directories, public key, head kept elsewhere) ──▶ Report
//! ```
//!
//! [`AuditLog`] writes, [`verify`] checks what was written without the server, and an erased key leaves a
//! [`SignedReceipt`]. The format and what it protects against are in `docs/audit.md`.
#![forbid(unsafe_code)]

mod compress;
mod event;
mod files;
mod finding;
mod keeper;
mod key;
mod log;
mod open;
mod queue;
mod reader;
mod receipt;
mod record;
mod removed;
mod retention;
mod segments;
mod shared;
mod sink;
mod survey;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;
mod walk;
mod writer;

pub use event::{Event, Outcome};
pub use finding::{Defect, Finding, MAX_FINDINGS};
pub use key::{KeyError, PublicKey, SigningKey};
pub use log::{AuditLog, LogConfig, Retention};
pub use open::{OpenReport, Repair};
pub use receipt::{Receipt, ReceiptError, SignedReceipt, sign_receipt, verify_receipt};
pub use record::Head;
pub use removed::RemovedRange;
pub use segments::{Segment, segments};
pub use shared::Usage;
pub use sink::{AuditError, AuditSink};
pub use verify::{Beginning, Check, Report, SignedAt, verify};
