//! What a scenario sees of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{Event, Kind};
use cordboard::ids::LegId;
use cordboard::media::{self, Worker};
use cordboard::switch::{Answer, Command};

use super::{Sim, kind_name};

const SECOND: Duration = Duration::from_secs(1);
/// Events that a failed test tells.
const LAST: usize = 2_000;

/// What somebody hears, by what the media worker was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// What these say; silence, of nobody.
    These(BTreeSet<SocketAddr>),
    Music,
    Play,
}

impl Told {
    pub fn these<const N: usize>(all: [SocketAddr; N]) -> Told {
        Told::These(all.into())
    }
}

impl Sim {
    /// Notes what a leg is to hear.
    pub(super) fn overhear(&mut self, command: &media::Command) {
        match command {
            media::Command::Hear { leg, source } => drop(self.hears.insert(*leg, source.clone())),
            media::Command::Agree { leg, session } => {
                let peer = session.remote.and_then(|remote| self.uas.keys().find(|at| at.ip() == remote.ip()));
                self.peers.extend(peer.map(|at| (*leg, *at)));
            }
            media::Command::Close { leg } => {
                self.hears.remove(leg);
                self.peers.remove(leg);
            }
            media::Command::Trickle { candidates, .. } => self.trickled.extend(candidates),
            media::Command::Open { .. }
            | media::Command::Tap { .. }
            | media::Command::Untap { .. }
            | media::Command::Listen { .. }
            | media::Command::Press { .. }
            | media::Command::HandOver { .. }
            | media::Command::Expect { .. } => {}
        }
    }

    /// Drops what was noted of calls that are over: for runs of thousands.
    pub fn forget(&mut self) {
        self.events.clear();
        self.call_ids.clear();
        self.recordings.clear();
        self.forget_signalling();
    }

    /// All but what has happened.
    pub fn forget_signalling(&mut self) {
        self.trace.clear();
        self.ways.clear();
        self.asked.clear();
        self.keys.clear();
        self.recordings.retain(|_, recorded| recorded.ended.is_none());
    }

    /// The two hear each other and nothing else, for two seconds from here.
    #[track_caller]
    pub fn hear_each_other_only(&mut self, a: SocketAddr, b: SocketAddr) {
        // What was on its way may arrive.
        self.run_for(SECOND / 5);
        let since = self.now.mono;
        self.run_for(2 * SECOND);
        for (hears, says) in [(a, b), (b, a)] {
            let heard = self.ua(hears).hears(since);
            assert!(heard.get(&self.ua(says).byte).is_some_and(|n| *n > 80) && heard.len() == 1, "{heard:?}\n{}", self.story());
        }
    }

    /// By ear: of these, who say a tone of their own each, it hears in the next two seconds exactly those.
    #[track_caller]
    pub fn hears_tones_of(&mut self, hears: SocketAddr, all: &[SocketAddr], those: &[SocketAddr]) {
        self.run_for(2 * SECOND);
        for other in all {
            let hz = self.ua(*other).tone.unwrap_or_default();
            let level = self.ua(hears).level(hz);
            let is_heard = level > -3.0;
            assert!(is_heard || level < -35.0, "{hears} hears {other} at {level} dB");
            assert_eq!(is_heard, those.contains(other), "{hears} hears {other} at {level} dB\n{}", self.story());
        }
    }

    /// Of the newest of its calls.
    pub fn told(&self, at: SocketAddr) -> Told {
        let leg = self.peers.iter().filter(|(_, peer)| **peer == at).map(|(leg, _)| *leg).next_back();
        let of = |leg: &LegId| self.peers.get(leg).copied();
        match leg.and_then(|leg| self.hears.get(&leg)) {
            None | Some(media::Source::Nothing) => Told::These(BTreeSet::new()),
            Some(media::Source::Leg(leg)) => Told::These(of(leg).into_iter().collect()),
            Some(media::Source::Mix(legs)) => Told::These(legs.iter().filter_map(of).collect()),
            Some(media::Source::Play(_, media::Audio::Music(_))) => Told::Music,
            Some(media::Source::Play(..)) => Told::Play,
        }
    }

    pub fn has(&self, kind: &str) -> bool {
        self.count(kind) > 0
    }

    /// The switch's leg of its newest call.
    pub fn leg_of(&self, ua: SocketAddr) -> LegId {
        let port = self.ua(ua).last().and_then(|call| call.rtp_remote).expect("a call with media").port();
        self.legs[&port]
    }

    pub fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|e| kind_name(e) == kind).count()
    }

    /// Open legs of each media worker.
    pub fn legs_of_workers(&self) -> Vec<usize> {
        self.workers.iter().map(Worker::legs).collect()
    }

    /// For the message of a failed test: the end of it, where it is long.
    pub fn story(&self) -> String {
        let last = self.events.len().saturating_sub(LAST);
        let mut lines: Vec<String> = self.events[last..]
            .iter()
            .map(|e| {
                format!(
                    "{} {} {}",
                    e.at,
                    kind_name(e),
                    serde_json::to_value(&e.kind).map_or_else(|_| String::new(), |v| v["data"].to_string())
                )
            })
            .collect();
        for ua in self.uas.values() {
            lines.push(format!("{} {:?}: {}", ua.at, ua.number, ua.log.join(" | ")));
        }
        lines.join("\n")
    }

    pub fn ended(&self) -> Vec<&cordboard::event::CallEnded> {
        let ended = |e: &'_ Event| matches!(e.kind, Kind::CallEnded(_));
        self.events
            .iter()
            .filter(|e| ended(e))
            .filter_map(|e| match &e.kind {
                Kind::CallEnded(data) => Some(data),
                _ => None,
            })
            .collect()
    }

    /// Of each conversation: bridges that have begun end, one after another, and are told with the same legs.
    fn assert_bridges(&self) {
        let mut open = BTreeMap::new();
        for event in &self.events {
            match &event.kind {
                Kind::CallBridged(bridge) => {
                    assert_eq!(open.insert(event.conversation, bridge.clone()), None, "two bridges at once\n{}", self.story());
                }
                Kind::CallUnbridged(bridge) => {
                    let began = open.remove(&event.conversation);
                    assert_eq!(began.map(|b| b.legs), Some(bridge.legs), "another bridge ends\n{}", self.story());
                }
                // The process that had them open is gone.
                Kind::SystemStarted(_) => open.clear(),
                Kind::CallEnded(_) => {
                    assert_eq!(open.get(&event.conversation), None, "a bridge outlives its call\n{}", self.story());
                }
                _ => {}
            }
        }
    }

    /// Nothing is left of any call: no conversation, leg, port or transaction.
    pub fn assert_clean(&mut self) {
        self.assert_bridges();
        self.run_for(Duration::from_secs(120));
        // Phones that have said nothing to a BYE are asked for some minutes whether they are there.
        for _ in 0..10 {
            let Answer::Status(status) = self.ask(Command::Status) else { panic!("status") };
            if status.transactions == 0 {
                break;
            }
            self.run_for(Duration::from_secs(65));
        }
        assert_eq!(self.switch.live(), 0, "conversations are left\n{}", self.story());
        assert_eq!(self.workers.iter().map(Worker::legs).sum::<usize>(), 0, "media legs are left");
        let Answer::Status(status) = self.ask(Command::Status) else { panic!("status") };
        assert_eq!((status.legs, status.transactions), (0, 0), "legs or transactions are left\n{}", self.story());
        assert_eq!(self.switch.residue(), 0, "something of a call is left in the core\n{}", self.story());
        assert_eq!(status.free_ports, u64::from(self.pairs), "ports are left");
        let mut registered: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for binding in self.registrations.values() {
            *registered.entry(binding.flow.remote).or_default() += 1;
        }
        assert_eq!(self.known, registered, "the transports know where phones are");
    }
}
