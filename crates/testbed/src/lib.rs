//! Real servers for tests: started from `.tools` on free ports of the loopback, stopped by their process ids.
//!
//! `tests/install.sh` puts them there, with versions pinned. What is missing fails the test with that command.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "panicking is how test equipment reports")]

pub mod aws;
pub mod barbican;
pub mod openbao;
pub mod process;
pub mod pykmip;
pub mod softhsm;
