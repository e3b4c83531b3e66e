//! Names of clips, and the words that they are names of.

use jiff::civil::Date;

use super::{Currency, Unit};

/// What stands after the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing: one counts.
    Alone,
    /// A noun of that gender. Swedish's common gender is masculine here; Chinese has but one.
    Masculine,
    Feminine,
    Neuter,
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Noun {
    Unit(Unit),
    Euro,
    Cent,
    Dollar,
    Pound,
    Penny,
    Hryvnia,
    Kopiyka,
    Krona,
    Ore,
    Yuan,
    /// A tenth of a yuan, in Chinese alone.
    Jiao,
    Fen,
}

impl Noun {
    /// Those that every language knows.
    pub(super) const ALL: [Noun; 15] = [
        Noun::Unit(Unit::Second),
        Noun::Unit(Unit::Minute),
        Noun::Unit(Unit::Hour),
        Noun::Unit(Unit::Day),
        Noun::Euro,
        Noun::Cent,
        Noun::Dollar,
        Noun::Pound,
        Noun::Penny,
        Noun::Hryvnia,
        Noun::Kopiyka,
        Noun::Krona,
        Noun::Ore,
        Noun::Yuan,
        Noun::Fen,
    ];

    fn word(self) -> &'static str {
        match self {
            Noun::Unit(Unit::Second) => "second",
            Noun::Unit(Unit::Minute) => "minute",
            Noun::Unit(Unit::Hour) => "hour",
            Noun::Unit(Unit::Day) => "day",
            Noun::Euro => "euro",
            Noun::Cent => "cent",
            Noun::Dollar => "dollar",
            Noun::Pound => "pound",
            Noun::Penny => "penny",
            Noun::Hryvnia => "hryvnia",
            Noun::Kopiyka => "kopiyka",
            Noun::Krona => "krona",
            Noun::Ore => "ore",
            Noun::Yuan => "yuan",
            Noun::Jiao => "jiao",
            Noun::Fen => "fen",
        }
    }
}

impl Currency {
    /// Of the whole and of its hundredth.
    pub(super) fn nouns(self) -> (Noun, Noun) {
        match self {
            Currency::Euro => (Noun::Euro, Noun::Cent),
            Currency::Dollar => (Noun::Dollar, Noun::Cent),
            Currency::Pound => (Noun::Pound, Noun::Penny),
            Currency::Hryvnia => (Noun::Hryvnia, Noun::Kopiyka),
            Currency::Krona => (Noun::Krona, Noun::Ore),
            Currency::Yuan => (Noun::Yuan, Noun::Fen),
        }
    }
}

/// The form of a noun after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plural {
    One,
    /// Ukrainian's 2, 3, 4.
    Few,
    Many,
}

impl Plural {
    fn word(self) -> &'static str {
        match self {
            Plural::One => "one",
            Plural::Few => "few",
            Plural::Many => "many",
        }
    }
}

/// One for 1, many for all else: English, German, Italian, Swedish.
pub(super) fn one_or_many(n: u64) -> Plural {
    if n == 1 { Plural::One } else { Plural::Many }
}

/// Clips in the order in which they are heard. All but the digits begin with `say-`, which keeps them from a site's own prompts.
#[derive(Debug, Default)]
pub(super) struct Phrase(Vec<String>);

impl Phrase {
    pub(super) fn into_clips(self) -> Vec<String> {
        self.0
    }

    pub(super) fn word(&mut self, word: &str) {
        self.0.push(format!("say-{word}"));
    }

    /// 0 to 99, or whole hundreds to 900: what is one clip.
    pub(super) fn whole(&mut self, n: u64) {
        self.0.push(format!("say-{n}"));
    }

    /// Hundreds, and what is left below them, where there is any.
    pub(super) fn hundreds(&mut self, n: u64) -> Option<u64> {
        if n >= 100 {
            self.whole(n / 100 * 100);
        }
        Some(n % 100).filter(|rest| *rest > 0)
    }

    /// A word in the form for what was counted.
    pub(super) fn form(&mut self, word: &str, plural: Plural) {
        self.word(&format!("{word}-{}", plural.word()));
    }

    pub(super) fn noun(&mut self, noun: Noun, plural: Plural) {
        self.form(noun.word(), plural);
    }

    pub(super) fn digits(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '0'..='9' => self.0.push(format!("digit-{c}")),
                '+' => self.word("plus"),
                '*' => self.word("star"),
                '#' => self.word("hash"),
                _ => {}
            }
        }
    }

    pub(super) fn weekday(&mut self, date: Date) {
        self.word(&format!("weekday-{}", date.weekday().to_monday_one_offset()));
    }

    /// As a date says it.
    pub(super) fn day(&mut self, date: Date) {
        self.word(&format!("day-{}", date.day()));
    }

    pub(super) fn month(&mut self, date: Date) {
        self.word(&format!("month-{}", date.month()));
    }
}

/// The year, without its sign.
pub(super) fn year(date: Date) -> u64 {
    u64::from(date.year().unsigned_abs())
}

/// A part of a time of day; jiff has them signed.
pub(super) fn part(of_time: i8) -> u64 {
    u64::from(of_time.unsigned_abs())
}

/// What every language asks for: numbers, digits and their company, months, days of the week.
pub(super) fn common() -> Vec<String> {
    let mut clips: Vec<String> = (0..=9).map(|digit| format!("digit-{digit}")).collect();
    clips.extend((0..100).chain((100..1_000).step_by(100)).map(|n| format!("say-{n}")));
    clips.extend((1..=12).map(|month| format!("say-month-{month}")));
    clips.extend((1..=7).map(|weekday| format!("say-weekday-{weekday}")));
    clips.extend(words(["minus", "plus", "star", "hash"]));
    clips
}

pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = String> {
    words.into_iter().map(|word| format!("say-{word}"))
}

/// Every noun in each of these forms.
pub(super) fn nouns(forms: &[Plural]) -> impl Iterator<Item = String> {
    Noun::ALL.into_iter().flat_map(move |noun| forms.iter().map(move |form| format!("say-{}-{}", noun.word(), form.word())))
}

pub(super) fn days() -> impl Iterator<Item = String> {
    (1..=31).map(|day| format!("say-day-{day}"))
}

pub(super) fn hours() -> impl Iterator<Item = String> {
    (0..24).map(|hour| format!("say-hour-{hour}"))
}
