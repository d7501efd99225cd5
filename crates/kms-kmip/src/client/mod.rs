//! A bounded pool of connections, and one request and answer at a time on each.

mod connection;
mod message;

use std::sync::{Arc, Mutex, PoisonError};

use strongroom_kms::KmsError;
use tokio::sync::Semaphore;

use self::connection::{Broken, Connection};
use crate::Config;
use crate::fault::Fault;
use crate::operations::Operation;
use crate::ttlv::Item;

/// A KMIP server.
pub(crate) struct Client {
    config: Arc<Config>,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self { permits: Semaphore::new(config.max_connections), config: Arc::new(config), idle: Mutex::default() }
    }

    /// Has the server do one operation; its answer's payload.
    pub(crate) async fn call(&self, operation: Operation, payload: Vec<Item>) -> Result<Item, Fault> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| KmsError::Unavailable("the KMIP backend is closed".to_owned()))?;
        let request = message::request(&self.config, operation, payload);
        // The server may have closed an idle connection just now, which is no failure of the server's.
        if let Some(connection) = self.open_idle() {
            match self.exchange(connection, operation, &request).await {
                Err(Broken { before_answer: true, .. }) if operation.is_repeatable() => {}
                answer => return answer?,
            }
        }
        self.exchange(Connection::open(&self.config).await?, operation, &request).await?
    }

    /// A connection whose exchange fails or is given up goes down with it: its next answer would be this request's.
    async fn exchange(&self, mut connection: Connection, operation: Operation, request: &[u8]) -> Result<Result<Item, Fault>, Broken> {
        match connection.exchange(request).await {
            Ok(answer) => {
                self.idle().push(connection);
                Ok(message::answer(operation, &answer))
            }
            Err(broken) => {
                self.idle().clear();
                Err(broken)
            }
        }
    }

    /// An idle connection that is still open, as far as is known.
    fn open_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_open)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
