//! English, as spoken in Britain.

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural, one_or_many};
use super::{Tongue, groups, number_or_digits};

pub(super) struct English;

impl Tongue for English {
    fn number(&self, n: u64, _: Form, phrase: &mut Phrase) {
        if n == 0 {
            phrase.whole(0);
        }
        for (scale, group) in groups(n) {
            // "one thousand and five"
            if scale == 0 && group < 100 && n >= 1_000 {
                phrase.word("and");
            }
            if let Some(rest) = phrase.hundreds(group) {
                if group >= 100 {
                    phrase.word("and");
                }
                phrase.whole(rest);
            }
            match scale {
                3 => phrase.word("billion"),
                2 => phrase.word("million"),
                1 => phrase.word("thousand"),
                _ => {}
            }
        }
    }

    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase) {
        number_or_digits(self, n, Form::Alone, phrase);
        phrase.noun(noun, one_or_many(n));
    }

    /// "Friday, the twenty-fifth of December, twenty twenty-six"
    fn date(&self, date: Date, phrase: &mut Phrase) {
        phrase.weekday(date);
        phrase.day(date);
        phrase.month(date);
        let year = clip::year(date);
        match (year / 100, year % 100) {
            (19, 0) => {
                phrase.whole(19);
                phrase.word("hundred");
            }
            (19, years @ 1..=9) => {
                phrase.whole(19);
                phrase.word("oh");
                phrase.whole(years);
            }
            (19, years) | (20, years @ 10..) => {
                phrase.whole(year / 100);
                phrase.whole(years);
            }
            _ => self.number(year, Form::Alone, phrase),
        }
    }

    /// "two thirty p.m.", "ten oh five a.m.", "noon"
    fn time(&self, time: Time, phrase: &mut Phrase) {
        let (hour, minute) = (clip::part(time.hour()), clip::part(time.minute()));
        match (hour, minute) {
            (0, 0) => return phrase.word("midnight"),
            (12, 0) => return phrase.word("noon"),
            _ => {}
        }
        phrase.whole(if hour % 12 == 0 { 12 } else { hour % 12 });
        if (1..10).contains(&minute) {
            phrase.word("oh");
        }
        if minute > 0 {
            phrase.whole(minute);
        }
        phrase.word(if hour < 12 { "am" } else { "pm" });
    }

    fn between(&self, _: u64, _: u64, phrase: &mut Phrase) {
        phrase.word("and");
    }

    fn words(&self) -> Vec<String> {
        let words = ["and", "hundred", "thousand", "million", "billion", "oh", "am", "pm", "noon", "midnight"];
        clip::words(words).chain(clip::days()).chain(clip::nouns(&[Plural::One, Plural::Many])).collect()
    }
}
