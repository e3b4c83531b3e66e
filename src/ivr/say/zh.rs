//! Chinese (Mandarin).

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural};
use super::{Currency, Tongue, number_or_digits};

pub(super) struct Chinese;

/// What stands before four digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// The four digits to the left, not all of them zero.
    Said,
    /// They are zero, and something stands to the left of them.
    Skipped,
}

impl Chinese {
    /// Four digits, more than none. What is skipped between two that are said is one 零, however much it is.
    fn group(n: u64, before: Before, phrase: &mut Phrase) {
        let (thousands, hundreds, rest) = (n / 1_000, n / 100 % 10, n % 100);
        let mut said = before != Before::Nothing;
        let mut skipped = before == Before::Skipped || (said && thousands == 0);
        if thousands > 0 {
            Self::zero_where(skipped, phrase);
            Self::multiplier(thousands, phrase);
            phrase.word("thousand");
            (said, skipped) = (true, false);
        }
        if hundreds > 0 {
            Self::zero_where(skipped, phrase);
            phrase.whole(hundreds * 100);
            (said, skipped) = (true, false);
        } else {
            skipped = said;
        }
        if rest > 0 {
            Self::zero_where(skipped || (said && rest < 10), phrase);
            // 十二 alone, and 一百一十二.
            if said && (10..20).contains(&rest) {
                phrase.whole(1);
            }
            phrase.whole(rest);
        }
    }

    fn zero_where(skipped: bool, phrase: &mut Phrase) {
        if skipped {
            phrase.whole(0);
        }
    }

    /// A digit before 千.
    fn multiplier(n: u64, phrase: &mut Phrase) {
        if n == 2 { phrase.word("two-counted") } else { phrase.whole(n) }
    }
}

impl Tongue for Chinese {
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase) {
        match (n, form) {
            (0, _) => return phrase.whole(0),
            (2, Form::Masculine | Form::Feminine | Form::Neuter) => return phrase.word("two-counted"),
            (_, Form::Alone | Form::Masculine | Form::Feminine | Form::Neuter) => {}
        }
        let mut before = Before::Nothing;
        for (of, word) in [(100_000_000, Some("hundred-million")), (10_000, Some("ten-thousand")), (1, None)] {
            let group = n / of % 10_000;
            before = match (group, word) {
                (0, _) if before == Before::Nothing => Before::Nothing,
                (0, _) => Before::Skipped,
                (2, Some(word)) => {
                    Self::zero_where(before != Before::Nothing, phrase);
                    phrase.word("two-counted");
                    phrase.word(word);
                    Before::Said
                }
                (group, word) => {
                    Self::group(group, before, phrase);
                    word.into_iter().for_each(|word| phrase.word(word));
                    Before::Said
                }
            };
        }
    }

    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase) {
        number_or_digits(self, n, Form::Neuter, phrase);
        phrase.noun(noun, Plural::Many);
    }

    /// “二零二六年十二月二十五日星期五”
    fn date(&self, date: Date, phrase: &mut Phrase) {
        let digits = clip::year(date).to_string();
        digits.chars().filter_map(|c| c.to_digit(10)).for_each(|digit| phrase.whole(u64::from(digit)));
        phrase.word("year");
        phrase.month(date);
        phrase.day(date);
        phrase.weekday(date);
    }

    /// “十四点三十分”, “两点零五分”, “九点整”
    fn time(&self, time: Time, phrase: &mut Phrase) {
        let minute = clip::part(time.minute());
        self.number(clip::part(time.hour()), Form::Neuter, phrase);
        phrase.word("oclock");
        if minute == 0 {
            return phrase.word("sharp");
        }
        Self::zero_where(minute < 10, phrase);
        phrase.whole(minute);
        phrase.word("past");
    }

    /// “十二元零五分”, “十二元五角五分”: what is skipped is a 零.
    fn between(&self, said: u64, following: u64, phrase: &mut Phrase) {
        Self::zero_where(following * 10 < said, phrase);
    }

    fn parts(&self, currency: Currency) -> Vec<(u64, Noun)> {
        match currency {
            Currency::Yuan => vec![(100, Noun::Yuan), (10, Noun::Jiao), (1, Noun::Fen)],
            Currency::Euro | Currency::Dollar | Currency::Pound | Currency::Hryvnia | Currency::Krona => {
                let (major, minor) = currency.nouns();
                vec![(100, major), (1, minor)]
            }
        }
    }

    fn words(&self) -> Vec<String> {
        let words =
            ["two-counted", "thousand", "ten-thousand", "hundred-million", "year", "oclock", "sharp", "past", "jiao-many"];
        clip::words(words).chain(clip::days()).chain(clip::nouns(&[Plural::Many])).collect()
    }
}
