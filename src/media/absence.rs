//! Why nothing is heard: the clues that a leg has, and the likeliest cause.
//!
//! A clue counts if it is newer than the last packet that was accepted. What only signalling knows (whose address is private) is added
//! by the core.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Mono;

use super::Absence;

/// Perfect silence from the first packet on for this long: no microphone that works, and no line, is as silent. Chosen by feel: longer
/// than anybody listens to a greeting.
const SILENT_AFTER: Duration = Duration::from_secs(20);

/// What has happened on a leg beside packets that were accepted: when last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clues {
    pub stranger: Option<(SocketAddr, Mono)>,
    pub payload_type: Option<(u8, Mono)>,
    pub malformed: Option<Mono>,
    pub undecryptable: Option<Mono>,
    /// The peer's RTCP said goodbye.
    pub goodbye: Option<Mono>,
}

impl Clues {
    /// The likeliest cause that no packet was accepted since `heard`; `alive` is when RTP or RTCP came last.
    pub fn cause(&self, ever: bool, heard: Mono, alive: Mono) -> Absence {
        let since = |at: Option<Mono>| at.is_some_and(|at| at > heard);
        if since(self.undecryptable) {
            return Absence::Undecryptable;
        }
        if let Some((payload_type, at)) = self.payload_type
            && at > heard
        {
            return Absence::PayloadType { payload_type };
        }
        if let Some((from, at)) = self.stranger
            && at > heard
        {
            return Absence::Stranger { from };
        }
        if since(self.malformed) {
            return Absence::Malformed;
        }
        if since(self.goodbye) {
            return Absence::Goodbye;
        }
        match ever {
            _ if alive > heard => Absence::OnlyReports,
            true => Absence::Stopped,
            false => Absence::NeverCame,
        }
    }
}

/// Whether a leg has ever been anything but silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sounds {
    /// No packet yet, or it was put on hold.
    #[default]
    Unheard,
    /// Nothing but silence since then.
    Silent { since: Mono, told: bool },
    /// It has been heard: it is not looked at any more.
    Heard,
}

impl Sounds {
    /// Packets came that hold no sound.
    pub fn is_silent(&mut self, now: Mono) {
        if *self == Sounds::Unheard {
            *self = Sounds::Silent { since: now, told: false };
        }
    }

    /// One came that holds some; `true` if its absence was told.
    pub fn is_heard(&mut self) -> bool {
        matches!(std::mem::replace(self, Sounds::Heard), Sounds::Silent { told: true, .. })
    }

    /// The peer need not speak for now: its silence is counted anew after.
    pub fn excused(&mut self) {
        if let Sounds::Silent { told: false, .. } = self {
            *self = Sounds::Unheard;
        }
    }

    /// Whether its silence is to be told, which happens once.
    pub fn check(&mut self, now: Mono) -> bool {
        match self {
            Sounds::Silent { since, told } if !*told && now.since(*since) >= SILENT_AFTER => {
                *told = true;
                true
            }
            Sounds::Silent { .. } | Sounds::Unheard | Sounds::Heard => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Mono {
        Mono::from_millis(s * 1_000)
    }

    #[test]
    fn the_newest_clue_of_the_strongest_kind_is_the_cause() {
        let stranger = SocketAddr::from(([203, 0, 113, 66], 666));
        let all = Clues {
            stranger: Some((stranger, s(5))),
            payload_type: Some((96, s(5))),
            malformed: Some(s(5)),
            undecryptable: Some(s(5)),
            goodbye: Some(s(5)),
        };
        for (clues, expected) in [
            (all, Absence::Undecryptable),
            (Clues { undecryptable: None, ..all }, Absence::PayloadType { payload_type: 96 }),
            (Clues { undecryptable: Some(s(3)), payload_type: None, ..all }, Absence::Stranger { from: stranger }),
            (Clues { malformed: Some(s(5)), ..Clues::default() }, Absence::Malformed),
            (Clues { goodbye: Some(s(5)), ..Clues::default() }, Absence::Goodbye),
        ] {
            assert_eq!(clues.cause(true, s(4), s(5)), expected);
            // What was before the last packet explains nothing.
            assert_eq!(clues.cause(true, s(6), s(6)), Absence::Stopped);
        }
        assert_eq!(Clues::default().cause(false, s(1), s(1)), Absence::NeverCame);
        assert_eq!(Clues::default().cause(false, s(1), s(2)), Absence::OnlyReports);
    }

    #[test]
    fn silence_is_told_once_and_only_from_the_beginning() {
        let mut v = Sounds::default();
        assert!(!v.check(s(100)));
        v.is_silent(s(100));
        v.is_silent(s(110));
        assert!(!v.check(s(119)));
        v.excused();
        v.is_silent(s(120));
        assert!(!v.check(s(139)) && v.check(s(140)) && !v.check(s(141)));
        v.excused();
        assert!(v.is_heard() && !v.is_heard());
        v.is_silent(s(150));
        assert!(!v.check(s(999)));
    }
}
