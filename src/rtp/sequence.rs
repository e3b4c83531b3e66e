//! Arithmetic on numbers that wrap: 16-bit sequence numbers and 32-bit timestamps (RFC 3550 §5.1), compared as RFC 1982 does.

/// How far `b` is after `a`; negative if before.
pub const fn sequence_gap(a: u16, b: u16) -> i16 {
    b.wrapping_sub(a) as i16
}

/// How far `b` is after `a`, in clock ticks; negative if before.
pub const fn timestamp_gap(a: u32, b: u32) -> i32 {
    b.wrapping_sub(a) as i32
}

/// `b` comes after `a`.
pub const fn is_newer(a: u16, b: u16) -> bool {
    sequence_gap(a, b) > 0
}

/// `b` comes after `a`.
pub const fn is_newer_timestamp(a: u32, b: u32) -> bool {
    timestamp_gap(a, b) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        assert_eq!(sequence_gap(65_535, 2), 3);
        assert_eq!(sequence_gap(2, 65_535), -3);
        assert!(is_newer(65_000, 100) && !is_newer(100, 65_000) && !is_newer(7, 7));
        assert_eq!(timestamp_gap(u32::MAX, 159), 160);
        assert!(is_newer_timestamp(u32::MAX - 10, 5));
    }
}
