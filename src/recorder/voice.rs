//! A side's sound where it is not G.711 at its own rate: one stream, decoded in order and brought to the recording's rate.

use crate::codec::{Codec, Decoder, Resampler, Undecodable};

#[derive(Debug)]
pub struct Voice {
    decoder: Decoder,
    resampler: Resampler,
    /// Samples of the codec's rate that the resampler waits with, and those that it takes at once.
    waiting: usize,
    frame: usize,
    rate: u32,
    /// Samples of the recording's rate that its filter delays.
    delay: usize,
    decoded: Vec<i16>,
}

impl Voice {
    pub fn new(codec: Codec, rate: u32) -> Voice {
        let resampler = Resampler::new(codec.sample_rate(), rate);
        let delay = resampler.delay_samples();
        let frame = (codec.sample_rate() / 100) as usize;
        Voice { decoder: Decoder::new(codec), resampler, waiting: 0, frame, rate, delay, decoded: Vec::new() }
    }

    /// By how much the next samples that it gives are older than the next frame, in samples of the recording.
    pub fn behind(&self) -> i64 {
        (self.delay + self.waiting * self.rate as usize / (self.frame * 100)) as i64
    }

    /// Appends what a payload gives, at the recording's rate.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Undecodable> {
        self.decoded.clear();
        self.decoder.decode(payload, &mut self.decoded)?;
        self.resample(out);
        Ok(())
    }

    /// Appends what is held back: what comes next comes after a pause.
    pub fn rest(&mut self, out: &mut Vec<i16>) {
        self.decoded.clear();
        self.decoded.resize(2 * self.frame - self.waiting, 0);
        self.resample(out);
    }

    fn resample(&mut self, out: &mut Vec<i16>) {
        self.waiting = (self.waiting + self.decoded.len()) % self.frame;
        self.resampler.process(&self.decoded, out);
    }
}

/// Samples of the recording that so many ticks of a codec's RTP clock last.
pub fn samples_of(codec: Codec, ticks: i32, rate: u32) -> i64 {
    i64::from(ticks) * i64::from(rate) / i64::from(codec.clock_rate())
}

#[cfg(test)]
mod tests {
    use super::super::timeline::{Losses, NARROW, Timeline};
    use super::*;
    use crate::clock::Mono;
    use crate::codec::Encoder;
    use crate::ids::RecordingId;
    use crate::media::{Frame, Payload, Side};

    const MS: u64 = 1_000;

    /// 440 Hz, and a burst of 1 kHz for 100 ms each second.
    fn sound(rate: u32, ms: u32) -> Vec<i16> {
        (0..u64::from(rate) * u64::from(ms) / 1_000)
            .map(|n| {
                let burst = n * 10 / u64::from(rate) % 10 == 5;
                let hz = if burst { 1_000.0 } else { 440.0 };
                let t = n as f64 / f64::from(rate);
                ((if burst { 12_000.0 } else { 3_000.0 }) * (std::f64::consts::TAU * hz * t).sin()) as i16
            })
            .collect()
    }

    /// Packets of 20 ms with when they were sent, in ms.
    fn packets(codec: Codec, ms: u32) -> Vec<(u64, Frame)> {
        let mut encoder = Encoder::new(codec);
        let pcm = sound(codec.sample_rate(), ms);
        let frames = pcm.chunks(codec.sample_rate() as usize / 50).enumerate().map(|(n, pcm)| {
            let mut payload = Vec::new();
            assert!(encoder.encode(pcm, &mut payload));
            let frame = Frame {
                recording: RecordingId::from_parts(0, 0),
                side: Side::Said,
                at: Mono::ZERO,
                ssrc: 1,
                sequence: 65_500u16.wrapping_add(n as u16),
                timestamp: (u32::MAX - 3_000).wrapping_add(n as u32 * codec.clock_rate() / 50),
                codec,
                payload: Payload::from(&payload[..]),
            };
            (n as u64 * 20, frame)
        });
        frames.collect()
    }

    /// Recorded with a drain each 200 ms; the left channel.
    fn record(frames: Vec<(u64, Frame)>, end_ms: u64) -> (Timeline, Vec<i16>) {
        record_at(NARROW, frames, end_ms)
    }

    fn record_at(rate: u32, mut frames: Vec<(u64, Frame)>, end_ms: u64) -> (Timeline, Vec<i16>) {
        frames.sort_by_key(|(ms, _)| *ms);
        let mut timeline = Timeline::new(Mono::ZERO, rate);
        let mut out = Vec::new();
        let mut drained = 0;
        for (ms, frame) in frames {
            while drained + 200 <= ms {
                drained += 200;
                while timeline.drain(Mono::from_millis(drained), &mut out) {}
            }
            timeline.push(&Frame { at: Mono::from_micros(ms * MS), ..frame });
        }
        while timeline.drain(Mono::from_millis(end_ms), &mut out) {}
        timeline.finish(Mono::from_millis(end_ms), &mut out);
        assert_eq!(out.len() as u64, end_ms * u64::from(rate) / 1_000 * 2, "exactly as long as the clock says");
        (timeline, out.iter().step_by(2).copied().collect())
    }

    /// Where the bursts begin, in ms.
    fn bursts(pcm: &[i16]) -> Vec<usize> {
        let loud: Vec<bool> = pcm.chunks(8).map(|ms| ms.iter().any(|s| s.unsigned_abs() > 6_000)).collect();
        (50..loud.len()).filter(|i| loud[*i] && !loud[i - 50..*i].contains(&true)).collect()
    }

    const VOICES: [Codec; 3] = [Codec::G722, Codec::Opus, Codec::L16];

    #[test]
    fn every_codec_is_recorded_where_it_was_heard() {
        for codec in VOICES {
            let frames = packets(codec, 5_000).into_iter().map(|(ms, f)| (ms + 300, f)).collect();
            let (timeline, left) = record(frames, 5_500);
            assert_eq!(timeline.losses(Side::Said), Losses::default(), "{codec:?}");
            assert!(left[..2_300].iter().all(|s| *s == 0) && left[5_310 * 8..].iter().all(|s| *s == 0), "{codec:?}");
            // The codecs' own delay: 1.4 ms of G.722, 6.5 of Opus.
            for (i, at) in bursts(&left).into_iter().enumerate() {
                let wanted = 300 + 500 + i * 1_000;
                assert!((wanted..wanted + 9).contains(&at), "{codec:?}: {at} for {wanted}");
            }
            assert_eq!(bursts(&left).len(), 5);
        }
    }

    /// In a recording of 16 kHz G.711 is one stream among others, and what is wide stays so.
    #[test]
    fn at_16_khz_every_codec_is_recorded_where_it_was_heard() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, Codec::L16] {
            let mut frames: Vec<(u64, Frame)> = packets(codec, 5_000).into_iter().map(|(ms, f)| (ms + 300, f)).collect();
            frames.remove(100);
            let (timeline, left) = record_at(16_000, frames, 5_500);
            let losses = timeline.losses(Side::Said);
            assert_eq!((losses.concealed_ms, losses.anchors), (20, 0), "{codec:?}");
            let half: Vec<i16> = left.iter().step_by(2).copied().collect();
            let at = bursts(&half);
            assert_eq!(at.len(), 5, "{codec:?}: {at:?}");
            for (i, at) in at.into_iter().enumerate() {
                let wanted = 300 + 500 + i * 1_000;
                assert!((wanted..wanted + 9).contains(&at), "{codec:?}: {at} for {wanted}");
            }
        }
    }

    #[test]
    fn jitter_reordering_and_doubles_change_nothing() {
        for codec in VOICES {
            let (_, straight) = record(packets(codec, 4_000), 4_500);
            let mut frames = Vec::new();
            for (n, (ms, frame)) in packets(codec, 4_000).into_iter().enumerate() {
                let jitter = if n == 0 { 0 } else { n as u64 * 7_919 % 90 };
                if n % 5 == 0 {
                    frames.push((ms + 95, frame.clone()));
                }
                frames.push((ms + jitter, frame));
            }
            let (timeline, left) = record(frames, 4_500);
            assert!(left == straight, "{codec:?}");
            assert_eq!(timeline.losses(Side::Said).concealed_ms, 0, "{codec:?}");
        }
    }

    #[test]
    fn loss_is_silence_in_its_place_and_what_comes_too_late_is_counted() {
        for codec in VOICES {
            let mut frames = packets(codec, 4_000);
            frames[60].0 += 150;
            let frames = frames.into_iter().enumerate().filter(|(n, _)| !(100..103).contains(n)).map(|(_, f)| f).collect();
            let (timeline, left) = record(frames, 4_000);
            let losses = timeline.losses(Side::Said);
            assert_eq!((losses.concealed_ms, losses.late, losses.anchors), (80, 1, 0), "{codec:?}");
            assert!(left[2_020 * 8..2_055 * 8].iter().all(|s| *s == 0), "{codec:?}");
            assert!(left[1_000 * 8..1_190 * 8].iter().any(|s| s.unsigned_abs() > 1_000), "{codec:?}");
            let (at, wanted) = (bursts(&left), [500, 1_500, 2_500, 3_500]);
            assert!(at.iter().zip(wanted).all(|(at, wanted)| (wanted..wanted + 9).contains(at)), "{codec:?}: {at:?}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_silence_and_lost() {
        let mut frames = packets(Codec::L16, 1_000);
        frames[10].1.payload = Payload::from(&[1; 639][..]);
        frames[20].1.payload = Payload::from(&[1; 1][..]);
        let (timeline, _) = record(frames, 1_000);
        assert!((19..=20).contains(&timeline.losses(Side::Said).concealed_ms), "{:?}", timeline.losses(Side::Said));
    }

    #[test]
    fn a_call_that_changes_its_codec_goes_on() {
        let mut frames = packets(Codec::Pcma, 1_000);
        for (i, codec) in [Codec::Opus, Codec::G722, Codec::Pcmu].into_iter().enumerate() {
            let begin = (i as u64 + 1) * 1_000;
            frames.extend(packets(codec, 1_000).into_iter().map(|(ms, mut f)| {
                f.sequence = f.sequence.wrapping_add((begin / 20) as u16);
                (ms + begin, f)
            }));
        }
        let (timeline, left) = record(frames, 4_000);
        assert_eq!((bursts(&left).len(), timeline.losses(Side::Said).concealed_ms), (4, 0));
    }

    /// Three minutes of a clock that is 100 ppm fast, with 3 % loss.
    #[test]
    fn minutes_are_as_long_as_the_clock_says() {
        let frames = packets(Codec::L16, 180_000).into_iter().enumerate().filter(|(n, _)| n * 7_919 % 100 < 97);
        let (timeline, left) = record(frames.map(|(_, (ms, f))| (ms - ms / 10_000, f)).collect(), 179_982);
        let losses = timeline.losses(Side::Said);
        assert_eq!((losses.concealed_ms, losses.late), (5_400, 0));
        let said = bursts(&left);
        assert!(said.len() >= 177, "{}", said.len());
        for at in said {
            // The source's second is shorter than ours by 0.1 ms.
            let nth = (at as f64 / 999.9 - 0.5).round();
            let off = at as f64 - (nth + 0.5) * 999.9;
            assert!(off.abs() <= 90.0, "{at}: {off}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        /// Whatever comes: no panic, and the recording is as long as the clock says.
        #[test]
        fn any_frames_give_the_exact_length(
            frames in proptest::collection::vec(
                (0u64..300, 0u32..2, proptest::num::u16::ANY, proptest::num::u32::ANY, 0usize..5, proptest::collection::vec(proptest::num::u8::ANY, 0..700)),
                0..40,
            ),
        ) {
            let mut timeline = Timeline::new(Mono::from_millis(50), NARROW);
            let mut out = Vec::new();
            let mut at = 50;
            for (step, ssrc, sequence, timestamp, codec, payload) in frames {
                at += step;
                timeline.push(&Frame {
                    recording: RecordingId::from_parts(0, 0),
                    side: if ssrc == 0 { Side::Said } else { Side::Heard },
                    at: Mono::from_millis(at),
                    ssrc,
                    sequence: sequence % 50,
                    timestamp: timestamp % 200_000,
                    codec: Codec::ALL[codec],
                    payload: Payload::from(&payload[..]),
                });
                if step % 3 == 0 {
                    while timeline.drain(Mono::from_millis(at), &mut out) {}
                }
            }
            timeline.finish(Mono::from_millis(at + 1_000), &mut out);
            proptest::prop_assert_eq!(out.len() as u64, (at + 950) * 8 * 2);
        }
    }
}
