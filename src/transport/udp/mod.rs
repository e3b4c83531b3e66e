//! UDP listeners (RFC 3261 §18): datagrams in batches to the core, messages out from the address that they belong to.
//!
//! A listener on a wildcard address tells by `IP_PKTINFO` which address a datagram was written to, and answers from there. A datagram may
//! have any length that IP allows, as §18.1.1 demands; the parser's limits decide what is too long for a message, with an answer. Sending
//! never waits: what the socket does not take at once waits in a bounded queue. What cannot be sent at all, or comes back by ICMP, is
//! reported. Nothing that is sent before authentication is much longer than what it answers.

pub mod stun;
mod system;
mod unreachable;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::{Interest, Ready};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use self::system::Watched;
use self::unreachable::{Drained, Sent};
use super::counters::Counters;
use super::door::Door;
use super::gate::{DatagramGate, Offered};
use super::reports::Reports;
use super::settings::{DATAGRAM_QUEUE, MAX_REPLY_GROWTH, Settings};
use super::wording;
use crate::sip::{self, Flow, Response, Transport};
use crate::switch::Input;
use crate::transaction::SendId;

/// The longest that IP can carry, and what the kernel joins of several (GRO) is no longer.
const MAX_DATAGRAM: usize = 65_535;
/// How often a datagram is tried where ICMP errors for others come between: a burst of them must not count as one for it.
const SEND_TRIES: usize = 5;
/// Datagrams taken in one system call; the buffers of a listener are half a megabyte.
const BATCH: usize = 8;
/// Asked of the kernel, which may give less: a burst of registrations after a power cut waits here.
const RECEIVE_BUFFER: usize = 4 << 20;

/// One bound socket.
pub struct Listener {
    /// Watched for what comes, not for room to send: the kernel would report that after each datagram that has gone, and wake the thread.
    socket: Watched,
    state: UdpSocketState,
    /// As bound, with the port that was given.
    local: SocketAddr,
    backlog: mpsc::Sender<Datagram>,
    /// A datagram waits for room: none may overtake it.
    blocked: AtomicBool,
    sent: Mutex<Sent>,
    reports: Reports,
    counters: Arc<Counters>,
}

struct Datagram {
    remote: SocketAddr,
    from: Option<IpAddr>,
    bytes: Bytes,
    report: Option<SendId>,
}

/// A datagram that the socket had no room for, and what tells when it has.
struct Waiting {
    datagram: Datagram,
    room: Watched,
}

impl Waiting {
    async fn room(waiting: &Option<Waiting>) -> io::Result<()> {
        let Some(waiting) = waiting else { return Ok(()) };
        // Before it is tried, so that room that comes meanwhile is told of anew.
        waiting.room.ready(Interest::WRITABLE).await.map(|mut room| room.clear_ready())
    }
}

/// What a listener's task needs beside it.
pub struct Work {
    listener: Arc<Listener>,
    backlog: mpsc::Receiver<Datagram>,
    gate: DatagramGate,
    door: Arc<Door>,
}

impl Listener {
    pub fn bind(
        address: SocketAddr,
        core: mpsc::Sender<Input>,
        reports: Reports,
        counters: Arc<Counters>,
        door: Arc<Door>,
    ) -> io::Result<(Arc<Listener>, Work)> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Best effort: the kernel's own limit holds.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        system::allow_fragments(&socket, address.is_ipv4())?;
        state.enable_transport_errors((&socket).into())?;
        socket.set_nonblocking(true)?;
        let socket = Watched::new(socket.into(), Interest::READABLE | Interest::ERROR)?;
        let local = socket.socket().local_addr()?;
        let (backlog, waiting) = mpsc::channel(DATAGRAM_QUEUE);
        let listener = Arc::new(Listener {
            socket,
            state,
            local,
            backlog,
            blocked: AtomicBool::new(false),
            sent: Mutex::default(),
            reports,
            counters,
        });
        let work = Work { listener: listener.clone(), backlog: waiting, gate: DatagramGate::new(core, door.clone()), door };
        Ok((listener, work))
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether a message with this local address goes out here. A flow names the port that we listen on.
    pub fn serves(&self, local: SocketAddr) -> bool {
        self.local.port() == local.port() && self.can_send_from(local.ip())
    }

    pub fn can_send_from(&self, ip: IpAddr) -> bool {
        self.local.is_ipv4() == ip.is_ipv4() && (self.local.ip().is_unspecified() || ip.is_unspecified() || self.local.ip() == ip)
    }

    /// Never waits.
    pub fn send(&self, to: &Flow, bytes: Bytes, report: Option<SendId>) {
        debug!(flow = %to, size = bytes.len(), "sending {}", wording::of_bytes(&bytes));
        self.post(Datagram { remote: to.remote, from: Some(to.local.ip()).filter(|ip| !ip.is_unspecified()), bytes, report });
    }

    fn post(&self, datagram: Datagram) {
        // Behind what waits already, so that order is kept.
        let free = !self.blocked.load(Relaxed) && self.backlog.capacity() == self.backlog.max_capacity();
        match if free { self.transmit(&datagram) } else { Err(io::ErrorKind::WouldBlock.into()) } {
            Ok(()) => self.counters.udp_sent.add(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if self.backlog.try_send(datagram).is_err() {
                    self.counters.udp_send_dropped.add();
                }
            }
            Err(e) => self.failed(&datagram, &e),
        }
    }

    fn transmit(&self, datagram: &Datagram) -> io::Result<()> {
        let Datagram { remote, from, bytes, report } = datagram;
        if let Some(report) = report {
            // Before it goes: on loopback the ICMP error is there before the call returns.
            self.sent().remember(*remote, bytes, *report);
        }
        let transmit = Transmit { destination: *remote, ecn: None, contents: bytes, segment_size: None, src_ip: *from };
        let once = || self.state.try_send(self.socket.socket().into(), &transmit);
        let mut done = once();
        for _ in 1..SEND_TRIES {
            match &done {
                // An ICMP error for another datagram comes out of whatever call is next, which then has done nothing.
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => self.drain_errors(),
                Ok(()) | Err(_) => break,
            }
            done = once();
        }
        if let (Err(_), Some(report)) = (&done, report) {
            // It is tried again, or told of.
            self.sent().forget(*report);
        }
        done
    }

    fn failed(&self, datagram: &Datagram, error: &io::Error) {
        debug!(remote = %datagram.remote, %error, "cannot send");
        self.counters.udp_send_failed.add();
        self.reports.undeliverable(datagram.report);
    }

    fn drain_errors(&self) {
        loop {
            match unreachable::next(self.socket.socket(), self.local.is_ipv4()) {
                Ok(Drained::Unreachable(error)) => {
                    self.counters.udp_unreachable.add();
                    let report = self.sent().failed(&error);
                    debug!(remote = %error.remote, known = report.is_some(), "unreachable");
                    self.reports.undeliverable(report);
                }
                Ok(Drained::Other) => {}
                Ok(Drained::Empty) => return,
                Err(error) => {
                    warn!(local = %self.local, %error, "error queue");
                    return;
                }
            }
        }
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To somebody who is not authenticated, so never much longer than the `heard` octets that it answers.
    fn answer(&self, mut response: Response, flow: &Flow, heard: usize) {
        let remote = response.headers.stamp_source(flow.remote);
        let bytes = response.to_bytes();
        if bytes.len() > heard + MAX_REPLY_GROWTH {
            self.counters.udp_reply_withheld.add();
            return;
        }
        self.send(&Flow { remote, ..*flow }, bytes, None);
    }
}

impl Work {
    /// Until `closing` changes or is dropped; what waits to be sent then still is, if the socket takes it within `linger`.
    pub async fn run(mut self, settings: Settings, mut closing: watch::Receiver<bool>) {
        let listener = self.listener.clone();
        let mut buffers = vec![0u8; BATCH * MAX_DATAGRAM];
        let mut waiting: Option<Waiting> = None;
        loop {
            tokio::select! {
                _ = closing.changed() => break,
                ready = listener.socket.ready(Interest::READABLE | Interest::ERROR) => match ready {
                    Ok(mut ready) => {
                        if ready.ready().is_error() {
                            listener.drain_errors();
                            ready.clear_ready_matching(Ready::ERROR);
                        }
                        if self.receive(&mut buffers) {
                            drop(ready);
                            tokio::task::yield_now().await;
                        } else {
                            // What comes from now on wakes this task anew.
                            ready.clear_ready_matching(Ready::READABLE);
                        }
                    }
                    Err(error) => {
                        warn!(local = %listener.local, %error, "listener ends");
                        return;
                    }
                },
                room = Waiting::room(&waiting), if waiting.is_some() => waiting = self.retry(waiting, room),
                Some(datagram) = self.backlog.recv(), if waiting.is_none() => waiting = self.first_try(datagram),
            }
        }
        let flush = async {
            loop {
                if waiting.is_some() {
                    let room = Waiting::room(&waiting).await;
                    waiting = self.retry(waiting, room);
                } else if let Ok(datagram) = self.backlog.try_recv() {
                    waiting = self.first_try(datagram);
                } else {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(settings.linger, flush).await;
    }

    /// Gives back what still has to wait.
    fn first_try(&self, datagram: Datagram) -> Option<Waiting> {
        let listener = &self.listener;
        let refused = match listener.transmit(&datagram) {
            Ok(()) => {
                listener.counters.udp_sent.add();
                return None;
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let room = listener.socket.socket().try_clone().and_then(|socket| Watched::new(socket, Interest::WRITABLE));
                match room {
                    Ok(room) => {
                        listener.blocked.store(true, Relaxed);
                        return Some(Waiting { datagram, room });
                    }
                    Err(e) => e,
                }
            }
            Err(e) => e,
        };
        listener.failed(&datagram, &refused);
        None
    }

    /// There is room, or nobody can tell. Gives back what still has to wait.
    fn retry(&self, waiting: Option<Waiting>, room: io::Result<()>) -> Option<Waiting> {
        let (waiting, listener) = (waiting?, &self.listener);
        match room.and_then(|()| listener.transmit(&waiting.datagram)) {
            Ok(()) => listener.counters.udp_sent.add(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Some(waiting),
            Err(e) => listener.failed(&waiting.datagram, &e),
        }
        listener.blocked.store(false, Relaxed);
        None
    }

    /// One batch; whether there may be more.
    fn receive(&mut self, buffers: &mut [u8]) -> bool {
        let listener = self.listener.clone();
        let mut metas = [RecvMeta::default(); BATCH];
        let received = {
            let mut chunks = buffers.chunks_mut(MAX_DATAGRAM);
            let mut slices: [IoSliceMut<'_>; BATCH] = std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            listener.state.recv(listener.socket.socket().into(), &mut slices, &mut metas)
        };
        match received {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                // An ICMP error for something that was sent, in place of what has come; nothing is lost.
                listener.drain_errors();
                true
            }
            Ok(count) => {
                for (meta, buffer) in metas.iter().take(count).zip(buffers.chunks(MAX_DATAGRAM)) {
                    // Several of one length from one source, if the kernel has joined them.
                    for datagram in buffer[..meta.len.min(MAX_DATAGRAM)].chunks(meta.stride.max(1)) {
                        self.take(datagram, meta);
                    }
                }
                // Fewer than there was room for were all; asked again the socket would say that it has no more.
                count == BATCH
            }
        }
    }

    fn take(&mut self, datagram: &[u8], meta: &RecvMeta) {
        let Listener { local, counters, .. } = &*self.listener;
        counters.udp_received.add();
        let to = meta.dst_ip.unwrap_or(local.ip());
        let is_broadcast = matches!(to, IpAddr::V4(ip) if ip.is_broadcast());
        if to.is_multicast() || is_broadcast || meta.addr.port() == 0 {
            counters.udp_not_unicast.add();
            return;
        }
        let flow =
            Flow { transport: Transport::Udp, local: SocketAddr::new(to, local.port()), remote: meta.addr, connection: None };
        if self.door.is_shut_for_datagram(&flow, datagram) {
            counters.banned.add();
            return;
        }
        if stun::is_stun(datagram) {
            counters.keepalives.add();
            self.door.heard(meta.addr);
            if let Some(answer) = stun::answer(datagram, meta.addr) {
                self.listener.send(&flow, answer.into(), None);
            }
            return;
        }
        let message = match sip::parse_datagram(datagram) {
            Ok(message) => message,
            Err(malformed) => {
                match malformed.why {
                    sip::ParseError::Empty => {
                        counters.keepalives.add();
                        self.door.heard(meta.addr);
                    }
                    ref why => {
                        counters.count_malformed(why.label());
                        self.door.malformed(&flow);
                        debug!(%flow, size = datagram.len(), %why, "refused");
                    }
                }
                if let Some(reply) = malformed.reply {
                    self.listener.answer(*reply, &flow, datagram.len());
                }
                return;
            }
        };
        self.door.heard(meta.addr);
        debug!(%flow, size = datagram.len(), "received {}", wording::of(&message));
        match self.gate.offer(flow, message) {
            Offered::Taken => {}
            Offered::Full => counters.udp_dropped.add(),
            Offered::Shed(response) => {
                counters.shed.add();
                self.listener.answer(response, &flow, datagram.len());
            }
        }
    }
}
