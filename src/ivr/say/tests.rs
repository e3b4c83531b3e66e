//! What is heard, against tables that were written by hand: the texts of the clips, one after another, are what a person would say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::{Date, Time};
use proptest::prelude::*;

use super::*;

/// The texts that the shipped clips are made of.
const TEXTS: &str = include_str!("../../../config/prompts/texts.tsv");
const NUMBERS: &str = include_str!("../../../tests/data/say/numbers.tsv");
const SAYINGS: &str = include_str!("../../../tests/data/say/sayings.tsv");

/// For each language what its clips say.
fn texts() -> &'static BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    static READ: LazyLock<BTreeMap<&str, BTreeMap<&str, &str>>> = LazyLock::new(|| {
        let mut texts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, language, text) in cells(TEXTS).filter(|(.., text)| *text != "-") {
            texts.entry(language).or_default().insert(key, text);
        }
        texts
    });
    &READ
}

/// First cell of the row, first of the column, and what stands where they cross.
fn cells(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut rows = table.lines().map(|line| line.split('\t'));
    let columns: Vec<&str> = rows.next().unwrap().skip(1).collect();
    rows.flat_map(move |mut row| {
        let key = row.next().unwrap();
        columns.clone().into_iter().zip(row).map(move |(column, text)| (key, column, text))
    })
}

/// Without spaces: where one clip ends and the next begins is not a question of spelling.
fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

fn heard(language: Language, saying: &Saying) -> String {
    let texts = texts();
    clips(language, saying)
        .iter()
        .map(|clip| bare(texts[language.folder()].get(clip.as_str()).unwrap_or_else(|| panic!("{clip}"))))
        .collect()
}

#[track_caller]
fn agrees(table: &'static str, read: impl Fn(&str) -> Saying) -> usize {
    let mut rows = BTreeSet::new();
    let mut wrong = Vec::new();
    for (key, language, expected) in cells(table) {
        let heard = heard(Language::of(language).unwrap(), &read(key));
        if heard != bare(expected) {
            wrong.push(format!("{key} in {language}: {heard}, not {expected}"));
        }
        rows.insert(key);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    rows.len()
}

#[test]
fn numbers_are_said_as_people_say_them() {
    assert!(agrees(NUMBERS, |key| Saying::Number(key.parse().unwrap())) >= 60);
}

#[test]
fn times_dates_amounts_and_what_is_counted_are_said_as_people_say_them() {
    agrees(SAYINGS, |key| match key.split_once(' ') {
        Some((n, unit @ ("second" | "minute" | "hour" | "day"))) => {
            let unit = match unit {
                "second" => Unit::Second,
                "minute" => Unit::Minute,
                "hour" => Unit::Hour,
                _ => Unit::Day,
            };
            Saying::Counted(n.parse().unwrap(), unit)
        }
        Some((currency, amount)) => Saying::Money(Money::parse(amount, Currency::of(currency).unwrap()).unwrap()),
        None => match key.parse::<Date>() {
            Ok(date) => Saying::Date(date),
            Err(_) => Saying::Time(key.parse::<Time>().unwrap()),
        },
    });
}

/// The table of texts and what may be asked for are the same: none is missing, and none is there for nothing.
#[test]
fn each_clip_has_its_text_in_each_language_that_asks_for_it() {
    let texts = texts();
    for language in Language::ALL {
        let asked: BTreeSet<String> = vocabulary(language).into_iter().collect();
        let there: BTreeSet<String> = texts[language.folder()]
            .keys()
            .filter(|key| key.starts_with("say-") || key.starts_with("digit-"))
            .map(|key| (*key).to_owned())
            .collect();
        assert_eq!(asked, there, "{language:?}");
    }
}

#[test]
fn digits_are_said_one_by_one() {
    let said = |text: &str| clips(Language::German, &Saying::Digits(text.to_owned()));
    assert_eq!(said("+49 (30) 1*#"), ["say-plus", "digit-4", "digit-9", "digit-3", "digit-0", "digit-1", "say-star", "say-hash"]);
    assert!(said("").is_empty() && said("a-b").is_empty());
}

#[test]
fn numbers_that_nobody_follows_are_said_digit_by_digit() {
    let said = clips(Language::English, &Saying::Number(-1_000_000_000_000));
    assert_eq!(said.len(), 14);
    assert_eq!(said[..3], ["say-minus", "digit-1", "digit-0"]);
    assert_eq!(clips(Language::Chinese, &Saying::Number(i64::MIN)).len(), 20);
}

#[test]
fn amounts_are_read_as_people_and_servers_write_them() {
    let read = |text: &str| Money::parse(text, Currency::Euro).map(|money| money.hundredths);
    for (text, hundredths) in [
        ("12", 1_200),
        ("12.5", 1_250),
        ("12.50", 1_250),
        (" 12,05 ", 1_205),
        ("-0.01", -1),
        ("0", 0),
        ("-0", 0),
        ("007.10", 710),
    ] {
        assert_eq!(read(text), Some(hundredths), "{text}");
    }
    for text in ["", "-", ".5", "5.", "1.234", "1,234.50", "12 50", "1e3", "+1", "--1", "१", "92233720368547758.08", "EUR 1"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(read("92233720368547758.07"), Some(i64::MAX));
    for currency in Currency::ALL {
        assert_eq!(Currency::of(currency.code()), Some(currency));
    }
    assert_eq!(Currency::of("eur"), None);
}

#[test]
fn every_day_and_every_minute_can_be_said() {
    let texts = texts();
    for language in Language::ALL {
        let known = &texts[language.folder()];
        let mut seen = BTreeSet::new();
        for minute in 0..24 * 60i16 {
            let time = Time::new((minute / 60) as i8, (minute % 60) as i8, 59, 0).unwrap();
            let said = clips(language, &Saying::Time(time));
            assert!(said.iter().all(|clip| known.contains_key(clip.as_str())), "{language:?} {time}: {said:?}");
            assert!(seen.insert(said), "{language:?} {time}");
        }
        let mut date = Date::constant(1899, 12, 31);
        while date.year() < 2101 {
            let said = clips(language, &Saying::Date(date));
            assert!(said.iter().all(|clip| known.contains_key(clip.as_str())), "{language:?} {date}: {said:?}");
            assert!(seen.insert(said), "{language:?} {date}");
            date = date.tomorrow().unwrap();
        }
    }
}

fn language() -> impl Strategy<Value = Language> {
    proptest::sample::select(&Language::ALL[..])
}

/// Numbers of every length, and near the joins.
fn number() -> impl Strategy<Value = i64> {
    let near = (0u32..13, -25i64..26, 1i64..30).prop_map(|(power, off, times)| times * 10i64.pow(power) + off);
    prop_oneof![near, -2_000i64..20_000, any::<i64>(), (0u32..62, any::<i64>()).prop_map(|(bits, n)| n >> bits)]
}

fn saying() -> impl Strategy<Value = Saying> {
    let unit = proptest::sample::select(&[Unit::Second, Unit::Minute, Unit::Hour, Unit::Day][..]);
    prop_oneof![
        number().prop_map(Saying::Number),
        ".{0,40}".prop_map(Saying::Digits),
        (-9_999i16..=9_999, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| Saying::Date(Date::constant(y, m, d))),
        (0i8..24, 0i8..60, 0i8..60).prop_map(|(h, m, s)| Saying::Time(Time::constant(h, m, s, 0))),
        (number(), proptest::sample::select(&Currency::ALL[..]))
            .prop_map(|(hundredths, currency)| Saying::Money(Money { hundredths, currency })),
        (any::<u32>(), unit.clone()).prop_map(|(n, unit)| Saying::Counted(n, unit)),
        (0u32..2_000, unit).prop_map(|(n, unit)| Saying::Counted(n, unit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is asked for that is not in the vocabulary, nothing is silent but digits that are none, and nothing is long.
    #[test]
    fn only_the_vocabulary_is_said(language in language(), saying in saying()) {
        let said = clips(language, &saying);
        let known: BTreeSet<String> = vocabulary(language).into_iter().collect();
        for clip in &said {
            prop_assert!(known.contains(clip), "{:?}: {}", saying, clip);
        }
        prop_assert!(!said.is_empty() || matches!(saying, Saying::Digits(_)));
        prop_assert!(said.len() <= 45, "{:?}: {}", saying, said.len());
    }

    /// Two numbers never sound alike.
    #[test]
    fn different_numbers_sound_different(language in language(), a in number(), b in number(), near in 1i64..2_000) {
        for other in [b, a.saturating_add(near), a.saturating_mul(10), a / 10] {
            let alike = heard(language, &Saying::Number(a)) == heard(language, &Saying::Number(other));
            prop_assert_eq!(alike, a == other, "{} {}", a, other);
        }
    }
}
