//! A browser's tab on virtual time: a page that calls the switch, as `src/media_engine/browser/page.rs` is one. Who includes this has
//! `cordboard`'s `codec` and `sdp` at its root, where a page looks for them.

#[path = "../../src/media_engine/browser/page.rs"]
pub mod page;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::{Mono, System};
use cordboard::codec::Codec;
use cordboard::media_engine::browser::{Identity, Peer};
use cordboard::rtp::Fields;
use cordboard::sdp::{DtlsRole, IceCredentials, IceDtls};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::sansio::Protocol;

use page::{Page, described, theirs};

/// Where the leg's port is.
const SWITCH: ([u8; 4], u16) = ([192, 0, 2, 100], 20_000);
const STEP: Duration = Duration::from_millis(10);
/// Who is not through with the handshake by then, has failed.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Tab {
    pub page: Page,
    /// What offer and answer agreed on, from our side.
    pub terms: IceDtls,
    local: SocketAddr,
    clock: System,
}

impl Tab {
    /// It has called; the switch's end of its leg.
    pub fn call(identity: &Arc<Identity>, clock: System, local: SocketAddr, codec: Codec, ssrc: u32) -> (Tab, Peer) {
        let at = clock.instant(Mono::ZERO);
        let mut page = Page::speaking(codec, ssrc, local, at, RTCDtlsRole::Client);
        let (ice, fingerprint) = theirs(&page.offer(at));
        let ours = IceCredentials::of_chance(&[1; 24]);
        page.answered(at, described(codec, SWITCH.into(), &ours, identity.fingerprint(), "passive"));
        let terms = IceDtls { ours, theirs: ice, fingerprint, role: DtlsRole::Server, full: None };
        let peer = Peer::new(identity, clock, terms.clone()).unwrap_or_else(|e| panic!("{e}"));
        (Tab { page, terms, local, clock }, peer)
    }

    /// What is due is done, and what it has to say goes to the switch's end, which gives what that has to say. `None`: nothing is said, but
    /// time goes on.
    pub fn work(&mut self, now: Mono, switch: &mut impl FnMut(Option<&[u8]>) -> Vec<(SocketAddr, Bytes)>) {
        let at = self.clock.instant(now);
        // Once closed, it has nothing to do.
        let _ = self.page.pc.handle_timeout(at);
        let mut answers = switch(None);
        loop {
            for (to, datagram) in answers {
                assert_eq!(to, self.local);
                self.page.hear(SWITCH.into(), at, &datagram);
            }
            self.page.notice();
            let Some(said) = self.page.pc.poll_write() else { return };
            answers = switch(Some(&said.message));
        }
    }

    /// Until both ends are through with the handshake; when that is.
    pub fn connect(&mut self, peer: &mut Peer, from: Mono) -> Mono {
        let (mut now, local) = (from, self.local);
        while !self.page.is_connected() || peer.keys().is_none() {
            assert!(now.since(from) < PATIENCE, "no handshake: {:?}", self.page.state);
            now += STEP;
            self.work(now, &mut |said| {
                match said {
                    Some(said) => {
                        peer.receive(local, said, now);
                    }
                    None => peer.tick(now),
                }
                std::iter::from_fn(|| peer.transmit()).collect()
            });
        }
        now
    }

    /// A packet as it goes out.
    pub fn say(&mut self, fields: Fields, payload: &[u8], now: Mono) -> Vec<u8> {
        let header = rtc::rtp::Header {
            version: 2,
            marker: fields.marker,
            payload_type: fields.payload_type,
            sequence_number: fields.sequence,
            timestamp: fields.timestamp,
            ssrc: fields.ssrc,
            ..Default::default()
        };
        self.page.send(self.clock.instant(now), rtc::rtp::Packet { header, payload: payload.to_vec().into() });
        let said: Vec<_> = std::iter::from_fn(|| self.page.pc.poll_write()).collect();
        // Its checks and reports are due when time goes on for it.
        let [datagram] = &said[..] else { panic!("{} datagrams for a packet", said.len()) };
        datagram.message.to_vec()
    }

    /// The packet in a datagram of the switch, if there is one.
    pub fn hear(&mut self, datagram: &[u8], now: Mono) -> Option<(Fields, Vec<u8>)> {
        self.page.hear(SWITCH.into(), self.clock.instant(now), datagram);
        let packet = self.page.heard.pop()?;
        let header = packet.header;
        let fields = Fields {
            marker: header.marker,
            payload_type: header.payload_type,
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
        };
        Some((fields, packet.payload.to_vec()))
    }
}
