//! Countries by ISO 3166-1 alpha-2, and how long one ring lasts in them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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
    /// Length of one ring, tone and pause together (ITU-T E.180 supplement 2, "ringing tone"). Where a country is not listed: 5 s, the
    /// cadence of 1 s on, 4 s off that CEPT recommends and most of Europe keeps.
    pub fn ring_cycle(self) -> Duration {
        let ms = match &self.0 {
            // 0.4 on, 0.2 off, 0.4 on, 2.0 off
            b"GB" | b"IE" | b"AU" | b"NZ" | b"IN" | b"SG" | b"MY" | b"ZA" => 3_000,
            // 0.4 on, 0.2 off, 0.4 on, 3.0 off
            b"HK" => 4_000,
            // 1 on, 2 off
            b"JP" | b"KR" | b"TW" => 3_000,
            // 1 on, 3 off
            b"BE" => 4_000,
            // 1.5 on, 3 off
            b"ES" => 4_500,
            // 2 on, 4 off
            b"US" | b"CA" | b"PR" => 6_000,
            // 1 on, 5 off
            b"SE" | b"AT" | b"PT" => 6_000,
            _ => 5_000,
        };
        Duration::from_millis(ms)
    }

    /// Numbers of police, fire brigade and ambulance, not checked against the national regulators' lists: `[site] emergency` says it better.
    /// Where a country is not listed: 112, which the Union has in common and mobile networks take everywhere.
    pub fn emergency(self) -> &'static [&'static str] {
        match &self.0 {
            b"DE" => &["112", "110"],
            b"AT" => &["112", "122", "133", "144"],
            b"CH" | b"LI" => &["112", "117", "118", "144"],
            b"IT" => &["112", "113", "115", "118"],
            b"FR" => &["112", "15", "17", "18"],
            b"BE" => &["112", "100", "101"],
            b"PL" => &["112", "997", "998", "999"],
            b"UA" => &["112", "101", "102", "103"],
            b"NO" => &["112", "110", "113"],
            b"GB" | b"IE" => &["999", "112"],
            b"US" | b"CA" | b"PR" => &["911"],
            b"AU" => &["000", "112"],
            b"NZ" => &["111"],
            b"CN" => &["110", "119", "120"],
            b"JP" => &["110", "119"],
            b"IN" => &["112", "100", "101", "108"],
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
