//! German.

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural, one_or_many};
use super::{Tongue, Unit, groups, number_or_digits};

pub(super) struct German;

impl German {
    /// Below a thousand. A 1 at the end is "eins" alone, "ein" or "eine" before something.
    fn group(n: u64, form: Form, phrase: &mut Phrase) {
        match (phrase.hundreds(n), form) {
            (Some(1), Form::Masculine | Form::Neuter) => phrase.word("one-masculine"),
            (Some(1), Form::Feminine) => phrase.word("one-feminine"),
            (Some(rest), _) => phrase.whole(rest),
            (None, _) => {}
        }
    }
}

fn gender(noun: Noun) -> Form {
    match noun {
        Noun::Unit(Unit::Second | Unit::Minute | Unit::Hour) | Noun::Hryvnia | Noun::Kopiyka | Noun::Krona => Form::Feminine,
        Noun::Unit(Unit::Day) | Noun::Euro | Noun::Cent | Noun::Dollar | Noun::Penny | Noun::Yuan | Noun::Jiao | Noun::Fen => {
            Form::Masculine
        }
        Noun::Pound | Noun::Ore => Form::Neuter,
    }
}

impl Tongue for German {
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase) {
        if n == 0 {
            phrase.whole(0);
        }
        for (scale, group) in groups(n) {
            match scale {
                3 => {
                    Self::group(group, Form::Feminine, phrase);
                    phrase.form("billion", one_or_many(group));
                }
                2 => {
                    Self::group(group, Form::Feminine, phrase);
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

    /// „Freitag, der fünfundzwanzigste Dezember zweitausendsechsundzwanzig“
    fn date(&self, date: Date, phrase: &mut Phrase) {
        phrase.weekday(date);
        phrase.day(date);
        phrase.month(date);
        let year = clip::year(date);
        if year / 100 == 19 {
            phrase.whole(19);
            phrase.word("hundred");
            phrase.hundreds(year % 100).into_iter().for_each(|rest| phrase.whole(rest));
        } else {
            self.number(year, Form::Alone, phrase);
        }
    }

    /// „vierzehn Uhr dreißig“
    fn time(&self, time: Time, phrase: &mut Phrase) {
        let minute = clip::part(time.minute());
        self.number(clip::part(time.hour()), Form::Neuter, phrase);
        phrase.word("oclock");
        if minute > 0 {
            phrase.whole(minute);
        }
    }

    fn between(&self, _: u64, _: u64, phrase: &mut Phrase) {
        phrase.word("and");
    }

    fn words(&self) -> Vec<String> {
        let words = [
            "one-masculine",
            "one-feminine",
            "hundred",
            "thousand",
            "million-one",
            "million-many",
            "billion-one",
            "billion-many",
            "and",
            "oclock",
        ];
        clip::words(words).chain(clip::days()).chain(clip::nouns(&[Plural::One, Plural::Many])).collect()
    }
}
