//! How much somebody may ask for: limits of identities, and answers to wrong signatures that are delayed.

use std::{
    future::Future as _,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use strongroom_access::Identity;
use strongroom_engine::{Engine, api::BodyError};
use strongroom_limits::{Guesses, Limiter, Slot, TooMuch};
use strongroom_sigv4::SignatureError;
use tokio::time::{Sleep, sleep};

use crate::{body::RawBody, options::S3Options, refusal::Refusal};

/// What all requests share.
pub(crate) struct Bounds {
    limiter: Limiter,
    guesses: Guesses,
    delays_guesses: bool,
}

/// How often limits were reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitCounts {
    /// Requests refused because an identity began too many in a second.
    pub rate: u64,
    /// Requests refused because an identity had too many under way.
    pub at_once: u64,
    /// Requests whose signature was wrong, or whose access key there is not.
    pub wrong_signatures: u64,
}

impl Bounds {
    pub(crate) fn new(options: &S3Options) -> Self {
        let limiter = Limiter::new(options.limits, options.limits_of_some.clone());
        Self { limiter, guesses: Guesses::default(), delays_guesses: options.delay_guesses }
    }

    pub(crate) fn counts(&self) -> LimitCounts {
        let refused = |what| self.limiter.refused(what);
        LimitCounts { rate: refused(TooMuch::Rate), at_once: refused(TooMuch::AtOnce), wrong_signatures: self.guesses.counted() }
    }

    /// Begins a request. Root, who must be able to change things when others ask for too much, has no limits.
    pub(crate) fn begin(&self, identity: &Identity) -> Result<Option<Arc<Slot>>, Refusal> {
        if identity.is_root() {
            return Ok(None);
        }
        Ok(self.limiter.begin(&identity.name).map_err(Refusal::TooMuch)?.map(Arc::new))
    }

    /// Returns when a refusal may be sent: later where many wrong signatures came from the address. Nothing else ever waits for that.
    pub(crate) async fn hold_back(&self, engine: &Engine, refusal: &Refusal, address: Option<IpAddr>, request_id: &str) {
        let (true, Some(address)) = (is_guess(refusal), address) else { return };
        let many = self.guesses.count(address);
        if !self.delays_guesses {
            return;
        }
        if let Some(count) = many.report {
            engine.record_guessing(request_id, address, count).await;
        }
        if !many.delay.is_zero() {
            sleep(many.delay).await;
        }
    }
}

/// Whether it tells a secret from a wrong one.
fn is_guess(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Signature(SignatureError::Mismatch) | Refusal::InvalidAccessKeyId)
}

/// Waits between the pieces of a body.
#[derive(Default)]
pub(crate) struct Brake(Option<Pin<Box<Sleep>>>);

impl Brake {
    /// Nothing more comes for so long.
    pub(crate) fn pull(&mut self, delay: Duration) {
        if !delay.is_zero() {
            self.0 = Some(Box::pin(sleep(delay)));
        }
    }

    pub(crate) fn poll_released(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = &mut self.0 {
            ready!(wait.as_mut().poll(context));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

/// A request's body that comes no faster than its identity may send. The client is not waited for meanwhile, so it is not too slow.
pub(crate) struct Throttled {
    body: RawBody,
    slot: Arc<Slot>,
    brake: Brake,
}

impl Throttled {
    /// The body itself where nothing is bounded.
    pub(crate) fn wrap(body: RawBody, slot: Option<&Arc<Slot>>) -> RawBody {
        match slot {
            Some(slot) => Box::pin(Self { body, slot: Arc::clone(slot), brake: Brake::default() }),
            None => body,
        }
    }
}

impl Body for Throttled {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        ready!(this.brake.poll_released(context));
        let frame = ready!(this.body.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            this.brake.pull(this.slot.uploaded(bytes.len()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
