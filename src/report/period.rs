//! Hours, days, weeks, months and years of a place's calendar, as intervals of time.
//!
//! Rules kept, each by a test:
//! - Periods of a kind tile time: each ends where the next one begins, and none is empty.
//! - Each is a sum of whole [`Quarter`]s, in which figures are kept, because the clocks of all places are a multiple of 15 minutes from
//!   UTC today. (Before 1972 there were others; their periods tile time too.) So one fold serves every time zone.
//! - A day is as long as it was. One on which the clocks change has 23 or 25 hours, or whatever the place chose. Where they go back, an
//!   hour that comes twice is two periods; where they jump by half an hour, the jump begins one.
//!
//! Weeks begin on Monday (ISO 8601). A day begins at its first midnight, or where its clocks go forward at midnight, then.

use serde::{Deserialize, Serialize};

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::clock::Wall;

/// The kinds of period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "30m")]
    HalfHour,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Every {
    pub const ALL: [Every; 7] =
        [Every::QuarterHour, Every::HalfHour, Every::Hour, Every::Day, Every::Week, Every::Month, Every::Year];

    /// The period that `at` lies in, by the calendar of `zone`. `None` where the calendar ends (years -9999 and 9999).
    pub fn containing(self, at: Wall, zone: &TimeZone) -> Option<Period> {
        match self {
            Every::QuarterHour => {
                let quarter = Quarter::of(at);
                at.timestamp().map(|_| Period { from: quarter.begins(), until: Quarter(quarter.0 + 1).begins() })
            }
            Every::HalfHour => on_the_clock(at, zone, 2 * QUARTER),
            Every::Hour => on_the_clock(at, zone, 4 * QUARTER),
            Every::Day | Every::Week | Every::Month | Every::Year => self.days(at, zone),
        }
    }

    /// The whole periods that have a part in the time from `from` to before `until`, in order; what of the first and the last lies
    /// outside belongs to them all the same. As many as asked for: who takes them sets the bound.
    pub fn within(self, from: Wall, until: Wall, zone: &TimeZone) -> impl Iterator<Item = Period> {
        let first = if from < until { self.containing(from, zone) } else { None };
        std::iter::successors(first, move |last| self.containing(last.until, zone)).take_while(move |period| period.from < until)
    }

    /// For periods of whole days.
    fn days(self, at: Wall, zone: &TimeZone) -> Option<Period> {
        let mut first = self.first_of(at.timestamp()?.to_zoned(zone.clone()).date())?;
        // The clock may show a date before it begins for good or after it has ended (it went back over midnight), and a date may not
        // have come at all (a place changed to the other side of the date line).
        for _ in 0..MOST_STEPS {
            let (from, next) = (midnight(first, zone)?, self.next(first)?);
            let until = midnight(next, zone)?;
            if at < from {
                first = self.first_of(first.yesterday().ok()?)?;
            } else if at >= until {
                first = next;
            } else {
                return Some(Period { from, until });
            }
        }
        None
    }

    /// The day on which the period begins that `date` belongs to.
    fn first_of(self, date: Date) -> Option<Date> {
        match self {
            Every::QuarterHour | Every::HalfHour | Every::Hour | Every::Day => Some(date),
            Every::Week => date.checked_sub(jiff::Span::new().days(date.weekday().to_monday_zero_offset())).ok(),
            Every::Month => Some(date.first_of_month()),
            Every::Year => Some(date.first_of_year()),
        }
    }

    fn next(self, first: Date) -> Option<Date> {
        let span = jiff::Span::new();
        let span = match self {
            Every::QuarterHour | Every::HalfHour | Every::Hour | Every::Day => span.days(1),
            Every::Week => span.weeks(1),
            Every::Month => span.months(1),
            Every::Year => span.years(1),
        };
        first.checked_add(span).ok()
    }
}

/// Two are enough for what places have done so far.
const MOST_STEPS: usize = 4;

/// From the last multiple of `length` on the clock, or the jump since, to the next multiple or jump.
fn on_the_clock(at: Wall, zone: &TimeZone, length: i64) -> Option<Period> {
    let now = at.timestamp()?;
    let offset = zone.to_offset(now);
    let shown = at.as_micros().checked_add(i64::from(offset.seconds()) * 1_000_000)?;
    let from = at.as_micros() - shown.rem_euclid(length);
    let until = from + length;
    let jumped = jumps(zone, from, at.as_micros().saturating_add(1)).last();
    let jumps = jumps(zone, at.as_micros(), until).next();
    Some(Period { from: Wall::from_micros(jumped.unwrap_or(from)), until: Wall::from_micros(jumps.unwrap_or(until)) })
}

/// When the clocks are put forward or back, later than `after` and before `before`, in microseconds.
fn jumps(zone: &TimeZone, after: i64, before: i64) -> impl Iterator<Item = i64> {
    let changes = Timestamp::from_microsecond(after).ok().into_iter().flat_map(move |after| zone.following(after));
    let changes = changes.map(|change| (change.timestamp().as_microsecond(), change.offset()));
    // A change of the name or of the law alone moves no clock.
    changes.take_while(move |(at, _)| *at < before).filter_map(move |(at, offset)| {
        let shown_before = Timestamp::from_microsecond(at - 1).map(|t| zone.to_offset(t));
        (shown_before.ok() != Some(offset)).then_some(at)
    })
}

/// When the date begins: at 00:00, or by as much later as the clocks went forward over it.
fn midnight(date: Date, zone: &TimeZone) -> Option<Wall> {
    let at = zone.to_timestamp(date.to_datetime(Time::midnight())).ok()?;
    Some(Wall::from_micros(at.as_microsecond()))
}

/// An interval of time that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    pub from: Wall,
    /// Not in it.
    pub until: Wall,
}

impl Period {
    pub fn contains(self, at: Wall) -> bool {
        self.from <= at && at < self.until
    }

    /// Those that it has a part in: all of each, in a time zone of today.
    pub fn quarters(self) -> impl Iterator<Item = Quarter> {
        (Quarter::of(self.from).0..=Quarter::of(Wall::from_micros(self.until.as_micros() - 1)).0).map(Quarter)
    }
}

/// A quarter of an hour of UTC, numbered from the one that began at 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quarter(i64);

/// In microseconds.
const QUARTER: i64 = 900_000_000;

impl Quarter {
    pub const fn of(at: Wall) -> Quarter {
        Quarter(at.as_micros().div_euclid(QUARTER))
    }

    pub const fn begins(self) -> Wall {
        Wall::from_micros(self.0.saturating_mul(QUARTER))
    }

    pub const fn period(self) -> Period {
        Period { from: self.begins(), until: Wall::from_micros(self.0.saturating_add(1).saturating_mul(QUARTER)) }
    }

    /// Where it stands in the order of all; those before 1970 count as the first.
    pub fn number(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// The one with this number; `None` beyond what the clock can show.
    pub fn numbered(number: u64) -> Option<Quarter> {
        let quarter = i64::try_from(number).ok()?;
        quarter.checked_mul(QUARTER).map(|_| Quarter(quarter))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Zones of each kind: Berlin and Kyiv change by an hour, Lord Howe by half of one, Kathmandu is at +05:45 and Chatham at +12:45, Cairo,
    /// Santiago and Havana change at midnight, Nuuk an hour before it, Troll by two hours, Casablanca goes back for Ramadan.
    const ZONES: [&str; 14] = [
        "UTC",
        "Europe/Berlin",
        "Europe/Kyiv",
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "Africa/Cairo",
        "America/Santiago",
        "America/Havana",
        "America/Nuuk",
        "Antarctica/Troll",
        "Africa/Casablanca",
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Wall {
        Wall::parse_rfc3339(text).unwrap()
    }

    /// Lengths in minutes of the periods that lie in one that contains `day`.
    fn lengths(every: Every, of: Every, day: &str, zone: &TimeZone) -> Vec<i64> {
        let whole = of.containing(at(day), zone).unwrap();
        let minutes = |p: Period| (p.until.as_micros() - p.from.as_micros()) / 60_000_000;
        every.within(whole.from, whole.until, zone).map(minutes).collect()
    }

    /// What the clocks of the place show when the periods begin.
    fn shown(every: Every, of: Every, day: &str, zone: &TimeZone) -> Vec<String> {
        let whole = of.containing(at(day), zone).unwrap();
        let shown = |p: Period| p.from.timestamp().unwrap().to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string();
        every.within(whole.from, whole.until, zone).map(shown).collect()
    }

    #[test]
    fn a_day_on_which_clocks_change_has_23_or_25_hours() {
        for (name, spring, autumn) in [
            ("Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-10-25T12:00:00+01:00"),
            ("Europe/Kyiv", "2026-03-29T12:00:00+03:00", "2026-10-25T12:00:00+02:00"),
        ] {
            let zone = zone(name);
            assert_eq!(lengths(Every::Hour, Every::Day, spring, &zone), [60; 23], "{name}");
            assert_eq!(lengths(Every::Hour, Every::Day, autumn, &zone), [60; 25], "{name}");
            assert_eq!(lengths(Every::QuarterHour, Every::Day, spring, &zone), [15; 92], "{name}");
            assert_eq!(lengths(Every::QuarterHour, Every::Day, autumn, &zone), [15; 100], "{name}");
            assert_eq!(lengths(Every::Day, Every::Day, "2026-07-01T12:00:00Z", &zone), [24 * 60], "{name}");
        }
        let berlin = zone("Europe/Berlin");
        let spring = shown(Every::Hour, Every::Day, "2026-03-29T12:00:00+02:00", &berlin);
        assert_eq!(spring[1..4], ["03-29 01:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"]);
        let autumn = shown(Every::Hour, Every::Day, "2026-10-25T12:00:00+01:00", &berlin);
        assert_eq!(autumn[1..5], ["10-25 01:00+02:00", "10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 03:00+01:00"]);
    }

    #[test]
    fn a_jump_of_half_an_hour_begins_an_hour() {
        let howe = zone("Australia/Lord_Howe");
        // 2026-04-05: at 02:00 (+11:00) the clocks go back to 01:30 (+10:30). 2026-10-04: at 02:00 (+10:30) they go to 02:30 (+11:00).
        let autumn = shown(Every::Hour, Every::Day, "2026-04-05T12:00:00+10:30", &howe);
        assert_eq!(autumn[..4], ["04-05 00:00+11:00", "04-05 01:00+11:00", "04-05 01:30+10:30", "04-05 02:00+10:30"]);
        assert_eq!(lengths(Every::Hour, Every::Day, "2026-04-05T12:00:00+10:30", &howe)[..4], [60, 60, 30, 60]);
        assert_eq!(lengths(Every::Day, Every::Day, "2026-04-05T12:00:00+10:30", &howe), [24 * 60 + 30]);
        let spring = shown(Every::Hour, Every::Day, "2026-10-04T12:00:00+11:00", &howe);
        assert_eq!(spring[..4], ["10-04 00:00+10:30", "10-04 01:00+10:30", "10-04 02:30+11:00", "10-04 03:00+11:00"]);
        assert_eq!(lengths(Every::Hour, Every::Day, "2026-10-04T12:00:00+11:00", &howe)[..4], [60, 60, 30, 60]);
        assert_eq!(lengths(Every::Day, Every::Day, "2026-10-04T12:00:00+11:00", &howe), [23 * 60 + 30]);
    }

    #[test]
    fn hours_and_days_begin_where_the_place_s_clock_says_so() {
        let kathmandu = zone("Asia/Kathmandu");
        let day = Every::Day.containing(at("2026-11-23T00:00:00Z"), &kathmandu).unwrap();
        assert_eq!((day.from, day.until), (at("2026-11-22T18:15:00Z"), at("2026-11-23T18:15:00Z")));
        let hour = Every::Hour.containing(at("2026-11-23T00:00:00Z"), &kathmandu).unwrap();
        assert_eq!((hour.from, hour.until), (at("2026-11-22T23:15:00Z"), at("2026-11-23T00:15:00Z")));
        assert!(hour.contains(hour.from) && !hour.contains(hour.until));
        let quarters: Vec<Quarter> = hour.quarters().collect();
        assert_eq!((quarters.len(), quarters[0].begins()), (4, hour.from));
    }

    #[test]
    fn midnight_that_is_left_out_begins_a_day_an_hour_later() {
        // Cairo, 2026-04-24: 00:00 becomes 01:00. Santiago, 2026-09-06: the same.
        for (name, day, from) in [
            ("Africa/Cairo", "2026-04-24T12:00:00+03:00", "2026-04-24T01:00:00+03:00"),
            ("America/Santiago", "2026-09-06T12:00:00-03:00", "2026-09-06T01:00:00-03:00"),
        ] {
            let zone = zone(name);
            assert_eq!(Every::Day.containing(at(day), &zone).unwrap().from, at(from), "{name}");
            assert_eq!(lengths(Every::Hour, Every::Day, day, &zone), [60; 23], "{name}");
        }
        // Havana, 2026-11-01: at 01:00 it is 00:00 again. The first of the two begins the day.
        let havana = zone("America/Havana");
        assert_eq!(lengths(Every::Hour, Every::Day, "2026-11-01T12:00:00-05:00", &havana), [60; 25]);
    }

    #[test]
    fn a_change_of_the_name_alone_begins_no_hour() {
        // St. John's, 1945-08-14 at 20:30 (-02:30): war time became peace time.
        let hour = Every::Hour.containing(at("1945-08-14T23:10:00Z"), &zone("America/St_Johns")).unwrap();
        assert_eq!((hour.from, hour.until), (at("1945-08-14T22:30:00Z"), at("1945-08-14T23:30:00Z")));
    }

    #[test]
    fn a_date_that_never_came_is_no_day() {
        // Samoa went from the 29th of December 2011 to the 31st.
        let apia = zone("Pacific/Apia");
        assert_eq!(shown(Every::Day, Every::Month, "2011-12-15T12:00:00Z", &apia).len(), 30);
        let days = shown(Every::Day, Every::Week, "2011-12-29T12:00:00-10:00", &apia);
        assert_eq!(days.iter().map(|d| &d[..5]).collect::<Vec<_>>(), ["12-26", "12-27", "12-28", "12-29", "12-31", "01-01"]);
    }

    #[test]
    fn a_clock_that_went_back_over_midnight_has_each_day_once() {
        // St. John's, 1999-10-31: at 00:01 (-02:30) it was 23:01 (-03:30) again, so the 31st came, went and came.
        let zone = zone("America/St_Johns");
        let day = Every::Day.containing(at("1999-10-31T02:30:30Z"), &zone).unwrap();
        assert_eq!((day.from, day.until), (at("1999-10-31T02:30:00Z"), at("1999-11-01T03:30:00Z")));
        assert_eq!(Every::Day.containing(at("1999-10-31T03:00:00Z"), &zone), Some(day), "the clock shows the 30th");
        let before = Every::Day.containing(at("1999-10-31T02:29:59Z"), &zone).unwrap();
        assert_eq!((before.from, before.until), (at("1999-10-30T02:30:00Z"), day.from));
        let hours = shown(Every::Hour, Every::Day, "1999-10-31T12:00:00Z", &zone);
        assert_eq!(hours[..3], ["10-31 00:00-02:30", "10-30 23:01-03:30", "10-31 00:00-03:30"]);
    }

    #[test]
    fn a_date_that_shows_before_its_day_begins_belongs_to_the_day_before() {
        // Toronto, 1919-03-30: at 23:30 (-05:00) it was 00:30 (-04:00) of the 31st, which begins an hour after its midnight.
        let zone = self::zone("America/Toronto");
        let begins = at("1919-03-31T01:00:00-04:00");
        let before = Every::Day.containing(at("1919-03-31T00:30:00-04:00"), &zone).unwrap();
        assert_eq!((before.from, before.until), (at("1919-03-30T00:00:00-05:00"), begins));
        assert_eq!(Every::Day.containing(begins, &zone).unwrap().from, begins);
    }

    #[test]
    fn weeks_begin_on_monday_and_years_have_all_their_days() {
        let kyiv = zone("Europe/Kyiv");
        let week = Every::Week.containing(at("2026-01-01T12:00:00Z"), &kyiv).unwrap();
        assert_eq!((week.from, week.until), (at("2025-12-29T00:00:00+02:00"), at("2026-01-05T00:00:00+02:00")));
        let sunday = Every::Week.containing(at("2026-01-04T23:59:59+02:00"), &kyiv);
        assert_eq!(sunday, Some(week));
        for (year, days) in [("2026-06-01T00:00:00Z", 365), ("2028-06-01T00:00:00Z", 366)] {
            assert_eq!(lengths(Every::Day, Every::Year, year, &kyiv).len(), days);
            assert_eq!(lengths(Every::Month, Every::Year, year, &kyiv).len(), 12);
            assert_eq!(lengths(Every::Hour, Every::Year, year, &kyiv).len(), days * 24);
        }
        let february = Every::Month.containing(at("2028-02-29T12:00:00Z"), &kyiv).unwrap();
        assert_eq!((february.from, february.until), (at("2028-02-01T00:00:00+02:00"), at("2028-03-01T00:00:00+02:00")));
    }

    #[test]
    fn an_empty_time_has_no_periods_and_the_end_of_the_calendar_ends_them() {
        let berlin = zone("Europe/Berlin");
        let noon = at("2026-11-23T12:00:00Z");
        for every in Every::ALL {
            assert_eq!(every.within(noon, noon, &berlin).count(), 0);
            assert_eq!(every.within(noon, at("2026-11-23T11:00:00Z"), &berlin).count(), 0);
            assert_eq!(every.within(noon, Wall::from_micros(noon.as_micros() + 1), &berlin).count(), 1);
            for far in [i64::MAX, i64::MIN, i64::MAX - 1] {
                assert_eq!(every.containing(Wall::from_micros(far), &berlin), None);
            }
            let last = at("9999-12-28T00:00:00Z");
            assert!(every.within(last, Wall::from_micros(i64::MAX), &berlin).take(1_000).count() < 1_000);
        }
    }

    #[test]
    fn the_words_for_them_are_those_of_the_api() {
        let words: Vec<String> = Every::ALL.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        assert_eq!(words, [r#""15m""#, r#""30m""#, r#""hour""#, r#""day""#, r#""week""#, r#""month""#, r#""year""#]);
    }

    fn anywhere() -> impl Strategy<Value = TimeZone> {
        prop::sample::select(&ZONES[..]).prop_map(zone)
    }

    /// From 2000 to 2060, half of them within a day of a change of the clocks where there is one.
    fn any_time() -> impl Strategy<Value = (TimeZone, Wall)> {
        (anywhere(), 946_684_800_000_000..2_840_140_800_000_000i64, any::<bool>(), -86_400_000_000..86_400_000_000i64).prop_map(
            |(zone, us, near, off)| {
                let change = Timestamp::from_microsecond(us).ok().and_then(|t| zone.following(t).next().map(|c| c.timestamp()));
                let at = match change {
                    Some(change) if near => change.as_microsecond() + off,
                    Some(_) | None => us,
                };
                (zone, Wall::from_micros(at))
            },
        )
    }

    proptest! {
        #[test]
        fn each_moment_lies_in_one_period_of_whole_quarters((zone, at) in any_time()) {
            for every in Every::ALL {
                let period = every.containing(at, &zone).unwrap();
                prop_assert!(period.contains(at), "{every:?} {period:?}");
                for end in [period.from, Wall::from_micros(period.until.as_micros() - 1)] {
                    prop_assert_eq!(every.containing(end, &zone), Some(period), "{:?}", every);
                }
                prop_assert_eq!(Quarter::of(period.from).begins(), period.from);
                let quarters: Vec<Quarter> = period.quarters().collect();
                let minutes = (period.until.as_micros() - period.from.as_micros()) / 60_000_000;
                prop_assert_eq!(quarters.len() as i64 * 15, minutes, "{:?}", every);
            }
        }

        #[test]
        fn periods_tile_the_range_without_a_gap((zone, from) in any_time(), hours in 1..2_000i64) {
            let until = Wall::from_micros(from.as_micros() + hours * 3_600_000_000);
            for every in Every::ALL {
                let periods: Vec<Period> = every.within(from, until, &zone).collect();
                prop_assert!(periods.first().is_some_and(|p| p.contains(from)));
                prop_assert!(periods.last().is_some_and(|p| p.contains(Wall::from_micros(until.as_micros() - 1))));
                for pair in periods.windows(2) {
                    prop_assert_eq!(pair[0].until, pair[1].from, "{:?}", every);
                }
                // A shorter one never lies across the border of a longer one.
                for period in periods {
                    let last = Wall::from_micros(period.until.as_micros() - 1);
                    for longer in [Every::Day, Every::Month, Every::Year] {
                        if every < longer && every != Every::Week {
                            prop_assert!(longer.containing(period.from, &zone).is_some_and(|l| l.contains(last)), "{:?}", every);
                        }
                    }
                }
            }
        }
    }
}
