//! A few threads that read, each with a connection of its own.
//!
//! They form two lanes. One answers look-ups, which take microseconds each. The other takes whatever may look at many rows, in turns: a
//! scan that has had its turn goes to the end of the line. So no number of listings keeps a look-up waiting, and no long listing keeps
//! a short one waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::line::Line;
use crate::CatalogError;

/// A read. It is called once for each of its turns.
type Reading = Box<dyn FnMut(&Connection) -> Turn + Send>;

/// Whether a reading goes on after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Over,
    Again,
}

/// The way to the threads of a lane.
pub(super) struct Readers {
    line: Arc<Line<Reading>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts a thread for each connection; `queue` readings may wait for one.
    pub(super) fn start(name: &str, connections: Vec<Connection>, queue: usize) -> std::io::Result<Self> {
        // A reading keeps its place while it is under way.
        let line = Arc::new(Line::new(queue.max(1) + connections.len()));
        let mut readers = Self { line, threads: Vec::with_capacity(connections.len()) };
        for connection in connections {
            let line = Arc::clone(&readers.line);
            let thread = std::thread::Builder::new().name(name.to_owned());
            readers.threads.push(thread.spawn(move || run(&line, &connection))?);
        }
        Ok(readers)
    }

    /// Runs `work` on one of the threads, in one turn. Waits while the lane is full.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let mut work = Some(work);
        self.scan(move |connection| work.take().map(|work| work(connection)).transpose()).await
    }

    /// Runs `step` until it answers, one step per turn. Waits while the lane is full.
    pub(super) async fn scan<T: Send + 'static>(
        &self,
        mut step: impl FnMut(&Connection) -> Result<Option<T>, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let reading = move |connection: &Connection| {
            if reply.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return Turn::Over;
            }
            let stepped = catch_unwind(AssertUnwindSafe(|| step(connection)));
            let answer = match stepped.unwrap_or_else(|_| Err(CatalogError::Damaged("a read met a state that cannot be".to_owned()))) {
                Ok(None) => return Turn::Again,
                Ok(Some(found)) => Ok(found),
                Err(error) => Err(error),
            };
            if let Some(reply) = reply.take() {
                let _ = reply.send(answer);
            }
            Turn::Over
        };
        self.line.push(Box::new(reading)).await?;
        answer.await.unwrap_or(Err(CatalogError::Busy))
    }

    /// How many readings are in the lane, those under way included.
    pub(super) fn len(&self) -> usize {
        self.line.taken()
    }

    /// How many wait for a place.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.line.waiting()
    }

    /// Takes no more readings. Those in the lane are still answered; those that wait for a place are refused when they get one.
    pub(super) fn close(&self) {
        self.line.close();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(line: &Line<Reading>, connection: &Connection) {
    while let Some((tenant, mut placed)) = line.pop() {
        if (placed.item)(connection) == Turn::Again {
            line.push_again(&tenant, placed);
        }
    }
}
