//! TCP, and TLS and WebSocket over it (RFC 3261 §18, RFC 7118, with the keep-alives of RFC 5626): the one owner of all connections, and
//! who may have one.
//!
//! [`Hub`] runs in a task of its own and takes [`Order`]s; it never waits for anybody, so nobody who waits for it waits for long. A
//! connection lives in a task too (`connection.rs`), exactly as long as its entry here: to remove the entry is to cut it.
//!
//! | a message for | goes |
//! |---|---|
//! | a connection (`Flow::connection`) | there, or is undeliverable; a response then goes to the peer's `sent-by` (§18.2.2) |
//! | an address | by a connection to exactly this address, or a new one from the flow's local address |
//! | a name at an address, by TLS ([`Expected`]) | by a connection that we opened, whose certificate was checked for this name (RFC 5923 §3), or a new one |
//! | a connection that is gone, of a trunk by TLS | as to its name |
//!
//! A new connection that finds all places taken gets that of the oldest one that has not said anything valid yet, or else that the switch
//! has taken nothing on; of the same source if it is the source that has too many. Where there is none, it is closed. A connection that the
//! switch has taken something on is bounded with all others alone, so the phones of a large office all find room behind its one address.

mod connection;
mod listener;
mod pipe;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::connection::{Connection, Link};
pub use self::listener::{Listener, is_of_the_peer};
use super::counters::Counters;
use super::door::Door;
use super::gate::Gate;
use super::reports::Reports;
use super::settings::{ORDERS, Settings};
use super::tls::{Expected, Greeter, MOST_EXPECTED, Tls};
use super::wording;
use crate::registrar::bans;
use crate::sip::{ConnectionId, Flow, Transport};
use crate::switch::Input;
use crate::transaction::SendId;

pub enum Order {
    Send {
        to: Flow,
        bytes: Bytes,
        report: Option<SendId>,
    },
    Accepted {
        incoming: Incoming,
        /// Its transport says what it is carried by.
        flow: Flow,
    },
    /// A connection's task is over, or about to be.
    Ended(ConnectionId),
    /// Write what waits, then end.
    Close,
}

/// A connection that a peer opened.
pub enum Incoming {
    Plain(TcpStream),
    Secure(TcpStream, Greeter),
    Web(Box<WebSocket>),
}

/// What waits to be written to a connection.
pub enum Item {
    Message {
        bytes: Bytes,
        report: Option<SendId>,
    },
    /// The answer to a keep-alive.
    Pong,
    Ping,
    /// Nothing comes after this; a WebSocket is closed with this code.
    Last(Option<u16>),
}

/// How far a connection is trusted: what it may take up, and for how long. It only grows.
#[derive(Clone, Default)]
pub struct Standing(Arc<AtomicU8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Nothing valid was heard yet.
    None,
    /// It speaks SIP.
    Valid,
    /// The switch took a registration or a call on it, or has opened it or used it of its own accord.
    Used,
}

impl Standing {
    pub fn of(&self) -> Trust {
        match self.0.load(Ordering::Relaxed) {
            0 => Trust::None,
            1 => Trust::Valid,
            _ => Trust::Used,
        }
    }

    pub fn rise(&self, to: Trust) {
        self.0.fetch_max(to as u8, Ordering::Relaxed);
    }
}

/// What connections of ours by TLS need.
#[derive(Clone, Default)]
pub struct Secure {
    pub tls: Option<Tls>,
    pub expected: Expected,
}

struct Entry {
    queue: mpsc::Sender<Item>,
    transport: Transport,
    remote: SocketAddr,
    /// Whose certificate it was opened for.
    name: Option<ConnectionId>,
    standing: Standing,
    /// Dropped with the entry, which the connection's task notices.
    _life: oneshot::Sender<()>,
}

impl Entry {
    /// The switch has taken nothing on it.
    fn is_stranger(&self) -> bool {
        self.standing.of() < Trust::Used
    }
}

pub struct Hub {
    settings: Settings,
    core: mpsc::Sender<Input>,
    reports: Reports,
    counters: Arc<Counters>,
    door: Arc<Door>,
    secure: Secure,
    /// In the order of their age.
    entries: BTreeMap<ConnectionId, Entry>,
    by_remote: HashMap<(Transport, SocketAddr), ConnectionId>,
    /// Those that we opened by TLS, by the name that was checked.
    by_name: HashMap<ConnectionId, ConnectionId>,
    /// The names of those that are gone, for what is sent to them still; the oldest are forgotten.
    gone: BTreeMap<ConnectionId, ConnectionId>,
    tasks: JoinSet<()>,
    /// For the connections' tasks.
    orders: mpsc::WeakSender<Order>,
    next: u64,
}

impl Hub {
    /// The future is its task. `first` is the first connection's number. Numbers must not come back in the next process, because registrations outlive it.
    pub fn begin(
        first: u64,
        settings: Settings,
        core: mpsc::Sender<Input>,
        reports: Reports,
        counters: Arc<Counters>,
        door: Arc<Door>,
        secure: Secure,
    ) -> (mpsc::Sender<Order>, impl Future<Output = ()> + Send + 'static) {
        let (orders, waiting) = mpsc::channel(ORDERS);
        let hub = Hub {
            settings,
            core,
            reports,
            counters,
            door,
            secure,
            entries: BTreeMap::new(),
            by_remote: HashMap::new(),
            by_name: HashMap::new(),
            gone: BTreeMap::new(),
            tasks: JoinSet::new(),
            orders: orders.downgrade(),
            next: first,
        };
        (orders, hub.run(waiting))
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                Some(_) = self.tasks.join_next() => continue,
            };
            match order {
                Some(Order::Send { to, bytes, report }) => self.send(&to, bytes, report),
                Some(Order::Accepted { incoming, flow }) => self.accepted(incoming, flow),
                Some(Order::Ended(id)) => self.remove(id),
                Some(Order::Close) | None => break,
            }
        }
        self.close(orders).await;
    }

    fn send(&mut self, to: &Flow, bytes: Bytes, report: Option<SendId>) {
        debug!(flow = %to, size = bytes.len(), "sending {}", wording::of_bytes(&bytes));
        let found = match to.connection {
            Some(id) if self.entries.contains_key(&id) => Some(id),
            Some(_) | None if to.transport == Transport::Tls => self.name_of(to).and_then(|name| {
                let open = self.by_name.get(&name).copied();
                open.or_else(|| self.open(to, Some(name)))
            }),
            Some(_) if !wording::is_response(&bytes) => return self.undeliverable(report),
            Some(_) | None => self.by_remote.get(&(to.transport, to.remote)).copied().or_else(|| self.open(to, None)),
        };
        let Some((id, entry)) = found.and_then(|id| Some((id, self.entries.get(&id)?))) else {
            return self.undeliverable(report);
        };
        if wording::shows_trust(&bytes) {
            entry.standing.rise(Trust::Used);
        }
        let full = match entry.queue.try_send(Item::Message { bytes, report }) {
            Ok(()) => return,
            Err(error) => matches!(error, mpsc::error::TrySendError::Full(_)),
        };
        if full {
            debug!(connection = id.0, remote = %entry.remote, "the peer does not read");
            self.counters.tcp_too_slow.add();
        }
        // Or its task is over and about to say so.
        self.remove(id);
        self.undeliverable(report);
    }

    /// Who has to be there: a trunk's host, which does not hang on the connection that it was heard on. A phone can't be called back:
    /// nobody has said who it must be.
    fn name_of(&self, to: &Flow) -> Option<ConnectionId> {
        let named = to.connection.map(|id| self.gone.get(&id).copied().unwrap_or(id));
        let is_there = |name: &ConnectionId| self.secure.expected.of(*name).is_some_and(|(at, _)| at == to.remote);
        named.filter(is_there).or_else(|| self.secure.expected.at(to.remote))
    }

    fn undeliverable(&self, report: Option<SendId>) {
        self.counters.tcp_send_failed.add();
        self.reports.undeliverable(report);
    }

    /// Begins to connect. What is sent meanwhile waits in the connection's queue.
    fn open(&mut self, to: &Flow, name: Option<ConnectionId>) -> Option<ConnectionId> {
        let from = to.local.ip();
        let link = match to.transport {
            Transport::Tcp => Link::ToOpen { from },
            Transport::Tls => {
                let (_, host) = self.secure.expected.of(name?)?;
                let caller = self.secure.tls.as_ref()?.caller(&host).inspect_err(|error| warn!(%error, "no TLS"));
                Link::ToSecure { from, caller: caller.ok()?, host }
            }
            Transport::Udp | Transport::Ws | Transport::Wss => return None,
        };
        if self.entries.len() >= self.settings.max_connections && !self.evict(None) {
            self.counters.tcp_refused.add();
            return None;
        }
        let standing = Standing::default();
        standing.rise(Trust::Used);
        Some(self.start(link, *to, name, standing))
    }

    fn accepted(&mut self, incoming: Incoming, flow: Flow) {
        if self.door.is_shut_for(&flow) {
            self.counters.banned.add();
            return;
        }
        let source = bans::network(flow.remote.ip());
        let (mut strangers, mut from_there, mut all_from_there) = (0, 0, 0);
        for entry in self.entries.values() {
            let is_of_it = usize::from(bans::network(entry.remote.ip()) == source);
            all_from_there += is_of_it;
            if entry.is_stranger() {
                strangers += 1;
                from_there += is_of_it;
            }
        }
        if all_from_there >= self.settings.max_of_one_source {
            self.evict_oldest(source);
        }
        let room = if from_there >= self.settings.max_per_source {
            self.evict(Some(source))
        } else if strangers >= self.settings.max_strangers || self.entries.len() >= self.settings.max_connections {
            self.evict(None)
        } else {
            true
        };
        if !room {
            self.counters.tcp_refused.add();
            debug!(%flow, from_there, "no room for the connection");
            return;
        }
        self.counters.tcp_accepted.add();
        let link = match incoming {
            Incoming::Plain(stream) => Link::Open(stream),
            Incoming::Secure(stream, greeter) => Link::Secure(stream, greeter),
            Incoming::Web(socket) => Link::Web(socket),
        };
        self.start(link, flow, None, Standing::default());
    }

    /// Cuts the connection that is trusted least, of those the oldest; none that the switch has taken something on.
    fn evict(&mut self, of: Option<IpAddr>) -> bool {
        let may_lose = |entry: &Entry| entry.is_stranger() && of.is_none_or(|source| bans::network(entry.remote.ip()) == source);
        let losers = self.entries.iter().filter(|(_, entry)| may_lose(entry));
        let Some(id) = losers.min_by_key(|(id, entry)| (entry.standing.of(), **id)).map(|(id, _)| *id) else { return false };
        self.counters.tcp_evicted.add();
        self.remove(id);
        true
    }

    /// Whatever was taken on it.
    fn evict_oldest(&mut self, of: IpAddr) {
        let oldest = self.entries.iter().find(|(_, entry)| bans::network(entry.remote.ip()) == of).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.counters.tcp_evicted.add();
            self.remove(id);
        }
    }

    fn start(&mut self, link: Link, flow: Flow, name: Option<ConnectionId>, standing: Standing) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        let (queue, waiting) = mpsc::channel(self.settings.write_queue);
        let (life, cut) = oneshot::channel();
        let connection = Connection {
            flow: Flow { connection: Some(id), ..flow },
            gate: Gate::new(self.core.clone(), self.door.clone()),
            queue: queue.downgrade(),
            standing: standing.clone(),
            settings: self.settings.clone(),
            counters: self.counters.clone(),
            door: self.door.clone(),
            core: self.core.clone(),
            orders: self.orders.clone(),
        };
        self.tasks.spawn(connection.run(link, waiting, cut));
        let (transport, remote) = (flow.transport, flow.remote);
        self.entries.insert(id, Entry { queue, transport, remote, name, standing, _life: life });
        // Who came to us by TLS has not shown a name.
        if let Some(name) = name {
            self.by_name.insert(name, id);
        } else if transport != Transport::Tls {
            self.by_remote.insert((transport, remote), id);
        }
        id
    }

    fn remove(&mut self, id: ConnectionId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        let remote = (entry.transport, entry.remote);
        if self.by_remote.get(&remote) == Some(&id) {
            self.by_remote.remove(&remote);
        }
        if let Some(name) = entry.name {
            if self.by_name.get(&name) == Some(&id) {
                self.by_name.remove(&name);
            }
            self.gone.insert(id, name);
            if self.gone.len() > MOST_EXPECTED {
                self.gone.pop_first();
            }
        }
    }

    /// What waits is written as far as the peers read it in time.
    async fn close(&mut self, mut orders: mpsc::Receiver<Order>) {
        for entry in self.entries.values() {
            // Without room in its queue it is cut with the rest.
            let _ = entry.queue.try_send(Item::Last(None));
        }
        let end = async {
            while !self.tasks.is_empty() {
                tokio::select! {
                    _ = self.tasks.join_next() => {}
                    // So that no task waits to say that it is over.
                    _ = orders.recv() => {}
                }
            }
        };
        let _ = tokio::time::timeout(self.settings.linger, end).await;
    }
}
