//! One TCP connection: read, frame, let in; write what waits; keep the times.
//!
//! | waits for | at most |
//! |---|---|
//! | the connect | `connect_within` |
//! | the first valid message of a peer that came to us | `prove_within`, whatever else it sends |
//! | the rest of a message that has begun | `message_within`, from its first octet |
//! | anything, between messages | `idle`; `idle_trusted` once the switch has taken something on it |
//! | the peer to read one message | `write_within` |
//! | room in the core's queue | no limit: the connection is not read meanwhile, and its own timers rest |
//!
//! Reading and writing go on side by side in one task. Whatever ends it, what could not be written is reported.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, timeout};
use tracing::debug;

use super::{Item, Order, Standing, Trust, listener};
use crate::sip::{Flow, Frame, Malformed, PONG, Response, StreamFramer};
use crate::switch::Input;
use crate::transaction::SendId;
use crate::transport::counters::Counters;
use crate::transport::gate::Gate;
use crate::transport::settings::{MAX_MALFORMED, Settings};
use crate::transport::wording;

/// Octets read at once; the framer takes them apart before more is read.
const READ: usize = 8 * 1024;

pub enum Link {
    Open(TcpStream),
    /// From this address of ours, and a port of chance.
    ToOpen {
        from: IpAddr,
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
    #[error("silent for too long")]
    Silent,
    #[error("the peer does not read")]
    TooSlow,
    #[error("not SIP")]
    Malformed,
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
            Ok(mut stream) => {
                let (read, write) = stream.split();
                let mut current = None;
                let end = {
                    let reading = self.read(read);
                    let writing = self.write(write, &mut waiting, &mut current);
                    tokio::pin!(reading, writing);
                    tokio::select! {
                        end = &mut reading => match end {
                            // What waits is still written: the answer to what was wrong, or to the last request before the peer's end.
                            End::Closed | End::Malformed => {
                                self.put(Item::Last);
                                let _ = timeout(self.settings.write_within, writing).await;
                                end
                            }
                            End::Cut | End::Io(_) | End::NotConnected | End::Silent | End::TooSlow | End::NoCore | End::Written => end,
                        },
                        end = &mut writing => end,
                        _ = &mut cut => End::Cut,
                    }
                };
                self.count(&end);
                if let Some(report) = current {
                    self.fail(report).await;
                }
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
                self.fail(report).await;
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

    async fn open(&self, link: Link) -> Result<TcpStream, End> {
        let from = match link {
            Link::Open(stream) => return Ok(stream),
            Link::ToOpen { from } => from,
        };
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

    async fn fail(&self, report: Option<SendId>) {
        self.counters.tcp_send_failed.add();
        if let Some(report) = report {
            let _ = self.core.send(Input::Undeliverable { report }).await;
        }
    }

    fn count(&self, end: &End) {
        match end {
            End::Silent => self.counters.tcp_timed_out.add(),
            End::TooSlow => self.counters.tcp_too_slow.add(),
            End::Closed | End::Cut | End::Io(_) | End::NotConnected | End::Malformed | End::NoCore | End::Written => {}
        }
    }

    /// `current` is what is being written, until it is.
    async fn write(
        &self,
        mut stream: WriteHalf<'_>,
        waiting: &mut mpsc::Receiver<Item>,
        current: &mut Option<Option<SendId>>,
    ) -> End {
        while let Some(item) = waiting.recv().await {
            let (bytes, is_message) = match &item {
                Item::Message { bytes, report } => {
                    *current = Some(*report);
                    (&bytes[..], true)
                }
                Item::Pong => (PONG, false),
                Item::Last => break,
            };
            match timeout(self.settings.write_within, stream.write_all(bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return End::Io(error),
                Err(_) => return End::TooSlow,
            }
            *current = None;
            if is_message {
                self.counters.tcp_sent.add();
            }
        }
        let _ = stream.shutdown().await;
        End::Written
    }

    /// False if there is no room: the peer does not read its answers.
    fn put(&self, item: Item) -> bool {
        self.queue.upgrade().is_some_and(|queue| queue.try_send(item).is_ok())
    }

    async fn read(&self, stream: ReadHalf<'_>) -> End {
        let reader = Reader {
            connection: self,
            stream,
            framer: StreamFramer::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            malformed: 0,
        };
        match reader.run().await {
            Ok(never) => match never {},
            Err(end) => end,
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
    stream: ReadHalf<'a>,
    framer: StreamFramer,
    buffer: Box<[u8]>,
    malformed: u32,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, End> {
        let (mut awaited, mut timer) = self.arm(self.awaited());
        loop {
            let read = tokio::select! {
                read = self.stream.read(&mut self.buffer) => read?,
                () = &mut timer => match awaited {
                    // It has come to be trusted since the timer was set.
                    Awaited::Anything { trust } if trust < self.connection.standing.of() => {
                        (awaited, timer) = self.arm(self.awaited());
                        continue;
                    }
                    Awaited::Proof | Awaited::Rest | Awaited::Anything { .. } => return Err(End::Silent),
                },
            };
            if read == 0 {
                return Err(End::Closed);
            }
            self.framer.feed(&self.buffer[..read]);
            let mut came = false;
            while let Some(frame) = self.framer.next() {
                came = true;
                self.take(frame).await?;
            }
            let now = self.awaited();
            // One that has not proved itself, and one in the middle of a message, gain no time by more octets.
            if now != awaited || (came && awaited != Awaited::Proof) || matches!(now, Awaited::Anything { .. }) {
                (awaited, timer) = self.arm(now);
            }
        }
    }

    fn awaited(&self) -> Awaited {
        match self.connection.standing.of() {
            Trust::None => Awaited::Proof,
            Trust::Valid | Trust::Used if self.framer.is_partial() => Awaited::Rest,
            trust @ (Trust::Valid | Trust::Used) => Awaited::Anything { trust },
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the timer of a connection, which is a deadline of the driver's own")]
    fn arm(&self, awaited: Awaited) -> (Awaited, Pin<Box<Sleep>>) {
        let settings = &self.connection.settings;
        let within = match awaited {
            Awaited::Proof => settings.prove_within,
            Awaited::Rest => settings.message_within,
            Awaited::Anything { trust: Trust::None | Trust::Valid } => settings.idle,
            Awaited::Anything { trust: Trust::Used } => settings.idle_trusted,
        };
        (awaited, Box::pin(tokio::time::sleep(within)))
    }

    async fn take(&mut self, frame: Result<Frame, Malformed>) -> Result<(), End> {
        let Connection { flow, gate, counters, standing, .. } = self.connection;
        match frame {
            Ok(Frame::Message(message)) => {
                self.malformed = 0;
                counters.tcp_received.add();
                standing.rise(Trust::Valid);
                debug!(%flow, "received {}", wording::of(&message));
                if let Some(response) = gate.judge(&message) {
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
