//! Stretches of a recording that are silent on purpose.

use std::collections::VecDeque;
use std::ops::Range;

/// In samples from the start, in order, and none that is behind us: as many as were begun within what the time line holds back.
#[derive(Debug, Default)]
pub struct Hushed(VecDeque<Range<i64>>);

impl Hushed {
    /// One that has begun goes on.
    pub fn begin(&mut self, at: i64) {
        if self.0.back().is_none_or(|last| last.end < i64::MAX) {
            self.0.push_back(at..i64::MAX);
        }
    }

    pub fn end(&mut self, at: i64) {
        if let Some(last) = self.0.back_mut().filter(|last| last.end == i64::MAX) {
            last.end = at.max(last.start);
        }
    }

    /// Silences what of these is in one; both channels, the first sample being number `from`. Later calls begin where this one ended.
    pub fn apply(&mut self, from: i64, interleaved: &mut [i16]) {
        let to = from + interleaved.len() as i64 / 2;
        let place = |at: i64| usize::try_from((at.clamp(from, to) - from) * 2).unwrap_or(0);
        for part in &self.0 {
            interleaved[place(part.start)..place(part.end)].fill(0);
        }
        self.0.retain(|part| part.end > to);
    }
}
