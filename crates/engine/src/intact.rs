//! Whether the bytes that an object consists of are still there, before another object is made of them: who moves an object by
//! copying it deletes the source next.

use bytes::BytesMut;
use futures_util::{TryStreamExt as _, stream};
use strongroom_blobs::BlobReader;
use strongroom_seal::{BLOB_HEADER_LEN, ManifestPart, ObjectKeys, PartOpener};

use crate::{
    Engine, Error,
    egress::{Opened, damaged},
};

/// How many parts are looked at at a time. Each has one chunk in memory.
const PARTS_AT_ONCE: usize = 4;

impl Engine {
    /// Opens the first and the last chunk of each part under the object's keys: a part that is gone, cut, exchanged or another
    /// object's is [`Error::Integrity`], as when the object is read. What lies between, only reading tells. Of parts of 5 MiB
    /// that is a fortieth of the bytes.
    pub(crate) async fn check_intact(&self, opened: &Opened) -> Result<(), Error> {
        let parts = stream::iter(opened.manifest.parts().iter().map(Ok));
        parts.try_for_each_concurrent(PARTS_AT_ONCE, |part| self.check_part(opened, part)).await
    }

    /// As [`Engine::check_intact`], of one part.
    pub(crate) async fn check_part(&self, opened: &Opened, part: &ManifestPart) -> Result<(), Error> {
        let ends = Ends::new(&opened.keys, part)?;
        if !part.is_inline() {
            return ends.check(&Sealed::Blob(self.blobs().open(part.blob).await?)).await;
        }
        let inline = opened.inline.as_deref().ok_or_else(|| Error::Integrity("its inline bytes are missing".into()))?;
        if inline.len() as u64 != ends.opener.layout().sealed_len() {
            return Err(Error::Integrity("its inline bytes are cut".into()));
        }
        ends.check(&Sealed::Inline(inline)).await
    }
}

/// The first and the last chunk of a part.
struct Ends {
    opener: PartOpener,
    last: u64,
}

impl Ends {
    fn new(keys: &ObjectKeys, part: &ManifestPart) -> Result<Self, Error> {
        let opener = PartOpener::of(keys, part).map_err(damaged)?;
        let last = opener.layout().chunk_count() - 1;
        Ok(Self { opener, last })
    }

    async fn check(&self, sealed: &Sealed<'_>) -> Result<(), Error> {
        let layout = self.opener.layout();
        let first_len = layout.sealed_chunk_len(0);
        let mut front = sealed.read(0, BLOB_HEADER_LEN + first_len).await?;
        self.opener.check_header(&front.split_to(BLOB_HEADER_LEN)).map_err(damaged)?;
        self.opener.open_chunk(0, front).map_err(damaged)?;
        if self.last == 0 {
            return Ok(());
        }
        let last_len = layout.sealed_chunk_len(self.last);
        let back = sealed.read(layout.sealed_len() - last_len as u64, last_len).await?;
        self.opener.open_chunk(self.last, back).map(drop).map_err(damaged)
    }
}

/// Where the sealed bytes of a part lie.
enum Sealed<'a> {
    Inline(&'a [u8]),
    Blob(Box<dyn BlobReader>),
}

impl Sealed<'_> {
    async fn read(&self, offset: u64, len: usize) -> Result<BytesMut, Error> {
        match self {
            Self::Blob(blob) => Ok(blob.read(offset, len).await?),
            Self::Inline(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(from..from.saturating_add(len));
                found.map(BytesMut::from).ok_or_else(|| Error::Integrity("its inline bytes are cut".into()))
            }
        }
    }
}
