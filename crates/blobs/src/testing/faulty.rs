//! A blob store that fails on cue.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::BytesMut;
use strongroom_seal::SealedBytes;

use crate::{BlobError, BlobId, BlobReader, BlobScan, BlobStore, BlobWriter, ListedBlob};

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name; of a scan, its batches")]
pub enum Operation {
    Create,
    Write,
    Finish,
    Open,
    Read,
    Delete,
    Scan,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`BlobError::Full`], and the call has no effect. Not for reading.
    Full,
    /// [`BlobError::Io`], and the call has no effect.
    Io,
    /// [`BlobError::Io`], and what was written up to this call stays behind as a leftover, as if the process had been killed.
    /// For `Write` and `Finish`.
    Torn,
    /// [`BlobError::Io`] although the call took effect. For `Finish` and `Delete`.
    LostAnswer,
    /// The blob seems to end after so many bytes of this read: [`BlobError::Short`]. For `Read`.
    Cut {
        /// Bytes of the read that are there.
        keep_bytes: usize,
    },
    /// The read succeeds with one bit wrong. For `Read`.
    Flip {
        /// The byte of the answer that is wrong; beyond the end, the last one.
        at_bytes: usize,
    },
}

impl Fault {
    fn suits(self, operation: Operation) -> bool {
        match self {
            Self::Full => matches!(operation, Operation::Create | Operation::Write | Operation::Finish),
            Self::Io => true,
            Self::Torn => matches!(operation, Operation::Write | Operation::Finish),
            Self::LostAnswer => matches!(operation, Operation::Finish | Operation::Delete),
            Self::Cut { .. } | Self::Flip { .. } => operation == Operation::Read,
        }
    }
}

/// Passes calls on to another store, save those that a script says fail.
#[derive(Clone)]
pub struct FaultyBlobs {
    inner: Arc<dyn BlobStore>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// Calls so far, by operation.
    calls: [u64; 7],
    lines: Vec<Line>,
}

struct Line {
    operation: Operation,
    nth: u64,
    /// Every call from the nth on.
    lasting: bool,
    fault: Fault,
}

impl FaultyBlobs {
    /// Nothing fails until the script says so.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The `nth` call of the operation from now (1 is the next) fails, once.
    pub fn fail(&self, operation: Operation, nth: u64, fault: Fault) {
        self.add(operation, nth, false, fault);
    }

    /// The `nth` call of the operation from now and all that follow fail, until [`FaultyBlobs::heal`].
    pub fn fail_from(&self, operation: Operation, nth: u64, fault: Fault) {
        self.add(operation, nth, true, fault);
    }

    /// Forgets what is left of the script.
    pub fn heal(&self) {
        self.script.lock().unwrap().lines.clear();
    }

    /// Scripted faults that have not struck yet; a test that ends with some has not tested them.
    pub fn pending(&self) -> usize {
        let script = self.script.lock().unwrap();
        script.lines.iter().filter(|line| script.calls[line.operation as usize] < line.nth).count()
    }

    fn add(&self, operation: Operation, nth: u64, lasting: bool, fault: Fault) {
        assert!(nth > 0 && fault.suits(operation), "{fault:?} cannot strike call {nth} of {operation:?}");
        let mut script = self.script.lock().unwrap();
        let nth = script.calls[operation as usize] + nth;
        script.lines.push(Line { operation, nth, lasting, fault });
    }
}

/// Counts a call, and says whether it fails.
fn strike(script: &Mutex<Script>, operation: Operation) -> Option<Fault> {
    let mut script = script.lock().unwrap();
    script.calls[operation as usize] += 1;
    let call = script.calls[operation as usize];
    let strikes = |line: &Line| line.operation == operation && (line.nth == call || line.lasting && line.nth < call);
    let at = script.lines.iter().position(strikes)?;
    if script.lines[at].lasting { Some(script.lines[at].fault) } else { Some(script.lines.remove(at).fault) }
}

fn io_fault() -> BlobError {
    BlobError::Io(io::Error::from_raw_os_error(libc::EIO))
}

fn refuse(fault: Option<Fault>) -> Result<(), BlobError> {
    match fault {
        None => Ok(()),
        Some(Fault::Full) => Err(BlobError::Full(io::Error::from_raw_os_error(libc::ENOSPC))),
        Some(_) => Err(io_fault()),
    }
}

#[async_trait]
impl BlobStore for FaultyBlobs {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        refuse(strike(&self.script, Operation::Create))?;
        let inner = Some(self.inner.create(id).await?);
        Ok(Box::new(FaultyWriter { inner, script: Arc::clone(&self.script) }))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        refuse(strike(&self.script, Operation::Open))?;
        let inner = self.inner.open(id).await?;
        Ok(Box::new(FaultyReader { id, inner, script: Arc::clone(&self.script) }))
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        let fault = strike(&self.script, Operation::Delete);
        if fault == Some(Fault::LostAnswer) {
            self.inner.delete(id).await?;
        }
        refuse(fault)?;
        self.inner.delete(id).await
    }

    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError> {
        let inner = self.inner.scan().await?;
        Ok(Box::new(FaultyScan { inner, script: Arc::clone(&self.script) }))
    }
}

struct FaultyScan {
    inner: Box<dyn BlobScan>,
    script: Arc<Mutex<Script>>,
}

#[async_trait]
impl BlobScan for FaultyScan {
    async fn next(&mut self) -> Result<Vec<ListedBlob>, BlobError> {
        refuse(strike(&self.script, Operation::Scan))?;
        self.inner.next().await
    }
}

struct FaultyWriter {
    /// None once a fault struck.
    inner: Option<Box<dyn BlobWriter>>,
    script: Arc<Mutex<Script>>,
}

impl FaultyWriter {
    /// The writer below, or the failure; after which there is no writer.
    fn survive(&mut self, fault: Option<Fault>) -> Result<&mut Box<dyn BlobWriter>, BlobError> {
        if fault.is_some() {
            let inner = self.inner.take();
            if fault == Some(Fault::Torn) {
                // A killed process runs no destructors either.
                std::mem::forget(inner);
            }
        }
        refuse(fault)?;
        self.inner.as_mut().ok_or_else(io_fault)
    }
}

#[async_trait]
impl BlobWriter for FaultyWriter {
    async fn write(&mut self, sealed: SealedBytes) -> Result<(), BlobError> {
        let fault = strike(&self.script, Operation::Write);
        self.survive(fault)?.write(sealed).await
    }

    async fn finish(mut self: Box<Self>) -> Result<u64, BlobError> {
        let fault = strike(&self.script, Operation::Finish);
        if fault == Some(Fault::LostAnswer)
            && let Some(inner) = self.inner.take()
        {
            inner.finish().await?;
        }
        self.survive(fault)?;
        self.inner.take().ok_or_else(io_fault)?.finish().await
    }
}

struct FaultyReader {
    id: BlobId,
    inner: Box<dyn BlobReader>,
    script: Arc<Mutex<Script>>,
}

#[async_trait]
impl BlobReader for FaultyReader {
    async fn read(&self, offset_bytes: u64, len_bytes: usize) -> Result<BytesMut, BlobError> {
        let fault = strike(&self.script, Operation::Read);
        match fault {
            Some(Fault::Cut { keep_bytes }) if keep_bytes < len_bytes => {
                Err(BlobError::Short { id: self.id, len_bytes: offset_bytes + keep_bytes as u64 })
            }
            Some(Fault::Cut { .. }) => self.inner.read(offset_bytes, len_bytes).await,
            Some(Fault::Flip { at_bytes }) => {
                let mut bytes = self.inner.read(offset_bytes, len_bytes).await?;
                if let Some(last) = bytes.len().checked_sub(1) {
                    bytes[at_bytes.min(last)] ^= 1;
                }
                Ok(bytes)
            }
            other => {
                refuse(other)?;
                self.inner.read(offset_bytes, len_bytes).await
            }
        }
    }
}
