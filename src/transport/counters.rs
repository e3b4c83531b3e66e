//! What the transports count, for the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $field: Counter,)*
            malformed: Mutex<BTreeMap<&'static str, u64>>,
        }

        impl Counters {
            /// Name and value, in the order of this file.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.value()),)*].into_iter()
            }
        }
    };
}

counters! {
    udp_received,
    udp_sent,
    /// The socket's queue was full.
    udp_send_dropped,
    udp_send_failed,
    /// ICMP said that a request did not arrive.
    udp_unreachable,
    /// The core's queue was full.
    udp_dropped,
    /// To a broadcast or multicast address, or from port 0.
    udp_not_unicast,
    /// A reply that would have been much longer than what it answers.
    udp_reply_withheld,
    tcp_received,
    tcp_sent,
    /// Undeliverable over TCP, for any reason.
    tcp_send_failed,
    tcp_accepted,
    tcp_connected,
    tcp_connect_failed,
    /// Peers that came and did not get through TLS's handshake.
    tls_failed,
    tcp_closed,
    /// More connections than there may be, in all or from one source.
    tcp_refused,
    /// Cut to make room, before the switch took anything on them.
    tcp_evicted,
    /// Cut because they were silent too long, or too long at one message.
    tcp_timed_out,
    /// Cut because they did not read.
    tcp_too_slow,
    keepalives,
    /// From a source that is banned: a datagram, or a connection that was cut for it.
    banned,
    /// New requests that got a 503.
    shed,
    /// Reports to the core that found no room.
    reports_lost,
    lookups,
    lookups_failed,
}

impl Counters {
    /// `label` as `ParseError::label` gives it.
    pub fn count_malformed(&self, label: &'static str) {
        *self.malformed.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
    }

    /// Refused messages by what was wrong with them.
    pub fn malformed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter()
    }
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
