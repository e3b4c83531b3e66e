//! Class of service: what a phone may do beyond calling inside, and how much of it.
//!
//! | asked | by | refused with |
//! |---|---|---|
//! | the number that the trunk would get, in any spelling: longest match of `allow` and `deny`, of equals `deny` | who dials, transfers, originates | 403 |
//! | day and hour in the site's zone | | 403 |
//! | minutes outside since midnight there, calls that go on included | | 403 |
//! | calls that the phone is in | who begins one | 486 |
//!
//! A call that goes on is not cut. Emergency numbers are for everybody, always.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Cause;
use super::number::spellings_at_home;
use crate::clock::Wall;
use crate::config::{Class, Config, Pattern, Phone, Times};
use crate::ids::{LegId, Number};

/// What the class does not permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    #[error("this number")]
    Prefix,
    #[error("calls outside at this time")]
    Hours,
    #[error("more minutes outside today")]
    Minutes,
    #[error("more calls at once")]
    Calls,
    #[error("blind transfers")]
    Transfer,
}

impl Denied {
    pub fn cause(self) -> Cause {
        match self {
            Denied::Prefix | Denied::Hours | Denied::Minutes | Denied::Transfer => Cause::Forbidden,
            Denied::Calls => Cause::Busy,
        }
    }
}

/// The class that a phone is in, if any.
pub fn class<'a>(config: &'a Config, phone: &Phone) -> Option<&'a Class> {
    config.classes.get(phone.class.as_deref().unwrap_or("default"))
}

/// Whether the phone may call this number, as a trunk gets it, at this moment, with so much used today.
pub fn may_call_outside(config: &Config, phone: &Phone, number: &str, now: Wall, used: Duration) -> Result<(), Denied> {
    let Some(class) = class(config, phone) else { return Ok(()) };
    let all = spellings_at_home(number, config.site.country);
    let best = |patterns: &[Pattern]| patterns.iter().flat_map(|p| all.iter().filter_map(|s| p.matches(s))).max();
    let is_allowed = match (best(&class.allow), best(&class.deny)) {
        (Some(allow), Some(deny)) => allow > deny,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => class.allow.is_empty(),
    };
    if !is_allowed {
        return Err(Denied::Prefix);
    }
    if class.times.as_ref().is_some_and(|times| !is_within(times, &config.site.time_zone, now)) {
        return Err(Denied::Hours);
    }
    if class.minutes.is_some_and(|minutes| used >= Duration::from_secs(u64::from(minutes) * 60)) {
        return Err(Denied::Minutes);
    }
    Ok(())
}

/// Whether the phone may begin one more call, while it is in so many.
pub fn has_calls_left(config: &Config, phone: &Phone, calls: usize) -> Result<(), Denied> {
    match class(config, phone).and_then(|class| class.calls) {
        Some(most) if calls >= most as usize => Err(Denied::Calls),
        Some(_) | None => Ok(()),
    }
}

pub fn may_transfer_blind(config: &Config, phone: &Phone) -> Result<(), Denied> {
    if class(config, phone).is_some_and(|class| !class.transfer_blind) { Err(Denied::Transfer) } else { Ok(()) }
}

/// Hours that pass midnight belong to the day on which they begin.
fn is_within(times: &Times, zone: &TimeZone, now: Wall) -> bool {
    let Some(now) = now.timestamp().map(|t| t.to_zoned(zone.clone())) else { return false };
    let day = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
    let is_on = |day: usize| times.days.get(day % 7).copied().unwrap_or(false);
    let (from, until, time) = (times.from, times.until, now.time());
    if from < until {
        is_on(day) && from <= time && time < until
    } else {
        (is_on(day) && from <= time) || (is_on(day + 6) && time < until)
    }
}

/// Who has talked outside for how long today. What is over, and what went on when it was asked for, outlives the process ([`Spent`]).
#[derive(Debug, Default)]
pub struct Ledger {
    day: Option<Date>,
    /// Of calls that are over, since midnight.
    used: BTreeMap<Number, Duration>,
    open: BTreeMap<LegId, Open>,
}

/// What a phone has used of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    day: Date,
    used_ms: u64,
}

/// A leg outside.
#[derive(Debug)]
struct Open {
    payer: Number,
    /// Absent until it is answered.
    since: Option<Wall>,
}

impl Ledger {
    /// A leg outside is dialled on this phone's account.
    pub fn dialled(&mut self, leg: LegId, payer: Number) {
        self.open.insert(leg, Open { payer, since: None });
    }

    pub fn answered(&mut self, leg: LegId, now: Wall) {
        if let Some(open) = self.open.get_mut(&leg) {
            open.since.get_or_insert(now);
        }
    }

    /// The phone that paid for it.
    pub fn ended(&mut self, leg: LegId, now: Wall, zone: &TimeZone) -> Option<Number> {
        let Open { payer, since } = self.open.remove(&leg)?;
        let since = since?;
        let midnight = self.turn(now, zone);
        *self.used.entry(payer.clone()).or_default() += now.since(since.max(midnight));
        Some(payer)
    }

    /// Some leg outside is answered.
    pub fn runs(&self) -> bool {
        self.open.values().any(|open| open.since.is_some())
    }

    /// Whose legs those are.
    pub fn payers(&self) -> Vec<Number> {
        let mut all: Vec<Number> =
            self.open.values().filter(|open| open.since.is_some()).map(|open| open.payer.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What would be used if all of the phone's calls ended now.
    pub fn spent(&mut self, phone: &Number, now: Wall, zone: &TimeZone) -> Spent {
        let used = self.used(phone, now, zone);
        Spent { day: self.day.unwrap_or(Date::ZERO), used_ms: u64::try_from(used.as_millis()).unwrap_or(u64::MAX) }
    }

    /// What was used of this day before the process began; of another day it counts no more.
    pub fn restore(&mut self, phone: Number, spent: &Spent, now: Wall, zone: &TimeZone) {
        self.turn(now, zone);
        if self.day == Some(spent.day) {
            self.used.insert(phone, Duration::from_millis(spent.used_ms));
        }
    }

    /// Since midnight, with what goes on.
    pub fn used(&mut self, phone: &Number, now: Wall, zone: &TimeZone) -> Duration {
        let midnight = self.turn(now, zone);
        let own = self.open.values().filter(|open| open.payer == *phone).filter_map(|open| open.since);
        let running: Duration = own.map(|since| now.since(since.max(midnight))).sum();
        self.used.get(phone).copied().unwrap_or_default() + running
    }

    /// After a fault: only these legs live.
    pub fn retain(&mut self, lives: impl Fn(LegId) -> bool) {
        self.open.retain(|leg, _| lives(*leg));
    }

    /// Legs that are outside on somebody's account.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The last midnight; what was used before it is forgotten.
    fn turn(&mut self, now: Wall, zone: &TimeZone) -> Wall {
        let Some(here) = now.timestamp().map(|t| t.to_zoned(zone.clone())) else { return Wall::default() };
        if self.day != Some(here.date()) {
            self.day = Some(here.date());
            self.used.clear();
        }
        here.start_of_day().map_or(Wall::default(), |midnight| Wall::from_micros(midnight.timestamp().as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    const CENTRE: &str = r#"
[site]
name = "Centre"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"
[recording]
folder = "r"
[class.sales]
allow = ["+49*", "+43*"]
deny = ["0900*", "+431999*"]
minutes = 10
calls = 2
hours = "22:00-06:00"
days = ["mon-fri"]
transfer_blind = false
[class.bar]
deny = ["00*"]
[class.open]
[[phone]]
number = "201"
secret = "s"
class = "sales"
[[phone]]
number = "202"
secret = "s"
class = "bar"
[[phone]]
number = "203"
secret = "s"
"#;

    fn config() -> Config {
        Config::resolve(&Source::of(CENTRE)).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn at(text: &str) -> Wall {
        Wall::parse_rfc3339(text).expect("time")
    }

    fn asked(phone: &str, number: &str, time: &str, used_s: u64) -> Result<(), Denied> {
        let config = config();
        may_call_outside(&config, &config.phones[phone], number, at(time), Duration::from_secs(used_s))
    }

    #[test]
    fn the_longest_prefix_wins_in_whatever_spelling_and_denial_among_equals() {
        let night = "2026-11-23T23:00:00+01:00";
        for (number, expected) in [
            ("030123", Ok(())),
            ("+4930123", Ok(())),
            ("004930123", Ok(())),
            ("0900123", Err(Denied::Prefix)),
            ("+49900123", Err(Denied::Prefix)),
            ("0043 1 55", Ok(())),
            ("00431999", Err(Denied::Prefix)),
            ("+442071", Err(Denied::Prefix)),
        ] {
            assert_eq!(asked("201", number, night, 0), expected, "{number}");
        }
        assert_eq!(asked("202", "0044123", night, 0), Err(Denied::Prefix));
        assert_eq!(asked("202", "030123", night, 0), Ok(()));
        assert_eq!(asked("203", "0900123", "2026-11-22T12:00:00+01:00", 60_000), Ok(()), "no class, no limit");
    }

    #[test]
    fn hours_are_the_sites_and_a_night_belongs_to_the_day_it_begins_on() {
        for (time, open) in [
            ("2026-11-23T21:59:59+01:00", false),
            ("2026-11-23T22:00:00+01:00", true),
            ("2026-11-24T05:59:59+01:00", true),
            ("2026-11-24T06:00:00+01:00", false),
            // Friday's night lasts until Saturday morning; Sunday has none.
            ("2026-11-28T05:00:00+01:00", true),
            ("2026-11-28T23:00:00+01:00", false),
            ("2026-11-30T05:00:00+01:00", false),
            ("2026-11-23T21:30:00Z", true),
        ] {
            assert_eq!(asked("201", "030123", time, 0), if open { Ok(()) } else { Err(Denied::Hours) }, "{time}");
        }
    }

    #[test]
    fn minutes_count_from_midnight_with_what_goes_on() {
        let config = config();
        let zone = &config.site.time_zone;
        let mut ledger = Ledger::default();
        let (leg, second, phone) = (LegId(1), LegId(2), Number::from("201"));
        ledger.dialled(leg, phone.clone());
        assert_eq!(ledger.used(&phone, at("2026-11-23T23:50:00+01:00"), zone), Duration::ZERO, "ringing costs nothing");
        ledger.answered(leg, at("2026-11-23T23:50:00+01:00"));
        assert_eq!(ledger.used(&phone, at("2026-11-23T23:59:00+01:00"), zone), Duration::from_secs(540));
        assert_eq!(ledger.used(&phone, at("2026-11-24T00:01:00+01:00"), zone), Duration::from_secs(60));
        ledger.ended(leg, at("2026-11-24T00:02:00+01:00"), zone);
        ledger.dialled(second, phone.clone());
        ledger.ended(second, at("2026-11-24T00:03:00+01:00"), zone);
        assert_eq!(ledger.used(&phone, at("2026-11-24T12:00:00+01:00"), zone), Duration::from_secs(120));
        assert_eq!((ledger.used(&phone, at("2026-11-25T00:00:00+01:00"), zone), ledger.open()), (Duration::ZERO, 0));
        assert_eq!(asked("201", "030123", "2026-11-23T23:00:00+01:00", 600), Err(Denied::Minutes));
        assert_eq!(asked("201", "030123", "2026-11-23T23:00:00+01:00", 599), Ok(()));
    }

    #[test]
    fn calls_at_once_and_blind_transfers() {
        let config = config();
        let left = |phone: &str, calls| has_calls_left(&config, &config.phones[phone], calls);
        assert_eq!((left("201", 1), left("201", 2), left("202", 99)), (Ok(()), Err(Denied::Calls), Ok(())));
        let blind = |phone: &str| may_transfer_blind(&config, &config.phones[phone]).is_ok();
        assert_eq!((blind("201"), blind("202"), blind("203")), (false, true, true));
        assert_eq!((Denied::Calls.cause().to_status(), Denied::Minutes.cause().to_status()), (486, 403));
    }
}
