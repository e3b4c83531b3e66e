//! A fault over one leg, caught by the driver, and what is left of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Panics over what a leg is sent.
struct Fragile<'a> {
    out: &'a mut Out,
    breaks: LegId,
}

impl Sink for Fragile<'_> {
    fn send(&mut self, slot: Slot, leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]) {
        assert!(leg != self.breaks || port == Port::Rtcp, "a panic that the test wants");
        self.out.send(slot, leg, port, to, datagram);
    }

    fn tap(&mut self, frame: Frame) {
        self.out.tap(frame);
    }

    fn report(&mut self, report: Report) {
        self.out.report(report);
    }
}

#[test]
fn a_leg_that_ends_over_its_timer_is_heard_and_hears_no_more() {
    // B needs what A says encoded anew.
    let mut b = Bench::bridge(Codec::Pcma, Codec::G722);
    let mut interrupted = None;
    for n in 0..20u16 {
        b.now += Duration::from_millis(20);
        b.say(A, packet(1, n, u32::from(n) * 160, 8, &[0x2a; 160]));
        let mut sink = Fragile { out: &mut b.out, breaks: B };
        if catch_unwind(AssertUnwindSafe(|| b.worker.tick(b.now, &mut sink))).is_err() {
            interrupted = b.worker.interrupted();
            break;
        }
    }
    assert_eq!(interrupted, Some(B));
    assert_eq!(b.worker.interrupted(), None);
    b.worker.evict(B, b.now, &mut b.out);
    assert!(matches!(b.out.reports[..], [.., Report::Dead { leg: B }, Report::Closed { leg: B, .. }]), "{:?}", b.out.reports);
    // Who gets its place hears nothing of A, in whichever way it would be sent.
    for codec in [Codec::Pcma, Codec::G722] {
        b.command(Command::Open { leg: C, lease: Lease { worker: 0, port: 20_000 } });
        b.command(Command::Agree { leg: C, session: session(C, codec) });
        b.out.sent.clear();
        for n in 20..40u16 {
            b.now += Duration::from_millis(20);
            b.say(A, packet(1, n, u32::from(n) * 160, 8, &[0x2a; 160]));
            b.worker.tick(b.now, &mut b.out);
        }
        assert!(b.out.sent.iter().all(|(leg, port, ..)| *leg != C || *port == Port::Rtcp));
        b.command(Command::Close { leg: C });
    }
}
