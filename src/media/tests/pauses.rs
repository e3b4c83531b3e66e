//! Silence that is not sent, hold and resume, and keys, where what a leg hears is encoded for it.

use super::blended::{Heard, Talker, keys, level};
use super::*;

const NOISE: u8 = 13;

/// What B was sent of so many packets of A.
fn says(bench: &mut Bench, talker: &mut Talker, packets: usize) -> Heard {
    bench.all_talk(std::slice::from_mut(talker), packets).remove(&B).unwrap_or_default()
}

/// As many ticks lie between two packets as time has passed between them.
fn passed(clock_rate: u32, from: &Fields, to: &Fields, ms: u32) {
    let ticks = to.timestamp.wrapping_sub(from.timestamp);
    let expected = clock_rate / 1_000 * ms;
    assert!(ticks.abs_diff(expected) <= clock_rate / 25, "{ticks} for {expected}");
    assert!(to.sequence != from.sequence && to.ssrc == from.ssrc);
}

#[test]
fn opus_does_not_send_silence_to_one_who_asks_for_that_and_time_goes_on() {
    let mut bench = Bench::bridge(Codec::Pcma, Codec::Opus);
    bench.command(Command::Agree { leg: B, session: Session { dtx: true, ..session(B, Codec::Opus) } });
    let mut talker = Talker::new(A, Codec::Pcma, 440.0);
    let before = says(&mut bench, &mut talker, 50);
    talker.hz = 0.0;
    let pause = says(&mut bench, &mut talker, 100);
    assert!(pause.packets.len() < 40, "{} of 100 packets of silence", pause.packets.len());
    talker.hz = 440.0;
    let after = says(&mut bench, &mut talker, 100);
    let last = pause.packets.last().or(before.packets.last()).unwrap();
    assert_eq!(after.packets[0].0.sequence, last.0.sequence.wrapping_add(1), "what was not sent is not lost");
    passed(48_000, &before.packets[49].0, &after.packets.last().unwrap().0, 100 * 20 + 100 * 20);
    assert!(after.packets.iter().any(|(fields, _)| fields.marker), "a talk spurt begins");
    assert!(level(&after.samples(Codec::Opus), 48_000, 440.0) > -1.5);
}

#[test]
fn comfort_noise_goes_no_further_and_is_no_loss() {
    let mut bench = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    let (_, before) = bench.say(A, packet(7, 1, 0, 0, &[1; 160])).unwrap();
    assert_eq!(bench.say(A, packet(7, 2, 160, NOISE, &[40])), None);
    let (_, after) = bench.say(A, packet(7, 3, 320, 0, &[1; 160])).unwrap();
    assert_eq!(fields(&after).sequence, fields(&before).sequence.wrapping_add(1));
}

#[test]
fn a_leg_on_hold_is_sent_nothing_and_then_what_is_said_by_then() {
    for codec in [Codec::G722, Codec::Opus] {
        let mut bench = Bench::bridge(Codec::Pcma, codec);
        let mut talker = Talker::new(A, Codec::Pcma, 440.0);
        let before = says(&mut bench, &mut talker, 50);
        bench.command(Command::Agree { leg: B, session: Session { send: false, ..session(B, codec) } });
        let held = says(&mut bench, &mut talker, 100);
        assert!(held.packets.is_empty(), "{}", held.packets.len());
        talker.hz = 1_000.0;
        says(&mut bench, &mut talker, 10);
        bench.command(Command::Agree { leg: B, session: session(B, codec) });
        let after = says(&mut bench, &mut talker, 100);
        assert_eq!(after.packets[0].0.sequence, before.packets.last().unwrap().0.sequence.wrapping_add(1));
        assert!(after.packets[0].0.marker);
        passed(codec.clock_rate(), &before.packets.last().unwrap().0, &after.packets[0].0, 110 * 20);
        let samples = after.samples(codec);
        let (now, then) = (level(&samples, codec.sample_rate(), 1_000.0), level(&samples, codec.sample_rate(), 440.0));
        assert!(now > -1.5 && then < -40.0, "{codec:?}: {now} dB, {then} dB");
    }
}

#[test]
fn a_key_that_is_held_is_let_go_for_one_who_hears_its_leg_no_more() {
    for leaves in [true, false] {
        let mut bench = Bench::bridge(Codec::Pcma, Codec::Opus);
        let press = |n: u16| {
            let event = Event { code: 5, end: false, volume: 10, duration: (n + 1) * 160 };
            packet(7, n, 0, 101, &event.to_bytes())
        };
        for n in 0..5 {
            bench.say(A, press(n));
            bench.run(20);
        }
        let mut sent = Heard { packets: bench.rtp_sent() };
        match leaves {
            true => bench.hear(B, Source::Nothing),
            false => bench.command(Command::Close { leg: A }),
        }
        sent.packets.extend(bench.rtp_sent_in(400));
        let keys = keys(&sent);
        let ends: Vec<u16> = keys.iter().filter(|(_, event)| event.end).map(|(_, event)| event.duration / 48).collect();
        assert!(ends.len() == 3 && ends.iter().all(|ms| *ms < 200), "{ends:?}");
        assert!(bench.worker.leg_at(1).unwrap().keying.is_none());
    }
}

#[test]
fn only_the_third_packet_in_a_row_of_another_codec_changes_what_a_leg_speaks() {
    let mut bench = Bench::bridge(Codec::Pcma, Codec::Pcma);
    let receives = [(8, Codec::Pcma), (9, Codec::G722)].into_iter().collect();
    bench.command(Command::Agree { leg: A, session: Session { receives, ..session(A, Codec::Pcma) } });
    let mut n = 0u16;
    let mut say = |bench: &mut Bench, payload_type: u8, payload: &[u8]| {
        n += 1;
        let relayed = bench.say(A, packet(7, n, u32::from(n) * 160, payload_type, payload)).is_some();
        bench.run(20);
        (relayed, bench.worker.leg_at(0).unwrap().speaks)
    };
    let sound = [0x2a; 160];
    assert_eq!(say(&mut bench, 8, &sound), (true, Codec::Pcma));
    for _ in 0..3 {
        assert_eq!(say(&mut bench, 9, &sound), (false, Codec::Pcma));
        assert_eq!(say(&mut bench, 9, &sound), (false, Codec::Pcma));
        assert_eq!(say(&mut bench, 8, &sound), (true, Codec::Pcma), "it goes on as it was");
    }
    // Keep-alives without sound count for nothing.
    for _ in 0..5 {
        assert_eq!(say(&mut bench, 9, &[]).1, Codec::Pcma);
    }
    assert_eq!(say(&mut bench, 9, &sound).1, Codec::Pcma);
    assert_eq!(say(&mut bench, 9, &sound).1, Codec::Pcma);
    assert_eq!(say(&mut bench, 9, &sound), (false, Codec::G722));
    assert!(bench.worker.leg_at(1).unwrap().blend.is_some());
    for _ in 0..2 {
        assert_eq!(say(&mut bench, 8, &sound).1, Codec::G722);
    }
    assert_eq!(say(&mut bench, 8, &sound).1, Codec::Pcma);
    assert!(bench.worker.leg_at(1).unwrap().blend.is_none());
}

/// A key's tones for `ms`, in packets of µ-law.
fn tones(digit: char, ms: usize) -> Vec<Vec<u8>> {
    let mut pcm = Vec::new();
    for n in 0..ms.div_ceil(20) {
        keying::tone(digit, Duration::from_millis(n as u64 * 20), 8_000, &mut pcm);
    }
    pcm.truncate(ms * 8);
    pcm.resize(pcm.len().next_multiple_of(160), 0);
    pcm.chunks(160).map(|packet| packet.iter().map(|sample| G711::Pcmu.encode(*sample)).collect()).collect()
}

#[test]
fn a_key_in_the_sound_is_an_event_for_who_has_those_and_is_not_heard_twice() {
    for codec in [Codec::Pcmu, Codec::Opus] {
        for is_event in [true, false] {
            let mut bench = Bench::bridge(Codec::Pcmu, codec);
            bench.agree(A, |s| (s.telephone_event, s.telephone_events_in) = (None, Default::default()));
            if !is_event {
                let other = Session { telephone_event: None, telephone_events_in: Default::default(), ..session(B, codec) };
                bench.command(Command::Agree { leg: B, session: other });
            }
            let silence = vec![vec![0xff; 160]; 10];
            let packets = [silence.clone(), tones('5', 120), silence.clone(), tones('5', 65), silence.clone(), silence].concat();
            let mut heard = Heard::default();
            for (n, payload) in packets.into_iter().enumerate() {
                if let Some((_, bytes)) = bench.say(A, packet(7, n as u16, n as u32 * 160, 0, &payload)) {
                    bench.out.sent.push((B, Port::Rtp, phone(B), bytes));
                }
                bench.run(20);
                heard.packets.extend(bench.rtp_sent());
            }
            let told =
                bench.out.reports.iter().filter(|r| matches!(r, Report::Digit { leg: A, digit: '5', via: DigitVia::InBand, .. }));
            assert_eq!(told.count(), 2);
            let keys = keys(&heard);
            let ends = keys.iter().filter(|(_, event)| event.end).count();
            assert_eq!(ends, if is_event { 6 } else { 0 }, "{codec:?}");
            assert!(keys.iter().all(|(_, event)| event.code == 5));
            let mut sound = String::new();
            let every = (codec.sample_rate() / 8_000) as usize;
            let samples = heard.samples(codec).into_iter().step_by(every);
            dtmf::Detector::default().samples(samples, |tone| sound.push(tone.digit));
            assert_eq!(sound, if is_event { "" } else { "55" }, "{codec:?}");
        }
    }
}

/// As fast as phones dial by themselves, and one that is held for longer than a key that we send.
#[test]
fn keys_in_the_sound_that_follow_fast_or_last_are_not_heard_beside_their_events() {
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        let mut bench = Bench::bridge(Codec::Pcmu, codec);
        bench.agree(A, |s| (s.telephone_event, s.telephone_events_in) = (None, Default::default()));
        let pause = [0xff; 560];
        let dialled: Vec<u8> = "5198".chars().flat_map(|digit| [tones_of(digit, 70), pause.to_vec()].concat()).collect();
        let sound = [vec![0xff; 1_600], dialled, tones_of('7', 6_000), vec![0xff; 8_000]].concat();
        let mut heard = Heard::default();
        for (n, payload) in sound.chunks_exact(160).enumerate() {
            if let Some((_, bytes)) = bench.say(A, packet(7, n as u16, n as u32 * 160, 0, payload)) {
                bench.out.sent.push((B, Port::Rtp, phone(B), bytes));
            }
            bench.run(20);
            heard.packets.extend(bench.rtp_sent());
        }
        let mut told = String::new();
        for (fields, event) in keys(&heard) {
            if fields.marker {
                told.push(event.digit().unwrap());
            }
        }
        assert_eq!(told, "51987", "{codec:?}");
        let mut sound = String::new();
        let samples = heard.samples(codec).into_iter().step_by((codec.sample_rate() / 8_000) as usize);
        dtmf::Detector::default().samples(samples, |tone| sound.push(tone.digit));
        assert_eq!(sound, "", "{codec:?}");
    }
}

/// A key's tones for `ms`, in µ-law.
fn tones_of(digit: char, ms: usize) -> Vec<u8> {
    let mut sound = tones(digit, ms).concat();
    sound.truncate(ms * 8);
    sound
}

#[test]
fn keys_that_are_pressed_before_the_first_agreement_are_sent_after_it() {
    let mut bench = Bench::new();
    bench.command(Command::Open { leg: A, lease: Lease { worker: 0, port: 20_000 } });
    bench.command(Command::Press { leg: A, keys: vec![Key { digit: '5', duration_ms: 100 }] });
    assert!(bench.rtp_sent_in(100).is_empty());
    bench.agree(A, |_| {});
    let sent = Heard { packets: bench.rtp_sent_in(400) };
    assert_eq!(keys(&sent).iter().filter(|(_, event)| event.end && event.code == 5).count(), 3);
}

#[test]
fn a_key_goes_on_as_one_event_over_an_agreement_that_changes_nothing_for_it() {
    for changes in [false, true] {
        let mut bench = Bench::with_legs(&[(A, Codec::Pcmu)]);
        bench.command(Command::Press { leg: A, keys: vec![Key { digit: '5', duration_ms: 200 }] });
        let mut sent = bench.rtp_sent_in(100);
        let number = if changes { 96 } else { 101 };
        bench.agree(A, |s| (s.ptime_ms, s.telephone_event) = (30, Some((number, 8_000))));
        sent.extend(bench.rtp_sent_in(400));
        let began: std::collections::BTreeSet<u32> = sent.iter().map(|(fields, _)| fields.timestamp).collect();
        assert_eq!(began.len(), if changes { 2 } else { 1 });
    }
}

#[test]
fn a_key_that_is_held_is_let_go_for_one_who_goes_elsewhere() {
    let mut bench = Bench::bridge(Codec::Pcma, Codec::Opus);
    for n in 0..5 {
        let event = Event { code: 5, end: false, volume: 10, duration: (n + 1) * 160 };
        bench.say(A, packet(7, n, 0, 101, &event.to_bytes()));
        bench.run(20);
    }
    let mut other = Bench::with_legs(&[(C, Codec::Pcma)]);
    other.now = bench.now;
    other.worker.adopt(bench.worker.hand_over(B, bench.now).unwrap(), other.now);
    other.run(400);
    assert!(other.worker.leg_at(1).unwrap().keying.is_none());
}

#[test]
fn a_leg_that_is_told_of_keys_by_signalling_gets_no_tone_of_them() {
    let mut bench = Bench::bridge(Codec::Pcmu, Codec::Pcmu);
    bench.agree(B, |s| (s.telephone_event, s.keys_by_signalling) = (None, true));
    for n in 0..8u16 {
        let event = Event { code: 5, end: n >= 5, volume: 10, duration: (n.min(5) + 1) * 160 };
        bench.say(A, packet(7, n, 0, 101, &event.to_bytes()));
        bench.run(20);
    }
    assert!(bench.rtp_sent().is_empty());
    assert!(bench.out.reports.iter().any(|r| matches!(r, Report::Digit { leg: A, digit: '5', .. })));
}
