//! Bounds and times of the transports, each a named constant; a test makes some of them small.

use std::time::Duration;

/// Connections at once. Ten times the phones of the centre that this is for; it leaves file descriptors to media.
pub const MAX_CONNECTIONS: usize = 4_096;
/// Of them, those of one source: whoever has one phone's password must not take the places of all others. Beyond it the oldest one of that
/// source is cut.
pub const MAX_OF_ONE_SOURCE: usize = MAX_CONNECTIONS / 2;
/// Of all, those that the switch has taken nothing on yet. With a full framer each (80 KiB) it is the bound of what strangers can make the
/// switch hold.
pub const MAX_STRANGERS: usize = 1_024;
/// Of those, from one source (an IPv4 address, an IPv6 /64). An office behind one NAT comes from one address, and after a power cut all its
/// phones come at once; those that have registered are no strangers any more.
pub const MAX_PER_SOURCE: usize = 256;
/// From accept to the first valid message. A phone registers at once; this is for a slow TLS-less WAN and no more.
pub const PROVE_WITHIN: Duration = Duration::from_secs(20);
/// From the first octet of a message to its last. 64 KiB over the worst DSL take 10 s.
pub const MESSAGE_WITHIN: Duration = Duration::from_secs(20);
/// Silence of a connection that the switch has accepted nothing on. Longer than the 120 s between the keep-alives of RFC 5626 §4.4.1.
pub const IDLE: Duration = Duration::from_secs(180);
/// Silence of a connection that carries a registration or a call, beyond the longest registration: it is refreshed before that, or gone.
pub const TRUSTED_GRACE: Duration = Duration::from_secs(600);
/// A TCP connect. RFC 3261 leaves a transaction 32 s in all, and a second trunk wants its share of them.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// One message into the kernel's buffer. A peer that does not read for so long is gone or hostile.
pub const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// What waits for a connection is written in this time when the switch ends; then it is cut.
pub const LINGER: Duration = Duration::from_secs(2);
/// Messages that wait for one connection. When it is full the peer is too slow, and is cut.
pub const WRITE_QUEUE: usize = 128;
/// Refused messages in a row on one connection before it is cut: it does not speak SIP.
pub const MAX_MALFORMED: u32 = 16;
/// Datagrams that wait for one socket, which happens only while the network card is busy. When it is full, datagrams are dropped and
/// counted: the transactions send them again.
pub const DATAGRAM_QUEUE: usize = 512;
/// Orders to the owner of the connections. When it is full the send has failed, and is reported so.
pub const ORDERS: usize = 1_024;
/// Reports to the core that wait until it has room. When it is full they are dropped and counted: transactions have timers for it.
pub const REPORTS: usize = 1_024;
/// Names looked up at once: questions that a dead name server may hold.
pub const LOOKUPS: usize = 16;
/// Names that wait for a lookup. When it is full the answer is "no addresses".
pub const LOOKUP_QUEUE: usize = 256;
/// A lookup with its wait: a chain of questions, 2 s each.
pub const LOOKUP_WITHIN: Duration = Duration::from_secs(10);
/// SRV records of one name that are followed.
pub const MAX_SERVERS: usize = 16;
/// Addresses of one server that are given to the core, which tries them in turn.
pub const MAX_ADDRESSES: usize = 8;
/// The part of the core's queue that is kept free of new calls: below one in this many free, a new request gets a 503.
pub const KEEP_FREE: usize = 4;
/// REGISTERs without credentials get theirs below three eighths: whoever answers a challenge is further than whoever begins.
pub const KEEP_FREE_OF_UNPROVEN: (usize, usize) = (3, 8);
/// A reply to somebody whom nobody has authenticated is at most this much longer than what he sent: our tag, `received`, `rport`,
/// Retry-After.
pub const MAX_REPLY_GROWTH: usize = 200;

/// What a test may change.
#[derive(Clone, Debug)]
pub struct Settings {
    pub max_connections: usize,
    pub max_of_one_source: usize,
    pub max_strangers: usize,
    pub max_per_source: usize,
    pub prove_within: Duration,
    pub message_within: Duration,
    pub idle: Duration,
    pub idle_trusted: Duration,
    pub connect_within: Duration,
    pub write_within: Duration,
    pub linger: Duration,
    pub write_queue: usize,
    pub lookup_within: Duration,
}

impl Settings {
    /// `longest`: the longest registration that the switch grants.
    pub fn for_registrations_of(longest: Duration) -> Settings {
        Settings {
            max_connections: MAX_CONNECTIONS,
            max_of_one_source: MAX_OF_ONE_SOURCE,
            max_strangers: MAX_STRANGERS,
            max_per_source: MAX_PER_SOURCE,
            prove_within: PROVE_WITHIN,
            message_within: MESSAGE_WITHIN,
            idle: IDLE,
            idle_trusted: longest.saturating_add(TRUSTED_GRACE),
            connect_within: CONNECT_WITHIN,
            write_within: WRITE_WITHIN,
            linger: LINGER,
            write_queue: WRITE_QUEUE,
            lookup_within: LOOKUP_WITHIN,
        }
    }
}
