//! Countries by ISO 3166-1 alpha-2, and their emergency numbers.

use std::fmt;
use std::str::FromStr;

/// ISO 3166 alpha-2: tones, ring cadence, national number format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Country(pub [u8; 2]);

/// Not a country.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no country: write its two letters of ISO 3166 in capitals, such as DE, UA, IT, SE, CN, GB or US")]
pub struct UnknownCountry(pub String);

/// ISO 3166-1, officially assigned alpha-2 codes, and XK, which telephony uses for Kosovo.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA \
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI \
GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC \
LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA \
PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH \
TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

impl Country {
    /// Numbers of police, fire brigade, ambulance and of all at once, as libphonenumber 9.0.43 has them (its short numbers of the kind
    /// "emergency"), less what only mobile phones dial and what a national plan has replaced. Regulators change such numbers:
    /// `[site] emergency` says it better. Where a country is not listed: 112, which the Union has in common and mobile networks take
    /// everywhere.
    pub fn emergency(self) -> &'static [&'static str] {
        match &self.0 {
            b"PG" => &["000", "111", "110"],
            b"PS" => &["100", "101", "102"],
            b"MN" => &["100", "101", "102", "103", "105"],
            b"AF" => &["100", "102", "119"],
            b"IQ" => &["100", "104", "115", "122"],
            b"AM" | b"KG" => &["101", "102", "103"],
            b"NA" => &["10111"],
            b"MV" => &["102", "118", "119"],
            b"CU" => &["104", "105", "106"],
            b"PE" => &["105", "116", "117"],
            b"BO" => &["110", "118", "119"],
            b"JP" => &["110", "119"],
            b"CN" => &["110", "119", "120"],
            b"GT" => &["110", "120", "123"],
            b"NZ" => &["111"],
            b"CI" => &["111", "110", "170", "180"],
            b"CC" | b"CX" => &["112", "000"],
            b"AU" => &["112", "000", "106"],
            b"TM" => &["112", "01", "02", "03"],
            b"ES" => &["112", "085", "088"],
            b"BE" => &["112", "100", "101"],
            b"IL" => &["112", "100", "101", "102"],
            b"NP" => &["112", "100", "101", "102", "103"],
            b"IN" => &["112", "100", "101", "102", "108"],
            b"GR" => &["112", "100", "166", "199"],
            b"AZ" | b"BY" | b"KZ" | b"RU" | b"TJ" | b"UA" | b"UZ" => &["112", "101", "102", "103"],
            b"ZA" => &["112", "10111", "10177"],
            b"HU" => &["112", "104", "105", "107"],
            b"DE" | b"EE" => &["112", "110"],
            b"BT" | b"LV" | b"NO" | b"SJ" | b"SY" => &["112", "110", "113"],
            b"ID" => &["112", "110", "113", "118", "119"],
            b"IR" => &["112", "110", "115", "125"],
            b"AD" => &["112", "110", "116", "118"],
            b"LK" => &["112", "110", "116", "118", "119"],
            b"TW" => &["112", "110", "119"],
            b"TR" => &["112", "110", "155"],
            b"RW" => &["112", "111"],
            b"NR" => &["112", "111", "110"],
            b"LU" | b"SI" => &["112", "113"],
            b"ER" => &["112", "113", "114", "116"],
            b"AO" => &["112", "113", "115"],
            b"IT" | b"VA" => &["112", "113", "115", "118"],
            b"BI" => &["112", "113", "117"],
            b"DK" | b"FO" => &["112", "114"],
            b"BJ" => &["112", "114", "116", "117", "118"],
            b"PT" | b"TL" => &["112", "115"],
            b"LS" => &["112", "115", "117"],
            b"CH" | b"LI" => &["112", "117", "118", "144"],
            b"KR" => &["112", "119"],
            b"CO" => &["112", "119", "123", "132", "156"],
            b"ME" => &["112", "122", "123", "124"],
            b"AT" => &["112", "122", "133", "144"],
            b"AL" => &["112", "127", "128", "129"],
            b"DZ" => &["112", "14", "17"],
            b"YT" => &["112", "15"],
            b"PK" => &["112", "15", "16", "115", "1122"],
            b"FR" | b"MC" | b"MQ" | b"RE" => &["112", "15", "17", "18"],
            b"CZ" => &["112", "150", "151", "152", "153", "154", "155", "156", "157", "158", "159"],
            b"SK" => &["112", "150", "155", "158"],
            b"BG" => &["112", "150", "160", "166"],
            b"GI" => &["112", "190", "199"],
            b"MK" | b"XK" => &["112", "192", "193", "194"],
            b"CY" => &["112", "199"],
            b"SE" => &["112", "90000"],
            b"MD" => &["112", "901", "902", "903"],
            b"BQ" | b"CR" | b"CW" | b"DO" | b"NL" => &["112", "911"],
            b"EC" => &["112", "911", "101", "102"],
            b"JM" => &["112", "911", "110", "119"],
            b"PH" => &["112", "911", "117"],
            b"BR" => &["112", "911", "128", "190", "192", "193"],
            b"VE" => &["112", "911", "171"],
            b"JO" => &["112", "911", "191", "192", "197"],
            b"BW" => &["112", "911", "999", "111", "997", "998"],
            b"SA" => &["112", "911", "999", "997"],
            b"RS" => &["112", "92", "93", "94"],
            b"HR" => &["112", "93", "94", "192", "193", "194"],
            b"GB" | b"GG" | b"IE" | b"JE" | b"MY" => &["112", "999"],
            b"TZ" => &["112", "999", "111", "110", "114", "115"],
            b"KE" => &["112", "999", "114"],
            b"LB" => &["112", "999", "140", "175"],
            b"ZM" => &["112", "999", "991", "993"],
            b"HK" => &["112", "999", "992"],
            b"ZW" => &["112", "999", "993", "994", "995"],
            b"AE" | b"PL" => &["112", "999", "997", "998"],
            b"VN" => &["113", "114", "115"],
            b"CD" => &["113", "114", "118", "177", "188"],
            b"SM" => &["113", "115", "118"],
            b"GW" => &["113", "117", "118"],
            b"HT" => &["114", "118"],
            b"SR" => &["115"],
            b"NI" => &["115", "118", "120", "128"],
            b"CG" => &["117", "118"],
            b"KH" => &["117", "118", "119", "666"],
            b"CF" => &["117", "118", "1220"],
            b"TG" => &["117", "118", "171", "172", "177"],
            b"MZ" => &["117", "119", "197", "198"],
            b"KP" => &["119"],
            b"BA" => &["122", "123", "124"],
            b"EG" => &["122", "123", "180"],
            b"CM" => &["13", "17", "113", "117"],
            b"CV" => &["130", "131", "132"],
            b"NC" => &["15", "16", "17", "18"],
            b"GF" | b"GP" | b"MF" | b"ML" | b"PF" | b"PM" | b"WF" => &["15", "17", "18"],
            b"NE" => &["15", "17", "18", "118"],
            b"EH" | b"MA" => &["15", "19", "177"],
            b"GM" => &["16", "17", "18", "116", "117", "118"],
            b"BF" | b"DJ" | b"KM" | b"MR" | b"SN" | b"TD" => &["17", "18"],
            b"MG" => &["17", "18", "117", "118"],
            b"BL" => &["18"],
            b"GA" => &["18", "1300", "1730"],
            b"LY" => &["190", "191", "193"],
            b"LA" => &["190", "191", "195"],
            b"TN" => &["190", "197", "198"],
            b"YE" => &["191", "194", "195", "199"],
            b"TH" => &["191", "199", "1669"],
            b"KI" => &["192", "193", "194", "195", "992", "993", "994"],
            b"HN" | b"MM" | b"NG" => &["199"],
            b"AI" | b"AS" | b"BM" | b"CA" | b"FM" | b"GD" | b"GU" | b"KY" | b"MH" | b"MP" | b"MX" | b"PA" | b"PR" | b"PW"
            | b"TV" | b"US" | b"VI" => &["911"],
            b"AW" => &["911", "100"],
            b"AR" => &["911", "100", "101", "107"],
            b"PY" | b"UY" => &["911", "128"],
            b"CL" => &["911", "131", "132", "133"],
            b"BB" => &["911", "211", "311", "511"],
            b"LR" => &["911", "355"],
            b"BZ" => &["911", "90", "990"],
            b"ET" => &["911", "91", "92", "93", "939", "991", "997"],
            b"GY" => &["911", "912", "913"],
            b"SV" => &["911", "913"],
            b"FJ" => &["911", "917"],
            b"BS" => &["911", "919"],
            b"NF" => &["911", "955", "977"],
            b"AG" | b"LC" | b"MS" | b"SH" | b"TC" | b"VC" | b"VG" => &["911", "999"],
            b"DM" | b"KN" => &["911", "999", "333"],
            b"TO" => &["911", "999", "922", "933"],
            b"WS" => &["911", "999", "994", "995", "996"],
            b"SX" => &["919"],
            b"BN" => &["991", "993", "995"],
            b"FK" | b"IM" | b"MO" | b"NU" | b"QA" | b"SB" | b"SC" | b"SD" | b"SS" | b"SZ" | b"UG" => &["999"],
            b"SL" => &["999", "019"],
            b"BD" => &["999", "100", "101", "102", "199"],
            b"MU" => &["999", "114", "115", "995"],
            b"GH" => &["999", "191", "192", "193"],
            b"BH" => &["999", "199"],
            b"MW" => &["999", "199", "997", "998"],
            b"SO" => &["999", "555", "888"],
            b"TT" => &["999", "990"],
            b"SG" => &["999", "993", "995"],
            b"CK" => &["999", "996", "998"],
            b"OM" => &["9999"],
            _ => &["112"],
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(s: &str) -> Result<Self, UnknownCountry> {
        let unknown = || UnknownCountry(s.to_owned());
        let letters: [u8; 2] = s.as_bytes().try_into().map_err(|_| unknown())?;
        CODES.split_ascii_whitespace().any(|code| code == s).then_some(Country(letters)).ok_or_else(unknown)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_emergency_numbers_and_the_well_known_ones_are_right() {
        for code in CODES.split_ascii_whitespace() {
            let country: Country = code.parse().expect("a country");
            let all = country.emergency();
            assert!(!all.is_empty(), "{code}");
            let fits = |n: &&str| (2..=5).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
            assert!(all.iter().all(fits), "{code}: {all:?}");
            assert!(all.iter().enumerate().all(|(i, n)| !all[..i].contains(n)), "{code}: {all:?}");
        }
        let of = |code: &str| code.parse::<Country>().expect("a country").emergency();
        // Directive (EU) 2018/1972, article 109.
        for code in "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split(' ') {
            assert!(of(code).contains(&"112"), "{code}");
        }
        let known = [("GB", "999"), ("US", "911"), ("CA", "911"), ("MX", "911"), ("AU", "000"), ("NZ", "111"), ("JP", "119")];
        let more = [("CH", "144"), ("UA", "101"), ("CN", "120"), ("FR", "15"), ("IN", "112"), ("ZA", "10111"), ("BR", "190")];
        for (code, number) in known.into_iter().chain(more) {
            assert!(of(code).contains(&number), "{code} {number}");
        }
        // An extension that many offices have, and no number of the network there.
        assert!(!of("US").contains(&"112"));
    }
}
