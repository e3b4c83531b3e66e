//! Media without sound: prompts last as long as their clips, keys come when they are pressed, and a leg that is closed is closed at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Mono;
use crate::ids::LegId;
use crate::media::{Audio, Clips, Command, DigitVia, Lease, PlayId, Quality, Report, Source};

/// How long a clip lasts: samples at 8 kHz.
const RATE: u64 = 8_000;

/// Of all legs of a simulation.
pub struct SilentMedia {
    clips: Clips,
    legs: BTreeMap<LegId, Leg>,
}

struct Leg {
    lease: Lease,
    /// What plays, and until when.
    plays: Option<(PlayId, Mono)>,
}

/// What a command brings about at once.
#[derive(Default)]
pub struct Effect {
    pub reports: Vec<Report>,
    pub free: Option<Lease>,
    /// A leg is told these clips.
    pub said: Vec<String>,
}

impl SilentMedia {
    pub fn new(clips: Clips) -> SilentMedia {
        SilentMedia { clips, legs: BTreeMap::new() }
    }

    pub fn command(&mut self, command: Command, now: Mono) -> Effect {
        let mut effect = Effect::default();
        match command {
            Command::Open { leg, lease } => drop(self.legs.insert(leg, Leg { lease, plays: None })),
            Command::Hear { leg, source: Source::Play(play, Audio::Prompt(clips)) } => {
                let length = |clip| self.clips.prompt(clip).map_or(0, |clip| clip.len() as u64);
                let samples: u64 = clips.iter().map(length).sum();
                let until = now + Duration::from_micros(samples.saturating_mul(1_000_000) / RATE);
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.plays = Some((play, until));
                }
                effect.said.extend(clips.iter().map(|clip| clip.0.to_string()));
            }
            Command::Hear { leg, source: _ } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.plays = None;
                }
            }
            Command::Close { leg } => {
                effect.free = self.legs.remove(&leg).map(|leg| leg.lease);
                effect.reports.push(Report::Closed { leg, quality: Quality::default() });
            }
            Command::HandOver { leg, to } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.lease.worker = to;
                }
            }
            Command::Agree { .. }
            | Command::Tap { .. }
            | Command::Untap { .. }
            | Command::Listen { .. }
            | Command::Press { .. }
            | Command::Expect { .. }
            | Command::Trickle { .. } => {}
        }
        effect
    }

    /// When the next prompt ends.
    pub fn deadline(&self) -> Option<Mono> {
        self.legs.values().filter_map(|leg| leg.plays).map(|(_, until)| until).min()
    }

    /// Prompts that have ended.
    pub fn ended(&mut self, now: Mono) -> Vec<Report> {
        let mut ended = Vec::new();
        for (id, leg) in &mut self.legs {
            if let Some((play, _)) = leg.plays.filter(|(_, until)| *until <= now) {
                leg.plays = None;
                ended.push(Report::PlayEnded { leg: *id, play });
            }
        }
        ended
    }

    /// A key of whoever is at that leg.
    pub fn key(&self, leg: LegId, digit: char) -> Option<Report> {
        let is_there = self.legs.contains_key(&leg);
        is_there.then_some(Report::Digit { leg, digit, duration_ms: 100, via: DigitVia::Rfc4733 })
    }

    /// The first that was opened.
    pub fn first(&self) -> Option<LegId> {
        self.legs.keys().next().copied()
    }
}
