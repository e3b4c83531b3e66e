//! Where sound can be cut or repeated so that nobody hears it: one or more pitch periods away it is most like itself, and a crossfade
//! between the two places has no edge (waveform-similarity overlap-add).

/// Nearest and farthest place, in 10,000ths of a second: voices have pitch periods of 2.5 to 15 ms (400 to 67 Hz).
const NEAREST: usize = 25;
pub const FARTHEST: usize = 150;

/// Mean magnitude below which any place does: 58 dB below full scale, as quiet as a quiet room is on a phone.
const QUIET: u64 = 40;

/// Samples of the farthest place at `rate`.
pub const fn farthest(rate: u32) -> usize {
    rate as usize * FARTHEST / 10_000
}

/// A place that a frame can be faded over to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// From the frame, in samples; negative if before.
    pub offset: isize,
    /// 1 is the same shape; 0 has nothing in common.
    pub likeness: f32,
}

/// The place before (`back`) or after `sound[at..at + frame]` that is most like it. All of `sound` may be used. `None` if there is not
/// enough of it.
pub fn most_alike(sound: &[i16], at: usize, frame: usize, rate: u32, back: bool) -> Option<Place> {
    let nearest = rate as usize * NEAREST / 10_000;
    let room = if back { at } else { sound.len().checked_sub(at + frame)? };
    let farthest = farthest(rate).min(room);
    if farthest < nearest {
        return None;
    }
    let here = sound.get(at..at + frame)?;
    let sum: u64 = here.iter().map(|s| u64::from(s.unsigned_abs())).sum();
    if sum < QUIET * frame as u64 {
        return Some(Place { offset: signed(farthest, back), likeness: 1.0 });
    }
    // At the higher rates first every so manieth place on sums of so many samples, then the neighbours of the best exactly.
    let coarse = (rate as usize / 8_000).max(1);
    let (start, end) = if back { (at - farthest, at + frame) } else { (at, at + frame + farthest) };
    let sums: Vec<f32> = sound.get(start..end)?.chunks_exact(coarse).map(|c| c.iter().map(|s| f32::from(*s)).sum()).collect();
    let (own, length) = (if back { farthest / coarse } else { 0 }, frame / coarse);
    let mut best = Place { offset: signed(nearest, back), likeness: f32::MIN };
    for lag in nearest / coarse..=farthest / coarse {
        let other = if back { own.checked_sub(lag) } else { Some(lag) };
        let likeness = other
            .and_then(|o| Some((sums.get(own..own + length)?, sums.get(o..o + length)?)))
            .map_or(f32::MIN, |(a, b)| correlation(a.iter().copied().zip(b.iter().copied())));
        if likeness > best.likeness {
            best = Place { offset: signed(lag * coarse, back), likeness };
        }
    }
    if coarse == 1 {
        return Some(best);
    }
    let rough = best.offset.unsigned_abs();
    best.likeness = f32::MIN;
    for lag in rough.saturating_sub(coarse).max(nearest)..=(rough + coarse).min(farthest) {
        let other = if back { at - lag } else { at + lag };
        let Some(there) = sound.get(other..other + frame) else { continue };
        let likeness = correlation(here.iter().zip(there).map(|(a, b)| (f32::from(*a), f32::from(*b))));
        if likeness > best.likeness {
            best = Place { offset: signed(lag, back), likeness };
        }
    }
    Some(best)
}

/// Where in `old` what `new` begins with is most alike: there `new` can go on.
pub fn align(old: &[i16], new: &[i16], rate: u32) -> usize {
    let window = (rate as usize / 100).min(new.len()).min(old.len());
    let begin = &new[..window];
    let likeness = |at: usize| {
        old.get(at..at + window)
            .map_or(f32::MIN, |there| correlation(begin.iter().zip(there).map(|(a, b)| (f32::from(*a), f32::from(*b)))))
    };
    let best = |places: &mut dyn Iterator<Item = usize>| {
        places.map(|at| (at, likeness(at))).fold((0, f32::MIN), |best, next| if next.1 > best.1 { next } else { best }).0
    };
    // At the higher rates first every so manieth place, then the neighbours of the best.
    let coarse = (rate as usize / 8_000).max(1);
    let rough = best(&mut (0..=old.len() - window).step_by(coarse));
    best(&mut (rough.saturating_sub(coarse)..=(rough + coarse).min(old.len() - window)))
}

fn signed(lag: usize, back: bool) -> isize {
    if back { -(lag as isize) } else { lag as isize }
}

/// Normalised cross-correlation, -1 to 1.
fn correlation(pairs: impl Iterator<Item = (f32, f32)>) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Fades `from` over to `to`, into `from`: all of `from` at its start, all of `to` at its end.
pub fn crossfade(from: &mut [i16], to: &[i16]) {
    let length = from.len().max(1) as i32;
    for (i, (a, b)) in from.iter_mut().zip(to).enumerate() {
        let done = i as i32;
        *a = ((i32::from(*a) * (length - done) + i32::from(*b) * done) / length) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f32, rate: u32, samples: usize) -> Vec<i16> {
        (0..samples).map(|i| ((i as f32 * hz / rate as f32 * std::f32::consts::TAU).sin() * 12_000.0) as i16).collect()
    }

    #[test]
    fn a_tone_is_most_alike_whole_periods_away() {
        for rate in [8_000, 16_000, 48_000] {
            let frame = rate as usize / 100;
            for hz in [80.0, 200.0, 440.0, 1_000.0] {
                let sound = sine(hz, rate, frame * 6);
                for back in [false, true] {
                    let place = most_alike(&sound, frame * 2, frame, rate, back).unwrap();
                    let periods = place.offset.unsigned_abs() as f32 * hz / rate as f32;
                    assert!((periods - periods.round()).abs() < 0.07, "{rate} {hz} {back}: {periods} periods");
                    assert!(place.likeness > 0.9 && (place.offset < 0) == back, "{place:?}");
                }
            }
        }
    }

    #[test]
    fn a_tone_goes_on_in_phase() {
        for rate in [8_000, 16_000, 48_000] {
            let (old, new) =
                (sine(300.0, rate, rate as usize / 40), &sine(300.0, rate, rate as usize / 20)[rate as usize / 440..]);
            let phase = (align(&old, new, rate) as f32 - (rate as usize / 440) as f32) * 300.0 / rate as f32;
            assert!((phase - phase.round()).abs() < 0.05, "{rate}: {phase}");
        }
        assert_eq!(align(&[0; 100], &[0; 20], 8_000), 0);
        assert_eq!(align(&[1; 10], &[1; 20], 8_000), 0);
    }

    #[test]
    fn where_there_is_not_enough_sound_there_is_no_place() {
        let sound = sine(200.0, 8_000, 100);
        assert_eq!(most_alike(&sound, 10, 80, 8_000, true), None);
        assert_eq!(most_alike(&sound, 10, 80, 8_000, false), None);
        assert_eq!(most_alike(&sound, 90, 80, 8_000, false), None);
        assert_eq!(most_alike(&[0; 400], 150, 80, 8_000, true).map(|p| p.offset), Some(-120));
    }
}
