//! A seal or stop that is asked for and not yet written: it refuses uses at once, and no other change holds it up.

use std::pin::pin;

use futures_util::future::{Either, select};
use strongroom_kms::KmsError;
use tokio::sync::watch;

/// What ends every use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    Seal,
    Stop,
}

/// The seals and stops under way.
#[derive(Default)]
pub(super) struct Closing(watch::Sender<Asked>);

#[derive(Clone, Copy, Default)]
struct Asked {
    seals: usize,
    stops: usize,
}

/// A seal or stop under way, until it is dropped: then it is in force, or it failed.
pub(super) struct Pending<'a> {
    closing: &'a Closing,
    close: Close,
}

impl Closing {
    pub(super) fn ask(&self, close: Close) -> Pending<'_> {
        self.0.send_modify(|asked| *asked.count(close) += 1);
        Pending { closing: self, close }
    }

    /// Refuses uses while a seal or stop is under way.
    pub(super) fn check(&self) -> Result<(), KmsError> {
        self.0.borrow().check()
    }

    /// Does what can take long, and gives it up when the service is to be sealed or stopped.
    pub(super) async fn outruns<T>(&self, work: impl Future<Output = Result<T, KmsError>>) -> Result<T, KmsError> {
        let mut asked = self.0.subscribe();
        let closed = async move {
            let closed = asked.wait_for(|asked| asked.check().is_err()).await;
            closed.map_or(Ok(()), |asked| asked.check())
        };
        match select(pin!(closed), pin!(work)).await {
            Either::Left((closed, work)) => {
                closed?;
                work.await
            }
            Either::Right((done, _)) => done,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.closing.0.send_modify(|asked| *asked.count(self.close) -= 1);
    }
}

impl Asked {
    fn count(&mut self, close: Close) -> &mut usize {
        match close {
            Close::Seal => &mut self.seals,
            Close::Stop => &mut self.stops,
        }
    }

    fn check(self) -> Result<(), KmsError> {
        match self {
            Self { seals: 1.., .. } => Err(KmsError::ServiceSealed),
            Self { stops: 1.., .. } => Err(stopped()),
            Self { seals: 0, stops: 0 } => Ok(()),
        }
    }
}

/// The answer of a service that is configured and not started.
pub(super) fn stopped() -> KmsError {
    KmsError::Unavailable("the KMS is stopped: POST /kms/start".to_owned())
}
