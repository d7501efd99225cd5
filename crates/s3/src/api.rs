//! What the operations work with.

use std::sync::Arc;

use bytes::Bytes;
use strongroom_engine::{
    Engine, Error,
    budget::{Budget, Held},
};

use crate::options::S3Options;

/// A reply up to this size is not counted: what is known of its connection takes more.
const SMALL_REPLY_BYTES: usize = 8 << 10;
/// Replies that wait for their clients may hold this part of the memory budget: whoever reads no reply keeps no upload out.
const REPLIES_PART: usize = 4;

/// The engine, and what S3 is set up with.
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: S3Options,
    replies: Budget,
}

/// Memory for a reply, of the share of replies and of the whole.
pub(crate) struct ReplyHeld {
    of_replies: Held,
    of_all: Held,
}

impl Api {
    pub(crate) fn new(engine: Arc<Engine>, options: S3Options) -> Self {
        let replies = Budget::new(engine.budget().usage().limit_bytes / REPLIES_PART);
        Self { engine, options, replies }
    }

    /// Waits for the memory that building a reply takes. Who waits here holds nothing yet.
    pub(crate) async fn hold_reply(&self, bytes: usize) -> Result<ReplyHeld, Error> {
        // In this order everywhere, so that nobody waits for another.
        let of_replies = self.replies.hold(bytes).await?;
        Ok(ReplyHeld { of_replies, of_all: self.engine.budget().hold(bytes).await? })
    }

    /// Keeps a reply's memory until the client has it. [`Error::Busy`] where the reply became larger than what is left.
    pub(crate) fn keep_reply(&self, held: Option<ReplyHeld>, reply: Bytes) -> Result<Bytes, Error> {
        let len = reply.len();
        let held = match held {
            Some(held) => Some(held),
            None if len <= SMALL_REPLY_BYTES => return Ok(reply),
            None => self.try_hold_reply(len),
        };
        let ReplyHeld { mut of_replies, mut of_all } = held.ok_or(Error::Busy)?;
        if !fit(&mut of_replies, len) || !fit(&mut of_all, len) {
            return Err(Error::Busy);
        }
        Ok(of_replies.attach(of_all.attach(reply)))
    }

    fn try_hold_reply(&self, bytes: usize) -> Option<ReplyHeld> {
        Some(ReplyHeld { of_replies: self.replies.try_hold(bytes)?, of_all: self.engine.budget().try_hold(bytes)? })
    }
}

fn fit(held: &mut Held, bytes: usize) -> bool {
    let missing = bytes.saturating_sub(held.bytes());
    held.shrink_to(bytes);
    missing == 0 || held.try_grow(missing)
}
