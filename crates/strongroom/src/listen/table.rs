//! Who is connected to a port, and who must go when it is full.
//!
//! A connection gets a place. Where the port, or the client's share of it, is full, the connection that has waited longest for its
//! client is closed for it: for a request, or for an answer to be taken. Where all are busy, it gets one of a few places in the reserve,
//! in which only urgent requests are served and others are told to come back. Where the reserve is full of busy ones too, it is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_s3::Network;
use tokio::time::Instant;

use super::activity::{Activity, Stage};
use super::address::ClientAddress;
use crate::metrics::{Eviction, PortMetrics, Shortage, Wait};

/// Places beyond the limit, for urgent requests and for refusals; and so many of them for one address.
const RESERVE: usize = 24;
const RESERVE_PER_ADDRESS: usize = 8;
/// More of them, for this machine alone.
const LOCAL_RESERVE: usize = 8;
/// No connection is closed for another before it had this long for its handshake or its next request: else, where many come at once,
/// none would get as far as a request.
const GRACE: Duration = Duration::from_secs(1);

/// How many connections a port has, and how long they may wait.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) max_connections: usize,
    pub(crate) max_per_address: usize,
    /// Proxies stand for many clients: no share is theirs.
    pub(crate) trusted_proxies: Vec<Network>,
    /// For the head of a request, from its first byte; of the first one, from the handshake.
    pub(crate) header_timeout: Duration,
    /// For the next request.
    pub(crate) keep_alive_timeout: Duration,
}

/// The connections of one port.
pub(crate) struct Table {
    places: Places,
    epoch: Instant,
    metrics: Arc<PortMetrics>,
    pools: Mutex<Pools>,
}

struct Pools {
    last_id: u64,
    regular: Pool,
    reserve: Pool,
    local_reserve: Pool,
}

/// Its sizes follow from its connections, whose number is bounded.
struct Pool {
    capacity: usize,
    per_address: usize,
    connections: HashMap<u64, Connection>,
    by_address: HashMap<ClientAddress, usize>,
}

struct Connection {
    address: ClientAddress,
    activity: Arc<Activity>,
}

/// A place in the table until it is dropped.
pub(super) struct Place {
    table: Arc<Table>,
    id: u64,
    pub(super) activity: Arc<Activity>,
    /// Set in the reserve: why it is not a place like others.
    pub(super) shortage: Option<Shortage>,
}

impl Table {
    pub(crate) fn new(places: Places, metrics: Arc<PortMetrics>) -> Arc<Self> {
        metrics.set_limit(places.max_connections);
        let pools = Pools {
            last_id: 0,
            regular: Pool::new(places.max_connections, places.max_per_address),
            reserve: Pool::new(RESERVE, RESERVE_PER_ADDRESS),
            local_reserve: Pool::new(LOCAL_RESERVE, LOCAL_RESERVE),
        };
        Arc::new(Self { places, epoch: Instant::now(), metrics, pools: Mutex::new(pools) })
    }

    /// The most connections there can be at once.
    pub(super) fn capacity(&self) -> usize {
        self.places.max_connections + RESERVE + LOCAL_RESERVE
    }

    pub(super) fn metrics(&self) -> &PortMetrics {
        &self.metrics
    }

    /// A place for a connection from there; `None` if there is none.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = ClientAddress::of(peer);
        let has_share = !self.places.trusted_proxies.iter().any(|proxy| proxy.contains(peer));
        let mut pools = self.pools();
        let Pools { last_id, regular, reserve, local_reserve } = &mut *pools;
        *last_id += 1;
        let shortage = match regular.make_room(address, has_share) {
            Ok(eviction) => return Some(self.seat(regular, *last_id, address, eviction, None)),
            Err(shortage) => shortage,
        };
        let local = peer.is_loopback().then_some(local_reserve);
        for pool in local.into_iter().chain([reserve]) {
            if let Ok(eviction) = pool.make_room(address, true) {
                return Some(self.seat(pool, *last_id, address, eviction, Some(shortage)));
            }
        }
        self.metrics.refused(shortage);
        None
    }

    fn seat(
        self: &Arc<Self>,
        pool: &mut Pool,
        id: u64,
        address: ClientAddress,
        eviction: Option<Eviction>,
        shortage: Option<Shortage>,
    ) -> Place {
        if let Some(eviction) = eviction {
            self.metrics.evicted(eviction);
        }
        self.metrics.opened();
        let activity = Arc::new(Activity::new(self.epoch));
        pool.connections.insert(id, Connection { address, activity: Arc::clone(&activity) });
        *pool.by_address.entry(address).or_default() += 1;
        Place { table: Arc::clone(self), id, activity, shortage }
    }

    /// Closes the connection that has waited longest, to have its descriptor. Says whether there was one.
    pub(super) fn evict_for_descriptor(&self) -> bool {
        let is_evicted = self.pools().regular.evict(|_| true);
        if is_evicted {
            self.metrics.evicted(Eviction::Descriptors);
        }
        is_evicted
    }

    /// Closes the connections that have waited too long.
    pub(super) fn expire(&self) {
        let mut pools = self.pools();
        let Pools { regular, reserve, local_reserve, .. } = &mut *pools;
        for pool in [regular, reserve, local_reserve] {
            let expired = pool.connections.iter().filter_map(|(id, connection)| Some((*id, self.expired(&connection.activity)?)));
            for (id, wait) in expired.collect::<Vec<_>>() {
                pool.remove(id);
                self.metrics.timed_out(wait);
            }
        }
    }

    fn expired(&self, activity: &Activity) -> Option<Wait> {
        let (headers, keep_alive) = (self.places.header_timeout, self.places.keep_alive_timeout);
        let is_late_head = |stage, age| matches!(stage, Stage::First | Stage::Head) && age >= headers;
        if activity.close_if(is_late_head) {
            return Some(Wait::Headers);
        }
        activity.close_if(|stage, age| stage == Stage::Idle && age >= keep_alive).then_some(Wait::KeepAlive)
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        // Nothing between two changes can panic and leave them at odds.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn new(capacity: usize, per_address: usize) -> Self {
        Self { capacity, per_address, connections: HashMap::new(), by_address: HashMap::new() }
    }

    /// Whether there is room for one more, and whom it cost.
    fn make_room(&mut self, address: ClientAddress, has_share: bool) -> Result<Option<Eviction>, Shortage> {
        let own = self.by_address.get(&address).copied().unwrap_or_default();
        if has_share && own >= self.per_address {
            let is_evicted = self.evict(|connection| connection.address == address);
            return if is_evicted { Ok(Some(Eviction::Address)) } else { Err(Shortage::Address) };
        }
        if self.connections.len() < self.capacity {
            return Ok(None);
        }
        if self.evict(|_| true) { Ok(Some(Eviction::Full)) } else { Err(Shortage::Full) }
    }

    /// Closes the one that has waited longest of those that may go.
    fn evict(&mut self, may_go: impl Fn(&Connection) -> bool) -> bool {
        let waiting = self.connections.iter().filter(|(_, connection)| may_go(connection)).filter_map(|(id, connection)| {
            let waited = connection.activity.waited().filter(|waited| *waited >= GRACE)?;
            Some((waited, *id))
        });
        // It may have gone on since; the next event finds another.
        let Some((_, id)) = waiting.max() else { return false };
        let is_closed = self.connections.get(&id).is_some_and(|connection| connection.activity.close_if_waited(GRACE));
        if is_closed {
            self.remove(id);
        }
        is_closed
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(count) = self.by_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&connection.address);
            }
        }
    }
}

impl Place {
    pub(super) fn metrics(&self) -> &PortMetrics {
        &self.table.metrics
    }

    /// Whether the next client will have to take a place from another.
    pub(super) fn is_port_full(&self) -> bool {
        let pools = self.table.pools();
        pools.regular.connections.len() >= pools.regular.capacity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pools = self.table.pools();
        let Pools { regular, reserve, local_reserve, .. } = &mut *pools;
        for pool in [regular, reserve, local_reserve] {
            pool.remove(self.id);
        }
        self.table.metrics.closed();
    }
}
