//! Names to addresses, and the local address that routes to each: the answers to `Output::Resolve`.
//!
//! A and AAAA records by the system's resolver, with the port that the core gave, IPv4 first; SRV and NAPTR (RFC 3263) are not asked for.
//! The local address comes from the kernel's routing table by connecting a UDP socket, which sends nothing. Where no listener is on a
//! wildcard address, it is the listener's own: nothing can be sent from another. An empty list is the answer to everything that fails.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::debug;

use super::counters::Counters;
use super::settings::{LOOKUP_QUEUE, LOOKUPS, MAX_ADDRESSES, Settings};
use crate::switch::Input;
use crate::switch::output::{QueryId, Resolved};

pub struct Query {
    pub query: QueryId,
    pub host: String,
    pub port: u16,
}

/// The addresses that something listens on.
#[derive(Clone, Debug)]
pub struct Listening(pub Vec<SocketAddr>);

/// The future answers queries until the sender is dropped.
pub fn resolver(
    listening: Listening,
    core: mpsc::Sender<Input>,
    settings: Settings,
    counters: Arc<Counters>,
) -> (mpsc::Sender<Query>, impl Future<Output = ()> + Send + 'static) {
    let (queue, mut waiting) = mpsc::channel::<Query>(LOOKUP_QUEUE);
    let work = async move {
        let permits = Arc::new(Semaphore::new(LOOKUPS));
        let listening = Arc::new(listening);
        let mut running = JoinSet::new();
        loop {
            let query = tokio::select! {
                query = waiting.recv(), if running.len() < LOOKUP_QUEUE => query,
                Some(_) = running.join_next() => continue,
            };
            let Some(Query { query, host, port }) = query else { return };
            counters.lookups.add();
            let (core, permits, listening, counters) = (core.clone(), permits.clone(), listening.clone(), counters.clone());
            let within = settings.lookup_within;
            running.spawn(async move {
                let addresses = match literal(&host) {
                    Some(ip) => listening.resolved([SocketAddr::new(ip, port)]),
                    None => {
                        let name = host.clone();
                        let lookup = async move {
                            let permit = permits.acquire_owned().await.ok()?;
                            // A thread that a dead resolver holds keeps its permit, however long nobody waits for it any more.
                            let work = move || {
                                let _permit = permit;
                                listening.lookup(&name, port)
                            };
                            tokio::task::spawn_blocking(work).await.ok()
                        };
                        tokio::time::timeout(within, lookup).await.ok().flatten().unwrap_or_default()
                    }
                };
                debug!(host, found = addresses.len(), "resolved");
                if addresses.is_empty() {
                    counters.lookups_failed.add();
                }
                let _ = core.send(Input::Resolved { query, addresses }).await;
            });
        }
    };
    (queue, work)
}

/// With or without the brackets of a URI.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

impl Listening {
    fn lookup(&self, host: &str, port: u16) -> Vec<Resolved> {
        let Ok(found) = (host, port).to_socket_addrs() else { return Vec::new() };
        self.resolved(found)
    }

    fn resolved(&self, found: impl IntoIterator<Item = SocketAddr>) -> Vec<Resolved> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for remote in found {
            if !addresses.contains(&remote) {
                addresses.push(remote);
            }
        }
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses
            .into_iter()
            .filter_map(|remote| Some(Resolved { remote, local: self.local_for(remote)? }))
            .take(MAX_ADDRESSES)
            .collect()
    }

    /// `None` if nothing listens in that family, or nothing routes there.
    fn local_for(&self, remote: SocketAddr) -> Option<IpAddr> {
        let ours = || self.0.iter().map(SocketAddr::ip).filter(|ip| ip.is_ipv4() == remote.is_ipv4());
        let first = ours().next()?;
        let routed = route(remote)?;
        let fits = ours().any(|ip| ip.is_unspecified() || ip == routed);
        Some(if fits { routed } else { first })
    }
}

fn route(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(addresses: &[&str]) -> Listening {
        Listening(addresses.iter().map(|a| a.parse().expect("address")).collect())
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn ipv4_comes_first_and_a_family_without_listener_does_not_come() {
        let found = [at("[::1]:5060"), at("127.0.0.1:5060"), at("127.0.0.1:5060")];
        let four = Resolved { remote: at("127.0.0.1:5060"), local: [127, 0, 0, 1].into() };
        assert_eq!(listening(&["0.0.0.0:5060"]).resolved(found), [four]);
        assert_eq!(listening(&[]).resolved(found), []);
        let both = listening(&["[::]:5060", "0.0.0.0:5060"]).resolved(found);
        assert_eq!(both.first(), Some(&four));
    }

    #[test]
    fn a_listener_on_one_address_sends_from_no_other() {
        let found = listening(&["127.0.0.5:5060"]).resolved([at("127.0.0.1:5060")]);
        assert_eq!(found[0].local, IpAddr::from([127, 0, 0, 5]));
    }

    #[test]
    fn literals_are_read_with_and_without_brackets() {
        assert_eq!(literal("[::1]"), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(literal("192.0.2.1"), Some([192, 0, 2, 1].into()));
        assert_eq!(literal("example.com"), None);
    }
}
