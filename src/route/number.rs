//! Spellings of one telephone number.
//!
//! Carriers write the called number as `+4930123`, `004930123`, `4930123` or `030123`; people add blanks and dashes (RFC 3966 §5.1.1
//! visual separators). [`tidy`] takes the separators off, [`spellings`] lists the ways in which a country writes the number. Something
//! that is not a number (`alice`, `anonymous`) is left as it is.

use crate::config::Country;

/// Longest number that is looked at: E.164 has 15 digits; carriers' prefixes and access codes come on top. Longer text is left as it is.
const LONGEST: usize = 40;

/// Takes visual separators off. Text that is not a number comes back unchanged.
pub fn tidy(number: &str) -> String {
    let mut tidied = String::with_capacity(number.len().min(LONGEST));
    for c in number.chars() {
        match c {
            '0'..='9' | '*' | '#' => tidied.push(c),
            '+' if tidied.is_empty() => tidied.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' => {}
            _ => return number.to_owned(),
        }
    }
    if tidied.is_empty() || tidied == "+" || tidied.len() > LONGEST { number.to_owned() } else { tidied }
}

/// Nothing but digits and keys, with a plus at most before them: what [`tidy`] makes of a number.
pub fn is_number(text: &str) -> bool {
    let keys = text.strip_prefix('+').unwrap_or(text);
    !keys.is_empty() && keys.len() <= LONGEST && keys.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#'))
}

/// How a country dials (ITU-T Operational Bulletin, list of dialling procedures).
struct Plan {
    code: &'static str,
    international: &'static str,
    /// Put before the national number inside the country; empty where there is none (Italy's 0 is part of the number).
    national: &'static str,
}

/// The countries whose national spelling is known. Elsewhere `+` and `00` are the only spellings.
fn plan(country: Country) -> Plan {
    let (code, international, national) = match &country.0 {
        b"DE" => ("49", "00", "0"),
        b"AT" => ("43", "00", "0"),
        b"CH" => ("41", "00", "0"),
        b"UA" => ("380", "00", "0"),
        b"SE" => ("46", "00", "0"),
        b"CN" => ("86", "00", "0"),
        b"IT" => ("39", "00", ""),
        b"GB" => ("44", "00", "0"),
        b"FR" => ("33", "00", "0"),
        b"NL" => ("31", "00", "0"),
        b"BE" => ("32", "00", "0"),
        b"PL" => ("48", "00", ""),
        b"ES" => ("34", "00", ""),
        b"DK" => ("45", "00", ""),
        b"NO" => ("47", "00", ""),
        b"US" | b"CA" => ("1", "011", "1"),
        _ => ("", "00", ""),
    };
    Plan { code, international, national }
}

/// The [`spellings`] without those that write a number of this country as from abroad: `00*` means other countries here, and `0900*` a
/// number that is written `+49900…` too.
pub fn spellings_at_home(given: &str, country: Country) -> Vec<String> {
    let plan = plan(country);
    let from_abroad = format!("{}{}", plan.international, plan.code);
    let mut all = spellings(given, country);
    all.retain(|spelling| plan.code.is_empty() || !spelling.starts_with(&from_abroad));
    all
}

fn digits(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

/// The international number without its plus, of a tidy one that says by its beginning what it is.
fn international(number: &str, plan: &Plan) -> Option<String> {
    if let Some(rest) = number.strip_prefix('+') {
        digits(rest).then(|| rest.to_owned())
    } else if !digits(number) {
        None
    } else if let Some(rest) = number.strip_prefix(plan.international).filter(|r| !r.is_empty()) {
        Some(rest.to_owned())
    } else if !plan.national.is_empty() && !plan.code.is_empty() {
        // The national prefix of North America is its country code: 1 is put on by both.
        number.strip_prefix(plan.national).filter(|r| !r.is_empty()).map(|rest| format!("{}{rest}", plan.code))
    } else {
        None
    }
}

/// E.164 numbers have 15 digits at most; fewer than 7 with the country code reach nobody.
const E164: std::ops::RangeInclusive<usize> = 7..=15;

/// The one normal form of a number, E.164 with its plus, as a country dials it: `030123456`, `004930123456` and `+4930123456` are all
/// `+4930123456` in Germany. `None` for what does not say by its beginning that it is more than an extension, and for what is too long
/// or too short to be a number of the network.
///
/// The digits stand as they were dialled: a library that knows every country's numbering plan (`phonenumber` 0.3.10) was tried, and takes
/// the zero off an Italian number when the caller is in another country (`+390612345678` became `+39612345678`, another number).
pub fn normal(given: &str, country: Country) -> Option<String> {
    let e164 = international(&tidy(given), &plan(country))?;
    (E164.contains(&e164.len()) && !e164.starts_with('0')).then(|| format!("+{e164}"))
}

/// A number as its country dials it: with the national prefix inside, the international one outside. What has no normal form stays.
pub fn national(given: &str, country: Country) -> String {
    let plan = plan(country);
    let Some(e164) = normal(given, country) else { return given.to_owned() };
    let e164 = e164.trim_start_matches('+');
    match e164.strip_prefix(plan.code).filter(|rest| !plan.code.is_empty() && !rest.is_empty()) {
        Some(rest) => format!("{}{rest}", plan.national),
        None => format!("{}{e164}", plan.international),
    }
}

/// The ways to write the number that `given` is, the given one first.
///
/// A bare `4930123` may be an international number without its plus or a national one: which spelling was meant is not known, so the
/// spellings that guess come last, and a caller of this takes the first that means something.
pub fn spellings(given: &str, country: Country) -> Vec<String> {
    let number = tidy(given);
    let plan = plan(country);
    let mut all = Vec::with_capacity(5);
    let mut add = |s: String| {
        if !all.contains(&s) {
            all.push(s);
        }
    };
    add(number.clone());
    let e164 = international(&number, &plan);
    let every = |e164: &str, add: &mut dyn FnMut(String)| {
        add(format!("+{e164}"));
        add(format!("{}{e164}", plan.international));
        if let Some(rest) = e164.strip_prefix(plan.code).filter(|r| !plan.code.is_empty() && !r.is_empty()) {
            add(format!("{}{rest}", plan.national));
        }
    };
    match e164 {
        Some(e164) => {
            every(&e164, &mut add);
            add(e164);
        }
        None if digits(&number) => every(&number, &mut add),
        None => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const DE: Country = Country(*b"DE");

    #[test]
    fn separators_are_taken_off_and_names_are_left() {
        assert_eq!(tidy("+49 (30) 123-45/67"), "+49301234567");
        assert_eq!(tidy("*22"), "*22");
        assert_eq!(tidy("alice.b-c"), "alice.b-c");
        assert_eq!(tidy("1-800-FLOWERS"), "1-800-FLOWERS");
        assert_eq!(tidy("12+3"), "12+3");
        assert_eq!(tidy(""), "");
        assert_eq!(tidy("+"), "+");
        assert_eq!(tidy("- -"), "- -");
        assert_eq!(tidy(&"1".repeat(41)).len(), 41);
        assert_eq!(tidy(&"1-".repeat(41)), "1-".repeat(41));
    }

    #[test]
    fn what_is_more_than_keys_is_no_number() {
        for (text, is) in
            [("+4930123", true), ("*21#", true), ("", false), ("+", false), ("0900;isub=1", false), ("0900\r1", false)]
        {
            assert_eq!(is_number(text), is, "{text:?}");
        }
        assert!(!is_number("alice") && !is_number("12+3") && !is_number("0 900") && !is_number(&"1".repeat(41)));
    }

    #[test]
    fn one_number_has_the_same_spellings_however_it_is_given() {
        for given in ["+4930123", "004930123", "030123", "+49 30 123"] {
            let all = spellings(given, DE);
            for spelling in ["+4930123", "004930123", "030123", "4930123"] {
                assert!(all.iter().any(|s| s == spelling), "{given} lacks {spelling}: {all:?}");
            }
        }
    }

    #[test]
    fn a_number_has_one_normal_form_however_it_is_dialled() {
        for given in ["+4930123456", "004930123456", "030123456", "+49 (30) 123-456"] {
            assert_eq!(normal(given, DE).as_deref(), Some("+4930123456"), "{given}");
            assert_eq!(national(given, DE), "030123456");
        }
        for (given, form) in [("00390612345678", "+390612345678"), ("+390612345678", "+390612345678")] {
            assert_eq!(normal(given, DE).as_deref(), Some(form));
            assert_eq!(national(given, DE), "00390612345678");
        }
        assert_eq!(normal("0114930123456", Country(*b"US")).as_deref(), Some("+4930123456"));
        for none in ["201", "112", "4930123456", "alice", "", "*22", "+", "00", "+1234567890123456", "+0301234567", "0123"] {
            assert_eq!(normal(none, DE), None, "{none}");
            assert_eq!(national(none, DE), none);
        }
    }

    #[test]
    fn a_bare_international_number_is_guessed_last() {
        assert_eq!(spellings("4930123", DE), ["4930123", "+4930123", "004930123", "030123"]);
    }

    #[test]
    fn italys_zero_is_part_of_the_number() {
        assert!(spellings("+39 06 123", Country(*b"IT")).contains(&"06123".to_owned()));
        assert!(!spellings("06123", Country(*b"IT")).contains(&"+396123".to_owned()));
    }

    #[test]
    fn north_america_dials_1_and_011() {
        assert!(spellings("+12125550100", Country(*b"US")).contains(&"12125550100".to_owned()));
        assert!(spellings("0114930123", Country(*b"US")).contains(&"+4930123".to_owned()));
    }

    #[test]
    fn what_is_not_a_number_has_one_spelling() {
        assert_eq!(spellings("anonymous", DE), ["anonymous"]);
        assert_eq!(spellings("*22", DE), ["*22"]);
        assert_eq!(spellings("", DE), [""]);
        assert_eq!(spellings("00", DE).first().map(String::as_str), Some("00"));
    }
}
