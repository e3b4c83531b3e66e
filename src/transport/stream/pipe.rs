//! What carries a connection: octets (TCP, TLS) that are framed here, or WebSocket messages, each of which is one SIP message (RFC 7118
//! §5). The two ends of it, so that a connection reads and writes side by side.

use std::io;
use std::time::Duration;

use axum::extract::ws::{self, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::sip::{self, Frame, Malformed, PING, PONG, StreamFramer};

/// Octets read at once; the framer takes them apart before more is read.
const READ: usize = 8 * 1024;

/// Behind a proxy of the web the kernel's probes reach the proxy and no further, so the browser itself is asked (RFC 6455 §5.5.2). Under
/// the minute after which such proxies cut what is silent.
pub const WEB_PING: Duration = Duration::from_secs(25);

/// A browser of which nothing came for so long, not even the answer to a ping, is gone: two pings, and time for an answer.
pub const WEB_SILENCE: Duration = Duration::from_secs(60);

pub trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

pub enum Pipe {
    Octets(Box<dyn Octets>),
    Web(Box<WebSocket>),
}

/// The end that hears.
pub enum Ear {
    Octets { half: ReadHalf<Box<dyn Octets>>, framer: Box<StreamFramer>, buffer: Box<[u8]> },
    Web(SplitStream<WebSocket>),
}

/// The end that speaks.
pub enum Mouth {
    Octets(WriteHalf<Box<dyn Octets>>),
    Web { sink: SplitSink<WebSocket, ws::Message>, pings: Interval },
}

impl Pipe {
    pub fn ends(self) -> (Ear, Mouth) {
        match self {
            Pipe::Octets(stream) => {
                let (read, write) = tokio::io::split(stream);
                let buffer = vec![0; READ].into_boxed_slice();
                (Ear::Octets { half: read, framer: Box::default(), buffer }, Mouth::Octets(write))
            }
            Pipe::Web(socket) => {
                let (sink, stream) = (*socket).split();
                #[allow(clippy::disallowed_methods, reason = "a connection's own keep-alive")]
                let mut pings = interval_at(tokio::time::Instant::now() + WEB_PING, WEB_PING);
                pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
                (Ear::Web(stream), Mouth::Web { sink, pings })
            }
        }
    }
}

/// Why nothing more is heard.
#[derive(Debug)]
pub enum Deaf {
    Io(io::Error),
    /// No WebSocket as RFC 6455 has it, or more than we take: to be closed with this code (§7.4.1).
    Refused(u16, tungstenite::Error),
}

impl From<io::Error> for Deaf {
    fn from(error: io::Error) -> Deaf {
        Deaf::Io(error)
    }
}

/// RFC 6455 §7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_TEXT: u16 = 1007;
const TOO_BIG: u16 = 1009;

fn deaf(error: axum::Error) -> Deaf {
    match error.into_inner().downcast::<tungstenite::Error>().map(|error| *error) {
        Ok(error @ tungstenite::Error::Capacity(_)) => Deaf::Refused(TOO_BIG, error),
        Ok(error @ tungstenite::Error::Utf8(_)) => Deaf::Refused(NOT_TEXT, error),
        // The peer's end, without a word.
        Ok(error @ tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            Deaf::Io(io::Error::other(error))
        }
        Ok(error @ tungstenite::Error::Protocol(_)) => Deaf::Refused(PROTOCOL_ERROR, error),
        Ok(error) => Deaf::Io(io::Error::other(error)),
        Err(error) => Deaf::Io(io::Error::other(error)),
    }
}

impl Ear {
    /// Waits until something comes and adds what is whole to `frames`; false at the peer's end. Nothing is lost where it is dropped
    /// before it is done.
    pub async fn hear(&mut self, frames: &mut Vec<Result<Frame, Malformed>>) -> Result<bool, Deaf> {
        match self {
            Ear::Octets { half, framer, buffer } => {
                let read = half.read(buffer).await?;
                framer.feed(buffer.get(..read).unwrap_or_default());
                while let Some(frame) = framer.next() {
                    frames.push(frame);
                }
                Ok(read > 0)
            }
            Ear::Web(stream) => match stream.next().await {
                Some(Ok(ws::Message::Text(text))) => {
                    frames.extend(whole(text.as_bytes()));
                    Ok(true)
                }
                Some(Ok(ws::Message::Binary(bytes))) => {
                    frames.extend(whole(&bytes));
                    Ok(true)
                }
                // A ping is answered by the WebSocket itself.
                Some(Ok(ws::Message::Ping(_) | ws::Message::Pong(_))) => Ok(true),
                Some(Ok(ws::Message::Close(_))) | None => Ok(false),
                Some(Err(error)) => Err(deaf(error)),
            },
        }
    }

    /// A message has begun and not ended.
    pub fn is_partial(&self) -> bool {
        match self {
            Ear::Octets { framer, .. } => framer.is_partial(),
            Ear::Web(_) => false,
        }
    }

    /// How long it may be silent, if there is a limit of its own.
    pub fn silence(&self) -> Duration {
        match self {
            Ear::Octets { .. } => Duration::MAX,
            Ear::Web(_) => WEB_SILENCE,
        }
    }
}

/// A WebSocket message. Keep-alives of RFC 5626 are none of RFC 7118's, but some clients send them.
fn whole(bytes: &[u8]) -> Option<Result<Frame, Malformed>> {
    match bytes {
        b"" => None,
        PING => Some(Ok(Frame::KeepalivePing)),
        PONG => Some(Ok(Frame::KeepalivePong)),
        message => Some(sip::parse_datagram(message).map(Frame::Message)),
    }
}

impl Mouth {
    pub async fn say(&mut self, bytes: &Bytes) -> io::Result<()> {
        match self {
            Mouth::Octets(half) => {
                half.write_all(bytes).await?;
                // TLS keeps octets back otherwise.
                half.flush().await
            }
            Mouth::Web { sink, .. } => {
                // SIP is text to a browser's scripts; a body that is none goes as it is.
                let message = match ws::Utf8Bytes::try_from(bytes.clone()) {
                    Ok(text) => ws::Message::Text(text),
                    Err(_) => ws::Message::Binary(bytes.clone()),
                };
                sink.send(message).await.map_err(io::Error::other)
            }
        }
    }

    /// Asks the peer whether it is there.
    pub async fn ping(&mut self) -> io::Result<()> {
        match self {
            Mouth::Octets(_) => Ok(()),
            Mouth::Web { sink, .. } => sink.send(ws::Message::Ping(Bytes::new())).await.map_err(io::Error::other),
        }
    }

    /// Until it is time to.
    pub async fn ping_is_due(&mut self) {
        match self {
            Mouth::Octets(_) => std::future::pending().await,
            Mouth::Web { pings, .. } => drop(pings.tick().await),
        }
    }

    /// With a code, if it is a WebSocket and there is a reason.
    pub async fn close(&mut self, code: Option<u16>) {
        let _ = match self {
            Mouth::Octets(half) => half.shutdown().await,
            Mouth::Web { sink, .. } => {
                if let Some(code) = code {
                    let reason = ws::Utf8Bytes::from_static("");
                    let _ = sink.send(ws::Message::Close(Some(ws::CloseFrame { code, reason }))).await;
                }
                sink.close().await.map_err(io::Error::other)
            }
        };
    }
}
