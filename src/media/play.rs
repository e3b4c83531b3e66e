//! What a leg is played, and where in it it is.
//!
//! A play is a tape that is read in packets; the pace is the worker's. Clips of a prompt follow one another without a seam; only the
//! last packet of a prompt is filled up with silence. Loops (music, tones) never end, and music goes on where the leg last left it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec::G711;

use super::{Clip, PlayId};

/// The sound of a play.
#[derive(Clone, Debug)]
pub enum Tape {
    /// Clips in turn, once; `at` is the sample in the first of them.
    Once { clips: VecDeque<Arc<Clip>>, at: usize },
    /// Over and over. `music`: its position is remembered.
    Loop { clip: Arc<Clip>, at: usize, music: bool },
}

/// A play under way.
#[derive(Clone, Debug)]
pub struct Play {
    pub id: PlayId,
    pub tape: Tape,
    /// Samples of it that were played.
    age: usize,
    /// What was played before, and dies away under the beginning of this.
    under: Option<Tape>,
}

/// Music comes up over so many samples, a fifth of a second, and dies away under what follows it.
const FADE: usize = 1_600;

impl Play {
    pub fn new(id: PlayId, tape: Tape, under: Option<Tape>) -> Play {
        Play { id, tape, age: 0, under }
    }

    /// What dies away under the play that follows this one: music does, prompts and tones end.
    pub fn under(&self) -> Option<Tape> {
        self.tape.is_music().then(|| self.tape.clone())
    }

    /// Reads the next `out.len()` samples, encoded. `false`: it has ended before them, and nothing was written.
    pub fn read(&mut self, law: G711, out: &mut [u8]) -> bool {
        if self.age >= FADE || !(self.tape.is_music() || self.under.is_some()) {
            self.age = self.age.saturating_add(out.len());
            return self.tape.read(|clip| clip.encoded(law), law.silence(), out);
        }
        let mut samples = vec![0; out.len()];
        let goes_on = self.read_samples(&mut samples);
        if goes_on {
            out.iter_mut().zip(samples).for_each(|(byte, sample)| *byte = law.encode(sample));
        }
        goes_on
    }

    /// Reads the next `out.len()` samples at 8 kHz. `false`: it has ended before them, and nothing was written.
    pub fn read_samples(&mut self, out: &mut [i16]) -> bool {
        if !self.tape.read(Clip::pcm, 0, out) {
            return false;
        }
        if self.age < FADE {
            let rises = self.tape.is_music();
            let mut before = vec![0; out.len()];
            if let Some(under) = &mut self.under {
                under.read(Clip::pcm, 0, &mut before);
            }
            for (n, (sample, before)) in (self.age..).zip(out.iter_mut().zip(before)) {
                let share = n.min(FADE) as i32;
                let up = if rises { i32::from(*sample) * share / FADE as i32 } else { i32::from(*sample) };
                let down = i32::from(before) * (FADE as i32 - share) / FADE as i32;
                *sample = (up + down).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
        } else {
            self.under = None;
        }
        self.age = self.age.saturating_add(out.len());
        true
    }
}

impl Tape {
    fn is_music(&self) -> bool {
        matches!(self, Tape::Loop { music: true, .. })
    }

    /// Reads the next `out.len()` of a clip's samples, as `of` gives them. `false`: it has ended before them, and nothing was written.
    fn read<T: Copy>(&mut self, of: impl Fn(&Clip) -> &[T], silence: T, out: &mut [T]) -> bool {
        match self {
            Tape::Once { clips, at } => {
                let mut filled = 0;
                while let Some(clip) = clips.front()
                    && filled < out.len()
                {
                    let rest = of(clip).get(*at..).unwrap_or_default();
                    let n = rest.len().min(out.len() - filled);
                    out[filled..filled + n].copy_from_slice(&rest[..n]);
                    filled += n;
                    *at += n;
                    if n == rest.len() {
                        clips.pop_front();
                        *at = 0;
                    }
                }
                let played = filled > 0;
                if played {
                    out[filled..].fill(silence);
                }
                played
            }
            Tape::Loop { clip, at, .. } => {
                let samples = of(clip);
                if samples.is_empty() {
                    out.fill(silence);
                    return true;
                }
                let mut filled = 0;
                while filled < out.len() {
                    *at %= samples.len();
                    let n = (samples.len() - *at).min(out.len() - filled);
                    out[filled..filled + n].copy_from_slice(&samples[*at..*at + n]);
                    filled += n;
                    *at += n;
                }
                true
            }
        }
    }

    /// Lets `samples` pass while nobody may listen: a prompt runs on (its caller's time does), a loop waits. `false`: it has ended.
    pub fn pass(&mut self, samples: usize) -> bool {
        match self {
            Tape::Once { clips, at } => {
                let mut left = samples;
                while let Some(clip) = clips.front()
                    && left > 0
                {
                    let n = clip.len().saturating_sub(*at).min(left);
                    left -= n;
                    *at += n;
                    if *at >= clip.len() {
                        clips.pop_front();
                        *at = 0;
                    }
                }
                left < samples
            }
            Tape::Loop { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(level: i16, samples: usize) -> Arc<Clip> {
        Arc::new(Clip::new(vec![level; samples]))
    }

    fn once(clips: impl IntoIterator<Item = Arc<Clip>>) -> Tape {
        Tape::Once { clips: clips.into_iter().collect(), at: 0 }
    }

    fn read(tape: &mut Tape, out: &mut [u8]) -> bool {
        tape.read(|clip| clip.encoded(G711::Pcmu), G711::Pcmu.silence(), out)
    }

    #[test]
    fn clips_follow_without_a_seam_and_the_last_packet_is_filled_up() {
        let mut tape = once([clip(8_000, 100), clip(0, 0), clip(-8_000, 100)]);
        let (loud, low, silence) = (G711::Pcmu.encode(8_000), G711::Pcmu.encode(-8_000), G711::Pcmu.silence());
        let mut out = [0; 160];
        assert!(read(&mut tape, &mut out));
        assert!(out[..100].iter().all(|b| *b == loud) && out[100..].iter().all(|b| *b == low));
        assert!(read(&mut tape, &mut out));
        assert!(out[..40].iter().all(|b| *b == low) && out[40..].iter().all(|b| *b == silence));
        assert!(!read(&mut tape, &mut out));
    }

    #[test]
    fn a_clip_of_whole_packets_ends_with_its_last_packet() {
        let mut tape = once([clip(1, 320)]);
        let mut out = [0; 160];
        assert!(read(&mut tape, &mut out) && read(&mut tape, &mut out) && !read(&mut tape, &mut out));
        let mut tape = once([clip(1, 320)]);
        assert!(tape.pass(160) && tape.pass(160) && !tape.pass(160));
    }

    #[test]
    fn a_loop_wraps_and_never_ends() {
        let pcm: Vec<i16> = (0..100).map(|i| i * 300).collect();
        let clip = Arc::new(Clip::new(pcm));
        let mut tape = Tape::Loop { clip: clip.clone(), at: 90, music: true };
        let mut out = [0; 220];
        assert!(read(&mut tape, &mut out));
        let bytes = clip.encoded(G711::Pcmu);
        assert_eq!(&out[..10], &bytes[90..]);
        assert_eq!(&out[10..110], bytes);
        let mut empty = Tape::Loop { clip: Arc::new(Clip::new(vec![])), at: 0, music: true };
        assert!(read(&mut empty, &mut out) && out.iter().all(|b| *b == 0xff));
    }

    #[test]
    fn music_comes_up_and_dies_away_under_the_prompt_that_follows() {
        let music = || Tape::Loop { clip: clip(8_000, 1_000), at: 0, music: true };
        let mut play = Play::new(PlayId(1), music(), None);
        let mut heard = vec![0; 3_200];
        assert!(heard.chunks_mut(160).all(|packet| play.read_samples(packet)));
        assert!(heard[..160].iter().all(|s| *s <= 800) && heard[..FADE].is_sorted());
        assert!(heard[FADE..].iter().all(|s| *s == 8_000));
        let mut prompt = Play::new(PlayId(2), once([clip(1_000, 3_200)]), play.under());
        assert!(heard.chunks_mut(160).all(|packet| prompt.read_samples(packet)));
        assert_eq!((heard[0], heard[FADE / 2]), (9_000, 5_000), "the prompt itself is whole from its start");
        assert!(heard[FADE..].iter().all(|s| *s == 1_000));
        assert!(!prompt.read_samples(&mut heard[..160]));
        // Encoded as unencoded.
        let (mut a, mut b) = (Play::new(PlayId(1), music(), None), Play::new(PlayId(1), music(), None));
        let (mut bytes, mut samples) = ([0; 160], [0; 160]);
        for _ in 0..20 {
            assert!(a.read(G711::Pcma, &mut bytes) && b.read_samples(&mut samples));
            assert_eq!(bytes, samples.map(|s| G711::Pcma.encode(s)));
        }
    }
}
