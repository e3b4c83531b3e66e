//! `kind = "hours"`: opening hours of a week, with holidays.
//!
//! A shift belongs to the day on which it begins: `fri = "22:00-06:00"` is open until Saturday morning, also where Saturday is a holiday,
//! and a holiday has no shift that begins on it. Ends are moments, not clock readings: on the night when the clocks go forward that
//! shift lasts seven hours, and it neither closes nor opens twice when they go back. A time that a day does not have (02:30 in spring)
//! is as much later as the clocks went forward; of one that it has twice the first counts.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::fault::Fault;
use super::graph::Scope;
use super::node::Act;
use super::visit::{Around, Memory};
use crate::clock::Wall;
use crate::config::units::Zone;

#[derive(Debug)]
pub(super) struct Hours {
    zone: TimeZone,
    /// From Monday.
    week: [Vec<Shift>; 7],
    holidays: Vec<Holiday>,
    open: Exit,
    closed: Exit,
    holiday: Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift {
    from: Time,
    until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    SameDay(Time),
    /// Midnight is `00:00` of the next day.
    NextDay(Time),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holiday {
    Once(Date),
    Yearly { month: i8, day: i8 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenHours {
    time_zone: Option<Zone>,
    week: BTreeMap<String, Spanned<Shifts>>,
    holidays: Option<Vec<Holiday>>,
    open: Spanned<GivenExit>,
    closed: Spanned<GivenExit>,
    holiday: Option<Spanned<GivenExit>>,
}

impl Act for Hours {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.open, &self.closed, &self.holiday]
    }

    fn passes(&self, _: &mut Memory, around: Around<'_>) -> Option<&Exit> {
        Some(self.at(around.now.wall))
    }
}

impl Hours {
    fn at(&self, now: Wall) -> &Exit {
        match now.timestamp() {
            Some(now) if self.is_open(now) => &self.open,
            Some(now) if self.is_holiday(now.to_zoned(self.zone.clone()).date()) => &self.holiday,
            Some(_) | None => &self.closed,
        }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        // A shift of today can only have begun today; one that is still on can have begun yesterday.
        let days = [today.yesterday().ok(), Some(today)];
        days.into_iter().flatten().filter(|day| !self.is_holiday(*day)).any(|day| {
            let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0);
            self.week.get(weekday).into_iter().flatten().any(|shift| self.is_on(*shift, day, now))
        })
    }

    fn is_on(&self, shift: Shift, day: Date, now: Timestamp) -> bool {
        let moment = |date: Date, time: Time| self.zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok();
        let until = match shift.until {
            Until::SameDay(time) => moment(day, time),
            Until::NextDay(time) => day.checked_add(1.day()).ok().and_then(|next| moment(next, time)),
        };
        match (moment(day, shift.from), until) {
            (Some(from), Some(until)) => from <= now && now < until,
            (None, _) | (_, None) => false,
        }
    }

    fn is_holiday(&self, date: Date) -> bool {
        self.holidays.iter().any(|h| match h {
            Holiday::Once(day) => *day == date,
            Holiday::Yearly { month, day } => (*month, *day) == (date.month(), date.day()),
        })
    }
}

impl GivenHours {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Hours> {
        let mut week: [Vec<Shift>; 7] = Default::default();
        for (text, shifts) in &self.week {
            let Some(days) = days(text) else {
                scope.fault(shifts, Fault::NotADay(text.clone()));
                continue;
            };
            for day in days {
                let Some(hours) = week.get_mut(day) else { continue };
                if !hours.is_empty() {
                    scope.fault(shifts, Fault::DayTwice(DAYS.get(day).copied().unwrap_or("day")));
                }
                hours.extend(&shifts.get_ref().0);
            }
        }
        let zone = self.time_zone.map_or_else(|| scope.context.time_zone.clone(), |z| z.0);
        let open = scope.exit(self.open);
        let closed = scope.exit(self.closed);
        let holiday = match self.holiday {
            Some(holiday) => scope.exit(holiday),
            None => closed.clone(),
        };
        let holidays = self.holidays.unwrap_or_default();
        Some(Hours { zone, week, holidays, open: open?, closed: closed?, holiday: holiday? })
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `mon`, or `mon-fri`, which may go over the end of the week: `sat-mon`. Days from Monday as 0.
fn days(text: &str) -> Option<Vec<usize>> {
    let day = |t: &str| DAYS.iter().position(|d| *d == t);
    match text.split_once('-') {
        None => Some(vec![day(text)?]),
        Some((first, last)) => {
            let (first, last) = (day(first)?, day(last)?);
            Some((0..=(last + 7 - first) % 7).map(|i| (first + i) % 7).collect())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum BadHours {
    #[error("`{0}` are no hours: write \"09:00-17:00\"; an end before the beginning is on the next day")]
    Shift(String),
    #[error("`{0}` is no holiday: write \"12-25\" for every year or \"2026-04-03\" for one")]
    Holiday(String),
}

impl std::str::FromStr for Shift {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let bad = || BadHours::Shift(text.to_owned());
        let (from, until) = text.split_once('-').ok_or_else(bad)?;
        let from = time(from.trim()).ok_or_else(bad)?;
        if until.trim() == "24:00" {
            return Ok(Shift { from, until: Until::NextDay(Time::midnight()) });
        }
        let until = time(until.trim()).ok_or_else(bad)?;
        match from.cmp(&until) {
            std::cmp::Ordering::Less => Ok(Shift { from, until: Until::SameDay(until) }),
            std::cmp::Ordering::Greater => Ok(Shift { from, until: Until::NextDay(until) }),
            std::cmp::Ordering::Equal => Err(bad()),
        }
    }
}

/// `HH:MM`, 24 hours.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |t: &str| t.parse::<i8>().ok().filter(|_| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()));
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl std::str::FromStr for Holiday {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let bad = || BadHours::Holiday(text.to_owned());
        if let Some((month, day)) = text.split_once('-').filter(|(m, d)| m.len() == 2 && d.len() == 2) {
            let (month, day) = (month.parse().map_err(|_| bad())?, day.parse().map_err(|_| bad())?);
            // A year that has the 29th of February.
            Date::new(2024, month, day).map_err(|_| bad())?;
            return Ok(Holiday::Yearly { month, day });
        }
        if text.len() != 10 {
            return Err(bad());
        }
        text.parse().map(Holiday::Once).map_err(|_| bad())
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// One shift or several; an empty list is a day that is closed.
#[derive(Debug)]
struct Shifts(Vec<Shift>);

impl<'de> Deserialize<'de> for Shifts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Shifts;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hours or a list of hours")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shifts, E> {
        text.parse().map(|s| Shifts(vec![s])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shifts, A::Error> {
        let mut shifts = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            shifts.push(text.parse().map_err(de::Error::custom)?);
        }
        Ok(Shifts(shifts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;
    use crate::ivr::exit::To;

    fn hours(zone: &str, week: &[(&str, &[&str])], holidays: &[&str]) -> Hours {
        let mut table: [Vec<Shift>; 7] = Default::default();
        for (days_text, shifts) in week {
            for day in days(days_text).unwrap() {
                table[day].extend(shifts.iter().map(|s| s.parse::<Shift>().unwrap()));
            }
        }
        let exit = |name: &str| Exit { to: To::Leave(Place::Menu(name.into())), line: 1 };
        Hours {
            zone: TimeZone::get(zone).unwrap(),
            week: table,
            holidays: holidays.iter().map(|h| h.parse().unwrap()).collect(),
            open: exit("open"),
            closed: exit("closed"),
            holiday: exit("holiday"),
        }
    }

    fn at(hours: &Hours, time: &str) -> String {
        match &hours.at(Wall::parse_rfc3339(time).unwrap()).to {
            To::Leave(Place::Menu(name)) => name.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn opens_and_closes_to_the_second_in_the_centre_s_own_time() {
        let hours = hours("Europe/Berlin", &[("mon-fri", &["09:00-17:00"]), ("sat", &["10:00-12:00", "13:00-15:00"])], &[]);
        // Friday, 2026-11-20; Berlin is at +01:00.
        for (time, expected) in [
            ("2026-11-20T08:59:59+01:00", "closed"),
            ("2026-11-20T09:00:00+01:00", "open"),
            ("2026-11-20T16:59:59+01:00", "open"),
            ("2026-11-20T17:00:00+01:00", "closed"),
            ("2026-11-20T08:00:00Z", "open"),
            ("2026-11-21T12:30:00+01:00", "closed"),
            ("2026-11-21T13:00:00+01:00", "open"),
            ("2026-11-22T12:00:00+01:00", "closed"),
        ] {
            assert_eq!(at(&hours, time), expected, "{time}");
        }
    }

    #[test]
    fn a_night_shift_belongs_to_the_day_on_which_it_begins() {
        let hours = hours("Europe/Berlin", &[("fri", &["22:00-06:00"]), ("sat", &["22:00-06:00"])], &["2026-11-21"]);
        for (time, expected) in [
            ("2026-11-20T21:59:59+01:00", "closed"),
            ("2026-11-20T23:00:00+01:00", "open"),
            ("2026-11-21T05:59:59+01:00", "open"),
            ("2026-11-21T06:00:00+01:00", "holiday"),
            ("2026-11-21T23:00:00+01:00", "holiday"),
            ("2026-11-22T02:00:00+01:00", "closed"),
        ] {
            assert_eq!(at(&hours, time), expected, "{time}");
        }
    }

    #[test]
    fn yearly_holidays_come_every_year_and_others_once() {
        let hours = hours("Europe/Kyiv", &[("mon-sun", &["00:00-24:00"])], &["12-25", "2026-04-13"]);
        for (time, expected) in [
            ("2026-12-25T12:00:00+02:00", "holiday"),
            ("2027-12-25T12:00:00+02:00", "holiday"),
            ("2026-12-24T23:59:59+02:00", "open"),
            ("2026-12-26T00:00:00+02:00", "open"),
            ("2026-04-13T12:00:00+03:00", "holiday"),
            ("2027-04-13T12:00:00+03:00", "open"),
        ] {
            assert_eq!(at(&hours, time), expected, "{time}");
        }
    }

    /// 2026-03-29 and 2026-10-25 have 23 and 25 hours in Berlin.
    #[test]
    fn a_shift_over_the_change_of_clocks_neither_closes_early_nor_twice() {
        let hours = hours("Europe/Berlin", &[("sat", &["22:00-06:00"]), ("sun", &["02:30-03:15"])], &[]);
        for (time, expected) in [
            ("2026-03-28T21:00:00Z", "open"),
            // 02:00 becomes 03:00 at 01:00Z; 06:00 is 04:00Z.
            ("2026-03-29T01:00:00Z", "open"),
            ("2026-03-29T03:59:59Z", "open"),
            ("2026-03-29T04:00:00Z", "closed"),
            // In autumn 22:00 is 20:00Z and 06:00 is 05:00Z: nine hours.
            ("2026-10-24T19:59:59Z", "closed"),
            ("2026-10-24T20:00:00Z", "open"),
            ("2026-10-25T04:59:59Z", "open"),
            ("2026-10-25T05:00:00Z", "closed"),
        ] {
            assert_eq!(at(&hours, time), expected, "{time}");
        }
        let early = self::hours("Europe/Berlin", &[("sun", &["01:00-02:30"])], &[]);
        // 02:30 comes twice; the first one ends it, once and for all.
        assert_eq!(at(&early, "2026-10-25T00:29:59Z"), "open");
        assert_eq!(at(&early, "2026-10-25T00:30:00Z"), "closed");
        assert_eq!(at(&early, "2026-10-25T01:15:00Z"), "closed");
    }

    #[test]
    fn hours_and_days_are_refused_where_they_make_no_sense() {
        for text in [
            "9:00-17:00",
            "09:00",
            "09:00-09:00",
            "25:00-26:00",
            "09:60-10:00",
            "09:00-17:00-18:00",
            "24:00-06:00",
            "+9:00-10:00",
        ] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
        for text in ["2026-02-29", "13-01", "02-30", "1-1", "x", "2026-4-3", "26-04-03"] {
            assert!(text.parse::<Holiday>().is_err(), "{text}");
        }
        assert!("02-29".parse::<Holiday>().is_ok());
        assert_eq!(days("sat-mon"), Some(vec![5, 6, 0]));
        assert_eq!(days("mon-mon"), Some(vec![0]));
        assert_eq!(days("monday"), None);
    }
}
