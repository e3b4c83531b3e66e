//! Serves HTTP, with the limits of a connection that `axum::serve` has no settings for: how many there may be, and how long a peer may
//! take to say what it wants. Without them a few hundred sockets that say nothing shut everybody else out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::sip::{Flow, Transport};
use crate::transport::tls::Tls;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. A supervisor's page takes two; beyond this many, new ones wait in the system's queue until another ends.
    pub connections: usize,
    /// For a request's head to come, and between two requests of one connection.
    pub head: Duration,
}

pub(super) const LIMITS: Limits = Limits { connections: 1_024, head: Duration::from_secs(30) };

/// After an error that a try at once would meet again (no more file descriptors, say).
const PAUSE: Duration = Duration::from_secs(1);

/// Until it is aborted; the connections' tasks end with it.
#[allow(clippy::disallowed_methods, reason = "a pause after an error of accept; there is nothing to wait for")]
pub(super) async fn serve(listener: TcpListener, app: Router, tls: Option<Tls>, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "HTTP: a connection can't be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Ok(local) = stream.local_addr() else { continue };
        let _ = stream.set_nodelay(true);
        let (app, acceptor) = (app.clone(), tls.as_ref().map(Tls::acceptor));
        connections.spawn(async move {
            let _place = place;
            let transport = if acceptor.is_some() { Transport::Wss } else { Transport::Ws };
            let flow = Flow { transport, local, remote: peer, connection: None };
            match acceptor {
                None => converse(stream, flow, app, limits).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(limits.head, acceptor.accept(stream)).await {
                        converse(stream, flow, app, limits).await;
                    }
                }
            }
        });
    }
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
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

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
        let (address, task) = served(Limits { connections: 8, head: Duration::from_millis(200) }).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        rest(&mut slow).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let own = idle.local_addr().unwrap().to_string();
        assert!(rest(&mut idle).await.ends_with(&own), "answered, and closed afterwards");
        task.abort();
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_a_place() {
        let (address, task) = served(Limits { connections: 1, head: Duration::from_secs(60) }).await;
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
