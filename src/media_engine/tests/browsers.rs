//! A browser's leg through the engine's threads and sockets, against a page on a socket of its own.

use rtc::sansio::Protocol;

use super::*;
use crate::media::Broken;
use crate::media_engine::browser::BROWSER;
use crate::media_engine::browser::page::{Page, described, theirs};
use crate::sdp::{DtlsRole, IceCredentials, IceDtls};

/// A page with its socket.
struct Tab {
    page: Page,
    socket: UdpSocket,
    clock: System,
}

impl Tab {
    /// It calls; the leg is open and agreed on.
    fn call(r: &mut Running, id: u64) -> (LegId, Tab) {
        let lease = r.lease(0);
        let (leg, clock) = (LegId(id), System::start());
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let now = clock.instant(clock.mono());
        let mut page = Page::new(socket.local_addr().unwrap(), now);
        let (theirs, fingerprint) = theirs(&page.offer(now));
        let ours = IceCredentials::of_chance(&[id as u8; 24]);
        page.answered(now, described(Codec::Pcmu, (LOCAL, lease.port).into(), &ours, r.engine.fingerprint(), "passive"));
        r.command(Command::Open { leg, lease });
        let dtls = Some(Box::new(IceDtls { ours, theirs, fingerprint, role: DtlsRole::Server, full: None }));
        let session = Session { dtls, ..Session::plain(Codec::Pcmu, BROWSER) };
        r.command(Command::Agree { leg, session });
        (leg, Tab { page, socket, clock })
    }

    /// Lets it work until that is so.
    fn until(&mut self, what: &str, mut is: impl FnMut(&mut Page) -> bool) {
        let begun = self.clock.mono();
        loop {
            let now = self.clock.mono();
            let at = self.clock.instant(now);
            assert!(now.since(begun) < PATIENCE, "{what}");
            // Once closed, it has nothing to do.
            let _ = self.page.pc.handle_timeout(at);
            while let Some(t) = self.page.pc.poll_write() {
                self.socket.send_to(&t.message, t.transport.peer_addr).unwrap();
            }
            self.page.notice();
            if is(&mut self.page) {
                return;
            }
            let mut bytes = [0; 2_048];
            if let Ok((len, from)) = self.socket.recv_from(&mut bytes) {
                self.page.hear(from, at, &bytes[..len]);
            }
        }
    }

    fn say(&mut self, byte: u8) {
        self.page.say(self.clock.instant(self.clock.mono()), byte);
        self.until("nothing but to send", |_| true);
    }
}

/// The next report, but for what only says that this machine is slow.
fn told(r: &Running) -> Report {
    loop {
        match r.report() {
            Report::Missing { .. } | Report::Present { .. } => {}
            other => return other,
        }
    }
}

#[test]
fn a_browser_and_a_phone_hear_each_other_and_either_may_hang_up() {
    let mut r = run(34_100..=34_199, 1);
    let (leg, mut tab) = Tab::call(&mut r, 1);
    let mut phone = r.leg(2);
    r.command(Command::Hear { leg, source: Source::Leg(phone.leg) });
    r.command(Command::Hear { leg: phone.leg, source: Source::Leg(leg) });
    tab.until("it connects", |page| page.is_connected());
    tab.say(0x55);
    assert_eq!(phone.hear().1, 0x55);
    phone.say(0x2a);
    tab.until("it hears the phone", |page| page.heard.iter().any(|p| p.payload.len() == 160 && p.payload[0] == 0x2a));

    r.command(Command::Close { leg });
    tab.until("it is told goodbye", Page::was_told_goodbye);
    assert!(
        matches!(r.report(), Report::Closed { leg: LegId(1), quality } if quality.packets_received == 1 && quality.packets_sent >= 1 && quality.encrypted)
    );

    let (leg, mut other) = Tab::call(&mut r, 3);
    other.until("it connects", |page| page.is_connected());
    other.page.pc.close().unwrap();
    other.until("its goodbye is sent", |_| true);
    assert_eq!(told(&r), Report::Broken { leg, why: Broken::Closed });
}

/// The handshake's keys go with the leg from one thread to another.
#[test]
fn a_browsers_leg_goes_on_in_another_worker() {
    let mut r = run(34_200..=34_299, 2);
    let (leg, mut tab) = Tab::call(&mut r, 1);
    tab.until("it connects", |page| page.is_connected());
    r.engine.command(1, Command::Expect { leg }).unwrap();
    r.command(Command::HandOver { leg, to: 1 });
    let lease = r.lease(1);
    let mut phone = r.peer_of(2, 1, lease);
    r.engine.command(1, Command::Hear { leg, source: Source::Leg(phone.leg) }).unwrap();
    r.engine.command(1, Command::Hear { leg: phone.leg, source: Source::Leg(leg) }).unwrap();
    r.engine.wake();
    // What comes before the leg is there is lost.
    phone.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut bytes = [0; 2_000];
    let begun = tab.clock.mono();
    while phone.socket.recv(&mut bytes).is_err() {
        assert!(tab.clock.mono().since(begun) < PATIENCE);
        tab.say(0x55);
    }
    assert_eq!(bytes[HEADER], 0x55);
    phone.say(0x2a);
    tab.until("it hears the phone", |page| page.heard.iter().any(|p| p.payload[0] == 0x2a));
}
