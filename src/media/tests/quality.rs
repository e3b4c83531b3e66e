//! How legs are rated, what extended reports say, and why nothing is heard.

use super::*;
use crate::rtp::rtcp::Rtcp;
use crate::rtp::xr::{self, Delay, VoipMetrics};
use crate::sdp::Extended;

fn rtcp_of(leg: LegId) -> SocketAddr {
    SocketAddr::new(phone(leg).ip(), 5_005)
}

impl Bench {
    /// Says packets of 20 ms each; those whose number `lost` picks are not sent.
    fn talk(&mut self, leg: LegId, from: u32, packets: u32, lost: impl Fn(u32) -> bool) {
        for n in from..from + packets {
            if !lost(n) {
                self.say(leg, packet(7, n as u16, n * 160, 0, &[1; 160]));
            }
            self.run(20);
        }
    }

    fn tell(&mut self, leg: LegId, bytes: &[u8]) {
        self.receive_from(rtcp_of(leg), leg, Port::Rtcp, bytes.to_vec());
    }

    /// All RTCP that a leg was sent, in order.
    fn told(&self, leg: LegId) -> Vec<Vec<u8>> {
        self.out.sent.iter().filter(|s| s.0 == leg && s.1 == Port::Rtcp).map(|s| s.3.clone()).collect()
    }

    fn closed(&mut self, leg: LegId) -> Quality {
        self.command(Command::Close { leg });
        let Some(Report::Closed { quality, .. }) = self.out.reports.last() else { panic!("{:?}", self.out.reports) };
        *quality
    }

    fn absences(&self) -> Vec<Report> {
        let kind = |r: &&Report| matches!(r, Report::Missing { .. } | Report::Present { .. });
        self.out.reports.iter().filter(kind).cloned().collect()
    }
}

#[test]
fn a_leg_whose_packets_get_lost_is_degraded_until_they_come_again() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.talk(A, 0, 1_000, |_| false);
    b.talk(A, 1_000, 1_000, |n| n % 4 == 0);
    b.talk(A, 2_000, 2_000, |_| false);
    let told: Vec<_> = b.out.reports.iter().filter(|r| r.leg() == A).cloned().collect();
    let fell: Vec<_> = told.iter().filter(|r| matches!(r, Report::Degraded { way: Way::FromPeer, .. })).collect();
    let rose: Vec<_> = told.iter().filter(|r| matches!(r, Report::Recovered { mos, .. } if *mos > 4.3)).collect();
    assert_eq!((fell.len(), rose.len()), (1, 1), "{told:?}");
    assert!(matches!(told[0], Report::Degraded { mos, quality, .. } if mos < 3.6 && quality.packets_lost > 0), "{told:?}");
    let q = b.closed(A);
    assert_eq!((q.packets_lost, q.packets_discarded), (250, 0));
    assert!((0.24..0.27).contains(&q.burst_density) && (19_000.0..21_000.0).contains(&q.burst_ms), "{q:?}");
    assert!(q.gap_density == 0.0 && (29_000.0..31_000.0).contains(&q.gap_ms), "{q:?}");
    assert!((2.0..2.7).contains(&q.worst_mos.unwrap()) && q.mos.unwrap() > q.worst_mos.unwrap(), "{q:?}");
}

#[test]
fn what_the_peer_loses_degrades_its_leg_as_well() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.talk(A, 0, 300, |_| false);
    let out = &b.worker.leg_at(1).unwrap();
    let (ssrc, first) = (out.outgoing.ssrc, u32::from(out.control.first_sequence));
    let block =
        rtcp::Block { ssrc, fraction_lost: 64, lost: 70, extended_newest: first + 299, jitter: 80, ..rtcp::Block::default() };
    b.tell(B, &rtcp::compound(8, None, Some(block), "x", false));
    b.run(10_000);
    let fell = |r: &Report| matches!(r, Report::Degraded { leg: B, way: Way::ToPeer, .. });
    assert!(b.out.reports.iter().any(fell), "{:?}", b.out.reports);
    let q = b.closed(B);
    assert_eq!((q.remote_jitter_ms, q.mos), (Some(10.0), None));
    assert!((0.23..0.24).contains(&q.remote_loss.unwrap()) && q.remote_mos.unwrap() < 3.0, "{q:?}");
}

/// Trap: the share since the start moves ever more slowly, and the same report is not news twice.
#[test]
fn opus_goes_by_what_the_peer_has_lost_lately() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Opus);
    b.talk(A, 0, 300, |_| false);
    let tell = |b: &mut Bench, fraction_lost| {
        let out = b.worker.leg_at(1).unwrap();
        let (ssrc, first) = (out.outgoing.ssrc, u32::from(out.control.first_sequence));
        let block = rtcp::Block { ssrc, fraction_lost, lost: 150, extended_newest: first + 299, ..rtcp::Block::default() };
        b.tell(B, &rtcp::compound(8, None, Some(block), "x", false));
        b.run(10_000);
        b.worker.leg_at(1).unwrap().blend.as_ref().unwrap().bitrate()
    };
    let poor = tell(&mut b, 128);
    assert!(poor < 32_000, "{poor}");
    b.run(20_000);
    assert_eq!(b.worker.leg_at(1).unwrap().blend.as_ref().unwrap().bitrate(), poor, "nothing new");
    assert!(tell(&mut b, 0) > poor, "half of all is lost, but nothing of late");
}

#[test]
fn extended_reports_go_only_to_who_asks_for_them() {
    for extended in [
        Extended::default(),
        Extended { rcvr_rtt: true, voip_metrics: false },
        Extended { rcvr_rtt: false, voip_metrics: true },
        Extended { rcvr_rtt: true, voip_metrics: true },
    ] {
        let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
        b.agree(A, |s| s.extended = extended);
        // Twenty lost in a row, of five hundred.
        b.talk(A, 0, 500, |n| (200..220).contains(&n));
        b.command(Command::Close { leg: A });
        let last = b.told(A).pop().unwrap();
        let packets: Vec<_> = rtcp::parse(&last).unwrap().collect();
        assert!(matches!(packets.last(), Some(Rtcp::Goodbye { .. })), "{packets:?}");
        let blocks: Vec<_> = packets
            .iter()
            .filter_map(|p| if let Rtcp::ExtendedReport { blocks, .. } = p { Some(*blocks) } else { None })
            .flatten()
            .collect();
        let times = blocks.iter().filter(|b| matches!(b, xr::Block::ReferenceTime(_))).count();
        assert_eq!(times, usize::from(extended.rcvr_rtt), "{blocks:?}");
        let voip = blocks.iter().find_map(|b| if let xr::Block::Voip(v) = b { Some(*v) } else { None });
        assert_eq!(voip.is_some(), extended.voip_metrics, "{blocks:?}");
        if let Some(v) = voip {
            assert_eq!((v.ssrc, v.gmin, v.loss_rate, v.discard_rate), (7, 16, 10, 0));
            assert_eq!((v.burst_density, v.burst_ms, v.gap_density, v.gap_ms), (255, 400, 0, 4_800));
            assert!((60..90).contains(&v.r_factor) && v.mos_lq >= v.mos_cq && (30..44).contains(&v.mos_cq), "{v:?}");
        }
    }
}

#[test]
fn one_who_only_listens_learns_the_round_trip_and_so_do_we() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.agree(A, |s| s.extended = Extended { rcvr_rtt: true, voip_metrics: false });
    b.run(10_000);
    let sent = b.told(A);
    let reference = rtcp::parse(sent.last().unwrap()).unwrap().find_map(|p| match p {
        Rtcp::ExtendedReport { mut blocks, .. } => blocks.next(),
        _ => None,
    });
    let Some(xr::Block::ReferenceTime(ntp)) = reference else { panic!("{reference:?}") };
    // The peer has held it for what has passed since, but for 70 ms.
    b.run(1_000);
    let held = rtcp::middle(rtcp::ntp(b.now)).wrapping_sub(rtcp::middle(ntp)) - 65_536 * 70 / 1_000;
    let ours = b.worker.leg_at(0).unwrap().outgoing.ssrc;
    let mut bytes = rtcp::compound(9, None, None, "x", false);
    let delay = Delay { ssrc: ours, last_reference: rtcp::middle(ntp), delay: held };
    let voip = VoipMetrics { ssrc: ours, r_factor: 80, mos_cq: 40, ..VoipMetrics::default() };
    xr::extend(&mut bytes, 9, Some(5 << 32), Some(delay), Some(&voip));
    b.tell(A, &bytes);
    b.run(8_000);
    let answered = b.told(A).last().cloned().unwrap();
    let delays = rtcp::parse(&answered).unwrap().find_map(|p| match p {
        Rtcp::ExtendedReport { mut blocks, .. } => blocks.find_map(|b| if let xr::Block::Delays(d) = b { Some(d) } else { None }),
        _ => None,
    });
    let back = delays.and_then(|mut d| d.next()).unwrap();
    assert_eq!((back.ssrc, back.last_reference), (9, 5 << 16));
    assert!(back.delay > 0 && back.delay <= 8 * 65_536);
    let trip = b.closed(A).round_trip_ms.unwrap();
    assert!((69.0..71.0).contains(&trip), "{trip}");
}

#[test]
fn why_no_packet_is_accepted_is_named() {
    type Deed = fn(&mut Bench);
    let cases: [(Deed, Absence); 6] = [
        (|_| {}, Absence::NeverCame),
        (
            |b| {
                b.say(A, packet(7, 9, 9, 96, &[1; 160]));
            },
            Absence::PayloadType { payload_type: 96 },
        ),
        (
            |b| {
                b.say(A, b"GET / HTTP/1.1".to_vec());
            },
            Absence::Malformed,
        ),
        (|b| b.tell(A, &rtcp::compound(7, None, None, "x", false)), Absence::OnlyReports),
        (
            |b| {
                b.say(A, packet(7, 1, 160, 0, &[1; 160]));
                b.run(100);
                b.tell(A, &rtcp::compound(7, None, None, "x", true));
            },
            Absence::Goodbye,
        ),
        (
            |b| {
                b.say(A, packet(7, 1, 160, 0, &[1; 160]));
                b.run(100);
                b.receive_from(STRANGER.into(), A, Port::Rtp, packet(8, 1, 160, 0, &[1; 160]));
            },
            Absence::Stranger { from: SocketAddr::from(STRANGER) },
        ),
    ];
    for (deed, cause) in cases {
        let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
        b.run(100);
        deed(&mut b);
        b.run(4_000);
        assert_eq!(b.absences(), [missing(cause)]);
    }
}

#[test]
fn a_leg_that_has_only_ever_been_silent_is_told_of_once() {
    // Zero of both laws, one step beside it, comfort noise.
    for (payload_type, payload) in [(0, &[0xff; 160][..]), (8, &[0xd5; 160]), (0, &[0xfe; 160]), (13, &[40])] {
        let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
        b.say(A, packet(7, 0, 0, 0, &[0xff; 160]));
        let silent = |b: &mut Bench, from: u32, packets: u32| {
            for n in from..from + packets {
                b.say(A, packet(7, n as u16, n * 160, payload_type, payload));
                b.run(20);
            }
        };
        silent(&mut b, 1, 950);
        assert_eq!(b.absences(), []);
        silent(&mut b, 951, 1_000);
        assert_eq!(b.absences(), [missing(Absence::Silence)]);
        b.talk(A, 1_951, 50, |_| false);
        assert_eq!(b.absences()[1..], [present(Absence::Silence)]);
        silent(&mut b, 2_001, 3_000);
        assert_eq!(b.absences().len(), 2, "who has spoken may be silent");
    }
}

#[test]
fn a_peer_whose_reports_count_nothing_of_ours_does_not_hear_us() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let first = u32::from(b.worker.leg_at(1).unwrap().control.first_sequence);
    let ssrc = b.worker.leg_at(1).unwrap().outgoing.ssrc;
    let block = |newest: u32| rtcp::Block { ssrc, extended_newest: first + newest, ..rtcp::Block::default() };
    let mut at = 0;
    let mut report = |b: &mut Bench, block: Option<rtcp::Block>| {
        b.talk(A, at, 250, |_| false);
        at += 250;
        b.say(B, packet(8, at as u16, at * 160, 0, &[1; 160]));
        b.tell(B, &rtcp::compound(8, None, block, "x", false));
    };
    report(&mut b, Some(block(200)));
    report(&mut b, Some(block(450)));
    for _ in 0..2 {
        report(&mut b, Some(block(450)));
    }
    assert!(!b.absences().iter().any(|r| r.leg() == B && matches!(r, Report::Missing { cause: Absence::Unheard, .. })));
    report(&mut b, None);
    b.talk(A, 5_000, 250, |_| false);
    let of_b = |b: &Bench| {
        let unheard = |r: &Report| {
            matches!(r, Report::Missing { cause: Absence::Unheard, .. } | Report::Present { cause: Absence::Unheard, .. })
        };
        b.absences().into_iter().filter(|r| r.leg() == B && unheard(r)).collect::<Vec<_>>()
    };
    assert_eq!(of_b(&b), [Report::Missing { leg: B, cause: Absence::Unheard }]);
    report(&mut b, Some(block(1_700)));
    b.talk(A, 6_000, 250, |_| false);
    assert_eq!(of_b(&b)[1..], [Report::Present { leg: B, cause: Absence::Unheard }]);
    // Reports on another source may be on ours, renamed on the way.
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    for n in 0..6 {
        b.talk(A, n * 250, 250, |_| false);
        b.tell(B, &rtcp::compound(8, None, Some(rtcp::Block { ssrc: 1, ..rtcp::Block::default() }), "x", false));
    }
    b.talk(A, 1_500, 250, |_| false);
    assert_eq!(of_b(&b), []);
}
