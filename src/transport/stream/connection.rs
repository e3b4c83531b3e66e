//! One connection: read, frame, let in; write what waits; keep the times.
//!
//! | waits for | at most |
//! |---|---|
//! | the connect, and TLS's handshake of ours | `connect_within` each |
//! | TLS's handshake of a peer that came to us | `prove_within` |
//! | the first valid message of a peer that came to us | `prove_within`, whatever else it sends |
//! | the rest of a message that has begun | `message_within`, from its first octet |
//! | anything, between messages | `idle`; `idle_trusted` once the switch has taken something on it; over WebSocket two unanswered pings |
//! | the peer to read one message | `write_within` |
//! | room in the core's queue | no limit: the connection is not read meanwhile, and its own timers rest |
//!
//! Reading and writing go on side by side in one task. Whatever ends it, what could not be written is reported.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, timeout};
use tracing::{debug, warn};

use super::pipe::{Deaf, Ear, Mouth, Octets, Pipe};
use super::{Item, Order, Standing, Trust, listener};
use crate::sip::{Flow, Frame, Malformed, PONG, Response};
use crate::switch::Input;
use crate::transaction::SendId;
use crate::transport::counters::Counters;
use crate::transport::door::Door;
use crate::transport::gate::Gate;
use crate::transport::settings::{MAX_MALFORMED, Settings};
use crate::transport::tls::{Caller, Greeter};
use crate::transport::wording;

pub enum Link {
    Open(TcpStream),
    /// TLS begins on it.
    Secure(TcpStream, Greeter),
    Web(Box<WebSocket>),
    /// From this address of ours, and a port of chance.
    ToOpen {
        from: IpAddr,
    },
    /// The same, and then TLS with who must be this host.
    ToSecure {
        from: IpAddr,
        caller: Caller,
        host: String,
    },
}

/// What both halves share.
pub struct Connection {
    /// As its messages reach the core.
    pub flow: Flow,
    pub gate: Gate,
    /// Its own, for pongs and refusals. Weak, so that the queue ends with the hub's entry.
    pub queue: mpsc::WeakSender<Item>,
    pub standing: Standing,
    pub settings: Settings,
    pub counters: Arc<Counters>,
    pub door: Arc<Door>,
    pub core: mpsc::Sender<Input>,
    pub orders: mpsc::WeakSender<Order>,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("cut")]
    Cut,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not connected in time")]
    NotConnected,
    #[error("no TLS: {0}")]
    Ungreeted(io::Error),
    #[error("silent for too long")]
    Silent,
    #[error("the peer does not read")]
    TooSlow,
    #[error("not SIP")]
    Malformed,
    #[error("refused with {0}: {1}")]
    Refused(u16, tungstenite::Error),
    #[error("the core is gone")]
    NoCore,
    #[error("all is written")]
    Written,
}

impl Connection {
    pub async fn run(self, link: Link, mut waiting: mpsc::Receiver<Item>, mut cut: oneshot::Receiver<()>) {
        let opened = tokio::select! {
            opened = self.open(link) => opened,
            _ = &mut cut => Err(End::Cut),
        };
        let is_open = opened.is_ok();
        let end = match opened {
            Ok(pipe) => {
                let (ear, mouth) = pipe.ends();
                let mut current = None;
                let end = {
                    let reading = self.read(ear);
                    let writing = self.write(mouth, &mut waiting, &mut current);
                    tokio::pin!(reading, writing);
                    tokio::select! {
                        end = &mut reading => match end {
                            // What waits is still written: the answer to what was wrong, or to the last request before the peer's end.
                            End::Closed | End::Malformed | End::Refused(..) => {
                                let code = if let End::Refused(code, _) = &end { Some(*code) } else { None };
                                self.put(Item::Last(code));
                                let _ = timeout(self.settings.write_within, writing).await;
                                end
                            }
                            End::Cut | End::Io(_) | End::NotConnected | End::Ungreeted(_) | End::Silent | End::TooSlow | End::NoCore | End::Written => end,
                        },
                        end = &mut writing => end,
                        _ = &mut cut => End::Cut,
                    }
                };
                self.count(&end);
                if let Some(report) = current {
                    self.fail(report, &end).await;
                }
                end
            }
            Err(end @ End::Ungreeted(_)) => {
                self.counters.tls_failed.add();
                end
            }
            Err(end) => {
                self.counters.tcp_connect_failed.add();
                end
            }
        };
        debug!(flow = %self.flow, connection = self.flow.connection.map(|c| c.0), "connection ended: {end}");
        waiting.close();
        // Before the core hears of it, so that what the core sends then finds this connection no more.
        if let (Some(id), Some(orders)) = (self.flow.connection, self.orders.upgrade()) {
            let _ = orders.send(Order::Ended(id)).await;
        }
        while let Some(item) = waiting.recv().await {
            if let Item::Message { report, .. } = item {
                self.fail(report, &end).await;
            }
        }
        if is_open {
            self.counters.tcp_closed.add();
        }
        // Of one that never said anything valid the core has not heard; a flood of them is none of its business.
        if let (true, Some(connection)) = (is_open && self.standing.of() > Trust::None, self.flow.connection) {
            let _ = self.core.send(Input::ConnectionClosed { connection }).await;
        }
    }

    async fn open(&self, link: Link) -> Result<Pipe, End> {
        let (from, caller, host) = match link {
            Link::Open(stream) => return Ok(Pipe::Octets(Box::new(stream))),
            Link::Secure(stream, greeter) => {
                return match timeout(self.settings.prove_within, greeter.greet(stream)).await {
                    Ok(Ok(greeted)) => Ok(Pipe::Octets(Box::new(greeted))),
                    Ok(Err(error)) => Err(End::Ungreeted(error)),
                    Err(_) => Err(End::Ungreeted(io::ErrorKind::TimedOut.into())),
                };
            }
            Link::Web(socket) => return Ok(Pipe::Web(socket)),
            Link::ToOpen { from } => return Ok(Pipe::Octets(Box::new(self.connect(from).await?))),
            Link::ToSecure { from, caller, host } => (from, caller, host),
        };
        let stream = self.connect(from).await?;
        let greeted = timeout(self.settings.connect_within, caller.greet(stream)).await;
        let greeted = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        greeted.map(|pipe| Pipe::Octets(Box::new(pipe) as Box<dyn Octets>)).map_err(|error| {
            warn!(remote = %self.flow.remote, host, %error, "no TLS with a trunk");
            End::Ungreeted(error)
        })
    }

    async fn connect(&self, from: IpAddr) -> Result<TcpStream, End> {
        let socket = if self.flow.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if !from.is_unspecified() {
            socket.bind((from, 0).into())?;
        }
        let connected = timeout(self.settings.connect_within, socket.connect(self.flow.remote)).await;
        let stream = connected.map_err(|_| End::NotConnected)??;
        listener::prepare(&stream);
        self.counters.tcp_connected.add();
        debug!(flow = %self.flow, connection = self.flow.connection.map(|c| c.0), "connected");
        Ok(stream)
    }

    async fn fail(&self, report: Option<SendId>, end: &End) {
        self.counters.tcp_send_failed.add();
        if let Some(report) = report {
            let why = Some(end.to_string());
            let _ = self.core.send(Input::Undeliverable { report, why }).await;
        }
    }

    fn count(&self, end: &End) {
        match end {
            End::Silent => self.counters.tcp_timed_out.add(),
            End::TooSlow => self.counters.tcp_too_slow.add(),
            End::Closed
            | End::Cut
            | End::Io(_)
            | End::NotConnected
            | End::Ungreeted(_)
            | End::Malformed
            | End::Refused(..)
            | End::NoCore
            | End::Written => {}
        }
    }

    /// `current` is what is being written, until it is.
    async fn write(&self, mut mouth: Mouth, waiting: &mut mpsc::Receiver<Item>, current: &mut Option<Option<SendId>>) -> End {
        let code = loop {
            let item = tokio::select! {
                item = waiting.recv() => item,
                () = mouth.ping_is_due() => Some(Item::Ping),
            };
            let said = match &item {
                Some(Item::Message { bytes, report }) => {
                    *current = Some(*report);
                    timeout(self.settings.write_within, mouth.say(bytes)).await
                }
                Some(Item::Pong) => timeout(self.settings.write_within, mouth.say(&Bytes::from_static(PONG))).await,
                Some(Item::Ping) => timeout(self.settings.write_within, mouth.ping()).await,
                Some(Item::Last(code)) => break *code,
                None => break None,
            };
            match said {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return End::Io(error),
                Err(_) => return End::TooSlow,
            }
            *current = None;
            if let Some(Item::Message { .. }) = item {
                self.counters.tcp_sent.add();
            }
        };
        let _ = timeout(self.settings.write_within, mouth.close(code)).await;
        End::Written
    }

    /// False if there is no room: the peer does not read its answers.
    fn put(&self, item: Item) -> bool {
        self.queue.upgrade().is_some_and(|queue| queue.try_send(item).is_ok())
    }

    async fn read(&self, ear: Ear) -> End {
        let reader = Reader { connection: self, ear, malformed: 0 };
        match reader.run().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }
}

impl From<Deaf> for End {
    fn from(deaf: Deaf) -> End {
        match deaf {
            Deaf::Io(error) => End::Io(error),
            Deaf::Refused(code, why) => End::Refused(code, why),
        }
    }
}

/// What the timer of a connection runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Proof,
    Rest,
    Anything { trust: Trust },
}

struct Reader<'a> {
    connection: &'a Connection,
    ear: Ear,
    malformed: u32,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, End> {
        let (mut awaited, mut timer) = self.arm(self.awaited());
        let mut frames = Vec::new();
        loop {
            let goes_on = tokio::select! {
                heard = self.ear.hear(&mut frames) => heard?,
                () = &mut timer => match awaited {
                    // It has come to be trusted since the timer was set.
                    Awaited::Anything { trust } if trust < self.connection.standing.of() => {
                        (awaited, timer) = self.arm(self.awaited());
                        continue;
                    }
                    Awaited::Proof | Awaited::Rest | Awaited::Anything { .. } => return Err(End::Silent),
                },
            };
            if !goes_on {
                return Err(End::Closed);
            }
            let came = !frames.is_empty();
            for frame in frames.drain(..) {
                self.take(frame).await?;
            }
            let now = self.awaited();
            // One that has not proved itself, and one in the middle of a message, gain no time by more octets; nor does a stranger's
            // WebSocket by answering pings.
            let is_used = matches!(now, Awaited::Anything { trust: Trust::Used });
            if now != awaited || (came && awaited != Awaited::Proof) || is_used {
                (awaited, timer) = self.arm(now);
            }
        }
    }

    fn awaited(&self) -> Awaited {
        match self.connection.standing.of() {
            Trust::None => Awaited::Proof,
            Trust::Valid | Trust::Used if self.ear.is_partial() => Awaited::Rest,
            trust @ (Trust::Valid | Trust::Used) => Awaited::Anything { trust },
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the timer of a connection, which is a deadline of the driver's own")]
    fn arm(&self, awaited: Awaited) -> (Awaited, Pin<Box<Sleep>>) {
        let settings = &self.connection.settings;
        let within = match awaited {
            Awaited::Proof => settings.prove_within,
            Awaited::Rest => settings.message_within,
            Awaited::Anything { trust: Trust::None | Trust::Valid } => settings.idle.min(self.ear.silence()),
            Awaited::Anything { trust: Trust::Used } => settings.idle_trusted.min(self.ear.silence()),
        };
        (awaited, Box::pin(tokio::time::sleep(within)))
    }

    async fn take(&mut self, frame: Result<Frame, Malformed>) -> Result<(), End> {
        if self.connection.door.is_shut_for(&self.connection.flow) {
            self.connection.counters.banned.add();
            return Err(End::Cut);
        }
        let Connection { flow, gate, counters, standing, .. } = self.connection;
        match frame {
            Ok(Frame::Message(message)) => {
                self.malformed = 0;
                counters.tcp_received.add();
                standing.rise(Trust::Valid);
                debug!(%flow, "received {}", wording::of(&message));
                if let Some(response) = gate.judge(&message, flow.remote) {
                    counters.shed.add();
                    return self.answer(response);
                }
                let entered = gate.enter(Input::Sip { flow: *flow, message }).await;
                if entered { Ok(()) } else { Err(End::NoCore) }
            }
            Ok(Frame::KeepalivePing) => {
                counters.keepalives.add();
                if self.connection.put(Item::Pong) { Ok(()) } else { Err(End::TooSlow) }
            }
            Ok(Frame::KeepalivePong) => Ok(()),
            Err(malformed) => self.refuse(malformed),
        }
    }

    fn refuse(&mut self, malformed: Malformed) -> Result<(), End> {
        let Malformed { why, reply, close } = malformed;
        let Connection { flow, counters, .. } = self.connection;
        counters.count_malformed(why.label());
        self.connection.door.malformed(flow);
        debug!(%flow, close, %why, "refused");
        if let Some(reply) = reply {
            self.answer(*reply)?;
        }
        self.malformed += 1;
        if close || self.malformed >= MAX_MALFORMED { Err(End::Malformed) } else { Ok(()) }
    }

    fn answer(&self, mut response: Response) -> Result<(), End> {
        response.headers.stamp_source(self.connection.flow.remote);
        let sent = self.connection.put(Item::Message { bytes: response.to_bytes(), report: None });
        if sent { Ok(()) } else { Err(End::TooSlow) }
    }
}
