//! What is decoded and encoded on its way: between codecs, to several, and keys and clips where the leg is not of G.711.

use super::*;
use crate::codec::{Decoder, Encoder};

/// A phone that says a tone.
pub(super) struct Talker {
    leg: LegId,
    codec: Codec,
    pub(super) hz: f64,
    encoder: Encoder,
    said: u64,
}

impl Talker {
    pub(super) fn new(leg: LegId, codec: Codec, hz: f64) -> Talker {
        Talker { leg, codec, hz, encoder: Encoder::new(codec), said: 0 }
    }

    /// The next 20 ms.
    fn packet(&mut self) -> Vec<u8> {
        let rate = self.codec.sample_rate();
        let samples = u64::from(rate / 50);
        let pcm: Vec<i16> = (self.said * samples..(self.said + 1) * samples)
            .map(|n| (8_000.0 * (std::f64::consts::TAU * self.hz * n as f64 / f64::from(rate)).sin()) as i16)
            .collect();
        let mut payload = Vec::new();
        assert!(self.encoder.encode(&pcm, &mut payload));
        let n = self.said as u32;
        self.said += 1;
        packet(self.leg.0 as u32, n as u16, n * (self.codec.clock_rate() / 50), self.codec.payload_type(), &payload)
    }
}

/// What a leg was sent.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) packets: Vec<(Fields, Vec<u8>)>,
}

impl Heard {
    pub(super) fn samples(&self, codec: Codec) -> Vec<i16> {
        let (mut decoder, mut out) = (Decoder::new(codec), Vec::new());
        for (_, payload) in self.packets.iter().filter(|(f, _)| f.payload_type == codec.payload_type()) {
            decoder.decode(payload, &mut out).unwrap();
        }
        out
    }

    /// One stream: an SSRC, sequence without a gap, time that goes on.
    fn is_whole(&self, codec: Codec) {
        for pair in self.packets.windows(2) {
            assert_eq!(pair[1].0.ssrc, pair[0].0.ssrc);
            assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
            let step = pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp);
            // A key stands still where it began.
            assert!(step <= codec.clock_rate() / 2, "{step}");
        }
    }
}

/// Amplitude of a tone in the last second of what was heard, in dB against the 8,000 that phones say it with.
pub(super) fn level(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let part = &samples[samples.len().saturating_sub(rate as usize)..];
    let (mut re, mut im) = (0.0, 0.0);
    for (n, s) in part.iter().enumerate() {
        let a = std::f64::consts::TAU * hz * n as f64 / f64::from(rate);
        re += f64::from(*s) * a.cos();
        im += f64::from(*s) * a.sin();
    }
    let amplitude = (re * re + im * im).sqrt() * 2.0 / part.len().max(1) as f64;
    20.0 * (amplitude.max(0.01) / 8_000.0).log10()
}

impl Bench {
    /// All talk, for so many packets; what each leg was sent meanwhile.
    pub(super) fn all_talk(&mut self, talkers: &mut [Talker], packets: usize) -> BTreeMap<LegId, Heard> {
        let mut heard: BTreeMap<LegId, Heard> = BTreeMap::new();
        self.out.sent.clear();
        for _ in 0..packets {
            for talker in talkers.iter_mut() {
                let bytes = talker.packet();
                if let Some((to, bytes)) = self.say(talker.leg, bytes) {
                    self.out.sent.push((LegId(u64::from(ip_of(to))), Port::Rtp, to, bytes));
                }
            }
            self.run(20);
            for (_, port, to, bytes) in self.out.sent.drain(..) {
                let Ok(p) = Packet::parse(&bytes[..]) else { continue };
                if port == Port::Rtp {
                    heard.entry(LegId(u64::from(ip_of(to)))).or_default().packets.push((p.fields(), p.payload().to_vec()));
                }
            }
        }
        heard
    }
}

fn ip_of(to: SocketAddr) -> u8 {
    match to.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    }
}

#[test]
fn every_codec_reaches_every_other_one_at_its_level() {
    for (i, a) in Codec::ALL.into_iter().enumerate() {
        for b in &Codec::ALL[i..] {
            let mut bench = Bench::bridge(a, *b);
            let mut talkers = [Talker::new(A, a, 1_000.0), Talker::new(B, *b, 440.0)];
            let heard = bench.all_talk(&mut talkers, 100);
            for (leg, codec, hz, own) in [(A, a, 440.0, 1_000.0), (B, *b, 1_000.0, 440.0)] {
                let heard = &heard[&leg];
                heard.is_whole(codec);
                assert!((99..=101).contains(&heard.packets.len()), "{a:?} {b:?}: {}", heard.packets.len());
                let samples = heard.samples(codec);
                let (other, echo) = (level(&samples, codec.sample_rate(), hz), level(&samples, codec.sample_rate(), own));
                assert!((-1.0..1.0).contains(&other), "{a:?} {b:?}: {other} dB");
                assert!(echo < -40.0, "{a:?} {b:?}: {echo} dB");
            }
            let legs = bench.worker.places.iter().filter_map(|p| p.leg.as_ref());
            let relayed = a == *b || (a.g711().is_some() && b.g711().is_some());
            assert!(legs.clone().all(|leg| leg.blend.is_some() != relayed && leg.voice.is_some() != relayed), "{a:?} {b:?}");
        }
    }
}

#[test]
fn packets_of_one_codec_pass_as_they_are() {
    for codec in Codec::ALL {
        let mut bench = Bench::bridge(codec, codec);
        let mut talker = Talker::new(A, codec, 700.0);
        let mut times = Vec::new();
        for _ in 0..20 {
            let bytes = talker.packet();
            let (_, relayed) = bench.say(A, bytes.clone()).unwrap();
            assert_eq!(relayed[HEADER..], bytes[HEADER..]);
            times.push(fields(&relayed).timestamp);
            bench.run(20);
        }
        assert!(times.windows(2).all(|t| t[1].wrapping_sub(t[0]) == codec.clock_rate() / 50), "{codec:?}");
    }
}

const PARTIES: [(LegId, Codec, f64); 3] = [(A, Codec::Pcmu, 440.0), (B, Codec::G722, 1_000.0), (C, Codec::Opus, 1_700.0)];

fn three() -> (Bench, [Talker; 3]) {
    (Bench::with_legs(&PARTIES.map(|(leg, codec, _)| (leg, codec))), PARTIES.map(|(leg, codec, hz)| Talker::new(leg, codec, hz)))
}

/// Who hears whom, by tones: exactly those whom `expected` says.
fn assert_hears(heard: &BTreeMap<LegId, Heard>, expected: &[(LegId, &[LegId])]) {
    for (leg, whom) in expected {
        let (_, codec, _) = PARTIES.into_iter().find(|p| p.0 == *leg).unwrap();
        let samples = heard.get(leg).map(|h| h.samples(codec)).unwrap_or_default();
        for (other, _, hz) in PARTIES {
            let db = level(&samples, codec.sample_rate(), hz);
            if whom.contains(&other) {
                assert!((-1.5..1.5).contains(&db), "{leg:?} hears {other:?} at {db} dB");
            } else {
                assert!(db < -38.0, "{leg:?} hears {other:?} at {db} dB");
            }
        }
    }
}

#[test]
fn in_a_conference_each_hears_all_the_others_and_not_himself() {
    let (mut bench, mut talkers) = three();
    for leg in [A, B, C] {
        bench.hear(leg, Source::Mix(vec![A, B, C]));
    }
    let heard = bench.all_talk(&mut talkers, 100);
    assert_hears(&heard, &[(A, &[B, C]), (B, &[A, C]), (C, &[A, B])]);
    for (leg, codec, _) in PARTIES {
        heard[&leg].is_whole(codec);
        assert!((99..=101).contains(&heard[&leg].packets.len()));
    }
}

/// A customer A, an agent B, a supervisor C.
#[test]
fn a_supervisor_listens_whispers_and_barges_and_the_customers_stream_has_no_seam() {
    let (mut bench, mut talkers) = three();
    bench.command(Command::Tap { leg: A, recording: recording() });
    let mut customer = Heard::default();
    let modes: [[&[LegId]; 3]; 5] = [
        // Nobody but the two.
        [&[B], &[A], &[]],
        // Listen.
        [&[B], &[A], &[A, B]],
        // Whisper.
        [&[B], &[A, C], &[A, B]],
        // Barge.
        [&[B, C], &[A, C], &[A, B]],
        // Alone again.
        [&[B], &[A], &[]],
    ];
    for mode in modes {
        for (leg, whom) in [A, B, C].into_iter().zip(mode) {
            bench.hear(leg, if whom.is_empty() { Source::Nothing } else { Source::Mix(whom.to_vec()) });
        }
        let mut heard = bench.all_talk(&mut talkers, 120);
        assert_hears(&heard, &[(A, mode[0]), (B, mode[1]), (C, mode[2])]);
        customer.packets.extend(heard.remove(&A).unwrap().packets);
    }
    customer.is_whole(Codec::Pcmu);
    // What the recording has as heard is what the customer was sent.
    let taped = bench.out.frames.iter().filter(|f| f.side == Side::Heard).count();
    assert_eq!(taped, customer.packets.len());
}

/// Trap: a playout that begins anew for who joins is heard by those who have been listening.
#[test]
fn one_who_joins_with_a_wider_codec_interrupts_nobody() {
    let mut bench = Bench::with_legs(&[(A, Codec::Opus), (B, Codec::Pcma), (C, Codec::G722)]);
    bench.hear(A, Source::Leg(B));
    bench.hear(B, Source::Leg(A));
    let mut talker = [Talker::new(A, Codec::Opus, 440.0)];
    bench.all_talk(&mut talker, 50);
    let received = |bench: &Bench| bench.worker.leg_at(0).unwrap().voice.as_ref().unwrap().playout.counts().received;
    let before = received(&bench);
    assert!(before >= 50);
    bench.hear(C, Source::Mix(vec![A, B]));
    assert_eq!(received(&bench), before);
    let heard = bench.all_talk(&mut talker, 120);
    for (leg, codec) in [(B, Codec::Pcma), (C, Codec::G722)] {
        assert!(level(&heard[&leg].samples(codec), codec.sample_rate(), 440.0) > -1.5, "{codec:?}");
    }
}

#[test]
fn one_who_leaves_a_conference_leaves_a_plain_bridge() {
    let mut bench = Bench::with_legs(&[(A, Codec::Pcma), (B, Codec::Pcma), (C, Codec::Opus)]);
    for leg in [A, B, C] {
        bench.hear(leg, Source::Mix(vec![A, B, C]));
    }
    assert!(bench.worker.leg_at(0).unwrap().blend.is_some());
    bench.command(Command::Close { leg: C });
    for place in &bench.worker.places {
        assert!(place.leg.as_ref().is_none_or(|l| l.blend.is_none() && l.voice.is_none()));
    }
    assert!(bench.say(A, packet(7, 1, 0, 8, &[1; 160])).is_some(), "relayed");
    bench.run(1_000);
    assert!(bench.rtp_sent().is_empty());
}

#[test]
fn a_leg_that_is_agreed_anew_with_another_codec_is_heard_on() {
    let mut bench = Bench::bridge(Codec::Pcma, Codec::Pcma);
    let mut talkers = [Talker::new(A, Codec::Pcma, 440.0), Talker::new(B, Codec::Pcma, 1_000.0)];
    bench.all_talk(&mut talkers, 20);
    bench.command(Command::Agree { leg: B, session: session(B, Codec::Opus) });
    talkers[1] = Talker::new(B, Codec::Opus, 1_000.0);
    let heard = bench.all_talk(&mut talkers, 100);
    let a = heard[&A].samples(Codec::Pcma);
    assert!((-1.0..1.0).contains(&level(&a, 8_000, 1_000.0)), "{}", level(&a, 8_000, 1_000.0));
    let b = heard[&B].samples(Codec::Opus);
    assert!((-1.0..1.0).contains(&level(&b, 48_000, 440.0)), "{}", level(&b, 48_000, 440.0));
}

#[test]
fn a_prompt_is_heard_by_any_codec_and_ends_in_time() {
    for codec in Codec::ALL {
        let mut bench = Bench::with_legs(&[(A, codec)]);
        let names = ["en/welcome", "en/menu"].map(|n| ClipName(n.into()));
        bench.hear(A, Source::Play(PlayId(4), Audio::Prompt(names.to_vec())));
        bench.run(199);
        assert_eq!(bench.rtp_sent().len(), 10, "{codec:?}");
        assert_eq!(bench.out.reports, [], "{codec:?}");
        bench.run(1);
        assert_eq!(bench.out.reports, [Report::PlayEnded { leg: A, play: PlayId(4) }], "{codec:?}");
        // Music, which has no end, waits while the peer does not listen.
        bench.hear(A, Source::Play(PlayId(5), Audio::Music(None)));
        bench.run(99);
        let sent = bench.rtp_sent();
        assert_eq!(sent.len(), 5);
        assert!(sent[0].0.marker && !sent[1].0.marker);
    }
}

pub(super) fn keys(heard: &Heard) -> Vec<(Fields, Event)> {
    let events = heard.packets.iter().filter(|(f, _)| f.payload_type == 101);
    events.map(|(f, payload)| (*f, Event::parse(payload).unwrap())).collect()
}

fn key(sequence: u16, timestamp: u32, duration: u16, end: bool) -> Vec<u8> {
    packet(A.0 as u32, sequence, timestamp, 101, &Event { code: 5, end, volume: 10, duration }.to_bytes())
}

/// A says a while, then presses 5 for 200 ms.
fn press_five(bench: &mut Bench) -> BTreeMap<LegId, Heard> {
    let mut talker = Talker::new(A, Codec::Pcma, 440.0);
    bench.all_talk(std::slice::from_mut(&mut talker), 50);
    let mut heard: BTreeMap<LegId, Heard> = BTreeMap::new();
    for n in 0..30u16 {
        let (duration, end) = ((n.min(9) + 1) * 160, n >= 9);
        if n < 12
            && let Some((to, bytes)) = bench.say(A, key(50 + n, 8_000, duration, end))
        {
            bench.out.sent.push((B, Port::Rtp, to, bytes));
        }
        bench.run(20);
        for (_, _, to, bytes) in bench.out.sent.drain(..) {
            let Ok(p) = Packet::parse(&bytes[..]) else { continue };
            heard.entry(LegId(u64::from(ip_of(to)))).or_default().packets.push((p.fields(), p.payload().to_vec()));
        }
    }
    heard
}

#[test]
fn a_key_reaches_one_who_is_decoded_as_one_event_in_its_clock() {
    let mut bench = Bench::bridge(Codec::Pcma, Codec::Opus);
    let heard = press_five(&mut bench);
    let keys = keys(&heard[&B]);
    assert!(keys.iter().all(|(f, e)| e.code == 5 && f.timestamp == keys[0].0.timestamp));
    assert_eq!(keys.iter().filter(|(f, _)| f.marker).count(), 1);
    let ends: Vec<u16> = keys.iter().filter(|(_, e)| e.end).map(|(_, e)| e.duration).collect();
    assert_eq!(ends.len(), 3);
    assert!(ends[0] == ends[2] && (160 * 48..=240 * 48).contains(&ends[0]), "{ends:?}");
    heard[&B].is_whole(Codec::Opus);
}

/// Some have the clock of G.711 beside Opus: both ways each event has its own.
#[test]
fn a_key_is_sent_at_the_clock_of_the_events_and_not_of_the_sound() {
    let mut bench = Bench::bridge(Codec::Opus, Codec::Opus);
    let slow = |leg| Session {
        telephone_event: Some((126, 8_000)),
        telephone_events_in: [(126, 8_000)].into_iter().collect(),
        ..session(leg, Codec::Opus)
    };
    bench.command(Command::Agree { leg: B, session: slow(B) });
    for (speaker, listener, number, clock) in [(A, B, 101, 48), (B, A, 126, 8)] {
        bench.out.sent.clear();
        bench.out.reports.clear();
        let sound = packet(speaker.0 as u32, 1, 0, Codec::Opus.payload_type(), &[0x78, 0, 0, 0]);
        bench.say(speaker, sound);
        for n in 0..8u16 {
            let event = Event { code: 5, end: n >= 5, volume: 10, duration: (n.min(5) + 1) * 20 * clock };
            bench.say(speaker, packet(speaker.0 as u32, 2 + n, 960, number, &event.to_bytes()));
            bench.now += Duration::from_millis(20);
            bench.worker.tick(bench.now, &mut bench.out);
        }
        for _ in 0..20 {
            bench.now += Duration::from_millis(20);
            bench.worker.tick(bench.now, &mut bench.out);
        }
        let told = bench.out.reports.iter().find_map(|r| match r {
            Report::Digit { leg, digit: '5', duration_ms, .. } => Some((*leg, *duration_ms)),
            _ => None,
        });
        assert_eq!(told, Some((speaker, 120)));
        let theirs = if number == 101 { 126 } else { 101 };
        let sent: Vec<(u8, Event)> = bench
            .out
            .sent
            .iter()
            .filter(|(leg, port, ..)| *leg == listener && *port == Port::Rtp)
            .filter_map(|(.., bytes)| {
                let mut bytes = bytes.clone();
                let packet = Packet::parse(&mut bytes[..]).ok()?;
                (packet.fields().payload_type == theirs).then(|| Event::parse(packet.payload()).map(|e| (theirs, e))).flatten()
            })
            .collect();
        let ticks = if theirs == 126 { 8 } else { 48 };
        let ends: Vec<u16> = sent.iter().filter(|(_, e)| e.end).map(|(_, e)| e.duration / ticks).collect();
        assert!(ends.len() == 3 && (100..=160).contains(&ends[0]), "{speaker}: {sent:?}");
    }
}

#[test]
fn a_key_reaches_one_who_knows_no_events_as_its_tone() {
    for codec in [Codec::Pcma, Codec::Pcmu, Codec::G722] {
        let mut bench = Bench::bridge(Codec::Pcma, codec);
        let mut other = session(B, codec);
        (other.telephone_event, other.telephone_events_in) = (None, Default::default());
        bench.command(Command::Agree { leg: B, session: other });
        let heard = press_five(&mut bench);
        heard[&B].is_whole(codec);
        let mut samples = heard[&B].samples(codec);
        samples.resize(samples.len() + codec.sample_rate() as usize / 10, 0);
        let every = (codec.sample_rate() / 8_000) as usize;
        let mut digits = String::new();
        dtmf::Detector::default().samples(samples.into_iter().step_by(every), |tone| digits.push(tone.digit));
        assert_eq!(digits, "5", "{codec:?}");
    }
}

#[test]
fn ordered_keys_are_sent_to_a_leg_whatever_it_hears() {
    for source in [Source::Nothing, Source::Leg(B), Source::Play(PlayId(1), Audio::Music(None))] {
        let mut bench = Bench::bridge(Codec::Pcma, Codec::Opus);
        bench.hear(A, source);
        bench.command(Command::Press { leg: A, keys: "19#".chars().map(|digit| Key { digit, duration_ms: 100 }).collect() });
        let mut talker = Talker::new(B, Codec::Opus, 440.0);
        let heard = bench.all_talk(std::slice::from_mut(&mut talker), 60);
        let mut codes: Vec<u8> = keys(&heard[&A]).iter().map(|(_, e)| e.code).collect();
        codes.dedup();
        assert_eq!(codes, [1, 9, 11]);
        heard[&A].is_whole(Codec::Pcma);
        assert!(bench.worker.leg_at(0).unwrap().keying.is_none());
    }
}

#[test]
fn a_leg_between_workers_is_decoded_where_it_arrives() {
    let mut bench = Bench::with_legs(&[(A, Codec::Pcma)]);
    let mut other = Bench::with_legs(&[(B, Codec::Opus)]);
    bench.hear(A, Source::Leg(B));
    let moving = other.worker.hand_over(B, other.now).unwrap();
    bench.worker.adopt(moving, bench.now);
    bench.hear(B, Source::Leg(A));
    let mut talkers = [Talker::new(A, Codec::Pcma, 440.0), Talker::new(B, Codec::Opus, 1_000.0)];
    let heard = bench.all_talk(&mut talkers, 100);
    assert!(level(&heard[&A].samples(Codec::Pcma), 8_000, 1_000.0) > -1.0);
    assert!(level(&heard[&B].samples(Codec::Opus), 48_000, 440.0) > -1.0);
}
