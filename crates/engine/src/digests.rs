//! The digests that run over a body while it is sealed: MD5 only where somebody asked for it, one checksum at the most.
//!
//! CRCs run where the bytes are. MD5 and SHA are several times slower than the encryption, so for large bodies
//! they run on another thread, a batch behind.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Error, api::ChecksumAlgorithm, checksum::Running};

/// How much is handed to the other thread at a time.
const BATCH_LEN_BYTES: usize = 512 << 10;
/// What a piece that waits takes beside its bytes: a body can come in pieces of one byte.
const PIECE_COST_BYTES: usize = 256;
/// So much at the end of a body is hashed where it is: handing it over would cost as much.
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

/// Digests in progress. At the most one batch waits and one is being hashed.
pub(crate) struct Digests {
    fast: Option<Running>,
    crc64: Option<Running>,
    slow: Option<Slow>,
    waiting: Vec<Bytes>,
    waiting_len: usize,
    hashing: Option<JoinHandle<Slow>>,
}

#[derive(Default)]
struct Slow {
    md5: Option<Md5>,
    hash: Option<Running>,
}

impl Slow {
    fn absorb(mut self, batch: &[Bytes]) -> Self {
        for bytes in batch {
            if let Some(md5) = &mut self.md5 {
                md5.update(bytes);
            }
            if let Some(hash) = &mut self.hash {
                hash.update(bytes);
            }
        }
        self
    }
}

impl Digests {
    pub(crate) fn new(plan: DigestPlan) -> Self {
        let (fast, hash) = match plan.checksum {
            Some(algorithm) if algorithm.is_fast() => (Some(Running::new(algorithm)), None),
            Some(algorithm) => (None, Some(Running::new(algorithm))),
            None => (None, None),
        };
        let slow = (plan.md5 || hash.is_some()).then(|| Slow { md5: plan.md5.then(Md5::new), hash });
        let crc64 = plan.crc64.then(|| Running::new(ChecksumAlgorithm::Crc64Nvme));
        Self { fast, crc64, slow, waiting: Vec::new(), waiting_len: 0, hashing: None }
    }

    pub(crate) async fn update(&mut self, bytes: &Bytes) -> Result<(), Error> {
        for running in self.fast.iter_mut().chain(&mut self.crc64) {
            running.update(bytes);
        }
        if self.slow.is_none() && self.hashing.is_none() {
            return Ok(());
        }
        self.waiting_len += bytes.len() + PIECE_COST_BYTES;
        self.waiting.push(bytes.clone());
        if self.waiting_len >= BATCH_LEN_BYTES {
            let slow = self.idle_slow().await?;
            let batch = std::mem::take(&mut self.waiting);
            self.waiting_len = 0;
            self.hashing = Some(spawn_blocking(move || slow.absorb(&batch)));
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<DigestResults, Error> {
        let mut results =
            DigestResults { md5: None, checksum: self.fast.take().map(Running::finish), crc64: self.crc64.take().map(Running::finish) };
        if self.slow.is_none() && self.hashing.is_none() {
            return Ok(results);
        }
        let slow = self.idle_slow().await?;
        let rest = std::mem::take(&mut self.waiting);
        let slow = if self.waiting_len <= HERE_LEN_BYTES {
            slow.absorb(&rest)
        } else {
            spawn_blocking(move || slow.absorb(&rest)).await.map_err(|error| Error::Internal(error.into()))?
        };
        results.md5 = slow.md5.map(|md5| md5.finalize().into());
        results.checksum = results.checksum.or(slow.hash.map(Running::finish));
        Ok(results)
    }

    async fn idle_slow(&mut self) -> Result<Slow, Error> {
        match self.hashing.take() {
            Some(hashing) => hashing.await.map_err(|error| Error::Internal(error.into())),
            None => Ok(self.slow.take().unwrap_or_default()),
        }
    }
}
