//! Where a recording's files lie: `YYYY/MM/DD/<id>.wav`, `.json` and `.peaks`, by the UTC date on which its id was made.
//!
//! A path is made from a [`RecordingId`] alone, which is 26 letters and digits of our own, so no name from outside can lead anywhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ids::RecordingId;
use crate::store::disk::TEMPORARY;

/// The folder of all recordings.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

/// Files found of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: RecordingId,
    pub has_audio: bool,
    pub has_sidecar: bool,
}

impl Folder {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Folder { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The WAV file.
    pub fn audio(&self, id: RecordingId) -> PathBuf {
        self.day(id).join(format!("{id}.wav"))
    }

    /// Its row as JSON.
    pub fn sidecar(&self, id: RecordingId) -> PathBuf {
        self.day(id).join(format!("{id}.json"))
    }

    /// Its waveform ([`peaks`](super::peaks)).
    pub fn drawing(&self, id: RecordingId) -> PathBuf {
        self.day(id).join(format!("{id}.peaks"))
    }

    /// The folder of all of them.
    pub fn day(&self, id: RecordingId) -> PathBuf {
        // A ULID of the far future is beyond jiff's years: it goes where 1970 goes.
        let ms = i64::try_from(id.timestamp_ms()).unwrap_or(0);
        let date = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date();
        self.root.join(format!("{:04}/{:02}/{:02}", date.year(), date.month(), date.day()))
    }

    /// Folders of days that exist, newest first.
    pub fn days(&self) -> io::Result<Vec<PathBuf>> {
        let mut days = Vec::new();
        for year in numbered(&self.root, 4)? {
            for month in numbered(&year, 2)? {
                days.extend(numbered(&month, 2)?);
            }
        }
        days.sort_unstable_by(|a, b| b.cmp(a));
        Ok(days)
    }

    /// Recordings of one day's folder, in order of id. Files that lie in another day's folder than their id says are not ours.
    pub fn in_day(&self, day: &Path) -> io::Result<Vec<Found>> {
        let mut found = std::collections::BTreeMap::<RecordingId, (bool, bool)>::new();
        for entry in fs::read_dir(day)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<RecordingId>().ok());
            let Some(id) = id.filter(|id| self.day(*id) == day) else { continue };
            match path.extension().and_then(|e| e.to_str()) {
                Some("wav") => found.entry(id).or_default().0 = true,
                Some("json") => found.entry(id).or_default().1 = true,
                Some(_) | None => {}
            }
        }
        Ok(found.into_iter().map(|(id, (has_audio, has_sidecar))| Found { id, has_audio, has_sidecar }).collect())
    }

    /// Half-written files that a kill left in a day's folder.
    pub fn leftovers(&self, day: &Path) -> io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for entry in fs::read_dir(day)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|p| p.ends_with(TEMPORARY)) {
                left.push(path);
            }
        }
        Ok(left)
    }
}

/// Folders named by so many digits.
fn numbered(folder: &Path, digits: usize) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.len() == digits && name.bytes().all(|b| b.is_ascii_digit()) && path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_by_the_utc_date_of_their_id() {
        let folder = Folder::new("/r");
        let id = RecordingId::from_parts(1_795_391_999_999, 7);
        assert_eq!(folder.audio(id), Path::new("/r/2026/11/22").join(format!("{id}.wav")));
        let next = RecordingId::from_parts(1_795_392_000_000, 7);
        assert_eq!(folder.day(next), Path::new("/r/2026/11/23"));
        assert!(folder.day(RecordingId::from_bytes([255; 16])).starts_with("/r"));
    }
}
