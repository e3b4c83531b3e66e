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
}

impl Tape {
    /// Reads the next `out.len()` samples in G.711. `false`: it has ended before them, and nothing was written.
    pub fn read(&mut self, law: G711, out: &mut [u8]) -> bool {
        match self {
            Tape::Once { clips, at } => {
                let mut filled = 0;
                while let Some(clip) = clips.front()
                    && filled < out.len()
                {
                    let rest = clip.encoded(law).get(*at..).unwrap_or_default();
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
                    out[filled..].fill(law.silence());
                }
                played
            }
            Tape::Loop { clip, at, .. } => {
                let bytes = clip.encoded(law);
                if bytes.is_empty() {
                    out.fill(law.silence());
                    return true;
                }
                let mut filled = 0;
                while filled < out.len() {
                    *at %= bytes.len();
                    let n = (bytes.len() - *at).min(out.len() - filled);
                    out[filled..filled + n].copy_from_slice(&bytes[*at..*at + n]);
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

    #[test]
    fn clips_follow_without_a_seam_and_the_last_packet_is_filled_up() {
        let mut tape = once([clip(8_000, 100), clip(0, 0), clip(-8_000, 100)]);
        let (loud, low, silence) = (G711::Pcma.encode(8_000), G711::Pcma.encode(-8_000), G711::Pcma.silence());
        let mut out = [0; 160];
        assert!(tape.read(G711::Pcma, &mut out));
        assert!(out[..100].iter().all(|b| *b == loud) && out[100..].iter().all(|b| *b == low));
        assert!(tape.read(G711::Pcma, &mut out));
        assert!(out[..40].iter().all(|b| *b == low) && out[40..].iter().all(|b| *b == silence));
        assert!(!tape.read(G711::Pcma, &mut out));
    }

    #[test]
    fn a_clip_of_whole_packets_ends_with_its_last_packet() {
        let mut tape = once([clip(1, 320)]);
        let mut out = [0; 160];
        assert!(tape.read(G711::Pcmu, &mut out) && tape.read(G711::Pcmu, &mut out) && !tape.read(G711::Pcmu, &mut out));
        let mut tape = once([clip(1, 320)]);
        assert!(tape.pass(160) && tape.pass(160) && !tape.pass(160));
    }

    #[test]
    fn a_loop_wraps_and_never_ends() {
        let pcm: Vec<i16> = (0..100).map(|i| i * 300).collect();
        let clip = Arc::new(Clip::new(pcm));
        let mut tape = Tape::Loop { clip: clip.clone(), at: 90, music: true };
        let mut out = [0; 220];
        assert!(tape.read(G711::Pcmu, &mut out));
        let bytes = clip.encoded(G711::Pcmu);
        assert_eq!(&out[..10], &bytes[90..]);
        assert_eq!(&out[10..110], bytes);
        let mut empty = Tape::Loop { clip: Arc::new(Clip::new(vec![])), at: 0, music: true };
        assert!(empty.read(G711::Pcmu, &mut out) && out.iter().all(|b| *b == 0xff));
    }
}
