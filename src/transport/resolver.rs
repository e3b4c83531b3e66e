//! Names to servers (RFC 3263), and the local address that routes to each: the answers to `Output::Resolve`.
//!
//! | asked for | looked up |
//! |---|---|
//! | an address | nothing |
//! | a name with a port | A and AAAA |
//! | a name, any of several transports | NAPTR (§4.1); without any, SRV of each transport |
//! | a name, one transport | SRV (§4.2); without any, A and AAAA with the transport's own port |
//!
//! Each SRV record is a server with its addresses, IPv4 first; the core draws the order. `/etc/resolv.conf` and `/etc/hosts` are heeded.
//! The resolver keeps answers for as long as their TTL says, within bounds, and that there is no answer as well. An empty list is the
//! answer where nothing is found. What stands in for a record is taken where there is none (NXDOMAIN, NODATA: RFC 2308); where a question
//! of the chain has failed it is too, since it may be all there is, and the answer says that it is not whole.
//!
//! The local address comes from the kernel's routing table by connecting a UDP socket, which sends nothing. Where no listener is on a
//! wildcard address, it is the listener's own: nothing can be sent from another.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{TokioResolver, system_conf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::counters::Counters;
use super::settings::{LOOKUP_QUEUE, LOOKUPS, MAX_ADDRESSES, MAX_SERVERS, Settings};
use super::tls::Expected;
use crate::sip::Transport;
use crate::switch::Input;
use crate::switch::output::{QueryId, Resolved, Server, Wanted};

/// One server is asked for so long, and then the next or the same again; a chain of look-ups is three questions.
const ASK: Duration = Duration::from_secs(2);
/// A record that says less is kept this long, so that a mistake in a zone does not become a flood of questions.
const SHORTEST: Duration = Duration::from_secs(5);
/// And one that says more.
const LONGEST: Duration = Duration::from_secs(3_600);
/// That there is no such record.
const LONGEST_NEGATIVE: Duration = Duration::from_secs(300);
/// How long an address that was given as such, or stands in `/etc/hosts`, is good for: routes change too.
const LITERAL: Duration = Duration::from_secs(60);
/// Names that are kept: some for each trunk.
const KEPT: u64 = 1_024;

pub struct Query {
    pub query: QueryId,
    pub wanted: Wanted,
}

/// The addresses that something listens on.
#[derive(Clone, Debug)]
pub struct Listening(pub Vec<SocketAddr>);

/// The future answers queries until the sender is dropped. `servers` are asked instead of the system's; who is to be called by TLS is
/// noted as `expected` there.
pub fn resolver(
    listening: Listening,
    servers: &[SocketAddr],
    expected: Expected,
    core: mpsc::Sender<Input>,
    settings: Settings,
    counters: Arc<Counters>,
) -> (mpsc::Sender<Query>, impl Future<Output = ()> + Send + 'static) {
    let (queue, mut waiting) = mpsc::channel::<Query>(LOOKUP_QUEUE);
    let finder = Arc::new(Finder { listening, dns: dns(servers) });
    let work = async move {
        let permits = Arc::new(Semaphore::new(LOOKUPS));
        let mut running = JoinSet::new();
        loop {
            let query = tokio::select! {
                query = waiting.recv(), if running.len() < LOOKUP_QUEUE => query,
                Some(_) = running.join_next() => continue,
            };
            let Some(Query { query, wanted }) = query else { return };
            counters.lookups.add();
            let (core, permits, finder, counters) = (core.clone(), permits.clone(), finder.clone(), counters.clone());
            let expected = expected.clone();
            let within = settings.lookup_within;
            running.spawn(async move {
                let lookup = async {
                    let _permit = permits.acquire().await.ok()?;
                    Some(finder.find(&wanted).await)
                };
                let mut found = tokio::time::timeout(within, lookup).await.ok().flatten().unwrap_or_default();
                debug!(host = wanted.host, found = found.servers.len(), "resolved");
                if found.servers.is_empty() {
                    counters.lookups_failed.add();
                }
                for server in found.servers.iter_mut().filter(|s| s.transport == Transport::Tls) {
                    for address in &mut server.addresses {
                        address.connection = Some(expected.note(address.remote, &wanted.host));
                    }
                }
                let _ = core.send(Input::Resolved { query, servers: found.servers, whole: found.whole, ttl: found.ttl }).await;
            });
        }
    };
    (queue, work)
}

/// `None` where there is no name server that could be asked and nothing to ask it with: then only addresses are found.
fn dns(servers: &[SocketAddr]) -> Option<TokioResolver> {
    let (config, mut options) = if servers.is_empty() {
        system_conf::read_system_conf().unwrap_or_else(|error| {
            warn!(%error, "the system names no name server: only addresses and /etc/hosts are known");
            (ResolverConfig::default(), ResolverOpts::default())
        })
    } else {
        let one = |at: &SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(at.ip());
            for connection in &mut server.connections {
                connection.port = at.port();
            }
            server
        };
        (ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(one).collect()), ResolverOpts::default())
    };
    options.timeout = ASK;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.cache_size = KEPT;
    options.positive_min_ttl = Some(SHORTEST);
    options.positive_max_ttl = Some(LONGEST);
    options.negative_min_ttl = Some(SHORTEST);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE);
    let built = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build();
    built.inspect_err(|error| warn!(%error, "names can't be resolved")).ok()
}

struct Finder {
    listening: Listening,
    dns: Option<TokioResolver>,
}

#[derive(Default)]
struct Found {
    servers: Vec<Server>,
    whole: bool,
    ttl: Duration,
}

/// What an SRV record, or the lack of one, sends us to.
struct Target {
    transport: Transport,
    priority: u32,
    weight: u16,
    host: String,
    port: u16,
}

/// What an answer hangs on.
#[derive(Default)]
struct Chain {
    /// TTL of its records.
    shortest: Option<Duration>,
    /// Something that was asked had no answer.
    failed: bool,
}

impl Chain {
    fn heed(&mut self, lookup: &Lookup) {
        for record in lookup.answers() {
            let ttl = Duration::from_secs(record.ttl.into());
            self.shortest = Some(self.shortest.map_or(ttl, |known| known.min(ttl)));
        }
    }

    /// That there is no such record is an answer.
    fn erred(&mut self, error: &NetError) {
        self.failed |= !error.is_no_records_found();
    }

    fn ttl(&self) -> Duration {
        self.shortest.unwrap_or(LITERAL).clamp(SHORTEST, LONGEST)
    }
}

impl Finder {
    async fn find(&self, wanted: &Wanted) -> Found {
        let Some(&preferred) = wanted.transports.first() else { return Found::default() };
        let plain = |transport: Transport| Target {
            transport,
            priority: 0,
            weight: 0,
            host: wanted.host.clone(),
            port: wanted.port.unwrap_or(transport.default_port()),
        };
        if let Some(ip) = literal(&wanted.host) {
            let target = plain(preferred);
            let addresses = self.listening.resolved([SocketAddr::new(ip, target.port)]);
            return Found { servers: target.server(addresses).into_iter().collect(), whole: true, ttl: LITERAL };
        }
        let mut chain = Chain::default();
        let mut targets = Vec::new();
        if wanted.port.is_none() {
            targets = self.services(&wanted.host, &wanted.transports, &mut chain).await;
        }
        if targets.is_empty() {
            targets.push(plain(preferred));
        }
        let mut servers = Vec::new();
        let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for target in targets {
            let ips = match known.get(&target.host) {
                Some(ips) => ips.clone(),
                None => {
                    let ips = self.addresses(&target.host, &mut chain).await;
                    known.insert(target.host.clone(), ips.clone());
                    ips
                }
            };
            let at = ips.into_iter().map(|ip| SocketAddr::new(ip, target.port));
            let addresses = self.listening.resolved(at);
            servers.extend(target.server(addresses));
        }
        Found { servers, whole: !chain.failed, ttl: chain.ttl() }
    }

    /// By NAPTR and SRV; none where the domain has no such records.
    async fn services(&self, domain: &str, transports: &[Transport], chain: &mut Chain) -> Vec<Target> {
        let mut names = Vec::new();
        if transports.len() > 1
            && let Some(lookup) = self.lookup(domain, Kind::Naptr, chain).await
        {
            chain.heed(&lookup);
            let records =
                lookup.answers().iter().filter_map(|r| if let RData::NAPTR(naptr) = &r.data { Some(naptr) } else { None });
            names = services_of(records.collect(), transports);
        }
        if names.is_empty() {
            names = transports.iter().map(|t| (*t, format!("{}.{domain}", prefix(*t)))).collect();
        }
        let mut targets = Vec::new();
        for (place, (transport, name)) in (0u32..).zip(names) {
            let Some(lookup) = self.lookup(&name, Kind::Srv, chain).await else { continue };
            chain.heed(&lookup);
            let records = lookup.answers().iter().filter_map(|r| if let RData::SRV(srv) = &r.data { Some(srv) } else { None });
            targets.extend(records.filter_map(|srv| target_of(srv, transport, place)));
        }
        targets.sort_by_key(|t| t.priority);
        targets.truncate(MAX_SERVERS);
        targets
    }

    async fn lookup(&self, name: &str, kind: Kind, chain: &mut Chain) -> Option<Lookup> {
        let mut name = Name::from_utf8(name).ok()?;
        // The records are this domain's and no other's.
        name.set_fqdn(true);
        let Some(dns) = &self.dns else {
            chain.failed = true;
            return None;
        };
        let found = match kind {
            Kind::Naptr => dns.lookup(name.clone(), hickory_resolver::proto::rr::RecordType::NAPTR).await,
            Kind::Srv => dns.lookup(name.clone(), hickory_resolver::proto::rr::RecordType::SRV).await,
        };
        let erred = |error: &NetError| {
            debug!(%name, %error, "looked up");
            chain.erred(error);
        };
        found.inspect_err(erred).ok()
    }

    async fn addresses(&self, host: &str, chain: &mut Chain) -> Vec<IpAddr> {
        if let Some(ip) = literal(host) {
            return vec![ip];
        }
        let Some(dns) = &self.dns else {
            chain.failed = true;
            return Vec::new();
        };
        // Of a name with a dot the records are that domain's, and none that a search list makes of it.
        let name = match Name::from_utf8(host) {
            Ok(mut name) if host.contains('.') => {
                name.set_fqdn(true);
                name
            }
            Ok(name) => name,
            Err(_) => return Vec::new(),
        };
        match dns.lookup_ip(name).await {
            Ok(lookup) => {
                chain.heed(lookup.as_lookup());
                lookup.iter().collect()
            }
            Err(error) => {
                debug!(host, %error, "looked up");
                chain.erred(&error);
                Vec::new()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Naptr,
    Srv,
}

impl Target {
    fn server(self, addresses: Vec<Resolved>) -> Option<Server> {
        let Target { transport, priority, weight, .. } = self;
        (!addresses.is_empty()).then_some(Server { transport, priority, weight, addresses })
    }
}

/// RFC 3263 §4.2.
fn prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    }
}

/// The names to look for SRV records under, by NAPTR order and preference: those for transports that may be used (RFC 3263 §4.1).
fn services_of(mut records: Vec<&NAPTR>, transports: &[Transport]) -> Vec<(Transport, String)> {
    records.sort_by_key(|r| (r.order, r.preference));
    let service = |record: &NAPTR| {
        let transport = match record.services.to_ascii_uppercase().as_slice() {
            b"SIP+D2U" => Transport::Udp,
            b"SIP+D2T" => Transport::Tcp,
            b"SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        let srv = record.flags.eq_ignore_ascii_case(b"s") && transports.contains(&transport);
        srv.then(|| (transport, record.replacement.to_utf8()))
    };
    records.into_iter().filter_map(service).take(MAX_SERVERS).collect()
}

/// `None` where the record says that there is no such service (RFC 2782).
fn target_of(srv: &SRV, transport: Transport, place: u32) -> Option<Target> {
    if srv.target.is_root() {
        return None;
    }
    let priority = place << 16 | u32::from(srv.priority);
    Some(Target { transport, priority, weight: srv.weight, host: srv.target.to_utf8(), port: srv.port })
}

/// With or without the brackets of a URI.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

impl Listening {
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
            .filter_map(|remote| Some(Resolved { remote, local: self.local_for(remote)?, connection: None }))
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
        let four = Resolved { remote: at("127.0.0.1:5060"), local: [127, 0, 0, 1].into(), connection: None };
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

    /// RFC 3263 §4.1, with its example.
    #[test]
    fn naptr_records_say_which_transport_comes_first() {
        let record = |order, preference, flags: &str, service: &str, to: &str| {
            let name = Name::from_utf8(to).expect("a name");
            NAPTR::new(order, preference, flags.as_bytes().into(), service.as_bytes().into(), Box::default(), name)
        };
        let all = [
            record(100, 50, "s", "SIP+D2U", "_sip._udp.example.com."),
            record(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com."),
            record(90, 50, "S", "sip+d2t", "_sip._tcp.example.com."),
            record(10, 50, "s", "E2U+sip", "x.example.com."),
            record(10, 50, "u", "SIP+D2U", "y.example.com."),
        ];
        let names = |transports: &[Transport]| {
            let found = services_of(all.iter().collect(), transports);
            found.into_iter().map(|(t, name)| format!("{t} {name}")).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&[Transport::Udp, Transport::Tcp, Transport::Tls]),
            ["TLS _sips._tcp.example.com.", "TCP _sip._tcp.example.com.", "UDP _sip._udp.example.com."]
        );
        assert_eq!(names(&[Transport::Udp]), ["UDP _sip._udp.example.com."]);
    }

    #[test]
    fn a_service_that_is_not_there_is_no_target() {
        let none = SRV::new(0, 0, 0, Name::root());
        assert!(target_of(&none, Transport::Udp, 0).is_none());
        let some = SRV::new(10, 60, 5080, Name::from_utf8("a.example.com.").expect("a name"));
        let target = target_of(&some, Transport::Tcp, 2).expect("a target");
        assert_eq!(
            (target.priority, target.weight, target.port, target.host.as_str()),
            (2 << 16 | 10, 60, 5080, "a.example.com.")
        );
    }

    /// Answers SRV questions with this code and no record, and any other with one address.
    async fn name_server(code: u8) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let at = socket.local_addr().expect("its address");
        #[allow(clippy::disallowed_methods, reason = "a test's task")]
        tokio::spawn(async move {
            let mut asked = [0; 512];
            while let Ok((_, from)) = socket.recv_from(&mut asked).await {
                let name = asked[12..].iter().position(|octet| *octet == 0).expect("a name");
                let end = 12 + name + 5;
                let is_srv = asked[end - 3] == 33;
                let answers = u8::from(!is_srv && asked[end - 3] == 1);
                let mut answer = asked[..end].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80 | if is_srv { code } else { 0 }, 0, 1, 0, answers, 0, 0, 0, 0]);
                if answers > 0 {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 127, 0, 0, 7]);
                }
                let _ = socket.send_to(&answer, from).await;
            }
        });
        at
    }

    /// RFC 3263 §4.2, RFC 2308 §2: SERVFAIL and REFUSED say nothing of what there is.
    #[tokio::test]
    async fn where_a_question_fails_the_answer_says_that_it_is_not_whole() {
        for (code, whole) in [(0, true), (3, true), (2, false), (5, false)] {
            let server = name_server(code).await;
            let finder = Finder { listening: listening(&["0.0.0.0:5060"]), dns: dns(&[server]) };
            let wanted = Wanted { host: "carrier.example".to_owned(), port: None, transports: vec![Transport::Udp] };
            let found = finder.find(&wanted).await;
            let addresses: Vec<SocketAddr> = found.servers.iter().flat_map(|s| &s.addresses).map(|a| a.remote).collect();
            assert_eq!((addresses.as_slice(), found.whole), ([at("127.0.0.7:5060")].as_slice(), whole), "code {code}");
        }
    }
}
