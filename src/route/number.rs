//! Spellings of one telephone number.
//!
//! Carriers write the called number as `+4930123`, `004930123`, `4930123` or `030123`; people add blanks and dashes (RFC 3966 §5.1.1
//! visual separators). [`tidy`] takes the separators off, [`spellings`] lists the ways in which a country writes the number. Something
//! that is not a number (`alice`, `anonymous`) is left as it is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rlibphonenumber::{CountryCodeSource, PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

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

/// How a country dials, as libphonenumber writes its numbers.
struct Plan {
    /// Country code; empty where a country has none.
    code: String,
    international: String,
    /// Put before the national number inside the country; empty where there is none (Italy's 0 is part of the number).
    national: String,
    region: Option<Region>,
    /// Numbers of the country may be dialled without anything before them: there is no national prefix, or it is left out as one likes
    /// (North America's 1).
    bare: bool,
}

/// Of all countries: constant, and worked out at the first number.
static PLANS: LazyLock<BTreeMap<[u8; 2], Plan>> = LazyLock::new(|| {
    let regions = PHONE_NUMBER_UTIL.get_supported_regions();
    // A region's value is its two letters.
    regions.filter_map(|region| Some(((region as u16).to_be_bytes(), Plan::of(region)?))).collect()
});

/// `+` and `00` alone, where nobody knows more.
static NO_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan {
    code: String::new(),
    international: "00".into(),
    national: String::new(),
    region: None,
    bare: false,
});

fn plan(country: Country) -> &'static Plan {
    PLANS.get(&country.0).unwrap_or(&NO_PLAN)
}

impl Plan {
    /// The library keeps its prefixes to itself, so they are read off numbers that it writes: one of Germany's, or France's, as it is
    /// dialled from there, and one of the country's own as it is dialled inside.
    fn of(region: Region) -> Option<Plan> {
        let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region)?.to_string();
        let keys = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let abroad = if code == "49" { "+33123456789" } else { "+4930123456" };
        let abroad = PHONE_NUMBER_UTIL.parse(abroad, None).ok()?;
        let from_here = PHONE_NUMBER_UTIL.format_out_of_country_calling_number(&abroad, region);
        // `8~10 49 30 123456` from Russia, where `~` is a tone to wait for; `+49 …` where there are several prefixes (Brazil's carriers).
        let international = from_here.split(' ').next().filter(|first| !first.starts_with('+')).map(keys);
        let example = PHONE_NUMBER_UTIL.get_example_number(region).ok()?;
        let e164 = PHONE_NUMBER_UTIL.format(&example, PhoneNumberFormat::E164).into_owned();
        let inside = keys(&PHONE_NUMBER_UTIL.format(&example, PhoneNumberFormat::National));
        let number = e164.trim_start_matches('+').strip_prefix(&code)?;
        let is_nanpa = PHONE_NUMBER_UTIL.is_nanpa_country(region);
        let national = if is_nanpa { "1".to_owned() } else { inside.strip_suffix(number).unwrap_or_default().to_owned() };
        let international = international.unwrap_or_else(|| "00".to_owned());
        Some(Plan { code, international, bare: is_nanpa || national.is_empty(), national, region: Some(region) })
    }
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
    } else if let Some(rest) = number.strip_prefix(&plan.international).filter(|r| !r.is_empty()) {
        Some(rest.to_owned())
    } else if !plan.national.is_empty() && !plan.code.is_empty() {
        // The national prefix of North America is its country code: 1 is put on by both.
        number.strip_prefix(&plan.national).filter(|r| !r.is_empty()).map(|rest| format!("{}{rest}", plan.code))
    } else {
        None
    }
}

/// E.164 numbers have 15 digits at most; fewer than 7 with the country code reach nobody.
const E164: std::ops::RangeInclusive<usize> = 7..=15;

/// An extension, most likely: even with the country's code before it, it reaches nobody. Known without parsing it.
fn is_too_short(number: &str, plan: &Plan) -> bool {
    number.len() + plan.code.len() < *E164.start()
}

/// The one normal form of a number, E.164 with its plus, as a country dials it: `030123456`, `004930123456` and `+4930123456` are all
/// `+4930123456` in Germany, and `0612345678` in Italy is `+390612345678`. Some 15 us: once for a call's leg, not for each event.
///
/// `None` for what may be an extension: what does not say by its beginning that it is more (plus, international or national prefix)
/// counts only where a country dials without a prefix, and then if its numbering plan has such a number. `None`, too, for what is
/// too long or too short to be a number of the network.
///
/// By `rlibphonenumber`, whose tables are constant: the same in, the same out. Its namesake `phonenumber` (0.3.10) takes the zero off an
/// Italian number when the caller is in another country (`+390612345678` became `+39612345678`, another number).
pub fn normal(given: &str, country: Country) -> Option<String> {
    let number = tidy(given);
    if !digits(number.strip_prefix('+').unwrap_or(&number)) || number.len() > LONGEST_DIALLED {
        return None;
    }
    let plan = plan(country);
    if is_too_short(&number, plan) {
        return None;
    }
    let parsed = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(&number, plan.region).ok()?;
    let is_number = match parsed.country_code_source() {
        CountryCodeSource::FromNumberWithPlusSign | CountryCodeSource::FromNumberWithIdd => {
            PHONE_NUMBER_UTIL.is_possible_number(&parsed)
        }
        CountryCodeSource::FromDefaultCountry if !plan.national.is_empty() && number.starts_with(&plan.national) => {
            PHONE_NUMBER_UTIL.is_possible_number(&parsed)
        }
        CountryCodeSource::FromDefaultCountry => plan.bare && PHONE_NUMBER_UTIL.is_valid_number(&parsed),
        // Of `4930123456` nobody can say whether it is Berlin's number, or one of the area code 4930.
        CountryCodeSource::FromNumberWithoutPlusSign | CountryCodeSource::Unspecified => {
            plan.national == plan.code && number.starts_with(&plan.national) && PHONE_NUMBER_UTIL.is_possible_number(&parsed)
        }
    };
    let e164 = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164);
    (is_number && E164.contains(&e164.len().saturating_sub(1))).then(|| e164.into_owned())
}

/// Whether a number in normal form is somebody's whom to call costs what such calls cost: in this country, or `abroad` too, and neither a
/// service at a price of its own nor one that no numbering plan has.
pub fn is_ordinary(e164: &str, country: Country, abroad: bool) -> bool {
    use PhoneNumberType::{FixedLine, FixedLineOrMobile, Mobile, PersonalNumber, TollFree, UAN, VoIP};
    let Ok(parsed) = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(e164, plan(country).region) else { return false };
    let kind = PHONE_NUMBER_UTIL.get_number_type(&parsed);
    let is_here = e164.strip_prefix('+').is_some_and(|digits| digits.starts_with(plan(country).code.as_str()));
    (is_here || abroad) && matches!(kind, FixedLine | FixedLineOrMobile | Mobile | PersonalNumber | TollFree | UAN | VoIP)
}

/// The [`normal`] form of a number as a trunk shows or gets it, which is no extension: `4930123456` without its plus counts too, where only
/// one of its readings, international or national, is a number by the numbering plans.
pub fn on_trunk(given: &str, country: Country) -> Option<String> {
    normal(given, country).or_else(|| {
        let number = tidy(given);
        if !digits(&number) || number.len() > *E164.end() || number.starts_with('0') || is_too_short(&number, plan(country)) {
            return None;
        }
        let valid = |number: &str, region: Option<Region>| {
            let parsed = PHONE_NUMBER_UTIL.parse(number, region).ok()?;
            let e164 = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164);
            PHONE_NUMBER_UTIL.is_valid_number(&parsed).then(|| e164.into_owned())
        };
        let international = valid(&format!("+{number}"), None);
        let national = plan(country).region.and_then(|region| valid(&number, Some(region)));
        match (international, national) {
            (Some(one), None) | (None, Some(one)) => Some(one),
            (Some(one), Some(other)) => (one == other).then_some(one),
            (None, None) => None,
        }
    })
}

/// Longest number that is parsed: E.164 and an international prefix. Regular expressions are not let loose on more.
const LONGEST_DIALLED: usize = 22;

/// A number as its country dials it: with the national prefix inside, the international one outside. What has no normal form stays.
pub fn national(given: &str, country: Country) -> String {
    let plan = plan(country);
    let Some(e164) = normal(given, country) else { return given.to_owned() };
    let e164 = e164.trim_start_matches('+');
    match e164.strip_prefix(&plan.code).filter(|rest| !plan.code.is_empty() && !rest.is_empty()) {
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
    // A number that is dialled without a prefix is known by its numbering plan alone.
    let e164 = international(&number, plan).or_else(|| Some(normal(&number, country)?.trim_start_matches('+').to_owned()));
    let every = |e164: &str, add: &mut dyn FnMut(String)| {
        add(format!("+{e164}"));
        add(format!("{}{e164}", plan.international));
        if let Some(rest) = e164.strip_prefix(&plan.code).filter(|r| !plan.code.is_empty() && !r.is_empty()) {
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
    fn an_ordinary_number_is_of_the_country_and_no_service_at_its_own_price() {
        let (germany, ukraine): (Country, Country) = ("DE".parse().unwrap(), "UA".parse().unwrap());
        for (number, country, abroad, expected) in [
            ("+493012345678", germany, false, true),
            ("+4915112345678", germany, false, true),
            ("+498001234567", germany, false, true),
            // At a price of their own: 0900, 0137, 0180.
            ("+499001234567", germany, true, false),
            ("+491371234567", germany, true, false),
            ("+491801234567", germany, true, false),
            ("+380441234567", germany, false, false),
            ("+380441234567", germany, true, true),
            ("+380441234567", ukraine, false, true),
            ("+380900123456", ukraine, true, false),
            ("+49", germany, true, false),
            ("", germany, true, false),
        ] {
            assert_eq!(is_ordinary(number, country, abroad), expected, "{number} {abroad}");
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

    /// Each country's own rules: a prefix that is part of the number, none at all, one that may be left out, one that stands for more.
    #[test]
    fn numbers_of_all_countries_have_their_normal_form() {
        for (country, given, form) in [
            (b"IT", "0612345678", Some("+390612345678")),
            (b"IT", "3123456789", Some("+393123456789")),
            (b"IT", "201", None),
            (b"DK", "32123456", Some("+4532123456")),
            (b"DK", "3212", None),
            (b"ES", "912345678", Some("+34912345678")),
            (b"US", "2125550100", Some("+12125550100")),
            (b"US", "12125550100", Some("+12125550100")),
            (b"US", "5550100", None),
            (b"UA", "0441234567", Some("+380441234567")),
            (b"HU", "0612345678", Some("+3612345678")),
            (b"RU", "84951234567", Some("+74951234567")),
            (b"RU", "8104930123456", Some("+4930123456")),
            (b"AU", "00114930123456", Some("+4930123456")),
            (b"JP", "0312345678", Some("+81312345678")),
            (b"BR", "01121234567", Some("+551121234567")),
            (b"AR", "01123456789", Some("+541123456789")),
            (b"SM", "0549886377", Some("+3780549886377")),
            (b"DE", "+49 (0)30 123456", Some("+4930123456")),
            // No country of telephony: what says all by itself is known there too.
            (b"AQ", "+4930123456", Some("+4930123456")),
            (b"AQ", "030123456", None),
        ] {
            let country = Country(*country);
            assert_eq!(normal(given, country).as_deref(), form, "{country} {given}");
        }
        for (country, form) in
            [(b"HU", "06 1 2345678"), (b"RU", "8103612345678"), (b"JP", "0103612345678"), (b"SE", "003612345678")]
        {
            assert_eq!(national("+3612345678", Country(*country)), form.replace(' ', ""));
        }
        assert!(spellings("0612345678", Country(*b"IT")).contains(&"+390612345678".to_owned()));
    }

    #[test]
    fn a_trunks_number_without_its_plus_has_its_normal_form_where_it_can_be_one_number_only() {
        for (given, form) in [
            ("4930123456", Some("+4930123456")),
            ("3012345678", Some("+493012345678")),
            // Rome, or 0390 in Germany.
            ("390612345678", None),
            ("+4930123456", Some("+4930123456")),
            ("201", None),
            ("anonymous", None),
            ("1234567890123456", None),
        ] {
            assert_eq!(on_trunk(given, DE).as_deref(), form, "{given}");
        }
    }

    /// Whatever a stranger shows as a number.
    #[test]
    fn what_is_no_number_costs_no_parsing_and_has_no_normal_form() {
        for none in
            ["x".repeat(5_000), "1".repeat(5_000), "+".repeat(40), "0".repeat(40), "+49".to_owned(), "+49;ext=5".to_owned()]
        {
            assert_eq!(normal(&none, DE), None, "{none}");
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
