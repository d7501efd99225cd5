//! Who is connected to a port, and who must go when it is full.
//!
//! A connection gets a place. Where the port, or the client's share of it, is full, the connection that has waited longest for its
//! client is closed for it: for a request, or for an answer to be taken. Where all are busy, it gets one of a few places in the lobby, in which only urgent requests are
//! served and others are told to come back. Where the lobby is full of busy ones too, it is closed.

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
const LOBBY: usize = 24;
const LOBBY_PER_ADDRESS: usize = 8;
/// More of them, for this machine alone.
const LOCAL_LOBBY: usize = 8;
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
    rooms: Mutex<Rooms>,
}

struct Rooms {
    last_id: u64,
    hall: Room,
    lobby: Room,
    local_lobby: Room,
}

/// Its sizes follow from its guests, whose number is bounded.
struct Room {
    capacity: usize,
    per_address: usize,
    guests: HashMap<u64, Guest>,
    by_address: HashMap<ClientAddress, usize>,
}

struct Guest {
    address: ClientAddress,
    activity: Arc<Activity>,
}

/// A place in the table until it is dropped.
pub(super) struct Place {
    table: Arc<Table>,
    id: u64,
    pub(super) activity: Arc<Activity>,
    /// Set in the lobby: why it is not a place like others.
    pub(super) shortage: Option<Shortage>,
}

impl Table {
    pub(crate) fn new(places: Places, metrics: Arc<PortMetrics>) -> Arc<Self> {
        metrics.set_limit(places.max_connections);
        let rooms = Rooms {
            last_id: 0,
            hall: Room::new(places.max_connections, places.max_per_address),
            lobby: Room::new(LOBBY, LOBBY_PER_ADDRESS),
            local_lobby: Room::new(LOCAL_LOBBY, LOCAL_LOBBY),
        };
        Arc::new(Self { places, epoch: Instant::now(), metrics, rooms: Mutex::new(rooms) })
    }

    /// The most connections there can be at once.
    pub(super) fn capacity(&self) -> usize {
        self.places.max_connections + LOBBY + LOCAL_LOBBY
    }

    pub(super) fn metrics(&self) -> &PortMetrics {
        &self.metrics
    }

    /// A place for a connection from there; `None` if there is none.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = ClientAddress::of(peer);
        let has_share = !self.places.trusted_proxies.iter().any(|proxy| proxy.contains(peer));
        let mut rooms = self.rooms();
        let Rooms { last_id, hall, lobby, local_lobby } = &mut *rooms;
        *last_id += 1;
        let shortage = match hall.make_room(address, has_share) {
            Ok(eviction) => return Some(self.seat(hall, *last_id, address, eviction, None)),
            Err(shortage) => shortage,
        };
        let local = peer.is_loopback().then_some(local_lobby);
        for room in local.into_iter().chain([lobby]) {
            if let Ok(eviction) = room.make_room(address, true) {
                return Some(self.seat(room, *last_id, address, eviction, Some(shortage)));
            }
        }
        self.metrics.refused(shortage);
        None
    }

    fn seat(
        self: &Arc<Self>,
        room: &mut Room,
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
        room.guests.insert(id, Guest { address, activity: Arc::clone(&activity) });
        *room.by_address.entry(address).or_default() += 1;
        Place { table: Arc::clone(self), id, activity, shortage }
    }

    /// Closes the connection that has waited longest, to have its descriptor. Says whether there was one.
    pub(super) fn evict_for_descriptor(&self) -> bool {
        let is_evicted = self.rooms().hall.evict(|_| true);
        if is_evicted {
            self.metrics.evicted(Eviction::Descriptors);
        }
        is_evicted
    }

    /// Closes the connections that have waited too long.
    pub(super) fn expire(&self) {
        let mut rooms = self.rooms();
        let Rooms { hall, lobby, local_lobby, .. } = &mut *rooms;
        for room in [hall, lobby, local_lobby] {
            let expired = room.guests.iter().filter_map(|(id, guest)| Some((*id, self.expired(&guest.activity)?)));
            for (id, wait) in expired.collect::<Vec<_>>() {
                room.remove(id);
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

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        // Nothing between two changes can panic and leave them at odds.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn new(capacity: usize, per_address: usize) -> Self {
        Self { capacity, per_address, guests: HashMap::new(), by_address: HashMap::new() }
    }

    /// Whether there is room for one more, and whom it cost.
    fn make_room(&mut self, address: ClientAddress, has_share: bool) -> Result<Option<Eviction>, Shortage> {
        let own = self.by_address.get(&address).copied().unwrap_or_default();
        if has_share && own >= self.per_address {
            let is_evicted = self.evict(|guest| guest.address == address);
            return if is_evicted { Ok(Some(Eviction::Address)) } else { Err(Shortage::Address) };
        }
        if self.guests.len() < self.capacity {
            return Ok(None);
        }
        if self.evict(|_| true) { Ok(Some(Eviction::Full)) } else { Err(Shortage::Full) }
    }

    /// Closes the one that has waited longest of those that may go.
    fn evict(&mut self, may_go: impl Fn(&Guest) -> bool) -> bool {
        let waiting = self.guests.iter().filter(|(_, guest)| may_go(guest)).filter_map(|(id, guest)| {
            let waited = guest.activity.waited().filter(|waited| *waited >= GRACE)?;
            Some((waited, *id))
        });
        // It may have gone on since; the next event finds another.
        let Some((_, id)) = waiting.max() else { return false };
        let is_closed = self.guests.get(&id).is_some_and(|guest| guest.activity.close_if_waited(GRACE));
        if is_closed {
            self.remove(id);
        }
        is_closed
    }

    fn remove(&mut self, id: u64) {
        let Some(guest) = self.guests.remove(&id) else { return };
        if let Some(count) = self.by_address.get_mut(&guest.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&guest.address);
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
        let rooms = self.table.rooms();
        rooms.hall.guests.len() >= rooms.hall.capacity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.table.rooms();
        let Rooms { hall, lobby, local_lobby, .. } = &mut *rooms;
        for room in [hall, lobby, local_lobby] {
            room.remove(self.id);
        }
        self.table.metrics.closed();
    }
}
