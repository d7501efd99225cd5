//! Small bodies, whole.

use bytes::Bytes;
use futures_util::StreamExt as _;
use strongroom_engine::{
    Error,
    budget::{Budget, Held},
};
use zeroize::Zeroizing;

use super::Decoded;
use crate::refusal::Refusal;

/// What a body is taken in with; most are smaller.
const FIRST_BYTES: usize = 16 << 10;

/// The whole of a body of at most `max_bytes`, covered by its signature. It holds as much of the memory budget as has come of it, so
/// what a client only announces costs nothing, and it is wiped from memory with the last of its `Bytes`: it may hold secrets.
pub(crate) async fn collect(mut body: Decoded, max_bytes: usize, budget: &Budget) -> Result<Bytes, Refusal> {
    if body.announced_bytes().is_some_and(|length| length > max_bytes as u64) {
        return Err(Refusal::MessageTooLong);
    }
    let announced = usize::try_from(body.announced_bytes().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let mut whole = Whole { bytes: Zeroizing::new(Vec::new()), held: budget.hold(FIRST_BYTES).await? };
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Refusal::Engine(Error::Body(error)))?;
        if whole.bytes.len() + chunk.len() > max_bytes {
            return Err(Refusal::MessageTooLong);
        }
        whole.append(&chunk, announced)?;
    }
    Ok(if whole.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(whole) })
}

/// A body, and its share of the memory budget.
struct Whole {
    bytes: Zeroizing<Vec<u8>>,
    held: Held,
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Whole {
    fn append(&mut self, chunk: &[u8], announced_bytes: usize) -> Result<(), Refusal> {
        let len = self.bytes.len() + chunk.len();
        if len > self.bytes.capacity() {
            self.enlarge(len.next_power_of_two().min(announced_bytes).max(len))?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Moves the body by hand: a vector that grows by itself leaves what it held behind, unwiped.
    fn enlarge(&mut self, capacity_bytes: usize) -> Result<(), Refusal> {
        // While the body moves, both are there.
        let missing_bytes = (capacity_bytes + self.bytes.capacity()).saturating_sub(self.held.bytes());
        if missing_bytes > 0 && !self.held.try_grow(missing_bytes) {
            return Err(Error::Busy.into());
        }
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity_bytes));
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::body::tests::unsigned;

    #[tokio::test]
    async fn a_small_body_is_collected_and_a_large_one_refused() {
        let budget = Budget::new(1 << 20);
        assert_eq!(collect(unsigned(&["123", "", "45"]), 5, &budget).await.unwrap(), "12345");
        assert_eq!(collect(unsigned(&[]), 5, &budget).await.unwrap(), "");
        assert!(matches!(collect(unsigned(&["123", "45"]), 4, &budget).await, Err(Refusal::MessageTooLong)));
        assert_eq!(budget.usage().used_bytes, 0);
    }

    #[tokio::test]
    async fn a_body_holds_what_has_come_of_it_and_gives_it_back_with_its_bytes() {
        let budget = Budget::new(1 << 20);
        let piece = "x".repeat(60 << 10);
        let body = collect(unsigned(&[&piece, &piece]), 1 << 20, &budget).await.unwrap();
        assert_eq!(body.len(), 120 << 10);
        assert!(budget.usage().used_bytes >= 120 << 10);
        drop(body);
        assert_eq!(budget.usage().used_bytes, 0);
        let scarce = Budget::new(64 << 10);
        assert!(matches!(collect(unsigned(&[&piece, &piece]), 1 << 20, &scarce).await, Err(Refusal::Engine(Error::Busy))));
        assert_eq!(scarce.usage().used_bytes, 0);
    }
}
