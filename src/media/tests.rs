//! Legs of a worker on virtual time: relay, latch, plays, keys, reports, tap.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Mono;
use crate::codec::{Codec, G711};
use crate::ids::{LegId, RecordingId};
use crate::rtp::{Event, Fields, HEADER, Packet, rtcp};

mod blended;
mod interrupted;
mod pauses;
mod quality;
mod secured;

#[derive(Default)]
struct Out {
    sent: Vec<(LegId, Port, SocketAddr, Vec<u8>)>,
    frames: Vec<Frame>,
    reports: Vec<Report>,
}

impl Sink for Out {
    fn send(&mut self, _: Slot, leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]) {
        self.sent.push((leg, port, to, datagram.to_vec()));
    }

    fn tap(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    fn report(&mut self, report: Report) {
        self.reports.push(report);
    }
}

struct Bench {
    worker: Worker,
    clips: Clips,
    out: Out,
    now: Mono,
}

const A: LegId = LegId(1);
const B: LegId = LegId(2);
const C: LegId = LegId(3);
const STRANGER: ([u8; 4], u16) = ([203, 0, 113, 66], 666);

fn recording() -> RecordingId {
    RecordingId::from_parts(1, 1)
}

fn missing(cause: Absence) -> Report {
    Report::Missing { leg: A, cause }
}

fn present(cause: Absence) -> Report {
    Report::Present { leg: A, cause }
}

fn phone(leg: LegId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, leg.0 as u8], 5_004))
}

fn session(leg: LegId, codec: Codec) -> Session {
    Session::plain(codec, phone(leg))
}

fn packet(ssrc: u32, sequence: u16, timestamp: u32, payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER];
    Fields { marker: false, payload_type, sequence, timestamp, ssrc }.write(&mut header);
    [&header[..], payload].concat()
}

impl Bench {
    fn new() -> Bench {
        let clip = |level: i16, n| Arc::new(Clip::new(vec![level; n]));
        let prompts = BTreeMap::from([
            (ClipName("en/welcome".into()), clip(8_000, 1_000)),
            (ClipName("en/menu".into()), clip(-8_000, 600)),
        ]);
        let music: Vec<i16> = (0..4_000).map(|n| n * 8).collect();
        Bench {
            worker: Worker::new(Settings {
                missing_after: Duration::from_secs(3),
                dead_after: Duration::from_secs(30),
                country: *b"DE",
                degraded_below: 3.6,
                seed: 5,
            }),
            clips: Clips::new(prompts, Some(Arc::new(Clip::new(music)))),
            out: Out::default(),
            now: Mono::from_millis(1_000),
        }
    }

    fn with_legs(legs: &[(LegId, Codec)]) -> Bench {
        let mut b = Bench::new();
        for (leg, codec) in legs {
            b.command(Command::Open { leg: *leg, lease: Lease { worker: 0, port: 20_000 } });
            b.command(Command::Agree { leg: *leg, session: session(*leg, *codec) });
        }
        b
    }

    fn bridge(codec_a: Codec, codec_b: Codec) -> Bench {
        let mut b = Bench::with_legs(&[(A, codec_a), (B, codec_b)]);
        b.hear(A, Source::Leg(B));
        b.hear(B, Source::Leg(A));
        b
    }

    fn command(&mut self, command: Command) {
        self.worker.handle(command, &self.clips, self.now, &mut self.out);
    }

    fn hear(&mut self, leg: LegId, source: Source) {
        self.command(Command::Hear { leg, source });
    }

    fn agree(&mut self, leg: LegId, change: impl FnOnce(&mut Session)) {
        let mut s = session(leg, Codec::Pcmu);
        change(&mut s);
        self.command(Command::Agree { leg, session: s });
    }

    fn receive_from(&mut self, from: SocketAddr, leg: LegId, port: Port, mut bytes: Vec<u8>) -> Option<(SocketAddr, Vec<u8>)> {
        let slot = self.worker.slot(leg)?;
        let length = bytes.len();
        bytes.extend([0xee; 32]);
        let f = self.worker.receive(slot, port, from, Datagram { buffer: &mut bytes, length }, self.now, &mut self.out)?;
        Some((f.to, bytes[f.start..f.start + f.len].to_vec()))
    }

    fn say(&mut self, leg: LegId, bytes: Vec<u8>) -> Option<(SocketAddr, Vec<u8>)> {
        self.receive_from(phone(leg), leg, Port::Rtp, bytes)
    }

    /// Runs timers one by one for a time.
    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.worker.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.worker.tick(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn rtp_sent_in(&mut self, ms: u64) -> Vec<(Fields, Vec<u8>)> {
        self.run(ms);
        self.rtp_sent()
    }

    fn rtp_sent(&mut self) -> Vec<(Fields, Vec<u8>)> {
        let sent = std::mem::take(&mut self.out.sent);
        let rtp = sent.into_iter().filter(|s| s.1 == Port::Rtp);
        rtp.map(|(_, _, _, b)| Packet::parse(&b[..]).map(|p| (p.fields(), p.payload().to_vec())).unwrap()).collect()
    }
}

fn fields(bytes: &[u8]) -> Fields {
    Packet::parse(bytes).unwrap().fields()
}

/// Trap of browsers: what a header extension means is agreed with each peer alone, and so are numbers and sources.
#[test]
fn a_header_extension_goes_no_further_than_here() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let mut bytes = packet(7, 100, 1_600, 0, &[1; 160]);
    bytes[0] |= 0x10;
    bytes.splice(HEADER..HEADER, [0xbe, 0xde, 0, 1, 0x10, 0x2a, 0, 0]);
    let (_, sent) = b.say(A, bytes).unwrap();
    assert_eq!((sent[0], &sent[HEADER..], fields(&sent).ssrc == 7), (0x80, &[1; 160][..], false));
}

#[test]
fn a_bridge_relays_with_loss_reordering_and_doubles_as_they_are() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let first = fields(&b.say(A, packet(7, 100, 1_600, 0, &[1; 160])).unwrap().1);
    assert!(first.marker && first.payload_type == 0 && first.ssrc != 7);
    for n in [101u16, 102, 105, 104, 104, 106] {
        b.now += Duration::from_millis(20);
        let (to, bytes) = b.say(A, packet(7, n, 1_600 + u32::from(n - 100) * 160, 0, &[n as u8; 160])).unwrap();
        assert_eq!(to, phone(B));
        let f = fields(&bytes);
        assert_eq!(f.sequence, first.sequence.wrapping_add(n - 100));
        assert_eq!(f.timestamp, first.timestamp.wrapping_add(u32::from(n - 100) * 160));
        assert_eq!((f.ssrc, f.marker), (first.ssrc, false));
        assert_eq!(bytes[HEADER..], [n as u8; 160]);
    }
    b.command(Command::Close { leg: A });
    let Some(Report::Closed { leg: A, quality }) = b.out.reports.last() else { panic!("{:?}", b.out.reports) };
    // 100 to 106 are 7; 6 came and one of them twice: 103 is missing, made up for by the double.
    assert_eq!((quality.packets_received, quality.packets_lost), (7, 0));
    b.command(Command::Close { leg: B });
    let Some(Report::Closed { leg: B, quality }) = b.out.reports.last() else { panic!() };
    assert_eq!(quality.packets_sent, 7);
}

#[test]
fn different_laws_are_transcoded_by_table() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcma);
    let (_, bytes) = b.say(A, packet(7, 1, 0, 0, &[G711::Pcmu.encode(8_000); 160])).unwrap();
    assert_eq!(fields(&bytes).payload_type, 8);
    assert!(bytes[HEADER..].iter().all(|x| (i32::from(G711::Pcma.decode(*x)) - 8_000).abs() < 500));
    let (_, back) = b.say(B, packet(8, 1, 0, 8, &[0xd5; 160])).unwrap();
    assert_eq!((fields(&back).payload_type, back[HEADER]), (0, G711::Pcmu.encode(8)));
}

#[test]
fn a_stranger_neither_hears_nor_is_heard() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.command(Command::Tap { leg: A, recording: recording() });
    b.say(A, packet(7, 1, 0, 0, &[1; 160]));
    let stranger = SocketAddr::from(STRANGER);
    for (ssrc, sequence) in [(666, 9), (7, 2), (7, 3)] {
        assert_eq!(b.receive_from(stranger, A, Port::Rtp, packet(ssrc, sequence, 160, 0, &[9; 160])), None);
    }
    // Reports of a stranger move nothing either.
    let report = rtcp::compound(666, None, None, "x", true).to_vec();
    b.receive_from(stranger, A, Port::Rtcp, report);
    let (to, _) = b.say(B, packet(8, 1, 0, 0, &[2; 160])).unwrap();
    assert_eq!(to, phone(A));
    assert!(b.out.frames.iter().all(|f| f.payload[0] != 9), "the recording is clean");
    b.run(20_000);
    assert!(b.out.sent.iter().all(|(_, _, to, _)| to.ip() != stranger.ip()));
    assert!(!b.out.reports.iter().any(|r| matches!(r, Report::Latched { .. })));
    b.command(Command::Close { leg: A });
    assert!(matches!(b.out.reports.last(), Some(Report::Closed { quality: Quality { refused: 4, .. }, .. })));
}

#[test]
fn what_is_malformed_or_of_a_wrong_type_never_latches() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let stranger = SocketAddr::from(STRANGER);
    let mut bad = vec![
        vec![],
        vec![0x80; 11],
        packet(666, 1, 0, 0, &[])[..11].to_vec(),
        packet(666, 1, 0, 96, &[9; 160]),
        packet(666, 1, 0, 8, &[9; 160]),
        packet(666, 1, 0, 13, &[9]),
        rtcp::compound(666, None, None, "x", false).to_vec(),
    ];
    bad.push([&[0x40][..], &packet(666, 1, 0, 0, &[9; 160])[1..]].concat());
    for bytes in bad {
        assert_eq!(b.receive_from(stranger, A, Port::Rtp, bytes), None);
    }
    assert!(b.out.reports.is_empty());
    // A whole one of the right type does, before the phone has spoken.
    assert!(b.receive_from(stranger, A, Port::Rtp, packet(666, 1, 0, 0, &[9; 160])).is_some());
    assert_eq!(b.out.reports, [Report::Latched { leg: A, address: stranger }]);
    assert_eq!(b.say(B, packet(8, 1, 0, 0, &[2; 160])).unwrap().0, stranger);
    // And the phone takes it back.
    assert!(b.say(A, packet(7, 1, 0, 0, &[1; 160])).is_some());
    assert_eq!(b.say(B, packet(8, 2, 160, 0, &[2; 160])).unwrap().0, phone(A));
}

#[test]
fn a_peer_without_a_usable_address_is_answered_where_it_sends_from() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.agree(A, |s| s.remote = None);
    let mut b2 = Bench::new();
    b2.command(Command::Open { leg: A, lease: Lease { worker: 0, port: 20_000 } });
    b2.agree(A, |s| (s.remote, s.remote_rtcp) = (None, None));
    b2.hear(A, Source::Play(PlayId(1), Audio::Prompt(vec![ClipName("en/menu".into())])));
    b2.run(500);
    assert!(b2.out.sent.is_empty() && b2.out.reports.is_empty(), "the prompt waits for somebody to hear it");
    b2.say(A, packet(7, 1, 0, 0, &[1; 160]));
    b2.run(500);
    assert_eq!(b2.rtp_sent().len(), 4);
}

#[test]
fn a_prompt_is_paced_at_20_ms_with_every_sample_once() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcma)]);
    b.command(Command::Tap { leg: A, recording: recording() });
    let names = ["en/welcome", "en/none", "en/menu"].map(|n| ClipName(n.into()));
    b.hear(A, Source::Play(PlayId(4), Audio::Prompt(names.to_vec())));
    assert_eq!(b.out.reports, [Report::ClipMissing { leg: A, play: PlayId(4), clip: ClipName("en/none".into()) }]);
    b.out.reports.clear();
    b.run(199);
    let sent = b.rtp_sent();
    assert_eq!(sent.len(), 10);
    let all: Vec<u8> = sent.iter().flat_map(|(_, p)| p.clone()).collect();
    let (loud, low) = (G711::Pcma.encode(8_000), G711::Pcma.encode(-8_000));
    assert!(all.len() == 1_600 && all[..1_000].iter().all(|x| *x == loud) && all[1_000..].iter().all(|x| *x == low));
    for (i, pair) in sent.windows(2).enumerate() {
        assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1), "{i}");
        assert_eq!(pair[1].0.timestamp, pair[0].0.timestamp.wrapping_add(160), "{i}");
        assert_eq!((pair[0].0.marker, pair[1].0.marker), (i == 0, false));
    }
    assert_eq!(b.out.reports, []);
    b.run(1);
    assert_eq!(b.out.reports, [Report::PlayEnded { leg: A, play: PlayId(4) }]);
    let at: Vec<u64> = b.out.frames.iter().map(|f| f.at.as_micros() / 1_000 - 1_000).collect();
    assert_eq!(at, (0..10).map(|i| i * 20).collect::<Vec<_>>());
    assert!(b.out.frames.iter().all(|f| f.side == Side::Heard && f.codec == Codec::Pcma));
}

#[test]
fn the_end_of_a_replaced_prompt_is_not_reported() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    let prompt = |id, name: &str| Source::Play(PlayId(id), Audio::Prompt(vec![ClipName(name.into())]));
    b.hear(A, prompt(1, "en/welcome"));
    b.run(30);
    b.hear(A, prompt(2, "en/menu"));
    b.run(1_000);
    assert_eq!(b.out.reports, [Report::PlayEnded { leg: A, play: PlayId(2) }]);
    b.hear(A, prompt(3, "none"));
    b.run(0);
    assert!(matches!(b.out.reports[1..], [Report::ClipMissing { .. }, Report::PlayEnded { play: PlayId(3), .. }]));
}

#[test]
fn music_of_its_own_goes_round_and_falls_back_to_the_sites() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let own = |name: &str| Audio::Music(Some(ClipName(name.into())));
    let clip = b.clips.prompt(&ClipName("en/menu".into())).unwrap().clone();
    let once = clip.encoded(G711::Pcmu).to_vec();
    b.hear(A, Source::Play(PlayId(1), own("en/menu")));
    let sent: Vec<u8> = b.rtp_sent_in(1_000).into_iter().flat_map(|(_, p)| p).collect();
    // It has come up after a fifth of a second.
    let round = (1_600 / once.len() + 1) * once.len();
    assert!(sent[round..round + once.len()] == once, "over and over");
    // The site's, from somewhere; and its end, as music has none.
    b.hear(A, Source::Play(PlayId(2), own("en/none")));
    b.run(1_000);
    let is_missing = |report: &Report| matches!(report, Report::ClipMissing { clip, .. } if &*clip.0 == "en/none");
    assert!(b.out.reports.iter().all(is_missing) && b.out.reports.len() == 1, "{:?}", b.out.reports);
    // From the site's, which is longer, to what is shorter.
    b.run(20_000);
    b.hear(A, Source::Play(PlayId(3), own("en/menu")));
    assert!(b.rtp_sent_in(1_000).len() >= 49);
}

#[test]
fn music_goes_on_where_the_leg_left_it() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let music = b.clips.music().encoded(G711::Pcmu).to_vec();
    // It comes up within a fifth of a second each time.
    let heard = |b: &mut Bench, ms| b.rtp_sent_in(ms).into_iter().flat_map(|(_, p)| p).skip(1_600).collect::<Vec<u8>>();
    b.hear(A, Source::Play(PlayId(1), Audio::Music(None)));
    assert_eq!(heard(&mut b, 259), music[1_600..2_080]);
    b.hear(A, Source::Leg(B));
    b.run(1_000);
    assert!(b.rtp_sent().is_empty());
    b.hear(A, Source::Play(PlayId(2), Audio::Music(None)));
    assert_eq!(heard(&mut b, 219), music[3_680..3_840]);
    // On hold by the peer nothing is sent and the music waits.
    b.agree(A, |s| s.send = false);
    b.run(200);
    assert!(b.rtp_sent().is_empty());
    b.agree(A, |_| {});
    assert_eq!(b.rtp_sent_in(19)[0].1, music[3_840..4_000]);
}

#[test]
fn from_prompt_to_agent_to_music_the_customer_hears_one_stream() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu), (B, Codec::Pcmu), (C, Codec::Pcmu)]);
    b.hear(A, Source::Play(PlayId(1), Audio::Prompt(vec![ClipName("en/menu".into())])));
    b.run(100);
    let mut stream: Vec<Fields> = b.rtp_sent().into_iter().map(|(f, _)| f).collect();
    for (leg, ssrc) in [(B, 70), (C, 80)] {
        b.hear(A, Source::Leg(leg));
        for i in 0..5u32 {
            b.now += Duration::from_millis(20);
            stream.push(fields(&b.say(leg, packet(ssrc, 500 + i as u16, 99 + i * 160, 0, &[3; 160])).unwrap().1));
        }
    }
    b.hear(A, Source::Play(PlayId(2), Audio::Ringback));
    b.run(50);
    stream.extend(b.rtp_sent().into_iter().map(|(f, _)| f));
    assert!(stream.len() > 15);
    for pair in stream.windows(2) {
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((160..=480).contains(&step), "{step}");
    }
    assert_eq!(stream.iter().filter(|f| f.marker).count(), 4);
}

#[test]
fn key_presses_are_reported_once_and_relayed_by_the_other_sides_number() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.agree(B, |s| (s.telephone_event, s.telephone_events_in) = (Some((96, 8_000)), [(101, 8_000)].into_iter().collect()));
    b.say(A, packet(7, 1, 0, 0, &[1; 160]));
    let event = |duration: u16, end| Event { code: 5, end, volume: 10, duration }.to_bytes();
    let mut relayed = Vec::new();
    for (i, (duration, end)) in [(160, false), (320, false), (480, true), (480, true), (480, true)].into_iter().enumerate() {
        relayed.extend(b.say(A, packet(7, 2 + i as u16, 160, 101, &event(duration, end))));
    }
    assert!(relayed.len() == 5 && relayed.iter().all(|(_, x)| fields(x).payload_type == 96));
    let digit = Report::Digit { leg: A, digit: '5', duration_ms: 60, via: DigitVia::Rfc4733 };
    assert_eq!(b.out.reports, [digit]);
    // From B both numbers are understood.
    b.say(B, packet(8, 1, 0, 96, &event(160, true)));
    b.run(100);
    b.say(B, packet(8, 2, 9_000, 101, &event(160, true)));
    assert_eq!(b.out.reports.len(), 3);
    // Lost end: reported when it is clear.
    b.say(A, packet(7, 20, 8_000, 101, &event(160, false)));
    b.run(200);
    assert_eq!(b.out.reports.len(), 4);
}

#[test]
fn key_presses_are_left_out_without_a_gap_where_the_other_side_has_none() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.agree(B, |s| (s.telephone_event, s.telephone_events_in) = (None, Default::default()));
    let one = fields(&b.say(A, packet(7, 1, 0, 0, &[1; 160])).unwrap().1);
    assert_eq!(b.say(A, packet(7, 2, 160, 101, &Event { code: 5, end: true, volume: 1, duration: 160 }.to_bytes())), None);
    assert_eq!(b.say(A, packet(7, 3, 160, 13, &[40])), None);
    b.now += Duration::from_millis(60);
    let two = fields(&b.say(A, packet(7, 4, 480, 0, &[1; 160])).unwrap().1);
    assert_eq!(two.sequence, one.sequence.wrapping_add(1));
    assert_eq!(two.timestamp, one.timestamp.wrapping_add(480));
}

#[test]
fn keys_in_the_sound_are_heard_only_without_telephone_event() {
    for (negotiated, expected) in [(true, 0), (false, 1)] {
        let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
        if !negotiated {
            b.agree(A, |s| (s.telephone_event, s.telephone_events_in) = (None, Default::default()));
        }
        let tone = |n: u32| {
            let t = std::f32::consts::TAU * n as f32 / 8_000.0;
            G711::Pcmu.encode((6_000.0 * ((770.0 * t).sin() + (1_336.0 * t).sin())) as i16)
        };
        for i in 0..10u32 {
            let sound: Vec<u8> = (0..160).map(|n| if i < 5 { tone(i * 160 + n) } else { 0xff }).collect();
            b.say(A, packet(7, 65_500 + i as u16, i * 160, 0, &sound));
        }
        assert_eq!(b.out.reports.len(), expected);
        if expected == 1 {
            assert!(matches!(b.out.reports[0], Report::Digit { digit: '5', via: DigitVia::InBand, duration_ms: 80..=110, .. }));
        }
    }
}

#[test]
fn silence_is_missing_then_dead_and_packets_bring_it_back() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.run(2_999);
    assert_eq!(b.out.reports, []);
    b.run(1);
    assert_eq!(b.out.reports, [missing(Absence::NeverCame)]);
    b.say(A, packet(7, 1, 0, 0, &[1; 160]));
    assert_eq!(b.out.reports[1..], [present(Absence::NeverCame)]);
    b.run(29_999);
    assert_eq!(b.out.reports[2..], [missing(Absence::Stopped)]);
    b.run(1);
    assert_eq!(b.out.reports[3..], [Report::Dead { leg: A }]);
    b.run(100_000);
    assert_eq!(b.out.reports.len(), 4);
}

#[test]
fn packets_that_come_back_and_go_again_are_missed_again_in_time() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.run(4_100);
    for i in 0..20u16 {
        b.say(A, packet(7, i, u32::from(i) * 160, 0, &[1; 160]));
        b.run(20);
    }
    b.run(2_979);
    assert_eq!(b.out.reports, [missing(Absence::NeverCame), present(Absence::NeverCame)]);
    b.run(1);
    assert_eq!(b.out.reports[2..], [missing(Absence::Stopped)]);
}

#[test]
fn a_leg_that_sends_only_reports_is_missing_and_not_dead() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    for _ in 0..10 {
        b.run(5_000);
        let from = SocketAddr::new(phone(A).ip(), 5_005);
        b.receive_from(from, A, Port::Rtcp, rtcp::compound(7, None, None, "x", false).to_vec());
    }
    assert_eq!(b.out.reports, [missing(Absence::NeverCame)]);
}

#[test]
fn on_hold_nothing_is_missing_and_after_it_time_counts_anew() {
    for change in [|s: &mut Session| s.receive = false, |s: &mut Session| s.send = false] {
        let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
        b.agree(A, change);
        b.run(300_000);
        assert_eq!(b.out.reports, []);
        b.agree(A, |_| {});
        b.run(2_900);
        assert_eq!(b.out.reports, []);
        b.run(3_000);
        assert_eq!(b.out.reports, [missing(Absence::NeverCame)]);
    }
}

#[test]
fn nothing_is_taken_or_sent_before_agreement() {
    let mut b = Bench::new();
    b.command(Command::Open { leg: A, lease: Lease { worker: 0, port: 20_000 } });
    b.hear(A, Source::Play(PlayId(1), Audio::Ringback));
    assert_eq!(b.say(A, packet(7, 1, 0, 0, &[1; 160])), None);
    b.run(10_000);
    assert!(b.out.sent.is_empty() && b.out.reports.is_empty());
    b.agree(A, |_| {});
    b.run(100);
    assert_eq!(b.rtp_sent().len(), 6);
}

#[test]
fn reports_tell_what_was_sent_and_received() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    for i in 0..100u32 {
        if i % 10 != 3 {
            b.say(A, packet(7, i as u16, i * 160, 0, &[1; 160]));
        }
        b.run(20);
    }
    // A sender report of the peer, to be echoed.
    let sender = rtcp::Sender { ntp: 0x1234_5678_9abc_def0, timestamp: 1, packets: 1, octets: 1 };
    b.receive_from(
        SocketAddr::new(phone(A).ip(), 5_005),
        A,
        Port::Rtcp,
        rtcp::compound(7, Some(sender), None, "x", false).to_vec(),
    );
    b.out.sent.clear();
    b.run(8_000);
    let report = |b: &Bench, leg| {
        let (_, _, to, bytes) = b.out.sent.iter().find(|s| s.0 == leg && s.1 == Port::Rtcp).unwrap().clone();
        assert_eq!(to, SocketAddr::new(phone(leg).ip(), 5_005));
        bytes
    };
    let bytes = report(&b, A);
    let Some(rtcp::Rtcp::ReceiverReport { mut blocks, .. }) = rtcp::parse(&bytes).unwrap().next() else { panic!() };
    let block = blocks.next().unwrap();
    assert_eq!((block.ssrc, block.lost, block.extended_newest), (7, 10, 99));
    assert_eq!(block.last_report, 0x5678_9abc);
    assert!(block.delay > 0 && block.jitter < 160);
    let bytes = report(&b, B);
    let Some(rtcp::Rtcp::SenderReport { ssrc, sender, .. }) = rtcp::parse(&bytes).unwrap().next() else { panic!() };
    assert_eq!((sender.packets, sender.octets), (90, 90 * 160));
    // B tells of 5 % loss and of a round trip of 50 ms.
    let ours = rtcp::middle(rtcp::ntp(b.now));
    b.now += Duration::from_millis(80);
    let first = b.worker.leg_at(1).unwrap().control.first_sequence;
    let block = rtcp::Block {
        ssrc,
        lost: 5,
        extended_newest: u32::from(first) + 99,
        last_report: ours,
        delay: 65_536 * 30 / 1_000,
        ..rtcp::Block::default()
    };
    let bytes = rtcp::compound(8, None, Some(block), "x", false).to_vec();
    b.receive_from(SocketAddr::new(phone(B).ip(), 5_005), B, Port::Rtcp, bytes);
    b.command(Command::Close { leg: B });
    let (_, port, _, bytes) = b.out.sent.last().unwrap();
    assert!(*port == Port::Rtcp && rtcp::parse(bytes).unwrap().any(|p| matches!(p, rtcp::Rtcp::Goodbye { .. })));
    let Some(Report::Closed { quality, .. }) = b.out.reports.last() else { panic!() };
    assert_eq!(quality.remote_loss, Some(0.05));
    assert!((49.0..51.0).contains(&quality.round_trip_ms.unwrap()), "{quality:?}");
}

#[test]
fn the_tap_copies_what_is_said_and_heard() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcma);
    b.command(Command::Tap { leg: A, recording: recording() });
    b.say(A, packet(7, 1, 160, 0, &[1; 160]));
    b.say(B, packet(8, 1, 160, 8, &[0xd5; 160]));
    b.say(A, packet(7, 2, 320, 101, &Event { code: 5, end: true, volume: 1, duration: 160 }.to_bytes()));
    let [said, heard, key] = &b.out.frames[..] else { panic!() };
    assert_eq!((said.side, said.ssrc, said.sequence, said.timestamp, said.codec), (Side::Said, 7, 1, 160, Codec::Pcmu));
    assert_eq!(said.payload[..], [1; 160]);
    assert_eq!((heard.side, heard.codec, heard.payload.len()), (Side::Heard, Codec::Pcmu, 160));
    assert_eq!((key.side, key.sequence, key.payload.len()), (Side::Said, 2, 0), "no key is in the recording");
    b.command(Command::Untap { leg: A });
    b.say(A, packet(7, 3, 480, 0, &[1; 160]));
    assert_eq!(b.out.frames.len(), 3);
}

#[test]
fn several_may_hear_one_and_each_by_its_codec() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu), (B, Codec::Pcma), (C, Codec::Pcmu)]);
    b.hear(B, Source::Leg(A));
    b.hear(C, Source::Leg(A));
    let (to, last) = b.say(A, packet(7, 1, 0, 0, &[0x80; 160])).unwrap();
    assert_eq!((to, fields(&last).payload_type, last[HEADER]), (phone(C), 0, 0x80));
    let sent = b.rtp_sent();
    assert_eq!((sent.len(), sent[0].0.payload_type, sent[0].1[0]), (1, 8, G711::Pcma.encode(32_124)));
}

#[test]
fn a_leg_may_hear_one_that_opens_later_and_falls_silent_when_it_closes() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.hear(A, Source::Leg(B));
    b.command(Command::Open { leg: B, lease: Lease { worker: 0, port: 20_002 } });
    b.agree(B, |_| {});
    assert!(b.say(B, packet(8, 1, 0, 0, &[1; 160])).is_some());
    let slot = b.worker.slot(B).unwrap();
    b.command(Command::Close { leg: B });
    assert_eq!(b.worker.slot(B), None);
    b.command(Command::Open { leg: C, lease: Lease { worker: 0, port: 20_002 } });
    b.agree(C, |_| {});
    assert_eq!(b.worker.slot(C).map(|s| s.index), Some(slot.index));
    // A packet for the old leg in the same place is nobody's; the new one is not heard by A.
    let mut late = packet(8, 2, 160, 0, &[1; 160]);
    let late = Datagram { length: late.len(), buffer: &mut late };
    assert_eq!(b.worker.receive(slot, Port::Rtp, phone(B), late, b.now, &mut b.out), None);
    assert_eq!(b.say(C, packet(9, 1, 0, 0, &[1; 160])), None);
}

#[test]
fn our_own_packets_that_come_back_go_nowhere() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let (_, bytes) = b.say(A, packet(7, 1, 0, 0, &[1; 160])).unwrap();
    // B's stream, looped into A by a description that names our own port.
    assert_eq!(b.say(A, bytes), None);
}

#[test]
fn one_that_was_told_not_to_send_is_not_heard() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    b.agree(A, |s| s.receive = false);
    assert_eq!(b.say(A, packet(7, 1, 0, 0, &[1; 160])), None);
    b.agree(A, |_| {});
    assert!(b.say(A, packet(7, 2, 160, 0, &[1; 160])).is_some());
}

#[test]
fn a_pause_by_hold_is_no_loss_for_the_listener() {
    let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let one = fields(&b.say(A, packet(7, 1, 0, 0, &[1; 160])).unwrap().1);
    b.agree(B, |s| s.send = false);
    for i in 2..200u16 {
        b.now += Duration::from_millis(20);
        assert_eq!(b.say(A, packet(7, i, u32::from(i - 1) * 160, 0, &[1; 160])), None);
    }
    b.agree(B, |_| {});
    let two = fields(&b.say(A, packet(7, 200, 199 * 160, 0, &[1; 160])).unwrap().1);
    assert_eq!(two.sequence, one.sequence.wrapping_add(1));
}

#[test]
fn a_worker_that_overslept_does_not_hurry_after() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcmu)]);
    b.hear(A, Source::Play(PlayId(1), Audio::Music(None)));
    b.run(50);
    let before = b.rtp_sent().len();
    b.now += Duration::from_millis(1_000);
    b.worker.tick(b.now, &mut b.out);
    let sent = b.rtp_sent();
    assert_eq!((before, sent.len()), (3, 1));
    assert!(sent[0].0.marker);
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes() {
    let run = || {
        let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcma);
        b.hear(B, Source::Play(PlayId(1), Audio::Ringback));
        for i in 0..50u16 {
            b.say(B, packet(8, i, u32::from(i) * 160, 8, &[3; 160]));
            b.run(20);
        }
        b.command(Command::Close { leg: A });
        b.out.sent
    };
    assert_eq!(run(), run());
}

proptest::proptest! {
    /// Whatever comes in whatever order: no panic, the stream that B hears has one SSRC, timers stay bounded.
    #[test]
    fn no_order_of_events_breaks_a_worker(steps in proptest::collection::vec((0u8..12, 0u16..500, proptest::num::u8::ANY), 0..200)) {
        let mut b = Bench::bridge(Codec::Pcmu, Codec::Pcma);
        let mut ssrc = None;
        for (what, n, byte) in steps {
            let leg = [A, B, C][usize::from(byte % 3)];
            match what {
                0 => b.hear(leg, Source::Leg([A, B, C][usize::from(n % 3)])),
                1 => b.hear(leg, Source::Play(PlayId(u64::from(n)), Audio::Prompt(vec![ClipName("en/menu".into())]))),
                2 => b.hear(leg, Source::Play(PlayId(u64::from(n)), Audio::Music(None))),
                3 => b.command(Command::Close { leg: C }),
                4 => b.command(Command::Open { leg: C, lease: Lease { worker: 0, port: 2 } }),
                5 => b.agree(leg, |s| { s.send = n % 2 == 0; s.receive = n % 3 == 0; s.ptime_ms = byte; }),
                6 => b.run(u64::from(n)),
                7 => b.command(Command::Tap { leg, recording: recording() }),
                8 => {
                    let mut bytes = packet(7, n, u32::from(n) * 160, byte, &vec![byte; usize::from(n)]);
                    bytes[0] = 0x80 | byte;
                    b.say(leg, bytes);
                }
                9 => {
                    let mut bytes = rtcp::compound(7, None, Some(rtcp::Block::default()), "x", true).to_vec();
                    let at = usize::from(n) % bytes.len();
                    bytes[at] = byte;
                    b.receive_from(SocketAddr::new(phone(leg).ip(), 5_005), leg, Port::Rtcp, bytes);
                }
                _ => {
                    let heard = b.say(A, packet(7, n, u32::from(n) * 160, 0, &vec![byte; usize::from(n)]));
                    if let Some((to, bytes)) = heard && to == phone(B) {
                        let s = fields(&bytes).ssrc;
                        proptest::prop_assert_eq!(*ssrc.get_or_insert(s), s);
                    }
                }
            }
        }
        proptest::prop_assert!(b.worker.legs() <= 3);
    }
}
