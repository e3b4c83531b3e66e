//! Numbers, digits, dates, times and money as recorded words: which clips, in which order, in each of the six languages of the shipped
//! prompts.
//!
//! One file here a language ([`en`], [`de`], [`uk`], [`it`], [`sv`], [`zh`]); each knows its grammar, and what it may ever ask for
//! ([`vocabulary`]), for whoever checks that the clips are there. Numbers to 99 are one clip each, and so
//! are hundreds: the joins that are left are those between words. What the clips say stands in `config/prompts/texts.tsv`, where `-` is a
//! clip that a language does not need.
//!
//! | language | beyond order and plural |
//! |---|---|
//! | English | `and` within numbers, as in Britain; 12 hours; years in pairs |
//! | German | ein, eine, eins; 1999 as neunzehnhundert… |
//! | Ukrainian | three plural forms; один, одна, одне, два, дві; hours and years are ordinals |
//! | Italian | un, una, uno; mille and mila; un milione **di** euro |
//! | Swedish | en, ett; 2026 as tjugohundra… |
//! | Chinese | 两 before what is counted; 零 for what is skipped; 万 and 亿; years by digits; 元, 角, 分 |
//!
//! Pure: values in, names out. Playing is the conversation's.

mod clip;
mod de;
mod en;
mod it;
mod money;
mod sv;
#[cfg(test)]
mod tests;
mod uk;
mod zh;

use jiff::civil::{Date, Time};

use clip::{Form, Noun, Phrase};
pub use money::{Currency, Money};

/// A language whose grammar is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    English,
    German,
    Ukrainian,
    Italian,
    Swedish,
    Chinese,
}

impl Language {
    pub const ALL: [Language; 6] =
        [Language::English, Language::German, Language::Ukrainian, Language::Italian, Language::Swedish, Language::Chinese];

    /// By the name of its folder of prompts; `None` where only a person could say what its clips would be.
    pub fn of(folder: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.folder() == folder)
    }

    /// Folder of its prompts: ISO 639-1.
    pub fn folder(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
            Language::Ukrainian => "uk",
            Language::Italian => "it",
            Language::Swedish => "sv",
            Language::Chinese => "zh",
        }
    }

    fn tongue(self) -> &'static dyn Tongue {
        match self {
            Language::English => &en::English,
            Language::German => &de::German,
            Language::Ukrainian => &uk::Ukrainian,
            Language::Italian => &it::Italian,
            Language::Swedish => &sv::Swedish,
            Language::Chinese => &zh::Chinese,
        }
    }
}

/// What time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// As one counts: "twenty-one". From a million millions on digit by digit, for nobody follows it otherwise.
    Number(i64),
    /// One by one: `0`–`9`, `+`, `*`, `#`. What else stands there is passed over.
    Digits(String),
    /// Day of the week, day, month, year.
    Date(Date),
    /// To the minute.
    Time(Time),
    Money(Money),
    /// "Five minutes".
    Counted(u32, Unit),
}

/// Numbers from here on are said digit by digit.
const LIMIT: u64 = 1_000_000_000_000;

/// Names of the clips, in order, without the language's folder; none where there is nothing to say (digits of an empty text).
pub fn clips(language: Language, saying: &Saying) -> Vec<String> {
    let tongue = language.tongue();
    let mut phrase = Phrase::default();
    match saying {
        Saying::Number(n) => signed(tongue, *n, &mut phrase),
        Saying::Digits(text) => phrase.digits(text),
        Saying::Date(date) => tongue.date(*date, &mut phrase),
        Saying::Time(time) => tongue.time(*time, &mut phrase),
        Saying::Money(money) => money::say(tongue, *money, &mut phrase),
        Saying::Counted(n, unit) => tongue.counted(u64::from(*n), Noun::Unit(*unit), &mut phrase),
    }
    phrase.into_clips()
}

/// Every clip that [`clips`] can ask for in that language, sorted.
pub fn vocabulary(language: Language) -> Vec<String> {
    let mut clips = clip::common();
    clips.extend(language.tongue().words());
    clips.sort();
    clips.dedup();
    clips
}

/// The grammar of a language.
trait Tongue {
    /// A number below [`LIMIT`], in the form that stands before a noun of that gender, or alone.
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase);

    /// A number and the noun in the form that it asks for.
    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase);

    fn date(&self, date: Date, phrase: &mut Phrase);

    fn time(&self, time: Time, phrase: &mut Phrase);

    /// Between two parts of an amount: one worth so many hundredths each was said, and parts worth `following` in all come next.
    fn between(&self, said: u64, following: u64, phrase: &mut Phrase);

    /// What an amount is said in, largest first, and how many hundredths each is worth.
    fn parts(&self, currency: Currency) -> Vec<(u64, Noun)> {
        let (major, minor) = currency.nouns();
        vec![(100, major), (1, minor)]
    }

    /// Clips that are asked for beside [`clip::common`].
    fn words(&self) -> Vec<String>;
}

fn signed(tongue: &dyn Tongue, n: i64, phrase: &mut Phrase) {
    if n < 0 {
        phrase.word("minus");
    }
    number_or_digits(tongue, n.unsigned_abs(), Form::Alone, phrase);
}

fn number_or_digits(tongue: &dyn Tongue, n: u64, form: Form, phrase: &mut Phrase) {
    if n < LIMIT { tongue.number(n, form, phrase) } else { phrase.digits(&n.to_string()) }
}

/// A number in groups of three digits, from the largest; those that are zero are left out. `scale`: 3 for billions (10⁹), then 2, 1, 0.
fn groups(n: u64) -> impl Iterator<Item = (u8, u64)> {
    [(3u8, 1_000_000_000), (2, 1_000_000), (1, 1_000), (0, 1)]
        .into_iter()
        .map(move |(scale, of)| (scale, n / of % 1_000))
        .filter(|(_, group)| *group > 0)
}
