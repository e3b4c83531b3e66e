//! What a dialled number is: a feature code, a phone, a park slot, a queue, an extension of a place, or a number outside by the outbound rules.
//!
//! An emergency number comes before everything else, from every phone. Inside comes next: a code, then a phone, a slot, a queue, an extension; an outbound pattern never hides one of them. Outside, the longest pattern
//! wins, and the number that goes to the trunk is what was dialled, `strip` characters taken off and `prepend` put on.
//!
//! The number shown outside is the trunk's `caller`; else the phone's `caller` (a transit caller's own number), if it is one of the trunk's
//! `callers`, written as `caller_format` says; else the trunk's account,
//! which a carrier accepts; else none, which is sent as anonymous. An extension is never shown outside: no carrier knows it.

use super::number::{is_number, national, normal, tidy};
use super::{Cause, Direction, Rule, When};
use crate::config::{CallerFormat, Config, Outbound, Pattern, Phone, Place, Trunk};
use crate::ids::{MenuName, Number, QueueName, StaffNumber, TrunkName};

/// On whose right the number is dialled.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    Phone(&'a Phone),
    /// Somebody who came in by this trunk, with the number that they showed.
    Trunk {
        trunk: &'a Trunk,
        number: Option<&'a str>,
    },
}

/// Where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Phone(Number),
    Queue(QueueName),
    Menu(MenuName),
    Voicemail(Number),
    /// Asks to be called back by this queue.
    Callback(QueueName),
    Code(Code),
    /// Of a phone: where a parked call is, or is put.
    Slot(Number),
    Outside(Outside),
    Hangup,
}

/// What an agent tells the switch from the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    Ready,
    Pause {
        reason: Option<String>,
    },
    Offline,
    /// This agent works at the phone from here on; without one, the agent whose phone it is.
    LogIn(Option<StaffNumber>),
    LogOut,
    /// Sets where the phone's own calls go, or, without a number, takes it back.
    Forward {
        when: When,
        to: Option<String>,
    },
    DoNotDisturb {
        on: bool,
    },
    /// Takes a call that rings at a number, or (none) at any phone of the same group.
    Pickup(Option<Number>),
    /// Calls a phone that is to answer by itself.
    Intercom(Number),
    /// A free park slot: who calls it hears which one, and who transfers a call there puts it there.
    Park,
    /// Says that a call waits in this slot; what the switch rings back with.
    Parked(Number),
    /// A mailbox, to listen to: the phone's own, or (behind the code) another one.
    Messages(Option<Number>),
    /// A prompt, `<language>/<name>`, to record.
    Prompt(String),
}

/// The trunks to try by one outbound rule, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Index in `Config::outbound`; good for as long as the configuration is the one that was asked. `None`: an emergency call, which
    /// follows no rule.
    pub rule: Option<usize>,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub trunk: TrunkName,
    /// For the request URI, as this trunk wants it.
    pub number: String,
    /// The number shown; `None` is anonymous (RFC 3323 §4.1.1.3).
    pub caller: Option<String>,
    /// As [`super::order()`] takes them.
    pub priority: u16,
    pub weight: u16,
    /// An emergency call: no limit of the trunk holds for it, and nothing that one trunk says ends it while there is another.
    pub emergency: bool,
}

impl Outside {
    pub fn is_emergency(&self) -> bool {
        self.rule.is_none()
    }

    /// What decides about its recording.
    pub fn rule<'a>(&self, config: &'a Config) -> Rule<'a> {
        match self.rule {
            Some(rule) => config.outbound.get(rule).map_or(Rule::Internal, Rule::Outbound),
            None => Rule::Emergency,
        }
    }
}

/// Why a number leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the number is not known")]
    Unknown,
    #[error("this phone may not dial outside")]
    NoRightOutside,
    #[error("a caller from a trunk may not reach another trunk")]
    NoTransit,
    #[error("this phone answers nobody by itself")]
    NoIntercom,
    #[error("the number leads to a number that leads to itself")]
    Circle,
}

impl Refusal {
    pub fn cause(self) -> Cause {
        match self {
            Refusal::Unknown => Cause::NotFound,
            Refusal::NoRightOutside | Refusal::NoTransit | Refusal::NoIntercom => Cause::Forbidden,
            Refusal::Circle => Cause::Loop,
        }
    }
}

impl Target {
    /// Outbound for a call that leaves by a trunk; else what the caller's side says.
    pub fn direction(&self, who: Caller<'_>) -> Direction {
        match (self, who) {
            (_, Caller::Trunk { .. }) => Direction::Inbound,
            (Target::Outside(_), Caller::Phone(_)) => Direction::Outbound,
            (
                Target::Phone(_)
                | Target::Queue(_)
                | Target::Menu(_)
                | Target::Voicemail(_)
                | Target::Callback(_)
                | Target::Code(_)
                | Target::Slot(_)
                | Target::Hangup,
                Caller::Phone(_),
            ) => Direction::Internal,
        }
    }
}

/// Numbers that stand for numbers are followed so far. By feel: nobody forwards more often on purpose.
const MOST_STEPS: u8 = 8;

/// What `dialled` is for `who`.
pub fn dial(config: &Config, who: Caller<'_>, dialled: &str) -> Result<Target, Refusal> {
    dial_on(config, who, dialled, MOST_STEPS)
}

/// What a phone's own mailbox is called where its calls are forwarded to a number.
pub const OWN_MAILBOX: &str = "voicemail";

/// Where a phone forwards its calls to: its own mailbox, or what the number is for it.
pub fn forward(config: &Config, phone: &Phone, to: &str) -> Result<Target, Refusal> {
    match to {
        OWN_MAILBOX if config.mailboxes.contains_key(&phone.number) => Ok(Target::Voicemail(phone.number.clone())),
        _ => dial(config, Caller::Phone(phone), to),
    }
}

/// Where a configured place leads for `who` is sent there. What the place names and the configuration no longer has is unknown.
pub fn go(config: &Config, who: Caller<'_>, place: &Place) -> Result<Target, Refusal> {
    go_on(config, who, place, MOST_STEPS)
}

fn dial_on(config: &Config, who: Caller<'_>, dialled: &str, steps: u8) -> Result<Target, Refusal> {
    let number = tidy(dialled);
    if number.is_empty() {
        return Err(Refusal::Unknown);
    }
    if let (Caller::Phone(_), Some(emergency)) = (who, emergency(config, &number)) {
        return help(config, who, emergency).map(Target::Outside);
    }
    if let Caller::Phone(_) = who
        && let Some(code) = code(config, &number)
    {
        if let Code::Intercom(to) = &code {
            match config.phones.get(to) {
                None => return Err(Refusal::Unknown),
                Some(phone) if !phone.intercom => return Err(Refusal::NoIntercom),
                Some(_) => {}
            }
        }
        return Ok(Target::Code(code));
    }
    if let (Caller::Phone(_), Some(mailbox)) = (who, message(config, &number)) {
        return Ok(Target::Voicemail(mailbox));
    }
    if let Some(phone) = config.phones.get(number.as_str()).or_else(|| config.phones.get(dialled)) {
        return Ok(Target::Phone(phone.number.clone()));
    }
    if let (Caller::Phone(_), Some(slot)) = (who, config.park.slots.get(number.as_str())) {
        return Ok(Target::Slot(slot.clone()));
    }
    let dials = |n: &Option<Number>| n.as_ref().is_some_and(|n| n.as_str() == number || n.as_str() == dialled);
    if let Some(queue) = config.queues.values().find(|q| dials(&q.number)) {
        return Ok(Target::Queue(queue.name.clone()));
    }
    if let Some(place) = config.extensions.get(number.as_str()) {
        return go_on(config, who, place, steps.checked_sub(1).ok_or(Refusal::Circle)?);
    }
    outside(config, who, &number).map(Target::Outside)
}

fn go_on(config: &Config, who: Caller<'_>, place: &Place, steps: u8) -> Result<Target, Refusal> {
    match place {
        Place::Menu(name) => config.menus.contains_key(name).then(|| Target::Menu(name.clone())).ok_or(Refusal::Unknown),
        Place::Queue(name) => config.queues.contains_key(name).then(|| Target::Queue(name.clone())).ok_or(Refusal::Unknown),
        Place::Phone(number) => config.phones.contains_key(number).then(|| Target::Phone(number.clone())).ok_or(Refusal::Unknown),
        Place::Callback(name) => config.queues.contains_key(name).then(|| Target::Callback(name.clone())).ok_or(Refusal::Unknown),
        Place::Voicemail(number) => Ok(Target::Voicemail(number.clone())),
        Place::Number(dialled) => dial_on(config, who, dialled, steps),
        Place::Hangup => Ok(Target::Hangup),
    }
}

/// The longest code that a number begins with decides: `*221` is a pause with a reason, whatever `*2` may be.
fn code(config: &Config, number: &str) -> Option<Code> {
    let codes = &config.codes;
    let forwards = [
        (&codes.forward_always, When::Always),
        (&codes.forward_busy, When::Busy),
        (&codes.forward_no_answer, When::NoAnswer),
        (&codes.forward_unregistered, When::Unregistered),
    ];
    let mut found: Option<(usize, Code)> = None;
    let mut offer = |code: &str, what: Option<Code>| {
        if let Some(what) = what
            && found.as_ref().is_none_or(|(length, _)| *length < code.len())
        {
            found = Some((code.len(), what));
        }
    };
    let rest = |code: &str| number.strip_prefix(code).filter(|_| !code.is_empty());
    offer(&codes.ready, rest(&codes.ready).filter(|r| r.is_empty()).map(|_| Code::Ready));
    offer(&codes.offline, rest(&codes.offline).filter(|r| r.is_empty()).map(|_| Code::Offline));
    offer(&codes.logout, rest(&codes.logout).filter(|r| r.is_empty()).map(|_| Code::LogOut));
    let login = rest(&codes.login).and_then(|agent| match agent {
        "" => Some(Code::LogIn(None)),
        agent => config.agents.get_key_value(agent).map(|(agent, _)| Code::LogIn(Some(agent.clone()))),
    });
    offer(&codes.login, login);
    offer(&codes.pause, rest(&codes.pause).and_then(|digits| paused(config, digits)));
    for (code, when) in forwards {
        let to_own_mailbox = rest(code).is_some_and(|r| !codes.message.is_empty() && r.trim_end_matches('#') == codes.message);
        if to_own_mailbox {
            offer(code, Some(Code::Forward { when, to: Some(OWN_MAILBOX.to_owned()) }));
        }
        // People end it with a hash, as they are used to from public networks.
        let to = rest(code).map(|r| r.trim_start_matches('*').trim_end_matches('#'));
        offer(code, to.map(|to| Code::Forward { when, to: (!to.is_empty()).then(|| to.to_owned()) }));
    }
    offer(
        &codes.do_not_disturb,
        match rest(&codes.do_not_disturb) {
            Some("1") => Some(Code::DoNotDisturb { on: true }),
            Some("" | "0") => Some(Code::DoNotDisturb { on: false }),
            Some(_) | None => None,
        },
    );
    let picked = rest(&codes.pickup).map(|number| (!number.is_empty()).then(|| Number::from(number)));
    offer(&codes.pickup, picked.map(Code::Pickup));
    let of = rest(&codes.voicemail).filter(|n| n.is_empty() || config.mailboxes.contains_key(*n));
    offer(&codes.voicemail, of.map(|n| Code::Messages((!n.is_empty()).then(|| Number::from(n)))));
    let slots = &config.park.slots;
    let park = rest(&codes.park).filter(|_| !slots.is_empty()).and_then(|slot| match slot {
        "" => Some(Code::Park),
        slot => slots.get(slot).cloned().map(Code::Parked),
    });
    offer(&codes.park, park);
    offer(
        &codes.prompt,
        rest(&codes.prompt).and_then(|n| config.spoken.get(n)).map(|spoken| Code::Prompt(spoken.prompt.clone())),
    );
    offer(&codes.intercom, rest(&codes.intercom).filter(|n| !n.is_empty()).map(|n| Code::Intercom(Number::from(n))));
    found.map(|(_, code)| code)
}

/// Which mailbox a number is: the one behind the code for messages.
fn message(config: &Config, number: &str) -> Option<Number> {
    let behind = number.strip_prefix(config.codes.message.as_str()).filter(|_| !config.codes.message.is_empty())?;
    config.mailboxes.get(behind).map(|mailbox| mailbox.number.clone())
}

fn paused(config: &Config, digits: &str) -> Option<Code> {
    if digits.is_empty() {
        return Some(Code::Pause { reason: None });
    }
    let nth: usize = digits.parse().ok()?;
    let reason = config.codes.pause_reasons.get(nth.checked_sub(1)?)?;
    Some(Code::Pause { reason: Some(reason.clone()) })
}

/// What is dialled behind the code that hides the caller's number: `*31030123`, or `*31*030123` as networks write it.
pub fn hidden(config: &Config, dialled: &str) -> Option<String> {
    let number = tidy(dialled);
    let behind = number.strip_prefix(config.codes.anonymous.as_str()).filter(|_| !config.codes.anonymous.is_empty())?;
    let behind = behind.strip_prefix('*').unwrap_or(behind);
    (!behind.is_empty()).then(|| behind.to_owned())
}

/// The emergency number that is dialled: as it is, or as an outbound rule would send it (0112 where 0 leads outside).
pub fn emergency<'a>(config: &'a Config, dialled: &str) -> Option<&'a Number> {
    let number = tidy(dialled);
    let emergency = &config.site.emergency;
    emergency.get(number.as_str()).or_else(|| {
        let (_, rule, number) = matching(config, &number)?;
        emergency.get(rewrite(rule, &number)?.as_str())
    })
}

/// An emergency call, by every trunk that there is until one takes it.
fn help(config: &Config, who: Caller<'_>, number: &Number) -> Result<Outside, Refusal> {
    let named = config.site.emergency_trunks.iter();
    let ruled = config.outbound.iter().flat_map(|rule| &rule.trunks).map(|choice| &choice.trunk);
    let mut attempts: Vec<Attempt> = Vec::new();
    for trunk in named.chain(ruled).filter_map(|name| config.trunks.get(name)).chain(config.trunks.values()) {
        if attempts.iter().all(|attempt| attempt.trunk != trunk.name) {
            let (trunk, caller) = (trunk.name.clone(), shown(config, who, trunk));
            // In this order, one after another.
            let priority = u16::try_from(attempts.len()).unwrap_or(u16::MAX);
            attempts.push(Attempt { trunk, number: number.to_string(), caller, priority, weight: 0, emergency: true });
        }
    }
    if attempts.is_empty() { Err(Refusal::Unknown) } else { Ok(Outside { rule: None, attempts }) }
}

/// The outbound rule for a number, its place, and the number that it takes: as it was dialled; where no rule takes that, its normal form,
/// by a pattern that begins with a plus.
fn matching<'a>(config: &'a Config, number: &str) -> Option<(usize, &'a Outbound, String)> {
    let best = |number: &str, takes: fn(&Outbound) -> bool| {
        let rules = config.outbound.iter().enumerate().filter(|(_, rule)| takes(rule));
        let found = rules.filter_map(|(i, rule)| Some((rule.pattern.matches(number)?, i, rule)));
        // Of equals the first of the file.
        let (_, i, rule) = found.max_by_key(|(length, i, _)| (*length, std::cmp::Reverse(*i)))?;
        Some((i, rule, number.to_owned()))
    };
    let in_normal_form = |rule: &Outbound| match &rule.pattern {
        Pattern::Exact(start) | Pattern::Prefix(start) => start.starts_with('+'),
    };
    best(number, |_| true).or_else(|| best(&normal(number, config.site.country)?, in_normal_form))
}

fn outside(config: &Config, who: Caller<'_>, number: &str) -> Result<Outside, Refusal> {
    let (rule, found, number) = matching(config, number).ok_or(Refusal::Unknown)?;
    match who {
        Caller::Phone(phone) if !phone.outside => return Err(Refusal::NoRightOutside),
        Caller::Trunk { trunk, .. } if !trunk.transit => return Err(Refusal::NoTransit),
        Caller::Phone(_) | Caller::Trunk { .. } => {}
    }
    let sent = rewrite(found, &number).ok_or(Refusal::Unknown)?;
    // A carrier may read another number in it than the one that a class of service judges: `0900;isub=1`, `0900%0D`, `0900x1`.
    if matches!(found.pattern, Pattern::Prefix(_)) && !is_number(&sent) {
        return Err(Refusal::Unknown);
    }
    let attempts: Vec<Attempt> = found
        .trunks
        .iter()
        .filter_map(|choice| Some((choice, config.trunks.get(&choice.trunk)?)))
        .map(|(choice, trunk)| Attempt {
            trunk: trunk.name.clone(),
            number: sent.clone(),
            caller: shown(config, who, trunk),
            priority: choice.priority,
            weight: choice.weight,
            emergency: false,
        })
        .collect();
    if attempts.is_empty() { Err(Refusal::Unknown) } else { Ok(Outside { rule: Some(rule), attempts }) }
}

/// `None` if nothing of the dialled number is left to call.
fn rewrite(rule: &Outbound, number: &str) -> Option<String> {
    let rest = match number.char_indices().nth(rule.strip) {
        Some((at, _)) => number.get(at..)?,
        None => "",
    };
    (!rest.is_empty()).then(|| format!("{}{rest}", rule.prepend))
}

fn shown(config: &Config, who: Caller<'_>, trunk: &Trunk) -> Option<String> {
    let own = match who {
        Caller::Phone(phone) => phone.caller.as_deref(),
        Caller::Trunk { number, .. } => number.filter(|number| !number.is_empty()),
    };
    let country = config.site.country;
    let one_of = |number: &str| {
        if trunk.callers.is_empty() {
            return true;
        }
        let form = normal(number, country);
        let is = |pattern: &Pattern| {
            pattern.matches(number).is_some() || form.as_ref().is_some_and(|form| pattern.matches(form).is_some())
        };
        trunk.callers.iter().any(is)
    };
    let written = |number: &str| match trunk.caller_format {
        CallerFormat::AsIs => number.to_owned(),
        CallerFormat::E164 => normal(number, country).unwrap_or_else(|| number.to_owned()),
        CallerFormat::National => national(number, country),
    };
    let own = own.filter(|number| one_of(number)).map(written);
    trunk.caller.clone().or(own).or_else(|| trunk.user.clone())
}

/// Whether one more call fits on a trunk that has `calls` now, both directions.
pub fn has_room(trunk: &Trunk, calls: u32) -> bool {
    trunk.max_calls.is_none_or(|most| calls < most)
}
