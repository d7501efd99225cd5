//! A few threads that read, each with a connection of its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::CatalogError;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading threads.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// Places left in the queue.
    room: Semaphore,
}

#[derive(Default)]
struct Queue {
    reads: VecDeque<Read>,
    is_closed: bool,
}

impl Readers {
    /// Starts a thread for each connection; `queue` reads may wait.
    pub(super) fn start(connections: Vec<Connection>, queue: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), room: Semaphore::new(queue.max(1)) });
        let mut readers = Self { shared, threads: Vec::with_capacity(connections.len()) };
        for connection in connections {
            let shared = Arc::clone(&readers.shared);
            let thread = std::thread::Builder::new().name("catalog-reader".to_owned());
            readers.threads.push(thread.spawn(move || shared.run(&connection))?);
        }
        Ok(readers)
    }

    /// Runs `work` on one of the threads. Waits while the queue is full.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        let read = move |connection: &Connection| {
            if !reply.is_closed() {
                let result = catch_unwind(AssertUnwindSafe(|| work(connection)));
                let _ = reply.send(result.unwrap_or_else(|_| Err(CatalogError::Damaged("a read met a state that cannot be".to_owned()))));
            }
        };
        self.shared.push(Box::new(read)).await?;
        answer.await.unwrap_or(Err(CatalogError::Busy))
    }

    /// Takes no more reads; those that wait are still answered.
    pub(super) fn close(&self) {
        self.shared.room.close();
        self.shared.lock().is_closed = true;
        self.shared.ready.notify_all();
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

impl Shared {
    async fn push(&self, read: Read) -> Result<(), CatalogError> {
        self.room.acquire().await.map_err(|_| CatalogError::Busy)?.forget();
        let mut queue = self.lock();
        if queue.is_closed {
            return Err(CatalogError::Busy);
        }
        queue.reads.push_back(read);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    fn run(&self, connection: &Connection) {
        while let Some(read) = self.next() {
            self.room.add_permits(1);
            read(connection);
        }
    }

    fn next(&self) -> Option<Read> {
        let mut queue = self.lock();
        loop {
            if let Some(read) = queue.reads.pop_front() {
                return Some(read);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
