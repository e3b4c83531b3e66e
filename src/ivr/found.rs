//! What is taken out of a server's answer: values of known kinds, by JSON pointers (RFC 6901).
//!
//! Whoever asks the server has it done before the core hears of it, so that of an answer of any size only what a menu stores goes further,
//! texts cut as all texts of menus are.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use super::expression::{Kind, Value, cut};

/// One value, and what it is stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    /// RFC 6901: `/account/balance`; empty for the whole.
    pub pointer: String,
    pub form: Form,
}

/// As what it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Numbers and truths too, as they are written.
    Text,
    /// A whole number, or a text that is one.
    Number,
    /// A number with up to two decimals, times a hundred: 12.5 is 1250. Money is said so.
    Hundredths,
    Truth,
    /// A text that begins with `YYYY-MM-DD`.
    Date,
    /// A text that begins with `HH:MM`.
    Time,
}

impl Form {
    pub(super) fn kind(self) -> Kind {
        match self {
            Form::Text => Kind::Text,
            Form::Number | Form::Hundredths => Kind::Integer,
            Form::Truth => Kind::Truth,
            Form::Date => Kind::Date,
            Form::Time => Kind::Time,
        }
    }

    fn of(self, json: &serde_json::Value) -> Option<Value> {
        use serde_json::Value as Json;
        let text = match json {
            Json::String(text) => text.trim().to_owned(),
            Json::Number(number) => number.to_string(),
            Json::Bool(truth) => truth.to_string(),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        match self {
            Form::Text => Some(Value::Text(cut(text))),
            Form::Number => hundredths(&text).filter(|n| n % 100 == 0).map(|n| Value::Integer(n / 100)).or_else(|| whole(&text)),
            Form::Hundredths => hundredths(&text).map(Value::Integer),
            Form::Truth => text.parse().ok().map(Value::Truth),
            Form::Date => text.get(..10)?.parse::<Date>().ok().map(Value::Date),
            Form::Time => {
                let (hour, minute) = text.get(..5)?.split_once(':')?;
                Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok().map(Value::Time)
            }
        }
    }
}

/// Of any size that fits.
fn whole(text: &str) -> Option<Value> {
    text.parse().ok().map(Value::Integer)
}

fn hundredths(text: &str) -> Option<i64> {
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let part = part.trim_end_matches('0');
    if whole.is_empty() || part.len() > 2 || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    let sum = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part)?;
    Some(if minus { -sum } else { sum })
}

/// What a body holds of what is wanted; `None`: it is no JSON. What is not there, or of another kind, is left out.
pub fn found(body: &[u8], wanted: &[Wanted]) -> Option<BTreeMap<String, Value>> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let value = |wanted: &Wanted| Some((wanted.name.clone(), wanted.form.of(json.pointer(&wanted.pointer)?)?));
    Some(wanted.iter().filter_map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_out_by_their_kind() {
        let body = br#"{"a":{"balance":-12.5,"n":3.0,"id":"0042","due":"2026-12-01T00:00:00Z","at":"08:30:15","vip":true,"x":null},"b":[1,"7"]}"#;
        let one = |pointer: &str, form| {
            let wanted = Wanted { name: "v".into(), pointer: pointer.into(), form };
            found(body, &[wanted]).expect("JSON").remove("v")
        };
        assert_eq!(one("/a/balance", Form::Hundredths), Some(Value::Integer(-1250)));
        assert_eq!(one("/a/balance", Form::Number), None);
        assert_eq!(one("/a/balance", Form::Text), Some(Value::Text("-12.5".into())));
        assert_eq!(one("/a/n", Form::Number), Some(Value::Integer(3)));
        assert_eq!(one("/a/id", Form::Text), Some(Value::Text("0042".into())));
        assert_eq!(one("/a/id", Form::Number), Some(Value::Integer(42)));
        assert_eq!(one("/a/due", Form::Date), Some(Value::Date(jiff::civil::date(2026, 12, 1))));
        assert_eq!(one("/a/at", Form::Time), Some(Value::Time(jiff::civil::time(8, 30, 0, 0))));
        assert_eq!(one("/a/vip", Form::Truth), Some(Value::Truth(true)));
        assert_eq!(one("/b/1", Form::Number), Some(Value::Integer(7)));
        for (pointer, form) in
            [("/a/x", Form::Text), ("/a", Form::Text), ("/c", Form::Text), ("/a/id", Form::Date), ("/a/id", Form::Truth)]
        {
            assert_eq!(one(pointer, form), None, "{pointer}");
        }
        assert_eq!(found(b"<html>", &[]), None);
        for odd in ["", "-", ".5", "1.234", "1e3", "9223372036854775807", "1.2.3", "--1", "1.x"] {
            assert_eq!(hundredths(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let body = format!("\"{}\"", "é".repeat(1_000));
        let wanted = Wanted { name: "v".into(), pointer: String::new(), form: Form::Text };
        assert_eq!(found(body.as_bytes(), &[wanted]).expect("JSON")["v"], Value::Text("é".repeat(256)));
    }
}
