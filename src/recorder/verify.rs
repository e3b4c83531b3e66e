//! `recordings verify`: row, sidecar and file say the same, and the file is what was sealed.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

use super::sidecar;
use super::wav::{frames_ms, spec};
use crate::ids::RecordingId;
use crate::store::recordings::{Folder, Recording, State};

/// What is wrong with a recording.
#[derive(Debug)]
pub enum Fault {
    NoAudio,
    NoSidecar,
    /// The sidecar says something else than the row.
    SidecarDiffers,
    /// A file without a row: `rebuild` takes it in.
    NoRow,
    Length {
        file: u64,
        row: u64,
    },
    Duration {
        file_ms: u64,
        row_ms: u64,
    },
    /// Not the format that we write.
    Format,
    Sha256,
    /// In state *recording*, and no switch is running.
    Unfinished,
    Unreadable(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoAudio => f.write_str("the WAV file is missing"),
            Fault::NoSidecar => f.write_str("the sidecar is missing or not whole"),
            Fault::SidecarDiffers => f.write_str("the sidecar differs from the index"),
            Fault::NoRow => f.write_str("not in the index (`recordings rebuild` takes it in)"),
            Fault::Length { file, row } => write!(f, "the file has {file} bytes, the index says {row}"),
            Fault::Duration { file_ms, row_ms } => write!(f, "the file lasts {file_ms} ms, the index says {row_ms}"),
            Fault::Format => f.write_str("not a stereo 16 bit WAV file of the rate that the index says"),
            Fault::Sha256 => f.write_str("the file is not what was recorded: its SHA-256 differs"),
            Fault::Unfinished => f.write_str("unfinished; the next start of the switch repairs it"),
            Fault::Unreadable(error) => write!(f, "can't be read: {error}"),
        }
    }
}

/// How thorough, and in what surroundings.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Read every file whole, for its hash.
    pub hash: bool,
    /// A switch is running: recordings in progress are as they should be.
    pub live: bool,
}

/// Holds one row against its files.
pub fn row(folder: &Folder, row: &Recording, how: How) -> Vec<Fault> {
    let mut faults = Vec::new();
    match sidecar::read(folder, row.id) {
        Ok(Some(beside)) if beside == *row => {}
        // It may just be closing.
        Ok(Some(_)) if how.live && row.state == State::Recording => {}
        Ok(Some(_)) => faults.push(Fault::SidecarDiffers),
        Ok(None) => faults.push(Fault::NoSidecar),
        Err(error) => faults.push(Fault::Unreadable(error)),
    }
    if let Err(fault) = audio(folder, row, how) {
        faults.push(fault);
    }
    faults
}

/// Files of which no row was seen.
pub fn strays(folder: &Folder, seen: &BTreeSet<RecordingId>) -> io::Result<Vec<RecordingId>> {
    let mut strays = Vec::new();
    for day in folder.days()? {
        strays.extend(folder.in_day(&day)?.into_iter().map(|found| found.id).filter(|id| !seen.contains(id)));
    }
    Ok(strays)
}

fn audio(folder: &Folder, row: &Recording, how: How) -> Result<(), Fault> {
    let path = folder.audio(row.id);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Fault::NoAudio),
        Err(e) => return Err(Fault::Unreadable(e)),
    };
    let wav = match hound::WavReader::open(&path) {
        Ok(wav) => wav,
        Err(hound::Error::IoError(e)) => return Err(Fault::Unreadable(e)),
        Err(_) => return Err(Fault::Format),
    };
    if wav.spec() != spec(row.sample_rate) {
        return Err(Fault::Format);
    }
    match row.state {
        State::Recording if how.live => return Ok(()),
        State::Recording => return Err(Fault::Unfinished),
        State::Finished | State::Repaired => {}
    }
    let len = file.metadata().map_err(Fault::Unreadable)?.len();
    if len != row.bytes {
        return Err(Fault::Length { file: len, row: row.bytes });
    }
    let file_ms = frames_ms(u64::from(wav.duration()), row.sample_rate);
    if file_ms != row.duration_ms {
        return Err(Fault::Duration { file_ms, row_ms: row.duration_ms });
    }
    if how.hash {
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash).map_err(Fault::Unreadable)?;
        let hex = hex::encode(hash.finalize());
        if row.sha256.as_deref() != Some(hex.as_str()) {
            return Err(Fault::Sha256);
        }
    }
    Ok(())
}
