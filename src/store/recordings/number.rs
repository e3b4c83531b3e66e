//! When two spellings are one telephone number.

/// Digits that two numbers must share at their ends before one counts as the other without its country or area code. Seven are a
/// whole subscriber number in most plans; fewer would make extensions equal to strangers.
pub const SHARED_DIGITS: usize = 7;

/// A number as it is indexed: digits only, without the zeros or the plus of an international or national prefix. What has no digits
/// (`anonymous`, a name) stays as it is, in lower case.
pub fn digits(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match digits.trim_start_matches('0') {
        "" => number.trim().to_lowercase(),
        significant => significant.to_owned(),
    }
}

/// Whether a search for `wanted` finds `number`: the ends agree. Any end of a number finds it (`4711` finds `+49 30 4711`); a longer
/// spelling finds a shorter number when at least [`SHARED_DIGITS`] agree (`+49 30 1234567` finds `030 1234567`).
pub fn same_number(number: &str, wanted: &str) -> bool {
    let (number, wanted) = (digits(number), digits(wanted));
    number.ends_with(&wanted) || (number.len() >= SHARED_DIGITS && wanted.ends_with(&number) && is_digits(&number))
}

pub fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Key in the tree of numbers: those that end alike begin alike.
pub fn reversed(digits: &str) -> Vec<u8> {
    let mut key: Vec<u8> = digits.bytes().collect();
    key.reverse();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_number_are_the_same() {
        for wanted in ["+4930123456", "004930123456", "030 123456", "030/12 34 56", "123456", "3456"] {
            assert!(same_number("+49 30 123456", wanted), "{wanted}");
        }
        assert!(same_number("0301234567", "+49301234567"));
        assert!(!same_number("201", "+4930123201"), "an extension is not everyone whose number ends so");
        assert!(!same_number("+4930123456", "123457"));
        assert!(same_number("Anonymous", "anonymous"));
        assert!(!same_number("anonymous", "12"));
        assert_eq!(digits("000"), "000");
    }
}
