//! The digests that run over a body while it is sealed: MD5 only where somebody asked for it, one checksum at the most.
//!
//! CRCs and XXHash run where the bytes are. MD5 and SHA are several times slower than the encryption, so for large bodies they run on another
//! thread, a batch behind, as long as the budget can spare the memory of two batches. Nothing here keeps a piece of the body: a piece
//! of one byte may keep a whole read buffer in memory.

use md5::{Digest as _, Md5};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    Error,
    api::ChecksumAlgorithm,
    budget::{Budget, Held},
    checksum::Running,
};

/// How much is handed to the other thread at a time.
const BATCH_LEN_BYTES: usize = 256 << 10;
/// So much is hashed where it is: handing it over would cost as much.
const HERE_LEN_BYTES: usize = 64 << 10;

/// What to compute.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestPlan {
    pub(crate) md5: bool,
    pub(crate) checksum: Option<ChecksumAlgorithm>,
    /// A CRC-64/NVME, for an ETag that is no MD5 and yet the same for the same bytes.
    pub(crate) crc64: bool,
}

/// What was computed.
#[derive(Debug, Default)]
pub(crate) struct DigestResults {
    pub(crate) md5: Option<[u8; 16]>,
    /// Raw bytes of the checksum.
    pub(crate) checksum: Option<Vec<u8>>,
    pub(crate) crc64: Option<Vec<u8>>,
}

/// Digests in progress. At the most one batch is being filled and one is being hashed.
pub(crate) struct Digests<'a> {
    budget: &'a Budget,
    /// Whether the checksum is the MD5, which is computed once, also where it is the ETag.
    md5_is_checksum: bool,
    fast: Option<Running>,
    crc64: Option<Running>,
    slow: State,
    /// What was hashed here since the budget was asked.
    here_bytes: usize,
}

/// Where the slow digests are.
enum State {
    /// There are none.
    None,
    /// Here, without batches.
    Here(Slow),
    /// Here, with a batch being filled and an empty one.
    Idle(Slow, Batch, Batch),
    /// On another thread, which hashes one batch while this one is being filled.
    Away(JoinHandle<(Slow, Batch)>, Batch),
}

#[derive(Default)]
struct Slow {
    md5: Option<Box<Md5>>,
    hash: Option<Running>,
}

struct Batch {
    bytes: Vec<u8>,
    _memory: Held,
}

impl Slow {
    fn absorb(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }
}

impl Batch {
    fn pair(budget: &Budget) -> Option<(Self, Self)> {
        let mut memory = budget.spare(2 * BATCH_LEN_BYTES)?;
        let second = memory.split(BATCH_LEN_BYTES);
        Some((Self::new(memory), Self::new(second)))
    }

    fn new(memory: Held) -> Self {
        Self { bytes: Vec::with_capacity(BATCH_LEN_BYTES), _memory: memory }
    }

    /// Takes what there is room for from the front of `bytes`; whether it is full.
    fn fill(&mut self, bytes: &mut &[u8]) -> bool {
        let (now, later) = bytes.split_at(bytes.len().min(BATCH_LEN_BYTES - self.bytes.len()));
        self.bytes.extend_from_slice(now);
        *bytes = later;
        self.bytes.len() == BATCH_LEN_BYTES
    }
}

impl<'a> Digests<'a> {
    pub(crate) fn new(plan: DigestPlan, budget: &'a Budget) -> Self {
        let md5_is_checksum = plan.checksum == Some(ChecksumAlgorithm::Md5);
        let md5 = plan.md5 || md5_is_checksum;
        let (fast, hash) = match plan.checksum {
            Some(ChecksumAlgorithm::Md5) | None => (None, None),
            Some(algorithm) if algorithm.is_fast() => (Some(Running::new(algorithm)), None),
            Some(algorithm) => (None, Some(Running::new(algorithm))),
        };
        let has_slow = md5 || hash.is_some();
        let slow = if has_slow { State::Here(Slow { md5: md5.then(Box::default), hash }) } else { State::None };
        let crc64 = plan.crc64.then(|| Running::new(ChecksumAlgorithm::Crc64Nvme));
        Self { budget, md5_is_checksum, fast, crc64, slow, here_bytes: 0 }
    }

    pub(crate) async fn update(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        for running in self.fast.iter_mut().chain(&mut self.crc64) {
            running.update(bytes);
        }
        while !bytes.is_empty() {
            self.slow = match std::mem::replace(&mut self.slow, State::None) {
                State::None => return Ok(()),
                State::Here(slow) => self.here(slow, &mut bytes),
                State::Idle(slow, mut filling, empty) => {
                    if filling.fill(&mut bytes) {
                        hand_over(slow, filling, empty)
                    } else {
                        State::Idle(slow, filling, empty)
                    }
                }
                State::Away(hashing, mut filling) => {
                    if filling.fill(&mut bytes) {
                        let (slow, empty) = back(hashing).await?;
                        hand_over(slow, filling, empty)
                    } else {
                        State::Away(hashing, filling)
                    }
                }
            };
        }
        Ok(())
    }

    /// Small bodies, and those that the budget has no batches for.
    fn here(&mut self, mut slow: Slow, bytes: &mut &[u8]) -> State {
        if self.here_bytes >= HERE_LEN_BYTES {
            self.here_bytes = 0;
            if let Some((filling, empty)) = Batch::pair(self.budget) {
                return State::Idle(slow, filling, empty);
            }
        }
        let (now, later) = bytes.split_at(bytes.len().min(HERE_LEN_BYTES - self.here_bytes));
        slow.absorb(now);
        self.here_bytes += now.len();
        *bytes = later;
        State::Here(slow)
    }

    pub(crate) async fn finish(mut self) -> Result<DigestResults, Error> {
        let (fast, crc64) = (self.fast.take().map(Running::finish), self.crc64.take().map(Running::finish));
        let slow = match self.slow {
            State::None => Slow::default(),
            State::Here(slow) => slow,
            State::Idle(slow, rest, _) => last(slow, rest).await?,
            State::Away(hashing, rest) => {
                let (slow, _) = back(hashing).await?;
                last(slow, rest).await?
            }
        };
        let md5: Option<[u8; 16]> = slow.md5.map(|md5| md5.finalize().into());
        let as_checksum = md5.filter(|_| self.md5_is_checksum).map(Vec::from);
        Ok(DigestResults { md5, checksum: fast.or(slow.hash.map(Running::finish)).or(as_checksum), crc64 })
    }
}

/// Has a batch hashed on another thread, while the empty one is filled.
fn hand_over(slow: Slow, full: Batch, empty: Batch) -> State {
    State::Away(spawn_blocking(move || hashed(slow, full)), empty)
}

fn hashed(mut slow: Slow, mut batch: Batch) -> (Slow, Batch) {
    slow.absorb(&batch.bytes);
    batch.bytes.clear();
    (slow, batch)
}

async fn back(hashing: JoinHandle<(Slow, Batch)>) -> Result<(Slow, Batch), Error> {
    hashing.await.map_err(|error| Error::Internal(error.into()))
}

async fn last(slow: Slow, rest: Batch) -> Result<Slow, Error> {
    if rest.bytes.len() <= HERE_LEN_BYTES {
        return Ok(hashed(slow, rest).0);
    }
    back(spawn_blocking(move || hashed(slow, rest))).await.map(|(slow, _)| slow)
}
