//! Free ports on loopback. Each test process starts in a block of its own (by its pid), below the kernel's ephemeral range, never hands
//! out a port twice, and asks each one by binding it: so two test processes and the programs that they start do not meet.

use std::net::{TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
/// Linux gives out 32768 and above by itself.
const COUNT: u32 = 22_000;
const BLOCK: u32 = 400;
/// No range is longer. Every range begins below `COUNT` less this: with one modulus for all, ranges of different lengths do not overlap.
const LONGEST: u32 = 1_000;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// One port, free for UDP and TCP.
pub fn port() -> u16 {
    *range(1).start()
}

/// `count` neighbouring ports, the first one even, all free for UDP and TCP.
pub fn range(count: u16) -> RangeInclusive<u16> {
    for _ in 0..COUNT {
        let wanted = u32::from(count) + 1; // one more, so that the first can be even
        let offset = HANDED_OUT.fetch_add(wanted, Ordering::Relaxed);
        let start = (std::process::id() * BLOCK + offset) % (COUNT - LONGEST);
        let Ok(first) = u16::try_from(FIRST + start + start % 2) else { continue };
        let ports = first..=first + count - 1;
        if ports.clone().all(is_free) {
            return ports;
        }
    }
    panic!("no {count} neighbouring free ports");
}

/// Free on all addresses, and so on each.
fn is_free(port: u16) -> bool {
    UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok()
}
