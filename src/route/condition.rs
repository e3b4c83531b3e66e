//! How a trunk is, by what its probes and our registration there have shown.
//!
//! ```text
//! Unknown ──an answer, a registration──▶ Up ◀──────────────┐
//!    └──none in time, 408, 503, no way──▶ Down ──an answer──┘
//! ```
//!
//! Each probe's end is one opinion, the registration's state the other; where both are asked for, both must be good. A trunk that is
//! neither probed nor registered with has no opinion on it and is taken for up. Being down only puts a trunk behind others: the one
//! that is left is tried however it is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Wall};
use crate::config::Trunk;
use crate::ids::TrunkName;

/// Of all trunks that are configured.
pub type Conditions = BTreeMap<TrunkName, Condition>;

/// A probe that can't be sent yet, because the first look-up of the peer's name is under way.
const NO_ADDRESS_PAUSE: Duration = Duration::from_secs(1);

/// However long a Retry-After says: a carrier that is back sooner is asked sooner, and one that is not says it again.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// An address that says nothing at all, or can't be reached, is asked after others for this long. Each call would wait for it anew.
pub const SILENT_REST: Duration = Duration::from_secs(30);

/// One that a probe found so, for longer: all addresses of a trunk are probed in turn, 32 s each at most.
pub const PROBED_REST: Duration = Duration::from_secs(120);

const SECOND: Duration = Duration::from_secs(1);

/// Why a trunk is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// A probe had no answer.
    Timeout,
    /// A probe was answered with 408 or 503.
    Refused,
    /// Nothing can be sent there.
    Unreachable,
    /// Its name has no address.
    Unresolved,
    /// We are not registered there.
    #[default]
    Registration,
    /// The switch is being stopped.
    Stopping,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: TroubleKind,
    /// SIP status of the refusal.
    pub status: Option<u16>,
    /// What the transport says.
    pub detail: Option<String>,
}

impl Trouble {
    pub fn of(kind: TroubleKind) -> Trouble {
        Trouble { kind, status: None, detail: None }
    }
}

/// For people.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            TroubleKind::Timeout => "it does not answer",
            TroubleKind::Refused => "it refuses",
            TroubleKind::Unreachable => "it can't be reached",
            TroubleKind::Unresolved => "its name has no address",
            TroubleKind::Registration => "not registered there",
            TroubleKind::Stopping => "the switch stops",
        };
        f.write_str(what)?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// Not everything that was asked has its answer.
    Unknown,
    Up,
    Down(&'a Trouble),
}

type Opinion = Option<Result<(), Trouble>>;

#[derive(Clone, Debug)]
pub struct Condition {
    every: Option<Duration>,
    registers: bool,
    probe: Probe,
    probed: Opinion,
    registered: Opinion,
    /// What was told last: up or not.
    told: Option<bool>,
    per_second: Option<u32>,
    /// When the last calls of the last second began, the oldest first: no more than `per_second`.
    began: VecDeque<Mono>,
    /// Addresses of it that have said, or shown, that they are not to be asked before then.
    rests: BTreeMap<SocketAddr, Rest>,
    since: Option<Wall>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Mono,
    wished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Due {
        at: Mono,
    },
    /// As many of its addresses.
    Asked {
        tried: usize,
    },
    Off,
}

impl Condition {
    pub fn new(trunk: &Trunk, now: Mono) -> Condition {
        Condition {
            every: trunk.probe,
            registers: trunk.register,
            probe: if trunk.probe.is_some() { Probe::Due { at: now } } else { Probe::Off },
            probed: None,
            registered: None,
            told: None,
            per_second: trunk.max_calls_per_second,
            began: VecDeque::new(),
            rests: BTreeMap::new(),
            since: None,
        }
    }

    pub fn state(&self) -> State<'_> {
        let opinions = [(self.every.is_some(), &self.probed), (self.registers, &self.registered)];
        let asked = || opinions.iter().filter(|(asked, _)| *asked).map(|(_, opinion)| *opinion);
        if let Some(trouble) = asked().find_map(|o| o.as_ref()?.as_ref().err()) {
            return State::Down(trouble);
        }
        if asked().any(Option::is_none) || asked().next().is_none() { State::Unknown } else { State::Up }
    }

    pub fn is_down(&self) -> bool {
        matches!(self.state(), State::Down(_))
    }

    /// When it came to be up or down.
    pub fn since(&self) -> Option<Wall> {
        self.since
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self.probe {
            Probe::Due { at } => Some(at),
            Probe::Asked { .. } | Probe::Off => None,
        }
    }

    /// Whether a probe is to be sent now. Its end is to be told by [`Condition::probe_ended`] or
    /// [`Condition::postpone`].
    pub fn begin_probe(&mut self, now: Mono) -> bool {
        let due = matches!(self.probe, Probe::Due { at } if at <= now);
        if due {
            self.probe = Probe::Asked { tried: 1 };
        }
        due
    }

    /// It can't be sent yet, which says nothing of the trunk.
    pub fn postpone(&mut self, now: Mono) {
        if matches!(self.probe, Probe::Asked { .. }) {
            self.probe = Probe::Due { at: now + NO_ADDRESS_PAUSE };
        }
    }

    /// What a final status says. 408 and 503 are what no answer and no way there are said with (RFC 3261 §8.1.3.1); whoever says
    /// anything else is there, a 404, 405 or 401 as well.
    pub fn judge(status: u16) -> Result<(), Trouble> {
        match status {
            408 | 503 => Err(Trouble { status: Some(status), ..Trouble::of(TroubleKind::Refused) }),
            _ => Ok(()),
        }
    }

    /// Whether another one of its `addresses` is to be asked before the probe has failed.
    pub fn has_another(&mut self, addresses: usize) -> bool {
        match &mut self.probe {
            Probe::Asked { tried } if *tried < addresses => {
                *tried += 1;
                true
            }
            Probe::Asked { .. } | Probe::Due { .. } | Probe::Off => false,
        }
    }

    pub fn probe_ended(&mut self, found: Result<(), Trouble>, now: Mono) {
        if let (Probe::Asked { .. }, Some(every)) = (self.probe, self.every) {
            self.probe = Probe::Due { at: now + every };
            self.probed = Some(found);
        }
    }

    /// The last probe that has ended found nobody there.
    pub fn is_silent(&self) -> bool {
        matches!(self.probed, Some(Err(_)))
    }

    pub fn registration(&mut self, found: Result<(), Trouble>) {
        self.registered = Some(found);
    }

    /// Whether one more call may begin now (`max_calls_per_second`); it then counts.
    pub fn admits(&mut self, now: Mono) -> bool {
        let Some(most) = self.per_second else { return true };
        while self.began.front().is_some_and(|at| now.since(*at) >= SECOND) {
            self.began.pop_front();
        }
        let fits = self.began.len() < most as usize;
        if fits {
            self.began.push_back(now);
        }
        fits
    }

    /// This address of the trunk is asked after others for so long; `wished`: because it said so.
    pub fn rest(&mut self, address: SocketAddr, time: Duration, wished: bool, now: Mono) {
        self.rests.retain(|_, rest| rest.until > now);
        let rest = Rest { until: now + time.min(LONGEST_REST), wished };
        let known = self.rests.entry(address).or_insert(rest);
        if known.until < rest.until {
            *known = rest;
        }
    }

    pub fn rests(&self, address: SocketAddr, now: Mono) -> bool {
        self.rests.get(&address).is_some_and(|rest| rest.until > now)
    }

    /// It has answered a probe: it is there, and rests no longer than it said itself.
    pub fn is_awake(&mut self, address: SocketAddr) {
        self.rests.retain(|at, rest| *at != address || rest.wished);
    }

    /// The next probe is sent at once: something has changed.
    pub fn hurry(&mut self, now: Mono) {
        if let Probe::Due { at } = &mut self.probe {
            *at = now;
        }
    }

    /// No more probes.
    pub fn stop(&mut self) {
        self.probe = Probe::Off;
    }

    /// Whether it has come to be up or down since this was last asked: each change once.
    pub fn news(&mut self, now: Wall) -> Option<Result<(), Trouble>> {
        let is = match self.state() {
            State::Unknown => return None,
            State::Up => Ok(()),
            State::Down(trouble) => Err(trouble.clone()),
        };
        if self.told.replace(is.is_ok()) == Some(is.is_ok()) {
            return None;
        }
        self.since = Some(now);
        Some(is)
    }
}
