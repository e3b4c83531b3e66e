//! Free ports on loopback, below the kernel's ephemeral range. They are handed out of blocks that a test process has for itself as long as
//! it lives, so two test processes (of one run, or of two clones) and the programs that they start do not meet; each port is also asked
//! for by binding it, for what else runs on the machine.

use std::net::{TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Mutex;

const FIRST: u16 = 10_000;
const BLOCK: u16 = 250;
/// Linux gives out 32768 and above by itself.
const BLOCKS: u16 = 22_000 / BLOCK;

static LEASE: Mutex<Lease> = Mutex::new(Lease { guards: Vec::new(), next: 0, end: 0 });

/// What this process has left of its newest block.
struct Lease {
    /// The first port of each block of ours, bound: that is what keeps others out.
    guards: Vec<TcpListener>,
    next: u16,
    end: u16,
}

/// One port, free for UDP and TCP.
pub fn port() -> u16 {
    *range(1).start()
}

/// `count` neighbouring ports, the first one even, all free for UDP and TCP; a block has no more.
pub fn range(count: u16) -> RangeInclusive<u16> {
    assert!(count + 2 <= BLOCK, "{count} ports are more than a block has");
    let mut lease = LEASE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        let first = lease.next.next_multiple_of(2);
        if first + count > lease.end {
            lease.another_block();
            continue;
        }
        lease.next = first + count;
        let ports = first..=first + count - 1;
        if ports.clone().all(is_free) {
            return ports;
        }
    }
}

impl Lease {
    fn another_block(&mut self) {
        // Where to begin only spares asking for blocks that others are likely to have.
        let at = (std::process::id() % u32::from(BLOCKS)) as u16;
        for block in (at..BLOCKS).chain(0..at) {
            let first = FIRST + block * BLOCK;
            if let Ok(guard) = TcpListener::bind(("127.0.0.1", first)) {
                self.guards.push(guard);
                (self.next, self.end) = (first + 1, first + BLOCK);
                return;
            }
        }
        panic!("all {BLOCKS} blocks of ports are taken");
    }
}

/// Free on all addresses, and so on each.
fn is_free(port: u16) -> bool {
    UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok()
}
