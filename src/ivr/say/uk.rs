//! Ukrainian.

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural};
use super::{Tongue, Unit, groups, number_or_digits};

pub(super) struct Ukrainian;

impl Ukrainian {
    /// Below a thousand. 1 and 2 at the end take the noun's gender, 11 and 12 do not.
    fn group(n: u64, form: Form, phrase: &mut Phrase) {
        let Some(rest) = phrase.hundreds(n) else { return };
        let word = match (rest % 10, form) {
            (1, Form::Feminine) => "one-feminine",
            (1, Form::Neuter) => "one-neuter",
            (2, Form::Feminine) => "two-feminine",
            _ => return phrase.whole(rest),
        };
        if rest / 10 == 1 {
            return phrase.whole(rest);
        }
        if rest > 10 {
            phrase.whole(rest / 10 * 10);
        }
        phrase.word(word);
    }

    /// The last two digits of a year, as an ordinal in the genitive: „двадцять шостого року“.
    fn years(n: u64, phrase: &mut Phrase) {
        if n <= 20 || n.is_multiple_of(10) {
            return phrase.word(&format!("year-{n}"));
        }
        phrase.whole(n / 10 * 10);
        phrase.word(&format!("year-{}", n % 10));
    }
}

fn plural(n: u64) -> Plural {
    match (n % 100 / 10, n % 10) {
        (1, _) => Plural::Many,
        (_, 1) => Plural::One,
        (_, 2..=4) => Plural::Few,
        (_, _) => Plural::Many,
    }
}

fn gender(noun: Noun) -> Form {
    match noun {
        Noun::Unit(Unit::Second | Unit::Minute | Unit::Hour) | Noun::Hryvnia | Noun::Kopiyka | Noun::Krona => Form::Feminine,
        Noun::Unit(Unit::Day)
        | Noun::Euro
        | Noun::Cent
        | Noun::Dollar
        | Noun::Pound
        | Noun::Penny
        | Noun::Yuan
        | Noun::Jiao
        | Noun::Fen => Form::Masculine,
        Noun::Ore => Form::Neuter,
    }
}

impl Tongue for Ukrainian {
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase) {
        if n == 0 {
            phrase.whole(0);
        }
        for (scale, group) in groups(n) {
            let (form, word) = match scale {
                3 => (Form::Masculine, Some("billion")),
                2 => (Form::Masculine, Some("million")),
                1 => (Form::Feminine, Some("thousand")),
                _ => (form, None),
            };
            Self::group(group, form, phrase);
            if let Some(word) = word {
                phrase.form(word, plural(group));
            }
        }
    }

    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase) {
        number_or_digits(self, n, gender(noun), phrase);
        phrase.noun(noun, plural(n));
    }

    /// «п’ятниця, двадцять п’яте грудня дві тисячі двадцять шостого року»
    fn date(&self, date: Date, phrase: &mut Phrase) {
        phrase.weekday(date);
        phrase.day(date);
        phrase.month(date);
        let year = clip::year(date);
        match (year / 100, year % 100) {
            (19, years) => {
                phrase.form("thousand", Plural::One);
                if years == 0 {
                    return phrase.word("year-900");
                }
                phrase.whole(900);
                Self::years(years, phrase);
            }
            (20, 0) => phrase.word("year-2000"),
            (20, years) => {
                phrase.word("two-feminine");
                phrase.form("thousand", Plural::Few);
                Self::years(years, phrase);
            }
            _ => self.number(year, Form::Alone, phrase),
        }
    }

    /// «чотирнадцята година тридцять хвилин»
    fn time(&self, time: Time, phrase: &mut Phrase) {
        phrase.word(&format!("hour-{}", time.hour()));
        let minute = clip::part(time.minute());
        if minute > 0 {
            self.counted(minute, Noun::Unit(Unit::Minute), phrase);
        }
    }

    fn between(&self, _: u64, _: u64, _: &mut Phrase) {}

    fn words(&self) -> Vec<String> {
        let mut clips: Vec<String> = clip::words(["one-feminine", "one-neuter", "two-feminine"]).collect();
        for scale in ["thousand", "million", "billion"] {
            clips.extend(["one", "few", "many"].map(|form| format!("say-{scale}-{form}")));
        }
        clips.extend((1..=20).chain((30..100).step_by(10)).chain([900, 2000]).map(|years| format!("say-year-{years}")));
        clips.extend(clip::days().chain(clip::hours()));
        clips.extend(clip::nouns(&[Plural::One, Plural::Few, Plural::Many]));
        clips
    }
}
