//! A segment: one file of the log, named by the first sequence in it, and what is found when it is read.
//!
//! Only the last segment is ever written, and only its end can be torn. Damage anywhere else is stepped over and reported; the
//! numbers of what it held are never given again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, Parsed};

/// First bytes of every segment: what it is, and the version of the frames in it.
pub const MAGIC: [u8; 16] = *b"cordboard log 1\n";

const EXTENSION: &str = "log";

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The number that its first event has, or will have.
    pub first: u64,
    pub path: PathBuf,
    /// As it was when last looked at; the active one grows.
    pub bytes: u64,
}

/// `00000000000000000001.log`: sorted by name is sorted by number.
pub fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

/// All segments of a folder in order. Other files are left alone.
pub fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let first = path
            .file_stem()
            .and_then(|s| s.to_str())
            .filter(|s| s.len() == 20 && path.extension().is_some_and(|e| e == EXTENSION))
            .and_then(|s| s.parse::<u64>().ok())
            .filter(|first| *first > 0);
        if let Some(first) = first {
            found.push(Segment { first, bytes: entry.metadata()?.len(), path });
        }
    }
    found.sort_by_key(|s| s.first);
    Ok(found)
}

/// Part of a segment that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub offset: u64,
    pub bytes: u64,
    /// Numbers that are lost with it: from, to, both inclusive.
    pub lost: (u64, u64),
}

/// What the end of the last segment is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The file is to be cut here: what follows was never durable.
    pub end: u64,
    /// The last number in use, or the one before the segment's first.
    pub last: u64,
    pub damage: Vec<Damage>,
}

/// Reads the last segment to its end and decides where it ends.
pub fn tail(path: &Path, first: u64, bytes: &[u8]) -> Tail {
    let mut tail = Tail { end: MAGIC.len() as u64, last: first - 1, damage: Vec::new() };
    let mut at = MAGIC.len();
    while at < bytes.len() {
        match frame::parse(&bytes[at..]) {
            Parsed::Frame(f) if f.sequence > tail.last => {
                at += f.size();
                tail.last = f.sequence;
                tail.end = at as u64;
            }
            Parsed::Frame(_) | Parsed::Short(_) | Parsed::Bad => {
                let Some(next) = frame::resync(&bytes[at..], tail.last, u64::MAX).map(|n| at + n) else { break };
                let Parsed::Frame(f) = frame::parse(&bytes[next..]) else { break };
                if f.durable <= tail.last {
                    break; // One batch, torn in the middle by a power cut: nobody has seen it.
                }
                tail.damage.push(Damage {
                    path: path.to_owned(),
                    offset: at as u64,
                    bytes: (next - at) as u64,
                    lost: (tail.last + 1, f.sequence - 1),
                });
                at = next;
            }
        }
    }
    tail
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, append};
    use super::*;

    /// Three frames, each durable before the next was written.
    fn three() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut starts = Vec::new();
        for sequence in 5..8 {
            starts.push(bytes.len());
            append(&mut bytes, Frame { sequence, durable: sequence - 1, payload: b"{}" });
        }
        starts.push(bytes.len());
        (bytes, starts)
    }

    #[test]
    fn a_torn_tail_ends_after_the_last_whole_frame() {
        let (bytes, starts) = three();
        for cut in 0..=bytes.len() {
            let tail = tail(Path::new("x"), 5, &bytes[..cut]);
            let whole = starts[1..].iter().filter(|end| **end <= cut).count();
            assert_eq!(tail.last, 4 + whole as u64, "cut at {cut}");
            assert_eq!(tail.end, starts[whole] as u64);
            assert!(tail.damage.is_empty());
        }
    }

    #[test]
    fn damage_to_what_was_durable_is_kept_as_a_hole_in_the_numbers() {
        let (mut bytes, starts) = three();
        bytes[starts[1] + 20] ^= 1;
        let tail = tail(Path::new("x"), 5, &bytes);
        assert_eq!((tail.last, tail.end), (7, bytes.len() as u64));
        assert_eq!(tail.damage[0].lost, (6, 6));
        assert_eq!((tail.damage[0].offset, tail.damage[0].bytes), (starts[1] as u64, (starts[2] - starts[1]) as u64));
    }

    #[test]
    fn a_batch_torn_in_its_middle_is_cut_because_nobody_saw_it() {
        let mut bytes = MAGIC.to_vec();
        append(&mut bytes, Frame { sequence: 1, durable: 0, payload: b"{}" });
        let end = bytes.len();
        append(&mut bytes, Frame { sequence: 2, durable: 1, payload: b"{}" });
        append(&mut bytes, Frame { sequence: 3, durable: 1, payload: b"{}" });
        bytes[end + 20] ^= 1;
        let tail = tail(Path::new("x"), 1, &bytes);
        assert_eq!((tail.last, tail.end, tail.damage.len()), (1, end as u64, 0));
    }
}
