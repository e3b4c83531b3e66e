//! Expressions of menu files.
//!
//! Beyond "no panic": a fault lies within the text and is told in one line; what was read is printed as something that reads as the same,
//! and has a value of its kind, or none, in a world in which anything may be missing or of another kind.

use cordboard::ivr::expression::{Expression, Kind, LONGEST, Name, Names, Value, World};

use super::Target;

pub struct Condition;

/// Nearly every name is stored by something, and its first letter says what it is.
struct Known;

impl Names for Known {
    fn variable(&self, name: &str) -> Option<Kind> {
        match name.as_bytes().first()? {
            b'd' => Some(Kind::Date),
            b'h' => Some(Kind::Time),
            b'n' => Some(Kind::Integer),
            b't' => Some(Kind::Text),
            b'v' => Some(Kind::Truth),
            _ => None,
        }
    }

    fn has_queue(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

/// What a name stands for is drawn anew for each name.
struct Chaos(u64);

impl World for Chaos {
    fn value(&self, name: &Name) -> Option<Value> {
        let mixed = name.to_string().bytes().fold(self.0, |sum, b| (sum ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        match mixed >> 32 & 7 {
            0 => Some(Value::Integer(mixed as i64)),
            1 => Some(Value::Integer(mixed as i64 & 15)),
            2 => Some(Value::Text("7".repeat(mixed as usize & 511))),
            3 => Some(Value::Truth(true)),
            4 => jiff::civil::Time::new((mixed & 15) as i8, 59, 59, 0).ok().map(Value::Time),
            5 => jiff::civil::Date::new(2024, 2, (mixed & 31) as i8).ok().map(Value::Date),
            6 => Some(Value::Texts(vec![String::new(), "gold".to_owned()])),
            _ => None,
        }
    }
}

impl Target for Condition {
    fn seeds(&self) -> Vec<Vec<u8>> {
        [
            "queue.support.waiting < 5 and not 'vip' in caller.tags",
            "starts(caller.number, \"+49\") or number(t1) in [4711, -1] or known(d1)",
            "'08:00' <= time and time < h1 and date != '2026-12-24'",
            "n1 + 3 - (n2 + queue.'sales.de'.expected) >= -n3 and (v1 == true or len(t1 + 'it\\'s') > 2)",
            "((((((((((((((((v1))))))))))))))))",
            "-9223372036854775808 - 9223372036854775807 < -(-9223372036854775808)",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let text = String::from_utf8_lossy(input);
        let read = match Expression::parse(&text, &Known) {
            Ok(read) => read,
            Err(fault) => {
                assert!(fault.at <= text.chars().count().min(LONGEST), "{fault}");
                assert!(!fault.to_string().contains('\n'), "{fault}");
                return false;
            }
        };
        let printed = read.to_string();
        if printed.chars().count() <= LONGEST {
            assert_eq!(Expression::parse(&printed, &Known).as_ref(), Ok(&read), "{printed}");
        }
        let world = Chaos(chance);
        let value = read.evaluate(&world);
        assert!(value.as_ref().is_none_or(|value| value.kind() == read.kind()), "{printed}: {value:?}");
        assert_eq!(read.holds(&world), value == Some(Value::Truth(true)), "{printed}");
        true
    }
}
