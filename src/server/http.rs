//! Serves HTTP, with the limits of a connection that `axum::serve` has no settings for: how many there may be, and how long a peer may
//! take to say what it wants. Without them a few hundred sockets that say nothing shut everybody else out.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::sip::{Flow, Transport};
use crate::transport::is_of_the_peer;
use crate::transport::tls::Tls;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. A supervisor's page takes two; beyond this many, new ones wait in the system's queue until another ends.
    pub connections: usize,
    /// Of these from one address; this machine's own, where a proxy of the web may stand, has no limit but the first.
    pub a_source: usize,
    /// For a request's head to come, and between two requests of one connection.
    pub head: Duration,
}

pub(super) const LIMITS: Limits = Limits { connections: 1_024, a_source: 128, head: Duration::from_secs(30) };

/// A peer that takes nothing of what is sent for so long is gone, or does it on purpose.
const UNREAD: Duration = Duration::from_secs(30);

/// The kernel asks a silent peer after this time whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// A head of a request, and what waits to be written; the longest address is 4 KiB.
const BUFFER: usize = 16 * 1024;

/// After an error that a try at once would meet again (no more file descriptors, say).
const PAUSE: Duration = Duration::from_secs(1);

/// Until it is aborted; the connections' tasks end with it.
#[allow(clippy::disallowed_methods, reason = "a pause after an error of accept; there is nothing to wait for")]
pub(super) async fn serve(listener: TcpListener, app: Router, tls: Option<Tls>, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let seats = Seats::default();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "HTTP: a connection can't be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Ok(local) = stream.local_addr() else { continue };
        let Some(seat) = Seat::take(&seats, peer.ip(), limits.a_source) else { continue };
        prepare(&stream);
        let (app, greeter) = (app.clone(), tls.as_ref().map(Tls::greeter));
        connections.spawn(async move {
            let _places = (place, seat);
            let transport = if greeter.is_some() { Transport::Wss } else { Transport::Ws };
            let flow = Flow { transport, local, remote: peer, connection: None };
            match greeter {
                None => converse(stream, flow, app, limits).await,
                Some(greeter) => {
                    if let Ok(Ok(stream)) = timeout(limits.head, greeter.greet(stream)).await {
                        converse(stream, flow, app, limits).await;
                    }
                }
            }
        });
    }
}

/// How many connections each address has.
type Seats = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of them, given back when it is dropped.
struct Seat {
    seats: Seats,
    of: IpAddr,
}

impl Seat {
    fn take(seats: &Seats, of: IpAddr, most: usize) -> Option<Seat> {
        let mut all = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(of).or_insert(0);
        if *taken >= most && !of.is_loopback() {
            return None;
        }
        *taken += 1;
        Some(Seat { seats: seats.clone(), of })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.of) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.of);
            }
        }
    }
}

/// Best effort, each.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_user_timeout(Some(UNREAD));
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER));
}

/// Answers requests until one side ends it. A peer that goes in the middle, or is too slow, is its own affair.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, flow: Flow, app: Router, limits: Limits) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(flow.remote));
        // For SIP over WebSocket.
        request.extensions_mut().insert(flow);
        app.clone().oneshot(request.map(Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER);
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn served(limits: Limits) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        #[allow(clippy::disallowed_methods, reason = "a test's task")]
        let task = tokio::spawn(serve(listener, Router::new().route("/", get(who)), None, limits));
        (address, task)
    }

    /// All that comes until the other side closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
        end.expect("never closed").unwrap();
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_never_ends_its_request_is_let_go_and_so_is_an_idle_one() {
        let (address, task) = served(Limits { connections: 8, a_source: 1, head: Duration::from_millis(200) }).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        rest(&mut slow).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let own = idle.local_addr().unwrap().to_string();
        assert!(rest(&mut idle).await.ends_with(&own), "answered, and closed afterwards");
        task.abort();
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let (seats, far, near): (Seats, IpAddr, IpAddr) = (Seats::default(), [192, 0, 2, 1].into(), [127, 0, 0, 1].into());
        let first = Seat::take(&seats, far, 2);
        let second = Seat::take(&seats, far, 2);
        assert!(first.is_some() && second.is_some() && Seat::take(&seats, far, 2).is_none());
        let own: Vec<_> = (0..9).map(|_| Seat::take(&seats, near, 2)).collect();
        assert!(own.iter().all(Option::is_some), "a proxy has those of everybody");
        drop(first);
        assert!(Seat::take(&seats, far, 2).is_some());
        drop((second, own));
        assert!(seats.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_a_place() {
        let (address, task) = served(Limits { connections: 1, a_source: 1, head: Duration::from_secs(60) }).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 16];
        first.read_exact(&mut some).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        drop(first);
        assert!(rest(&mut second).await.starts_with("HTTP/1.1 200"));
        task.abort();
    }
}
