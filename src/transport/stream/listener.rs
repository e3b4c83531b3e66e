//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tracing::warn;

use super::{Incoming, Order};
use crate::sip::{Flow, Transport};
use crate::transport::tls::Tls;

/// Connections that the kernel has made and we have not taken yet.
const BACKLOG: u32 = 512;
/// After an error of accept (no more descriptors, as a rule): trying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(100);
/// The kernel asks a silent peer after this time whether it is still there. A phone without power is so found out, however long its
/// registration runs.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// What is sent and not acknowledged for so long ends the connection (RFC 5482). A firewall that has forgotten it swallows what comes, and
/// the next request is to open a new one; the kernel by itself tries for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
}

impl Listener {
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if address.is_ipv6() {
            SockRef::from(&socket).set_only_v6(true)?;
        }
        // A restart must not wait for the last run's connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let local = socket.local_addr()?;
        Ok(Listener { socket, local })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Until the hub is gone; with TLS if there is a certificate.
    #[allow(clippy::disallowed_methods, reason = "a pause after an error of accept; there is nothing to wait for")]
    pub async fn run(self, orders: mpsc::Sender<Order>, tls: Option<Tls>) {
        loop {
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    prepare(&stream);
                    let Ok(local) = stream.local_addr() else { continue };
                    let (transport, incoming) = match &tls {
                        Some(tls) => (Transport::Tls, Incoming::Secure(stream, tls.greeter())),
                        None => (Transport::Tcp, Incoming::Plain(stream)),
                    };
                    let flow = Flow { transport, local, remote, connection: None };
                    if orders.send(Order::Accepted { incoming, flow }).await.is_err() {
                        return;
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    warn!(local = %self.local, %error, "accept");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Best effort, each.
pub fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER));
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

/// An error of accept that is no trouble of ours.
pub fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}
