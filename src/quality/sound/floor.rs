//! What a channel sounds like when nobody talks: the level of its pauses.
//!
//! Minimum statistics (R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans.
//! Speech and Audio Processing 9(5), 2001) take the least level of the last seconds for the noise's. Here the least is looked for among
//! pauses, and on both sides of a frame: the floor of a frame is the loudest that the quietest [`PAUSE`] can be in any [`SPAN`] with that
//! frame in it. A noise that begins or ends is followed within a pause, and whatever goes on without a pause for [`SPAN`] is itself the floor,
//! and so no speech: an engine, music, a tone.

use std::collections::VecDeque;

/// Frames, of 20 ms: 200 ms. Closures within words are shorter, the pauses between phrases mostly longer.
pub(super) const PAUSE: usize = 10;

/// Frames: 8 s. Nobody talks so long without a breath.
pub(super) const SPAN: usize = 400;

/// Finds the floor of each frame, [`SPAN`] later.
#[derive(Debug)]
pub(super) struct Floor {
    /// Of the last [`PAUSE`] frames.
    loudest: Extreme,
    /// Frames in a row that had sound in them, or had none.
    alike: (bool, usize),
    /// Of the pauses within the last [`SPAN`].
    quietest: Extreme,
    /// Which of those pauses had no sound at all.
    empty: VecDeque<bool>,
    /// Of those spans that have a frame in them.
    floor: Extreme,
    /// Levels whose floor is not known yet.
    waiting: VecDeque<f32>,
    frames: u64,
}

/// Mean power of a frame, and what it is of its channel when nobody talks; 1.0 is full scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub power: f32,
    pub floor: f32,
}

impl Floor {
    pub fn new() -> Floor {
        Floor {
            loudest: Extreme::new(Which::Greatest, PAUSE),
            alike: (false, 0),
            quietest: Extreme::new(Which::Least, SPAN - PAUSE + 1),
            empty: VecDeque::new(),
            floor: Extreme::new(Which::Greatest, SPAN),
            waiting: VecDeque::new(),
            frames: 0,
        }
    }

    /// The next frame's power; `None`, where nothing came from there: lost packets, or a phone that sends nothing in pauses. That says
    /// nothing about what the pauses of the room sound like.
    pub fn push(&mut self, power: Option<f32>) -> Option<Level> {
        self.waiting.push_back(power.unwrap_or(0.0));
        self.frames += 1;
        self.alike = match (self.alike, power.is_some()) {
            ((before, count), now) if before == now => (now, count + 1),
            (_, now) => (now, 1),
        };
        let pause = self.loudest.push(power.unwrap_or(0.0));
        if self.frames < PAUSE as u64 {
            return None;
        }
        let (has_sound, is_whole) = (self.alike.0, self.alike.1 >= PAUSE);
        self.empty.push_back(!has_sound && is_whole);
        if self.empty.len() > SPAN - PAUSE + 1 {
            self.empty.pop_front();
        }
        let quietest = self.quietest.push(if has_sound && is_whole { pause } else { f32::INFINITY });
        if self.frames < SPAN as u64 {
            return None;
        }
        let floor = self.floor.push(self.believed(quietest));
        self.waiting.pop_front().map(|power| Level { power, floor })
    }

    /// All that wait, at the end.
    pub fn finish(&mut self) -> Vec<Level> {
        let whole = (self.frames < SPAN as u64).then(|| self.quietest.best().map_or(0.0, |q| self.believed(q)));
        let mut out = Vec::with_capacity(self.waiting.len());
        for (n, power) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            // No further span begins: those that there are go out of reach one after the other.
            let floor = self.floor.push(if n == 0 { whole.unwrap_or(0.0) } else { 0.0 });
            out.push(Level { power, floor });
        }
        out
    }

    /// Where there are pauses with nothing in them, for more than an eighth of the time, a phone leaves its pauses out: what is there is
    /// its talk. What packets lost on the way leave is mostly shorter than a pause.
    fn believed(&self, quietest: f32) -> f32 {
        let empty = self.empty.iter().filter(|empty| **empty).count();
        if quietest.is_finite() && empty * 8 < self.empty.len() { quietest } else { 0.0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Greatest,
    Least,
}

/// The greatest or the least of the last values, each looked at about twice.
#[derive(Debug)]
struct Extreme {
    which: Which,
    window: u64,
    seen: u64,
    /// Those that may still become it, the best first, with their numbers.
    candidates: VecDeque<(u64, f32)>,
}

impl Extreme {
    fn new(which: Which, window: usize) -> Extreme {
        Extreme { which, window: window as u64, seen: 0, candidates: VecDeque::new() }
    }

    fn push(&mut self, value: f32) -> f32 {
        let beats = |other: f32| match self.which {
            Which::Greatest => value >= other,
            Which::Least => value <= other,
        };
        while self.candidates.back().is_some_and(|(_, other)| beats(*other)) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((self.seen, value));
        while self.candidates.front().is_some_and(|(n, _)| n + self.window <= self.seen) {
            self.candidates.pop_front();
        }
        self.seen += 1;
        self.best().unwrap_or(value)
    }

    fn best(&self) -> Option<f32> {
        self.candidates.front().map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn floors(powers: &[Option<f32>]) -> Vec<Level> {
        let mut floor = Floor::new();
        let mut out: Vec<Level> = powers.iter().filter_map(|p| floor.push(*p)).collect();
        out.extend(floor.finish());
        out
    }

    /// The definition, by looking at every span.
    fn by_hand(powers: &[f32]) -> Vec<f32> {
        let span = SPAN.min(powers.len());
        let of_span = |from: usize| {
            let pauses = powers[from..from + span].windows(PAUSE.min(span));
            let quietest = pauses.map(|p| p.iter().copied().fold(0.0, f32::max)).fold(f32::INFINITY, f32::min);
            if span < PAUSE { 0.0 } else { quietest }
        };
        let spans: Vec<f32> = (0..=powers.len() - span).map(of_span).collect();
        (0..powers.len())
            .map(|n| {
                let from = (n + 1).saturating_sub(span);
                spans[from..=n.min(powers.len() - span)].iter().copied().fold(0.0, f32::max)
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_what_looking_at_every_span_gives(powers in prop::collection::vec(0.001f32..1.0, 1..700)) {
            let found = floors(&powers.iter().copied().map(Some).collect::<Vec<_>>());
            prop_assert_eq!(found.iter().map(|l| l.power).collect::<Vec<_>>(), powers.clone());
            prop_assert_eq!(found.iter().map(|l| l.floor).collect::<Vec<_>>(), by_hand(&powers));
        }

        #[test]
        fn memory_is_bounded_and_no_frame_is_lost(powers in prop::collection::vec(prop::option::of(0.0f32..1.0), 0..2_000)) {
            let mut floor = Floor::new();
            let mut given = 0;
            for power in &powers {
                given += usize::from(floor.push(*power).is_some());
                prop_assert!(floor.waiting.len() <= SPAN && floor.empty.len() <= SPAN);
                for extreme in [&floor.loudest, &floor.quietest, &floor.floor] {
                    prop_assert!(extreme.candidates.len() as u64 <= extreme.window);
                }
            }
            prop_assert_eq!(given + floor.finish().len(), powers.len());
        }
    }

    #[test]
    fn a_noise_is_the_floor_while_it_lasts_and_for_less_than_a_pause_around_it() {
        let powers: Vec<Option<f32>> = (0..1_500).map(|n| Some(if (500..1_000).contains(&n) { 0.1 } else { 0.001 })).collect();
        let found = floors(&powers);
        let at = |n: usize| found[n].floor;
        assert_eq!([at(500 - PAUSE), at(500), at(999), at(999 + PAUSE)], [0.001, 0.1, 0.1, 0.001]);
    }

    #[test]
    fn words_with_pauses_never_become_the_floor() {
        let powers: Vec<Option<f32>> = (0..3_000).map(|n| Some(if n % 350 < 330 { 0.1 } else { 0.001 })).collect();
        assert!(floors(&powers).iter().all(|l| l.floor == 0.001));
    }

    #[test]
    fn holes_in_a_noise_are_not_its_floor_and_a_phone_that_sends_words_alone_has_none() {
        let lossy: Vec<Option<f32>> = (0..1_000).map(|n| (n % 25 > 3).then_some(0.1)).collect();
        assert!(floors(&lossy).iter().all(|l| l.floor == 0.1));
        let sparse: Vec<Option<f32>> = (0..1_000).map(|n| (n % 100 < 40).then_some(0.1)).collect();
        assert!(floors(&sparse).iter().all(|l| l.floor == 0.0));
    }
}
