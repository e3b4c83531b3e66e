//! Swedish.

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural, one_or_many};
use super::{Tongue, Unit, groups, number_or_digits};

pub(super) struct Swedish;

impl Swedish {
    /// Below a thousand. A 1 at the end is "en" before a noun of the common gender, "ett" otherwise; 11 is "elva" always.
    fn group(n: u64, form: Form, phrase: &mut Phrase) {
        let Some(rest) = phrase.hundreds(n) else { return };
        match form {
            Form::Masculine | Form::Feminine if rest % 10 == 1 && rest != 11 => {
                if rest > 10 {
                    phrase.whole(rest - 1);
                }
                phrase.word("one-common");
            }
            Form::Masculine | Form::Feminine | Form::Neuter | Form::Alone => phrase.whole(rest),
        }
    }
}

fn gender(noun: Noun) -> Form {
    match noun {
        Noun::Pound | Noun::Ore => Form::Neuter,
        Noun::Unit(Unit::Second | Unit::Minute | Unit::Hour | Unit::Day)
        | Noun::Euro
        | Noun::Cent
        | Noun::Dollar
        | Noun::Penny
        | Noun::Hryvnia
        | Noun::Kopiyka
        | Noun::Krona
        | Noun::Yuan
        | Noun::Jiao
        | Noun::Fen => Form::Masculine,
    }
}

impl Tongue for Swedish {
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase) {
        if n == 0 {
            phrase.whole(0);
        }
        for (scale, group) in groups(n) {
            match scale {
                3 => {
                    Self::group(group, Form::Masculine, phrase);
                    phrase.form("billion", one_or_many(group));
                }
                2 => {
                    Self::group(group, Form::Masculine, phrase);
                    phrase.form("million", one_or_many(group));
                }
                1 => {
                    Self::group(group, Form::Neuter, phrase);
                    phrase.word("thousand");
                }
                _ => Self::group(group, form, phrase),
            }
        }
    }

    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase) {
        number_or_digits(self, n, gender(noun), phrase);
        phrase.noun(noun, one_or_many(n));
    }

    /// "fredag den tjugofemte december tjugohundratjugosex"
    fn date(&self, date: Date, phrase: &mut Phrase) {
        phrase.weekday(date);
        phrase.day(date);
        phrase.month(date);
        let year = clip::year(date);
        match (year / 100, year % 100) {
            (19, years) | (20, years @ 1..) => {
                phrase.whole(year / 100);
                phrase.word("hundred");
                if years > 0 {
                    phrase.whole(years);
                }
            }
            _ => self.number(year, Form::Alone, phrase),
        }
    }

    /// "klockan fjorton trettio", "klockan sju noll fem"
    fn time(&self, time: Time, phrase: &mut Phrase) {
        let minute = clip::part(time.minute());
        phrase.word("oclock");
        phrase.whole(clip::part(time.hour()));
        if (1..10).contains(&minute) {
            phrase.whole(0);
        }
        if minute > 0 {
            phrase.whole(minute);
        }
    }

    fn between(&self, _: u64, _: u64, phrase: &mut Phrase) {
        phrase.word("and");
    }

    fn words(&self) -> Vec<String> {
        let words =
            ["one-common", "hundred", "thousand", "million-one", "million-many", "billion-one", "billion-many", "and", "oclock"];
        clip::words(words).chain(clip::days()).chain(clip::nouns(&[Plural::One, Plural::Many])).collect()
    }
}
