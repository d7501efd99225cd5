#![allow(clippy::unwrap_used)]
//! Bodies for the tests of this crate.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use strongroom_engine::api::BodyError;
use strongroom_sigv4::{BodyDecoder, Lengths, Payload};

use super::{Decoded, RawBody};

/// Pieces, one after the other, then the end. Nobody announced their length.
pub(crate) struct Pieces(pub(crate) VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A body of these pieces.
pub(crate) fn raw(pieces: &[&[u8]]) -> RawBody {
    Box::pin(Pieces(pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect()))
}

/// The same, covered by no signature.
pub(crate) fn unsigned(pieces: &[&str]) -> Decoded {
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    let decoder = BodyDecoder::new(Payload::Unsigned, Lengths::default(), BTreeSet::new()).unwrap();
    Decoded::new(raw(&pieces), decoder, None)
}
