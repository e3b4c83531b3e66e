//! Tones over bad networks, on virtual time. A tone shows what speech hides: every edge, every lost sample, every change of pitch.

use super::network::{Arrival, EVENT, Listener, Network, Sender, pitch, worst_click};
use super::*;

const HZ: f64 = 440.0;
const AMPLITUDE: f64 = 9_000.0;
/// A tone in µ-law breaks the equation of a pure tone by this share of its amplitude, by the steps of the code alone; an edge of a third
/// of the amplitude breaks it by more.
const CLICK: f64 = 0.1;

/// What a tone over a network sounds like.
fn tone_over(network: Network, sender: &mut Sender, ms: u64) -> Listener {
    let sent = sender.tone(HZ, AMPLITUDE, ms);
    let mut listener = Listener::new(sender.codec);
    listener.hear(&network.carry(sent), 1_000 + ms);
    listener
}

/// After the first tenth of a second, which has the beginning.
fn steady(l: &Listener) -> &[i16] {
    &l.heard[l.playout.rate as usize / 10..]
}

fn click(l: &Listener) -> f64 {
    worst_click(steady(l), HZ, l.playout.rate, AMPLITUDE)
}

fn range(delays: &[u32]) -> (u32, u32) {
    (*delays.iter().min().unwrap(), *delays.iter().max().unwrap())
}

/// For how long the tone was heard.
fn loud_ms(l: &Listener) -> u64 {
    let period = l.playout.rate as usize / HZ as usize + 1;
    let ms = (l.playout.rate / 1_000) as u64;
    l.heard.chunks(period).filter(|c| c.iter().any(|s| s.unsigned_abs() > 2_000)).count() as u64 * period as u64 / ms
}

/// All that say a tone as it is. Opus takes a steady tone for noise, and sends nothing of it.
const PLAIN: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::L16];

#[test]
fn on_a_still_network_the_sound_comes_out_as_it_was_said() {
    for codec in PLAIN {
        let mut sender = Sender::new(codec);
        let l = tone_over(Network::default(), &mut sender, 10_000);
        let c = l.counts();
        assert_eq!((c.lost, c.late, c.duplicates, c.discarded, c.concealed_ms, c.stretched_ms), (0, 0, 0, 0, 0, 0), "{codec:?}");
        assert!(click(&l) < CLICK, "{codec:?}: {}", click(&l));
        assert_eq!(l.heard.len(), codec.sample_rate() as usize * 10, "{codec:?}");
        assert!((pitch(steady(&l), codec.sample_rate()) - HZ).abs() < 0.2);
        let (least, most) = range(&l.delays);
        assert!(least >= 20 && most <= 41, "{least} to {most}");
    }
    // The very samples, where nothing codes them and nothing is cut yet.
    let mut sender = Sender::new(Codec::L16);
    let l = tone_over(Network::default(), &mut sender, 3_000);
    let said = |i: usize| ((i as f64 * HZ / 16_000.0 * std::f64::consts::TAU).sin() * AMPLITUDE) as i16;
    let begins = l.heard.iter().position(|s| *s != 0).unwrap() - 1;
    assert!(l.heard[begins..].iter().enumerate().skip(80).all(|(i, s)| *s == said(i)));
}

#[test]
fn loss_is_concealed_and_nothing_else_is() {
    for (loss, burst) in [(1.0, 1), (3.0, 1), (10.0, 1), (3.0, 3), (10.0, 4)] {
        for codec in [Codec::Pcmu, Codec::L16] {
            let network = Network { seed: 5, loss, burst, jitter_ms: 10, ordered: true, ..Network::default() };
            let l = tone_over(network, &mut Sender::new(codec), 60_000);
            let c = l.counts();
            let sent = c.received + c.lost;
            assert!((2_990..=3_000).contains(&sent) && c.late == 0, "{c:?}");
            // As much as was lost, and a pause in the worst bursts.
            let lost_ms = c.lost * 20;
            assert!(c.concealed_ms >= lost_ms * 95 / 100 && c.concealed_ms <= lost_ms * 105 / 100 + 20, "{loss} {burst}: {c:?}");
            assert!(click(&l) < CLICK * 1.5, "{codec:?} {loss} {burst}: {}", click(&l));
            // A row of four is longer than concealment is heard.
            assert!(burst > 3 || (pitch(steady(&l), codec.sample_rate()) - HZ).abs() < 3.0);
            let (_, most) = range(&l.delays);
            assert!(most <= 120, "{loss} {burst}: {most}");
        }
    }
}

#[test]
fn the_delay_is_near_what_the_network_needs() {
    for (jitter_ms, least, most) in [(0, 20, 20), (10, 20, 25), (20, 25, 35), (40, 45, 55), (80, 85, 95)] {
        for (ordered, at_once) in [(false, 1), (true, 2), (false, 6)] {
            let network = Network { seed: 11, jitter_ms, ordered, ..Network::default() };
            let sent = Sender::new(Codec::Pcmu).tone(HZ, AMPLITUDE, 60_000);
            let mut l = Listener::new(Codec::Pcmu);
            l.at_once = at_once;
            l.hear(&network.carry(sent), 61_000);
            let c = l.counts();
            assert!((least..=most).contains(&c.target_ms), "{jitter_ms} {ordered}: {c:?}");
            let settled = range(&l.delays[3_000..]);
            assert!(settled.0 + 12 >= least && settled.1 <= most + 17, "{jitter_ms} {ordered} {at_once}: {settled:?} {c:?}");
            assert!(c.concealed_ms <= 600, "{jitter_ms} {ordered}: {c:?}");
            assert!(click(&l) < CLICK, "{jitter_ms} {ordered}: {}", click(&l));
        }
    }
}

#[test]
fn spikes_cost_delay_and_not_words() {
    let network = Network { seed: 3, jitter_ms: 40, spikes: 1.0, spike_ms: 150, ordered: true, ..Network::default() };
    let l = tone_over(network, &mut Sender::new(Codec::G722), 60_000);
    let c = l.counts();
    assert_eq!((c.lost, c.late, c.discarded), (0, 0, 0), "{c:?}");
    assert!(range(&l.delays).1 <= 200 && c.concealed_ms < 1_500, "{c:?}");
    assert!(click(&l) < CLICK, "{}", click(&l));
}

#[test]
fn doubled_and_reordered_packets_are_counted_and_harmless() {
    let network = Network { seed: 3, jitter_ms: 60, doubled: 10.0, ..Network::default() };
    let l = tone_over(network, &mut Sender::new(Codec::L16), 30_000);
    let c = l.counts();
    assert!(c.duplicates > 100 && c.reordered > 300 && c.lost == 0, "{c:?}");
    assert!(c.late < 20 && c.concealed_ms <= c.late * 20 + 60, "{c:?}");
    assert!(click(&l) < CLICK, "{}", click(&l));
}

#[test]
fn clocks_that_drift_apart_for_ten_minutes_neither_run_dry_nor_overflow() {
    for ppm in [-100.0, 100.0] {
        let network = Network { seed: 9, loss: 3.0, jitter_ms: 20, ..Network::default() };
        let mut sender = Sender { ppm, ..Sender::new(Codec::Pcmu) };
        let l = tone_over(network, &mut sender, 600_000);
        let c = l.counts();
        assert_eq!(l.heard.len(), 8_000 * 600);
        // 100 ppm of ten minutes are 60 ms; the rest is what was waited for, and is worked off.
        assert!(c.stretched_ms + c.cut_ms < 500, "{ppm}: {c:?}");
        assert!(c.concealed_ms.abs_diff(c.lost * 20) < 600, "{ppm}: {c:?}");
        assert!((c.lost as f64 / 30_000.0 - 0.03).abs() < 0.005 && c.discarded == 0, "{ppm}: {c:?}");
        let (least, most) = range(&l.delays[1_000..]);
        assert!(least >= 20 && most <= 80, "{ppm}: {least} to {most}");
        assert!(click(&l) < CLICK * 2.0, "{ppm}: {}", click(&l));
    }
}

#[test]
fn packets_may_change_their_length() {
    for codec in [Codec::Pcma, Codec::G722] {
        let mut sender = Sender::new(codec);
        let mut sent = Vec::new();
        for ptime_ms in [20, 60, 10, 30, 20, 40, 60, 20] {
            sender.ptime_ms = ptime_ms;
            sent.extend(sender.tone(HZ, AMPLITUDE, 3_000));
        }
        let mut l = Listener::new(codec);
        l.hear(&Network::default().carry(sent), 24_900);
        let c = l.counts();
        // A longer packet is as much later, once.
        assert!(c.lost == 0 && c.late == 0 && c.concealed_ms <= 120, "{codec:?}: {c:?}");
        assert!(click(&l) < CLICK, "{codec:?}: {}", click(&l));
        assert!(range(&l.delays).1 <= 110, "{codec:?} {:?}", range(&l.delays));
    }
}

/// A tone, a pause, a tone; the sequence goes on and the timestamp jumps.
fn with_pause(sender: &mut Sender, pause_ms: u64) -> Vec<(u64, Fields, Vec<u8>)> {
    let mut sent = sender.tone(HZ, AMPLITUDE, 2_000);
    sender.pause(pause_ms);
    sent.extend(sender.tone(HZ, AMPLITUDE, 2_000));
    sent
}

#[test]
fn a_pause_of_the_sender_is_no_loss() {
    for pause_ms in [30, 500, 20_000] {
        let mut sender = Sender::new(Codec::Pcmu);
        let sent = with_pause(&mut sender, pause_ms);
        let mut l = Listener::new(Codec::Pcmu);
        l.hear(&Network { jitter_ms: 10, ..Network::default() }.carry(sent), 4_900 + pause_ms);
        let c = l.counts();
        assert_eq!((c.lost, c.late, c.discarded), (0, 0, 0), "{pause_ms}: {c:?}");
        assert!(c.concealed_ms <= 130, "{pause_ms}: {c:?}");
        assert!(worst_click(&l.heard, HZ, 8_000, AMPLITUDE) < CLICK * 2.0, "{pause_ms}");
        // The tone is heard for as long as it was said, less what is still on its way.
        let loud = loud_ms(&l);
        assert!(loud.abs_diff(3_830) < 60, "{pause_ms}: {loud}");
    }
}

#[test]
fn comfort_noise_is_heard_in_the_pause() {
    let mut sender = Sender::new(Codec::Pcma);
    let mut sent = sender.tone(HZ, AMPLITUDE, 1_000);
    let (at, fields) = sender.next();
    sent.push((at, Fields { payload_type: crate::rtp::COMFORT_NOISE, ..fields }, vec![45]));
    sender.pause(3_000);
    sent.extend(sender.tone(HZ, AMPLITUDE, 1_000));
    let mut l = Listener::new(Codec::Pcma);
    l.hear(&Network::default().carry(sent), 5_900);
    let c = l.counts();
    assert_eq!((c.lost, c.concealed_ms), (0, 0), "{c:?}");
    let pause = &l.heard[12_000..30_000];
    let power: f64 = pause.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pause.len() as f64;
    let level = 10.0 * (power / 32_767f64.powi(2)).log10();
    assert!((level + 45.0).abs() < 0.5, "{level}");
    assert!(worst_click(&l.heard, HZ, 8_000, AMPLITUDE) < CLICK * 2.0);
}

#[test]
fn a_call_may_begin_with_comfort_noise() {
    let mut sender = Sender::new(Codec::Pcma);
    let (at, fields) = sender.next();
    let sent = vec![(at, Fields { payload_type: crate::rtp::COMFORT_NOISE, ..fields }, vec![40])];
    let mut l = Listener::new(Codec::Pcma);
    l.hear(&Network::default().carry(sent), 3_000);
    assert!(l.heard[..560].iter().all(|s| *s == 0) && l.heard[800..].chunks(80).all(|f| f.iter().any(|s| *s != 0)));
}

#[test]
fn a_longer_way_is_taken_up_without_running_dry() {
    let mut sender = Sender::new(Codec::L16);
    let sent = sender.tone(HZ, AMPLITUDE, 40_000);
    let mut arrivals = Network::default().carry(sent);
    for a in arrivals.iter_mut().filter(|a| a.at > 11_000_000) {
        a.at += 300_000;
    }
    let mut l = Listener::new(Codec::L16);
    l.hear(&arrivals, 40_900);
    let c = l.counts();
    assert_eq!((c.lost, c.late), (0, 0), "{c:?}");
    // The gap of 300 ms cannot be heard through; nothing is made up after it.
    assert!(c.concealed_ms <= 150 && c.discarded == 0, "{c:?}");
    assert!(click(&l) < CLICK, "{}", click(&l));
}

#[test]
fn a_key_press_is_no_loss_and_sound_goes_on_after_it() {
    let mut sender = Sender::new(Codec::Pcmu);
    let mut sent = sender.tone(HZ, AMPLITUDE, 1_000);
    let began = sender.timestamp;
    for _ in 0..10 {
        let (at, fields) = sender.next();
        sent.push((at, Fields { payload_type: EVENT, timestamp: began, ..fields }, vec![1, 10, 0, 160]));
    }
    sent.extend(sender.tone(HZ, AMPLITUDE, 1_000));
    let mut l = Listener::new(Codec::Pcmu);
    l.hear(&Network::default().carry(sent), 3_260);
    let c = l.counts();
    assert_eq!((c.lost, c.played), (0, 100), "{c:?}");
    assert!(c.concealed_ms <= 20, "{c:?}");
    assert!(worst_click(&l.heard, HZ, 8_000, AMPLITUDE) < CLICK * 2.0);
}

#[test]
fn a_new_source_or_time_base_begins_without_a_click() {
    for anew in [
        |s: &mut Sender| s.ssrc = 9,
        |s: &mut Sender| s.timestamp = s.timestamp.wrapping_add(1_000_000_000),
        |s: &mut Sender| (s.ssrc, s.sequence, s.timestamp) = (10, 3, 77),
        |s: &mut Sender| s.sequence = s.sequence.wrapping_add(20_000),
    ] {
        let mut sender = Sender::new(Codec::G722);
        let mut sent = sender.tone(HZ, AMPLITUDE, 3_010);
        anew(&mut sender);
        sent.extend(sender.tone(HZ, AMPLITUDE, 3_000));
        let mut l = Listener::new(Codec::G722);
        l.hear(&Network { jitter_ms: 10, ordered: true, ..Network::default() }.carry(sent), 6_900);
        let c = l.counts();
        assert!(c.lost == 0 && c.played >= 290, "{c:?}");
        assert!(worst_click(&l.heard, HZ, 16_000, AMPLITUDE) < CLICK, "{}", worst_click(&l.heard, HZ, 16_000, AMPLITUDE));
        // Missing are what waited of the old one, what waits of the new one, and what is still on its way.
        assert!(loud_ms(&l) > 5_600, "{}", loud_ms(&l));
    }
}

#[test]
fn a_single_damaged_number_changes_nothing() {
    let mut sender = Sender::new(Codec::L16);
    let mut sent = sender.tone(HZ, AMPLITUDE, 3_000);
    sent[70].1.sequence ^= 0x4000;
    let mut l = Listener::new(Codec::L16);
    l.hear(&Network::default().carry(sent), 3_900);
    let c = l.counts();
    assert_eq!((c.lost, c.discarded, c.concealed_ms), (1, 1, 20), "{c:?}");
    assert!(click(&l) < 0.02);
}

#[test]
fn a_source_that_stands_still_falls_silent_and_comes_back() {
    let mut sender = Sender::new(Codec::Pcmu);
    let sent = sender.tone(HZ, AMPLITUDE, 2_000);
    // What is sent meanwhile does not arrive.
    let _ = sender.tone(HZ, AMPLITUDE, 5_000);
    let after = sender.tone(HZ, AMPLITUDE, 2_000);
    let mut l = Listener::new(Codec::Pcmu);
    l.hear(&Network::default().carry(sent.into_iter().chain(after).collect()), 9_900);
    let c = l.counts();
    assert_eq!((c.lost, c.discarded), (250, 0), "{c:?}");
    assert!(c.concealed_ms <= 130, "{c:?}");
    assert!(l.heard[8_000 * 25 / 10..8_000 * 6].iter().all(|s| *s == 0));
    assert!(worst_click(&l.heard, HZ, 8_000, AMPLITUDE) < CLICK * 2.0);
    assert!(l.counts().delay_ms <= 45, "{:?}", l.counts());
}

#[test]
fn what_a_stall_held_up_is_heard_and_the_delay_worked_off() {
    for (stall_ms, whole) in [(100, true), (180, true), (600, false), (3_000, false)] {
        let mut sender = Sender::new(Codec::L16);
        let sent = sender.tone(HZ, AMPLITUDE, 60_000);
        let stalled: Vec<Arrival> = Network::default()
            .carry(sent)
            .into_iter()
            .map(|mut a| {
                if (11_000_000..11_000_000 + stall_ms * 1_000).contains(&a.at) {
                    a.at = 11_000_000 + stall_ms * 1_000;
                }
                a
            })
            .collect();
        let mut l = Listener::new(Codec::L16);
        l.hear(&stalled, 60_900);
        let c = l.counts();
        assert_eq!((c.lost, c.late), (0, 0), "{stall_ms}: {c:?}");
        assert!((c.discarded == 0) == whole, "{stall_ms}: {c:?}");
        // What is skipped is beyond the longest delay.
        assert!(c.discarded <= stall_ms.saturating_sub(150) / 20, "{stall_ms}: {c:?}");
        assert!(c.concealed_ms <= stall_ms.min(130), "{stall_ms}: {c:?}");
        let (_, most) = range(&l.delays);
        assert!(most <= 225, "{stall_ms}: {most}");
        assert!(c.delay_ms <= 45 && click(&l) < CLICK, "{stall_ms}: {c:?} {}", click(&l));
    }
}

#[test]
fn a_frame_asked_for_again_is_the_same_and_an_old_one_is_silence() {
    let mut sender = Sender::new(Codec::G722);
    let mut l = tone_over(Network::default(), &mut sender, 2_000);
    let (newest, now) = (l.n - 1, Mono::from_millis(l.n * 10));
    for back in 0..KEPT {
        let end = l.heard.len() - back as usize * 160;
        assert_eq!(l.playout.frame(newest - back, now), &l.heard[end - 160..end]);
    }
    assert!(l.playout.frame(newest - KEPT, now).iter().all(|s| *s == 0));
    let before = l.counts();
    assert_eq!(l.counts(), before);
}

#[test]
fn after_a_time_without_listeners_it_goes_on_with_what_is_said_now() {
    let mut sender = Sender::new(Codec::Pcmu);
    let mut l = Listener::new(Codec::Pcmu);
    l.hear(&Network::default().carry(sender.tone(HZ, AMPLITUDE, 6_000)), 2_000);
    l.arrive(4_000_000);
    l.n = 400;
    l.hear(&[], 6_900);
    let c = l.counts();
    assert!(c.discarded >= 95 && c.lost == 0 && c.concealed_ms == 0, "{c:?}");
    assert!(range(&l.delays[110..]).1 <= 55, "{:?}", range(&l.delays[110..]));
}

#[test]
fn opus_speaks_and_pauses() {
    let mut sender = Sender::new(Codec::Opus);
    let network = Network { seed: 2, loss: 3.0, jitter_ms: 30, ..Network::default() };
    let mut l = Listener::new(Codec::Opus);
    l.hear(&network.carry(sender.speech(30_000)), 31_000);
    let c = l.counts();
    assert!(c.discarded == 0 && c.late < 10 && c.played > 500, "{c:?}");
    assert_eq!(l.heard.len(), 48_000 * 30);
    assert!((20..=60).contains(&c.target_ms), "{c:?}");
    let loud = l.heard.chunks(480).filter(|f| f.iter().any(|s| s.unsigned_abs() > 2_000)).count();
    assert!((1_200..1_600).contains(&loud), "{loud} of 3000 frames");
}

mod whatever_comes {
    use proptest::prelude::*;

    use super::super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Packet { kind: Kind, ssrc: u32, sequence: i32, timestamp: i32, payload: Vec<u8> },
        Frames(u64),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let near = prop_oneof![8 => Just(1i32), 2 => -3i32..6, 1 => any::<i32>()];
        let time = prop_oneof![8 => Just(160i32), 2 => -2_000i32..4_000, 1 => any::<i32>()];
        let kind = prop_oneof![8 => Just(Kind::Sound), 1 => Just(Kind::Noise), 1 => Just(Kind::Event)];
        let payload = prop_oneof![6 => prop::collection::vec(any::<u8>(), 160..=160), 2 => prop::collection::vec(any::<u8>(), 0..700), 1 => Just(vec![0x80; 2_500])];
        let packet = (kind, prop_oneof![20 => Just(1u32), 1 => 2u32..4], near, time, payload)
            .prop_map(|(kind, ssrc, sequence, timestamp, payload)| Step::Packet { kind, ssrc, sequence, timestamp, payload });
        let pass = prop_oneof![8 => Just(20u64), 2 => 0u64..400, 1 => 0u64..4_000_000_000];
        prop_oneof![6 => packet, 4 => prop_oneof![9 => 1u64..8, 1 => 8u64..2_000_000].prop_map(Step::Frames), 3 => pass.prop_map(Step::Pass)]
    }

    proptest! {
        #[test]
        fn it_never_panics_nor_grows(codec in prop::sample::select(&Codec::ALL[..]), steps in prop::collection::vec(step(), 1..200)) {
            let mut p = Playout::at(codec, codec.sample_rate());
            let (mut at, mut n) = (0u64, 0u64);
            let mut fields = Fields { marker: false, payload_type: 0, sequence: 65_530, timestamp: u32::MAX - 500, ssrc: 1 };
            for step in steps {
                match step {
                    Step::Packet { kind, ssrc, sequence, timestamp, payload } => {
                        fields.ssrc = ssrc;
                        fields.sequence = fields.sequence.wrapping_add(sequence as u16);
                        fields.timestamp = fields.timestamp.wrapping_add(timestamp as u32);
                        match kind {
                            Kind::Sound => p.packet(&fields, &payload, Mono::from_millis(at)),
                            Kind::Noise => p.comfort_noise(&fields, &payload, Mono::from_millis(at)),
                            Kind::Event => p.event(&fields, Mono::from_millis(at)),
                        }
                    }
                    Step::Frames(frames) if frames < 8 => for _ in 0..frames {
                        prop_assert_eq!(p.frame(n, Mono::from_millis(at)).len(), codec.sample_rate() as usize / 100);
                        n += 1;
                    },
                    Step::Frames(far) => { p.frame(n.wrapping_mul(far), Mono::from_millis(at)); }
                    Step::Pass(ms) => at += ms,
                }
                let c = p.counts();
                prop_assert_eq!(c.received, c.played + c.late + c.duplicates + c.discarded + p.waiting());
                prop_assert!(p.queue.len() <= queue::MOST_PACKETS);
                // A packet of 2,048 bytes, and what is looked ahead and kept to be repeated.
                prop_assert!(p.play.held() <= 2 * (queue::MOST_BYTES * 2 + codec.sample_rate() as usize / 5), "{}", p.play.held());
            }
        }
    }
}

/// A key's timestamp is when it began, as its sender says: nothing that it says may add up.
#[test]
fn events_that_jump_by_half_the_circle_of_time_each_add_up_to_nothing() {
    let mut listener = Listener::new(Codec::Pcmu);
    let mut at = 1_000_000;
    let fields = |n: u32, payload_type| Fields {
        marker: false,
        payload_type,
        sequence: n as u16,
        timestamp: n.wrapping_mul(0x7fff_ffff),
        ssrc: 7,
    };
    for n in 0..20_000 {
        at += 1_000;
        listener.playout.event(&fields(n, EVENT), Mono::from_micros(at));
        if n % 10 == 0 {
            listener.playout.frame(at / 10_000, Mono::from_micros(at));
        }
    }
    let sound = [0x10; 160];
    for n in 0..50u32 {
        at += 20_000;
        let fields = Fields { timestamp: n * 160, ..fields(20_000 + n, 0) };
        listener.playout.packet(&fields, &sound, Mono::from_micros(at));
        for frame in [at / 10_000, at / 10_000 + 1] {
            listener.playout.frame(frame, Mono::from_micros(at));
        }
    }
    let last = listener.playout.frame(at / 10_000 + 1, Mono::from_micros(at)).to_vec();
    assert!(last.iter().any(|sample| sample.unsigned_abs() > 1_000), "{:?}", listener.playout.counts());
}
