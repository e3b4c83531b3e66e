//! What the two channels of a recording sound like: who talks when and how loud, when nobody does, and when both do (S11, S12).
//!
//! ```text
//! samples ─> frames of 20 ms ─> power over the floor of that channel ─> talk, or not ─> both sides, frame by frame ─> [`Sound`]
//!                                [`floor`]                               [`talk`]
//! ```
//! The floor of a channel is what it sounds like in its pauses, looked for 8 s to both sides, so a verdict comes that much later, and no
//! more than that is ever kept: memory does not grow with the length of a call, but for the lists of a [`Sound`], which have a bound.
//!
//! What it can't tell apart, because it knows no words: music with pauses of 200 ms in it, a television, or people behind the agent count
//! as talk; so does any other noise that comes and goes within 8 s and is not even. A word under music, or within a second of it without a pause, is not heard. A
//! channel that stands 25 dB below the other at the same time is taken for its echo.
//!
//! It is told which stretches are to be listened to ([`Meter::listen_from`], [`Meter::rest_from`]): hold, music, prompts and pauses of the
//! recording are nobody's talk and nobody's silence. Each stretch is measured by itself.

mod floor;
mod frame;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use self::floor::{Floor, Level};
use self::frame::Frame;
use self::talk::{Above, Decided, Talk};
use crate::event::{By, Overtalk, Part, Silence, Sound};
use crate::media::Side;

/// Frames a second, of 20 ms.
const PER_SECOND: u32 = 50;
const FRAME_MS: u64 = 1_000 / PER_SECOND as u64;

/// What is quieter is no talk, however quiet the line: -60 dB. The idle noise of G.711 stands below.
const LEAST: f32 = 1e-6;
/// Talk begins this far above the floor: 6 dB. Plucked strings that ring on stay below, over their own floor.
const CLEARLY: f32 = 3.981;
/// And goes on while it is so far above it: 3 dB.
const SOMEWHAT: f32 = 1.995;

/// What is so far below the other side is its echo: 25 dB. Networks are to keep echoes lower than that (ITU-T G.131).
const ECHO: f32 = 0.003_16;
/// Of what an echo is compared with, what is left a frame later: it comes later than what it is of. It falls by 25 dB in 1.1 s.
const FADES: f32 = 0.9;

/// What a [`Sound`] lists.
const MOST: usize = 50;
/// Turns that are told ahead. What is beyond replaces the last one.
const MOST_TURNS: usize = 64;

/// From which length on silence and overtalk are listed. Shorter ones are turns of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    pub silence: Duration,
    pub overtalk: Duration,
}

/// 3 s and 500 ms, by feel.
impl Default for Least {
    fn default() -> Self {
        Least { silence: Duration::from_secs(3), overtalk: Duration::from_millis(500) }
    }
}

/// Listens to one recording, sample after sample.
#[derive(Debug)]
pub struct Meter {
    rate: u32,
    least: Least,
    /// Samples of each channel that came.
    at: u64,
    listens: bool,
    /// Where it is to listen from, or no longer, in samples from the beginning.
    turns: VecDeque<(u64, bool)>,
    part: Option<Listening>,
    found: Found,
}

impl Meter {
    /// For a recording of so many samples a second, 8,000 or more. It listens from the first one.
    pub fn new(rate: u32, least: Least) -> Meter {
        Meter {
            rate: rate.max(PER_SECOND),
            least,
            at: 0,
            listens: true,
            turns: VecDeque::new(),
            part: None,
            found: Found::default(),
        }
    }

    /// Talk and silence count from this sample on; from the next that comes, where it came already. A new stretch begins there, where they
    /// did already.
    pub fn listen_from(&mut self, sample: u64) {
        self.turn(sample, true);
    }

    /// From this sample on they do not.
    pub fn rest_from(&mut self, sample: u64) {
        self.turn(sample, false);
    }

    fn turn(&mut self, sample: u64, listens: bool) {
        // One that is told late, or for a moment before another, takes that one's place.
        while self.turns.back().is_some_and(|(at, _)| *at >= sample) || self.turns.len() >= MOST_TURNS {
            self.turns.pop_back();
        }
        self.turns.push_back((sample, listens));
    }

    /// Samples that follow those before: what the customer said and heard, in turn.
    pub fn push(&mut self, interleaved: &[i16]) {
        let mut rest = interleaved.get(..interleaved.len() / 2 * 2).unwrap_or_default();
        while !rest.is_empty() {
            let until = self.until_turn();
            let (now, later) = rest.split_at(rest.len().min(until.saturating_mul(2)));
            if self.listens {
                let part = self.part.get_or_insert_with(|| Listening::new(self.at, self.rate, self.least));
                part.push(now, &mut self.found);
            }
            self.at += (now.len() / 2) as u64;
            rest = later;
        }
    }

    pub fn finish(mut self) -> Sound {
        self.close();
        self.found.finish(self.rate)
    }

    /// Takes the turns that are due, and says how many samples there are before the next: at least one.
    fn until_turn(&mut self) -> usize {
        while let Some((at, listens)) = self.turns.front().copied() {
            if at > self.at {
                return usize::try_from(at - self.at).unwrap_or(usize::MAX);
            }
            self.turns.pop_front();
            self.close();
            self.listens = listens;
        }
        usize::MAX
    }

    fn close(&mut self) {
        if let Some(part) = self.part.take() {
            part.finish(&mut self.found);
        }
    }
}

/// One stretch that is listened to. Of two of a kind the first is what the customer said.
#[derive(Debug)]
struct Listening {
    from: u64,
    length: u64,
    least: [u64; 2],
    frame: Frame,
    floors: [Floor; 2],
    /// Power of each, fading, for the other's echo.
    recent: [f32; 2],
    talks: [Talk; 2],
    tally: Tally,
}

/// Frames of a stretch that are decided.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    talk: [u64; 2],
    overtalk: u64,
    energy: [f64; 2],
    first: [Option<u64>; 2],
    /// Who talked a frame ago.
    before: [bool; 2],
    silent_since: Option<u64>,
    both_since: Option<(u64, Option<Side>)>,
}

impl Listening {
    fn new(from: u64, rate: u32, least: Least) -> Listening {
        let frames = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX).div_ceil(FRAME_MS);
        Listening {
            from,
            length: 0,
            least: [frames(least.silence), frames(least.overtalk)],
            frame: Frame::new(rate),
            floors: [Floor::new(), Floor::new()],
            recent: [0.0; 2],
            talks: [Talk::new(), Talk::new()],
            tally: Tally::default(),
        }
    }

    fn push(&mut self, interleaved: &[i16], found: &mut Found) {
        self.length += interleaved.len() as u64 / 2;
        let mut rest = interleaved;
        while let Some(powers) = self.frame.fill(&mut rest) {
            let [said, heard] = &mut self.floors;
            let [a, b] = powers;
            if let (Some(said), Some(heard)) = (said.push(a), heard.push(b)) {
                self.weigh([said, heard], found);
            }
        }
    }

    fn weigh(&mut self, levels: [Level; 2], found: &mut Found) {
        for (recent, level) in self.recent.iter_mut().zip(levels) {
            *recent = level.power.max(*recent * FADES);
        }
        for (side, Level { power, floor }) in levels.into_iter().enumerate() {
            let is_nothing = power < LEAST || power < self.recent[1 - side] * ECHO;
            let above = match power {
                _ if is_nothing => Above::Not,
                _ if power >= floor * CLEARLY => Above::Clearly,
                _ if power >= floor * SOMEWHAT => Above::Somewhat,
                _ => Above::Not,
            };
            self.talks[side].push(power, above);
        }
        self.count(found);
    }

    /// What is decided of both.
    fn count(&mut self, found: &mut Found) {
        let [said, heard] = &mut self.talks;
        while let (Some(a), Some(b)) = (said.decided.front().copied(), heard.decided.front().copied()) {
            said.decided.pop_front();
            heard.decided.pop_front();
            self.tally.count([a, b], self.from, self.least, found);
        }
    }

    fn finish(mut self, found: &mut Found) {
        let [said, heard] = &mut self.floors;
        let (said, heard) = (said.finish(), heard.finish());
        for (said, heard) in said.into_iter().zip(heard) {
            self.weigh([said, heard], found);
        }
        for talk in &mut self.talks {
            talk.finish();
        }
        self.count(found);
        self.tally.close(self.from, self.least, found);
        let Tally { talk, overtalk, energy, first, .. } = self.tally;
        let level = |side: usize| (talk[side] > 0).then(|| (10.0 * (energy[side] / talk[side] as f64).log10()) as f32);
        found.part(Measured { from: self.from, length: self.length, talk, overtalk, level: [level(0), level(1)], first });
    }
}

impl Tally {
    fn count(&mut self, frames: [Decided; 2], from: u64, least: [u64; 2], found: &mut Found) {
        let n = self.frames;
        let talks = frames.map(|frame| frame.talks);
        for (side, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.talks) {
            self.talk[side] += 1;
            self.energy[side] += f64::from(frame.power);
            self.first[side].get_or_insert(n);
        }
        match talks {
            [true, true] if self.both_since.is_none() => {
                let by = match self.before {
                    [true, false] => Some(Side::Heard),
                    [false, true] => Some(Side::Said),
                    [true, true] | [false, false] => None,
                };
                self.both_since = Some((n, by));
            }
            [true, true] => {}
            [true, false] | [false, true] | [false, false] => self.end_overtalk(from, least[1], found),
        }
        match talks {
            [false, false] => _ = self.silent_since.get_or_insert(n),
            [true, _] | [_, true] => self.end_silence(from, least[0], found),
        }
        self.overtalk += u64::from(talks == [true, true]);
        self.before = talks;
        self.frames += 1;
    }

    fn close(&mut self, from: u64, [silence, overtalk]: [u64; 2], found: &mut Found) {
        self.end_silence(from, silence, found);
        self.end_overtalk(from, overtalk, found);
    }

    fn end_silence(&mut self, from: u64, least: u64, found: &mut Found) {
        if let Some(since) = self.silent_since.take() {
            let frames = self.frames - since;
            if frames >= least {
                found.silences.add(Stretch { part: from, since, frames, by: None });
            }
        }
    }

    fn end_overtalk(&mut self, from: u64, least: u64, found: &mut Found) {
        if let Some((since, by)) = self.both_since.take() {
            let frames = self.frames - since;
            if frames >= least {
                found.overtalks.add(Stretch { part: from, since, frames, by });
            }
        }
    }
}

/// What a [`Sound`] is made of, in samples and frames.
#[derive(Debug, Default)]
struct Found {
    parts: Vec<Measured>,
    parts_dropped: u64,
    silences: Longest,
    overtalks: Longest,
}

#[derive(Debug)]
struct Measured {
    from: u64,
    length: u64,
    talk: [u64; 2],
    overtalk: u64,
    level: [Option<f32>; 2],
    first: [Option<u64>; 2],
}

/// So many frames from one of a part on.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    part: u64,
    since: u64,
    frames: u64,
    by: Option<Side>,
}

/// The [`MOST`] longest, in the order of time.
#[derive(Debug, Default)]
struct Longest {
    kept: Vec<Stretch>,
    count: u64,
}

impl Longest {
    fn add(&mut self, stretch: Stretch) {
        self.count += 1;
        self.kept.push(stretch);
        if self.kept.len() > MOST
            && let Some((shortest, _)) = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.frames)
        {
            self.kept.remove(shortest);
        }
    }
}

impl Found {
    fn part(&mut self, measured: Measured) {
        if self.parts.len() < MOST {
            self.parts.push(measured);
        } else {
            self.parts_dropped += 1;
        }
    }

    fn finish(self, rate: u32) -> Sound {
        let ms = |samples: u64| (u128::from(samples) * 1_000 / u128::from(rate)) as u64;
        let at = |part: u64, frame: u64| ms(part) + frame * FRAME_MS;
        let part = |p: &Measured| Part {
            at_ms: ms(p.from),
            length_ms: ms(p.length),
            talk_ms: p.talk.map(|frames| frames * FRAME_MS),
            overtalk_ms: p.overtalk * FRAME_MS,
            level_dbfs: p.level,
            first_ms: p.first.map(|first| first.map(|frame| at(p.from, frame))),
        };
        let silence = |s: &Stretch| Silence { at_ms: at(s.part, s.since), length_ms: s.frames * FRAME_MS };
        let side = |side: Side| if side == Side::Said { By::Customer } else { By::Phone };
        let overtalk = |s: &Stretch| Overtalk { at_ms: at(s.part, s.since), length_ms: s.frames * FRAME_MS, by: s.by.map(side) };
        Sound {
            parts: self.parts.iter().map(part).collect(),
            parts_dropped: self.parts_dropped,
            silences: self.silences.kept.iter().map(silence).collect(),
            silences_count: self.silences.count,
            overtalks: self.overtalks.kept.iter().map(overtalk).collect(),
            overtalks_count: self.overtalks.count,
        }
    }
}
