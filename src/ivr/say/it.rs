//! Italian.

use jiff::civil::{Date, Time};

use super::clip::{self, Form, Noun, Phrase, Plural, one_or_many};
use super::{Tongue, Unit, groups, number_or_digits};

pub(super) struct Italian;

fn gender(noun: Noun) -> Form {
    match noun {
        Noun::Unit(Unit::Hour) | Noun::Pound | Noun::Hryvnia | Noun::Krona => Form::Feminine,
        Noun::Unit(Unit::Second | Unit::Minute | Unit::Day)
        | Noun::Euro
        | Noun::Cent
        | Noun::Dollar
        | Noun::Penny
        | Noun::Kopiyka
        | Noun::Ore
        | Noun::Yuan
        | Noun::Jiao
        | Noun::Fen => Form::Masculine,
    }
}

impl Tongue for Italian {
    fn number(&self, n: u64, form: Form, phrase: &mut Phrase) {
        match (n, form) {
            (0, _) => return phrase.whole(0),
            // Only 1 itself bends: "un euro", but "ventuno euro".
            (1, Form::Masculine | Form::Neuter) => return phrase.word("one-masculine"),
            (1, Form::Feminine) => return phrase.word("one-feminine"),
            _ => {}
        }
        for (scale, group) in groups(n) {
            match (scale, group) {
                // "mille", without a number.
                (1, 1) => {}
                (2 | 3, 1) => phrase.word("one-masculine"),
                _ => phrase.hundreds(group).into_iter().for_each(|rest| phrase.whole(rest)),
            }
            match scale {
                3 => phrase.form("billion", one_or_many(group)),
                2 => phrase.form("million", one_or_many(group)),
                1 => phrase.form("thousand", one_or_many(group)),
                _ => {}
            }
        }
    }

    fn counted(&self, n: u64, noun: Noun, phrase: &mut Phrase) {
        // "un'ora" is one word to the ear.
        if (n, noun) != (1, Noun::Unit(Unit::Hour)) {
            number_or_digits(self, n, gender(noun), phrase);
        }
        if n > 0 && n.is_multiple_of(1_000_000) {
            phrase.word("of");
        }
        phrase.noun(noun, one_or_many(n));
    }

    /// "venerdì venticinque dicembre duemilaventisei"; the first of a month is "primo".
    fn date(&self, date: Date, phrase: &mut Phrase) {
        phrase.weekday(date);
        match clip::part(date.day()) {
            1 => phrase.day(date),
            day => phrase.whole(day),
        }
        phrase.month(date);
        self.number(clip::year(date), Form::Alone, phrase);
    }

    /// "le quattordici e trenta", "l'una", "mezzanotte e cinque"
    fn time(&self, time: Time, phrase: &mut Phrase) {
        phrase.word(&format!("hour-{}", time.hour()));
        let minute = clip::part(time.minute());
        if minute > 0 {
            phrase.word("and");
            phrase.whole(minute);
        }
    }

    fn between(&self, _: u64, _: u64, phrase: &mut Phrase) {
        phrase.word("and");
    }

    fn words(&self) -> Vec<String> {
        let mut clips: Vec<String> = clip::words(["one-masculine", "one-feminine", "of", "and", "day-1"]).collect();
        for scale in ["thousand", "million", "billion"] {
            clips.extend(["one", "many"].map(|form| format!("say-{scale}-{form}")));
        }
        clips.extend(clip::hours());
        clips.extend(clip::nouns(&[Plural::One, Plural::Many]));
        clips
    }
}
