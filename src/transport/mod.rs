//! SIP transports: UDP, TCP, TLS, WebSocket (written by net). RFC 3261 §18, RFC 7118, keep-alives of RFC 5626.
//!
//! Takes bytes from the network, frames and parses them, and hands whole messages to the core; takes bytes from the core and sends them.
//! What it decides by itself: what is refused as malformed (with the parser's answer), who is shed when the core is behind (`gate.rs`),
//! what comes from a source that the core has banned (`door.rs`),
//! who may hold a connection and for how long (`stream/`). It knows no transaction and keeps no dialog.
//!
//! The rule: [`Transport::send`] and [`Transport::resolve`] never wait, because the core's driver calls them. All that comes of them
//! arrives as an [`Input`] later.
//!
//! | task | how many | waits for the core |
//! |---|---|---|
//! | UDP listener (`udp/`) | one an address | never: it drops and counts |
//! | owner of the connections (`stream/mod.rs`) | one | never |
//! | connection (`stream/connection.rs`) | one each | yes: that is back-pressure |
//! | resolver (`resolver.rs`), reports (`reports.rs`) | one each | yes, with bounded queues before them |

mod counters;
mod door;
mod gate;
mod help;
mod keep_alives;
mod reports;
mod resolver;
mod settings;
mod sip_name;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod trickle;
mod udp;
mod websocket;
mod wording;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

use self::counters::Counters;
use self::door::Door;
use self::reports::Reports;
use self::resolver::{Listening, Query};
pub use self::settings::Settings;
pub use self::stream::is_of_the_peer;
use self::tls::{Expected, Tls};
use crate::clock::System;
use crate::config::{self, Config};
use crate::sip::{self, Flow};
use crate::switch::Input;
use crate::switch::output::{Banned, Known, QueryId, Wanted};
use crate::transaction::SendId;

/// An address of the configuration that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport} {address}: {source}")]
pub struct BindError {
    pub transport: sip::Transport,
    pub address: SocketAddr,
    pub source: io::Error,
}

/// The running transports. Dropping it ends them at once.
pub struct Transport {
    udp: Vec<Arc<udp::Listener>>,
    connections: mpsc::Sender<stream::Order>,
    queries: mpsc::Sender<Query>,
    reports: Reports,
    counters: Arc<Counters>,
    door: Arc<Door>,
    addresses: Addresses,
    closing: watch::Sender<bool>,
    settings: Settings,
    /// Accept no more once the switch ends.
    listeners: JoinSet<()>,
    /// End by themselves then, with what they have to send.
    workers: JoinSet<()>,
    /// Serve the others, to the last.
    servants: JoinSet<()>,
}

/// What is listened on, with the ports that the system chose where the configuration said 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    pub tls: Vec<SocketAddr>,
}

/// For the metrics.
#[derive(Clone)]
pub struct Meter {
    counters: Arc<Counters>,
    door: Arc<Door>,
}

impl Meter {
    /// Names and values; of messages that were refused as malformed by what was wrong with them, as `ParseError::label` calls it.
    pub fn counters(&self) -> impl Iterator<Item = (String, u64)> {
        let plain = self.counters.iter().map(|(name, value)| (format!("transport_{name}_total"), value));
        let malformed =
            self.counters.malformed().map(|(why, value)| (format!("transport_malformed_total{{reason=\"{why}\"}}"), value));
        plain.chain(malformed)
    }

    pub fn queue_delay(&self) -> Duration {
        self.door.delay()
    }
}

/// Listens on all addresses of the configuration, or on none; on those for TLS with this certificate.
pub async fn start(config: &config::Sip, tls: Option<&Tls>, core: mpsc::Sender<Input>) -> Result<Transport, BindError> {
    start_with(config, tls, Settings::for_registrations_of(config.max_expires), core).await
}

/// [`start`] with other times and bounds.
pub async fn start_with(
    config: &config::Sip,
    tls: Option<&Tls>,
    settings: Settings,
    core: mpsc::Sender<Input>,
) -> Result<Transport, BindError> {
    let counters = Arc::new(Counters::default());
    let door = Arc::new(Door::default());
    let (reports, pump) = Reports::new(core.clone(), counters.clone());
    let (closing, closes) = watch::channel(false);
    let mut addresses = Addresses::default();
    let (mut listeners, mut workers, mut servants) = (JoinSet::new(), JoinSet::new(), JoinSet::new());

    let mut udp = Vec::new();
    for &address in &config.udp {
        let bound = udp::Listener::bind(address, core.clone(), reports.clone(), counters.clone(), door.clone());
        let (listener, work) = bound.map_err(|source| BindError { transport: sip::Transport::Udp, address, source })?;
        info!(address = %listener.local(), "listening for SIP over UDP");
        addresses.udp.push(listener.local());
        udp.push(listener);
        workers.spawn(work.run(settings.clone(), closes.clone()));
    }

    // Numbers of connections go on where no earlier process can have come to: no process opens a million connections a second.
    let first = u64::try_from(System::start().now().wall.as_micros()).unwrap_or_default();
    let expected = Expected::default();
    let secure = stream::Secure { tls: tls.cloned(), expected: expected.clone() };
    let (connections, hub) =
        stream::Hub::begin(first, settings.clone(), core.clone(), reports.clone(), counters.clone(), door.clone(), secure);
    workers.spawn(hub);
    servants.spawn(door.clone().report(core.clone()));
    for &address in &config.tcp {
        let bound = stream::Listener::bind(address);
        let listener = bound.map_err(|source| BindError { transport: sip::Transport::Tcp, address, source })?;
        info!(address = %listener.local(), "listening for SIP over TCP");
        addresses.tcp.push(listener.local());
        listeners.spawn(listener.run(connections.clone(), None));
    }
    for (&address, tls) in config.tls.iter().zip(std::iter::repeat(tls)) {
        // The configuration has a certificate where it has such a listener.
        let Some(tls) = tls else { continue };
        let bound = stream::Listener::bind(address);
        let listener = bound.map_err(|source| BindError { transport: sip::Transport::Tls, address, source })?;
        info!(address = %listener.local(), "listening for SIP over TLS");
        addresses.tls.push(listener.local());
        listeners.spawn(listener.run(connections.clone(), Some(tls.clone())));
    }

    let listening = Listening(addresses.udp.iter().chain(&addresses.tcp).chain(&addresses.tls).copied().collect());
    let (queries, resolver) =
        resolver::resolver(listening, &config.nameservers, expected, core, settings.clone(), counters.clone());
    servants.spawn(resolver);
    servants.spawn(pump);
    Ok(Transport {
        udp,
        connections,
        queries,
        reports,
        counters,
        door,
        addresses,
        closing,
        settings,
        listeners,
        workers,
        servants,
    })
}

impl Transport {
    /// Sends, or reports that it cannot be done. Never waits.
    pub fn send(&self, to: Flow, bytes: Bytes, report: Option<SendId>) {
        self.door.sent(&to, &bytes);
        match to.transport {
            sip::Transport::Udp => match self.udp_for(&to) {
                Some(listener) => {
                    listener.send(&to, bytes, report);
                }
                None => {
                    self.counters.udp_send_failed.add();
                    self.reports.undeliverable(report);
                }
            },
            sip::Transport::Tcp | sip::Transport::Tls | sip::Transport::Ws | sip::Transport::Wss => {
                if self.connections.try_send(stream::Order::Send { to, bytes, report }).is_err() {
                    self.counters.tcp_send_failed.add();
                    self.reports.undeliverable(report);
                }
            }
        }
    }

    /// The listener on the flow's own address and port; else one that can send from that address.
    fn udp_for(&self, to: &Flow) -> Option<&Arc<udp::Listener>> {
        let mut fitting =
            self.udp.iter().filter(|l| l.can_send_from(to.local.ip()) && l.local().is_ipv4() == to.remote.is_ipv4());
        let first = fitting.clone().next();
        fitting.find(|listener| listener.serves(to.local)).or(first)
    }

    /// Asks for the servers of a host name or literal. The answer is an `Input::Resolved`, without any if that fails.
    pub fn resolve(&self, query: QueryId, wanted: Wanted) {
        if self.queries.try_send(Query { query, wanted }).is_err() {
            self.counters.lookups_failed.add();
            self.reports.post(Input::Resolved { query, servers: Vec::new(), whole: false, ttl: Duration::ZERO });
        }
    }

    /// `/sip`, for the HTTP service: it gives each request a [`Flow`] as an extension.
    pub fn websocket(&self, config: watch::Receiver<Arc<Config>>) -> axum::Router {
        websocket::router(self.connections.clone(), config)
    }

    /// From here on these are not listened to, and no others.
    pub fn ban(&self, all: Vec<Banned>) {
        self.door.ban(all);
    }

    /// Where phones are registered from: they are known under overload.
    pub fn know(&self, known: Known) {
        self.door.know(known);
    }

    /// Something is awaited from there, again and again.
    pub fn watch(&self, remote: SocketAddr) {
        self.door.watch(remote);
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The configuration that says which calls are for help, which are let in under overload.
    pub fn heed(&self, config: Arc<Config>) {
        self.door.heed(config);
    }

    /// How long inputs wait for the core.
    pub fn set_queue_delay(&self, delay: Duration) {
        self.door.set_delay(delay);
    }

    /// What the transports count, for who asks when this is long moved away.
    pub fn meter(&self) -> Meter {
        Meter { counters: self.counters.clone(), door: self.door.clone() }
    }

    /// Listens no more, sends what waits as far as peers take it within [`Settings::linger`], and closes all. The core's queue must still
    /// be read meanwhile, or the end waits for nothing but that time.
    pub async fn shutdown(mut self) {
        self.listeners.shutdown().await;
        let _ = self.closing.send(true);
        let end = async {
            // Behind everything that was sent before.
            let _ = self.connections.send(stream::Order::Close).await;
            while self.workers.join_next().await.is_some() {}
        };
        // Each worker keeps to the time itself; twice as long is for what hangs.
        let _ = tokio::time::timeout(self.settings.linger * 2, end).await;
        self.servants.shutdown().await;
    }
}
