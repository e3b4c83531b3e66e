//! Limits of the service standards: the site's, and a queue's own.

use std::fmt::Display;
use std::time::Duration;

use serde_spanned::Spanned;

use super::Checking;
use crate::config::{Standards, given};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

impl Checking {
    /// What is not given is as in `others`.
    pub(super) fn standards(&mut self, given: Option<given::Standards>, others: &Standards) -> Standards {
        let given = given.unwrap_or_default();
        Standards {
            rings: self.count("rings", given.rings, others.rings, 1..=20),
            hold: self.time("hold", given.hold, others.hold, SECOND..=HOUR),
            mute: self.time("mute", given.mute, others.mute, SECOND..=HOUR),
            silence: self.time("silence", given.silence, others.silence, 3 * SECOND..=600 * SECOND),
            overtalk: self.time("overtalk", given.overtalk, others.overtalk, SECOND / 2..=60 * SECOND),
            level: self.span("level", given.level, -60.0, 0.0).unwrap_or(others.level),
            talk_share: self.span("talk_share", given.talk_share, 0.0, 1.0).or(others.talk_share),
        }
    }

    /// Least and most within limits.
    fn span(&mut self, key: &'static str, given: Option<Spanned<[f64; 2]>>, least: f64, most: f64) -> Option<[f32; 2]> {
        let given = given?;
        let [from, to] = *given.get_ref();
        if least <= from && from < to && to <= most {
            return Some([from as f32, to as f32]);
        }
        let show = |a: &dyn Display, b: &dyn Display| format!("[{a}, {b}]");
        self.out_of_range(&given, key, show(&from, &to), least, most);
        None
    }
}
