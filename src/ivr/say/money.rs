//! Amounts of money, in currencies that are parted into hundredths.

use super::Tongue;
use super::clip::Phrase;

/// Currencies that are known by name in all six languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Currency {
    Euro,
    /// Of the United States.
    Dollar,
    /// Sterling.
    Pound,
    Hryvnia,
    /// Of Sweden.
    Krona,
    Yuan,
}

impl Currency {
    pub const ALL: [Currency; 6] =
        [Currency::Euro, Currency::Dollar, Currency::Pound, Currency::Hryvnia, Currency::Krona, Currency::Yuan];

    /// ISO 4217.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Euro => "EUR",
            Currency::Dollar => "USD",
            Currency::Pound => "GBP",
            Currency::Hryvnia => "UAH",
            Currency::Krona => "SEK",
            Currency::Yuan => "CNY",
        }
    }

    /// By its code, in capitals.
    pub fn of(code: &str) -> Option<Currency> {
        Currency::ALL.into_iter().find(|currency| currency.code() == code)
    }
}

/// An amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Cents, pence, öre …: hundredths of the currency.
    pub hundredths: i64,
    pub currency: Currency,
}

impl Money {
    /// As a server or a person writes it: `12`, `12.5`, `-0,05`. `None` where it is nothing of the kind, has more than two decimals or
    /// does not fit into 64 bits.
    pub fn parse(text: &str, currency: Currency) -> Option<Money> {
        let text = text.trim();
        let (minus, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (whole, decimals) = match text.split_once(['.', ',']) {
            Some((whole, decimals)) => (whole, decimals),
            None => (text, "00"),
        };
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !are_digits(whole) || !are_digits(decimals) || decimals.len() > 2 {
            return None;
        }
        let tenfold = if decimals.len() == 1 { 10 } else { 1 };
        let hundredths = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(decimals.parse::<i64>().ok()? * tenfold)?;
        Some(Money { hundredths: if minus { -hundredths } else { hundredths }, currency })
    }
}

/// Parts that are zero are left out, unless all are.
pub(super) fn say(tongue: &dyn Tongue, money: Money, phrase: &mut Phrase) {
    if money.hundredths < 0 {
        phrase.word("minus");
    }
    let mut rest = money.hundredths.unsigned_abs();
    let mut said = None;
    let parts = tongue.parts(money.currency);
    for (worth, noun) in &parts {
        let n = rest / worth;
        rest %= worth;
        if n == 0 {
            continue;
        }
        if let Some(said) = said {
            tongue.between(said, n * worth, phrase);
        }
        tongue.counted(n, *noun, phrase);
        said = Some(*worth);
    }
    if let Some((_, noun)) = parts.first().filter(|_| said.is_none()) {
        tongue.counted(0, *noun, phrase);
    }
}
