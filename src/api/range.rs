//! Byte ranges (RFC 9110 §14): one range a request; several, or something else, get the whole.

/// Which part of a representation of `length` bytes is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// First byte, and how many.
    Slice {
        from: u64,
        bytes: u64,
    },
    /// 416.
    None,
}

/// Reads a `Range` header. What is not understood is ignored, as §14.2 wants it.
pub(super) fn part(header: Option<&str>, length: u64) -> Part {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (first, last) = (first.trim(), last.trim());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Part::Whole;
    }
    // A number too large for us is beyond every file.
    let number = |s: &str| s.parse::<u64>().unwrap_or(u64::MAX);
    match (first.is_empty(), last.is_empty()) {
        (true, _) => match number(last).min(length) {
            0 => Part::None,
            bytes => Part::Slice { from: length - bytes, bytes },
        },
        (false, _) if number(first) >= length => {
            if !last.is_empty() && number(last) < number(first) {
                Part::Whole
            } else {
                Part::None
            }
        }
        (false, true) => Part::Slice { from: number(first), bytes: length - number(first) },
        (false, false) if number(last) < number(first) => Part::Whole,
        (false, false) => Part::Slice { from: number(first), bytes: number(last).min(length - 1) - number(first) + 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_first_to_last_from_first_or_the_last_so_many() {
        let slice = |from, bytes| Part::Slice { from, bytes };
        for (header, wanted) in [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=0-", slice(0, 100)),
            ("bytes=10-19", slice(10, 10)),
            ("bytes=90-200", slice(90, 10)),
            ("bytes=-10", slice(90, 10)),
            ("bytes=-1000", slice(0, 100)),
            ("bytes=99-99999999999999999999999", slice(99, 1)),
            ("bytes=100-", Part::None),
            ("bytes=100-200", Part::None),
            ("bytes=99999999999999999999999-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-5", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 100), wanted, "{header}");
        }
        assert_eq!(part(None, 100), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::None);
    }
}
