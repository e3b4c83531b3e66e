//! The telephone-event payload (RFC 4733 §2.3).

/// One packet's report of a key that is or was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0–9 digits, 10 `*`, 11 `#`, 12–15 A–D; others are no keys.
    pub code: u8,
    /// The key was let go.
    pub end: bool,
    /// Minus dBm0, 0 to 63.
    pub volume: u8,
    /// From the packet's timestamp, in clock ticks.
    pub duration: u16,
}

impl Event {
    /// `None` where four bytes are missing.
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let &[code, flags, high, low, ..] = payload else { return None };
        Some(Event { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([high, low]) })
    }

    pub fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, (u8::from(self.end) << 7) | (self.volume & 0x3f), high, low]
    }

    /// The key, `None` for hook flash and other events.
    pub fn digit(&self) -> Option<char> {
        DIGITS.get(usize::from(self.code)).map(|d| char::from(*d))
    }

    /// The event code of a key.
    pub fn code_of(digit: char) -> Option<u8> {
        let digit = u8::try_from(digit.to_ascii_uppercase()).ok()?;
        DIGITS.iter().position(|d| *d == digit).and_then(|p| u8::try_from(p).ok())
    }
}

const DIGITS: &[u8; 16] = b"0123456789*#ABCD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let e = Event { code: 11, end: true, volume: 10, duration: 1_600 };
        assert_eq!(e.to_bytes(), [11, 0x8a, 0x06, 0x40]);
        assert_eq!(Event::parse(&e.to_bytes()), Some(e));
        assert_eq!(e.digit(), Some('#'));
        assert_eq!(Event::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn keys_have_their_codes() {
        for (code, digit) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(Event::code_of(digit), Some(code as u8));
        }
        assert_eq!((Event::code_of('d'), Event::code_of('x'), Event::code_of('€')), (Some(15), None, None));
        assert_eq!(Event::parse(&[16, 0, 0, 0]).unwrap().digit(), None);
    }
}
