//! Packet loss concealment in the way of ITU-T G.711 Appendix I, at 8 or 16 kHz: what was heard last goes on by whole pitch periods, one
//! in the first 10 ms, then two, then three, so that it does not buzz; from 10 ms on it fades, and after 60 ms there is silence. What
//! comes then is faded in.
//!
//! Other than there, nothing is delayed to smooth the beginning of a loss: the step to the repeated period is spread over a quarter of it.

/// Pitch periods that are looked for, in ms: voices of 66 to 200 Hz.
const PITCH_MS: (usize, usize) = (5, 15);
/// What periods are compared over, in ms.
const WINDOW_MS: usize = 20;
/// Three of the longest periods and a quarter, in ms.
const HISTORY_MS: usize = 50;
const STAGE_MS: usize = 10;
/// All is faded away after so long, in ms.
const GONE_MS: usize = 60;
/// A lag is as good as the best where it is nearly as like.
const ALIKE: f64 = 0.95;
/// Longest fade into what comes after a loss, in ms.
const RETURN_MS: usize = 10;

#[derive(Clone, Debug)]
pub struct Concealer {
    /// Samples in a millisecond.
    ms: usize,
    /// What was given last, oldest first.
    history: Box<[i16]>,
    /// The history as it was when the loss began.
    before: Box<[i16]>,
    lost: Option<Lost>,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    /// In samples.
    pitch: usize,
    /// Samples made since it began.
    made: usize,
}

impl Concealer {
    pub fn new(sample_rate: u32) -> Concealer {
        let ms = (sample_rate / 1_000) as usize;
        let history = vec![0; HISTORY_MS * ms].into_boxed_slice();
        Concealer { ms, before: history.clone(), history, lost: None }
    }

    /// Samples that were received, in their order: after a loss the first of them are faded in, in place.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if let Some(lost) = self.lost.take() {
            let stage = STAGE_MS * self.ms;
            let long = lost.made.saturating_sub(stage) * 4 / STAGE_MS;
            let length = (lost.pitch / 4 + long).min(RETURN_MS * self.ms).min(samples.len());
            for (i, sample) in samples[..length].iter_mut().enumerate() {
                let share = (i + 1) as f32 / (length + 1) as f32;
                let old = self.sample(Lost { made: lost.made + i, ..lost });
                *sample = (old * (1.0 - share) + f32::from(*sample) * share) as i16;
            }
        }
        self.remember(samples);
    }

    /// Appends so many samples in place of what was lost.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let lost = match self.lost {
            Some(lost) => lost,
            None => {
                self.before.copy_from_slice(&self.history);
                Lost { pitch: self.pitch(), made: 0 }
            }
        };
        let start = out.len();
        let gone = GONE_MS * self.ms;
        let audible = gone.saturating_sub(lost.made).min(samples);
        out.extend((0..audible).map(|i| self.sample(Lost { made: lost.made + i, ..lost }) as i16));
        out.resize(start + samples, 0);
        self.remember(&out[start..]);
        self.lost = Some(Lost { made: lost.made.saturating_add(samples), ..lost });
    }

    /// Appends what [`conceal`](Concealer::conceal) would go on with, without going on.
    pub fn ahead(&self, samples: usize, out: &mut Vec<i16>) {
        let Some(lost) = self.lost else { return out.resize(out.len() + samples, 0) };
        out.extend((0..samples).map(|i| self.sample(Lost { made: lost.made.saturating_add(i), ..lost }) as i16));
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let kept = samples.len().min(length);
        self.history.copy_within(kept.., 0);
        self.history[length - kept..].copy_from_slice(&samples[samples.len() - kept..]);
    }

    /// The lag at which the last of what was heard is most like itself.
    fn pitch(&self) -> usize {
        let (least, most) = (PITCH_MS.0 * self.ms, PITCH_MS.1 * self.ms);
        let end = self.before.len();
        let window = &self.before[end - WINDOW_MS * self.ms..];
        let likeness = |lag: usize| {
            let earlier = &self.before[end - WINDOW_MS * self.ms - lag..end - lag];
            let (mut product, mut energy) = (0i64, 1i64);
            for (now, then) in window.iter().zip(earlier) {
                product += i64::from(*now) * i64::from(*then);
                energy += i64::from(*then) * i64::from(*then);
            }
            product as f64 / (energy as f64).sqrt()
        };
        let best = (least..=most).map(likeness).fold(0.0, f64::max);
        // Two periods are as like as one; the nearer is the better.
        (least..=most).find(|lag| likeness(*lag) >= ALIKE * best).unwrap_or(most)
    }

    /// The sample after `made` others.
    fn sample(&self, Lost { pitch, made }: Lost) -> f32 {
        let (stage, gone, quarter) = (STAGE_MS * self.ms, GONE_MS * self.ms, pitch / 4);
        if made >= gone {
            return 0.0;
        }
        let periods = made / stage + 1;
        let since = made % stage;
        let mut sample = match periods {
            1..=3 => self.repeated(pitch, periods, stage, made),
            _ => self.repeated(pitch, 3, stage, made),
        };
        if since < quarter && (2..=3).contains(&periods) {
            let share = (since + 1) as f32 / (quarter + 1) as f32;
            sample = sample * share + self.repeated(pitch, periods - 1, stage, made) * (1.0 - share);
        }
        if made < quarter {
            let end = self.before.len();
            let step = f32::from(self.before[end - 1]) - f32::from(self.before[end - 1 - pitch]);
            sample += step * (1.0 - (made + 1) as f32 / (quarter + 1) as f32);
        }
        let fade = made.saturating_sub(stage) as f32 / (gone - stage) as f32;
        (sample * (1.0 - fade)).clamp(-32_768.0, 32_767.0)
    }

    /// The last `periods` over and over, the end of each round faded into what came before its beginning. A stage begins at the phase
    /// that the one before it has reached.
    fn repeated(&self, pitch: usize, periods: usize, stage: usize, made: usize) -> f32 {
        let began = (periods - 1) * stage;
        let round = periods * pitch;
        let at = (began % pitch + made - began) % round;
        let (start, quarter) = (self.before.len() - round, pitch / 4);
        let sample = f32::from(self.before[start + at]);
        match (at + quarter).checked_sub(round) {
            None => sample,
            Some(into) => {
                let share = (into + 1) as f32 / (quarter + 1) as f32;
                sample * (1.0 - share) + f32::from(self.before[start - quarter + into]) * share
            }
        }
    }
}
