//! One recording's file: stereo, 16 bit, its header valid after every [`WavFile::checkpoint`], and beside it its waveform.
//!
//! Left is what the customer said, right what the customer heard. `hound` writes; beneath it stands a file that is written by position,
//! so that its seeking to and from the header costs no system calls, and so that a write that failed can be repeated at its place.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hound::{SampleFormat, WavSpec, WavWriter};
use sha2::{Digest, Sha256};

use crate::store::disk::{Disk, DiskFile};
use crate::store::recordings::peaks::{self, Peaks};
use crate::store::recordings::row::CHANNELS;

/// What a file of so many samples a second is.
pub const fn spec(rate: u32) -> WavSpec {
    WavSpec { channels: CHANNELS, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int }
}

/// Bytes before the samples: RIFF, a 16 byte `fmt `, the head of `data`.
pub const HEADER: u64 = 44;

/// Bytes of one sample of both channels.
pub const FRAME: u64 = 4;

/// A file ends here, short of 2 GiB: `hound` wraps the sizes in its header beyond 4 GiB without a word, and many players stop at 2. At
/// 8 kHz it is a call of 18 hours and 38 minutes.
pub const MOST_FRAMES: u64 = ((1 << 31) - (1 << 16)) / FRAME;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Milliseconds that so many frames last.
pub fn frames_ms(frames: u64, rate: u32) -> u64 {
    frames * 1_000 / u64::from(rate.max(1))
}

/// Open for appending.
pub struct WavFile {
    file: Arc<dyn DiskFile>,
    /// Where `hound` writes next: shared with the file beneath it, to be put right after a failure.
    at: Arc<AtomicU64>,
    writer: WavWriter<Positioned>,
    rate: u32,
    drawing: Option<Drawing>,
}

/// The waveform on its way to its file.
struct Drawing {
    peaks: Peaks,
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl WavFile {
    /// A new file with a valid header and no samples.
    pub fn create(disk: &dyn Disk, path: &Path, rate: u32) -> io::Result<WavFile> {
        let file = disk.create(path)?;
        let at = Arc::new(AtomicU64::new(0));
        let writer = WavWriter::new(Positioned { file: file.clone(), at: at.clone() }, spec(rate)).map_err(from_hound)?;
        let mut wav = WavFile { file, at, writer, rate, drawing: None };
        wav.checkpoint()?;
        Ok(wav)
    }

    /// From here on its waveform goes to this file, which is new.
    pub fn draw_into(&mut self, file: Arc<dyn DiskFile>) -> io::Result<()> {
        file.write_all_at(&peaks::header(self.rate, 0), 0)?;
        self.drawing = Some(Drawing { peaks: Peaks::new(self.rate), file, at: peaks::HEADER });
        Ok(())
    }

    /// Writes what there is of the waveform; at its end all of it. What fails is left to [`seal`], which draws anew what is not whole.
    pub fn save_drawing(&mut self, is_end: bool) {
        let Some(drawing) = &mut self.drawing else { return };
        let bytes = if is_end { drawing.peaks.finish() } else { drawing.peaks.take() };
        match drawing.file.write_all_at(&bytes, drawing.at) {
            Ok(()) => drawing.at += bytes.len() as u64,
            Err(error) => {
                tracing::warn!(%error, "a waveform can't be written");
                self.drawing = None;
            }
        }
    }

    /// Samples of both channels that were appended.
    pub fn frames(&self) -> u64 {
        u64::from(self.writer.duration())
    }

    /// Appends interleaved samples, left first. On failure nothing is appended, and the same call may be repeated.
    pub fn append(&mut self, interleaved: &[i16]) -> io::Result<()> {
        let count = u32::try_from(interleaved.len()).map_err(io::Error::other)?;
        let mut samples = self.writer.get_i16_writer(count);
        for sample in interleaved {
            samples.write_sample(*sample);
        }
        samples.flush().map_err(from_hound)?;
        if let Some(drawing) = &mut self.drawing {
            drawing.peaks.push(interleaved);
        }
        Ok(())
    }

    /// Makes the header tell of all that was appended. What was written reaches the page cache: it survives a kill, not a power cut.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let end = self.at.load(Ordering::Relaxed);
        let flushed = self.writer.flush().map_err(from_hound);
        // After a failure in the header `hound` would go on writing samples there.
        self.at.store(end, Ordering::Relaxed);
        flushed
    }

    /// Adds silence as a hole, which takes no space: it works on a full disk. On failure [`WavFile::frames`] says whether it is in, and
    /// appending goes on behind what is.
    pub fn silence(&mut self, frames: u64) -> io::Result<()> {
        let total = self.frames() + frames;
        set_frames(&*self.file, total, self.rate)?;
        // `hound` can't be told to skip; it can only begin again at the end.
        let at = Arc::new(AtomicU64::new(0));
        let writer = WavWriter::new_append(Positioned { file: self.file.clone(), at: at.clone() }).map_err(from_hound)?;
        self.at = at;
        // The old writer's last act is its own, now wrong, header.
        self.writer = writer;
        if let Some(drawing) = &mut self.drawing {
            drawing.peaks.push_silence(frames);
        }
        self.checkpoint()
    }

    /// For another thread to sync.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }
}

/// Makes a file hold so many frames: cut, or filled with silence as a hole, with the header that says so. Can be repeated.
pub fn set_frames(file: &dyn DiskFile, frames: u64, rate: u32) -> io::Result<()> {
    let frames = frames.min(MOST_FRAMES);
    file.set_len(HEADER + frames * FRAME)?;
    file.write_all_at(&header(frames, rate), 0)
}

/// Samples a second that a file's header speaks of; `None`, where it is not whole, or none of ours.
pub fn rate_of(file: &dyn DiskFile) -> Option<u32> {
    let mut head = [0; HEADER as usize];
    let whole = file.read_at(&mut head, 0).is_ok_and(|read| read == head.len());
    let rate = head.get(24..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
    (whole && matches!(rate, 8_000 | 16_000)).then_some(rate)
}

/// Frames that a file holds by its length, whatever its header says. An incomplete last one does not count.
pub fn frames_by_length(file: &dyn DiskFile) -> io::Result<u64> {
    Ok((file.length()?.saturating_sub(HEADER) / FRAME).min(MOST_FRAMES))
}

/// A file that is complete and synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub bytes: u64,
    pub sha256: String,
}

/// Where a recording's files lie, and what is known of them.
#[derive(Clone, Debug)]
pub struct Unsealed {
    pub audio: PathBuf,
    pub drawing: PathBuf,
    pub frames: u64,
    pub rate: u32,
    /// A kill may have torn the waveform.
    pub is_torn: bool,
    /// A sync of it has failed.
    pub is_in_doubt: bool,
}

/// Why a file is not sealed.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// What it was to make durable the next sync may not even try to write.
    #[error("it can't be synced: {0}")]
    Unsynced(#[source] io::Error),
}

impl From<NotSealed> for io::Error {
    fn from(error: NotSealed) -> Self {
        match error {
            NotSealed::Disk(error) | NotSealed::Unsynced(error) => error,
        }
    }
}

/// The header's page anew, for the next sync, after one that failed. Only bytes that never change are written: somebody may write the others
/// meanwhile.
pub fn rewrite_header(file: &dyn DiskFile) -> io::Result<()> {
    file.write_all_at(b"RIFF", 0)
}

/// The same of all that is in it, as the page cache has it. Nobody may write to it meanwhile. Blocks of silence are passed over: where they
/// are holes, a full disk has no room for them, and what is not there reads as silence.
fn rewrite(file: &dyn DiskFile) -> io::Result<()> {
    const BLOCK: usize = 4_096;
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok(());
        }
        for block in chunk.get(..read).unwrap_or_default().chunks(BLOCK) {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, at)?;
            }
            at += block.len() as u64;
        }
    }
}

/// Gives a file its length and header, syncs it, and takes its hash. A waveform that is not whole is drawn in the same pass; one that can't be
/// written is only left out.
pub fn seal(disk: &dyn Disk, what: &Unsealed) -> Result<Sealed, NotSealed> {
    let file = disk.open(&what.audio)?;
    set_frames(&*file, what.frames, what.rate)?;
    if what.is_in_doubt {
        rewrite(&*file)?;
    }
    file.sync().map_err(NotSealed::Unsynced)?;
    let values = peaks::values(what.frames, what.rate);
    let length = peaks::HEADER + values * peaks::VALUE;
    let finish = |file: Arc<dyn DiskFile>| {
        file.set_len(length)?;
        file.write_all_at(&peaks::header(what.rate, values), 0)
    };
    let is_whole = !what.is_torn
        && disk.open(&what.drawing).is_ok_and(|file| file.length().is_ok_and(|has| has >= length) && finish(file).is_ok());
    let mut anew = (!is_whole).then(|| Peaks::new(what.rate));
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        if let Some(peaks) = &mut anew {
            let head = HEADER.saturating_sub(at).min(read as u64) as usize;
            peaks.push_bytes(&chunk[head..read]);
        }
        at += read as u64;
    }
    if let Some(mut peaks) = anew {
        let drawn = disk.create(&what.drawing).and_then(|file| {
            file.write_all_at(&peaks.finish(), peaks::HEADER)?;
            finish(file)
        });
        if let Err(error) = drawn {
            tracing::warn!(path = %what.drawing.display(), %error, "a waveform can't be written");
        }
    }
    Ok(Sealed { bytes: at, sha256: hex::encode(hash.finalize()) })
}

/// The header that `hound` writes for [`spec`].
pub fn header(frames: u64, rate: u32) -> [u8; HEADER as usize] {
    let data = u32::try_from(frames.min(MOST_FRAMES) * FRAME).unwrap_or(u32::MAX);
    let block = FRAME as u16;
    let mut out = [0; HEADER as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&(data + HEADER as u32 - 8).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&CHANNELS.to_le_bytes());
    put(&rate.to_le_bytes());
    put(&(rate * u32::from(block)).to_le_bytes());
    put(&block.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    out
}

/// A file with a cursor of our own.
struct Positioned {
    file: Arc<dyn DiskFile>,
    at: Arc<AtomicU64>,
}

impl Write for Positioned {
    /// All or nothing, as far as the cursor goes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        self.at.store(at + bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Positioned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        let read = self.file.read_at(into, at)?;
        self.at.store(at + read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.load(Ordering::Relaxed).checked_add_signed(by),
            SeekFrom::End(by) => self.file.length()?.checked_add_signed(by),
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.at.store(at, Ordering::Relaxed);
        Ok(at)
    }
}

fn from_hound(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;
    use crate::store::disk::faulty::FaultyDisk;

    fn read(path: &Path) -> Vec<i16> {
        let mut reader = hound::WavReader::open(path).unwrap();
        assert_eq!(reader.spec(), spec(8_000));
        reader.samples::<i16>().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_reads_whole_after_every_checkpoint_and_its_header_is_hounds() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let mut wav = WavFile::create(&RealDisk, &path, 8_000).unwrap();
        assert!(read(&path).is_empty());
        wav.append(&[1, -1, 2, -2]).unwrap();
        wav.checkpoint().unwrap();
        assert_eq!(read(&path), [1, -1, 2, -2]);
        wav.append(&[3, -3]).unwrap();
        wav.checkpoint().unwrap();
        assert_eq!(read(&path), [1, -1, 2, -2, 3, -3]);
        assert_eq!(std::fs::read(&path).unwrap()[..44], header(3, 8_000));
    }

    #[test]
    fn silence_is_a_hole_of_the_exact_length() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let mut wav = WavFile::create(&RealDisk, &path, 8_000).unwrap();
        wav.append(&[7, 7]).unwrap();
        wav.silence(3).unwrap();
        wav.append(&[8, 8]).unwrap();
        wav.checkpoint().unwrap();
        assert_eq!((wav.frames(), read(&path)), (5, vec![7, 7, 0, 0, 0, 0, 0, 0, 8, 8]));
    }

    #[test]
    fn a_write_that_failed_is_repeated_at_its_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let disk = FaultyDisk::with_free(50);
        let mut wav = WavFile::create(&disk, &path, 8_000).unwrap();
        assert!(wav.append(&[1, 2, 3, 4]).is_err());
        disk.set_broken(true);
        assert!(wav.checkpoint().is_err());
        disk.set_broken(false);
        disk.set_free(100);
        wav.append(&[1, 2, 3, 4]).unwrap();
        wav.checkpoint().unwrap();
        assert_eq!(read(&path), [1, 2, 3, 4]);
    }

    #[test]
    fn a_file_cut_anywhere_is_mended_to_its_whole_frames() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let mut wav = WavFile::create(&RealDisk, &path, 8_000).unwrap();
        wav.append(&[5; 40]).unwrap();
        drop(wav);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let file = RealDisk.open(&path).unwrap();
            set_frames(&*file, frames_by_length(&*file).unwrap(), 8_000).unwrap();
            assert_eq!(read(&path), vec![5; cut.saturating_sub(44) / 4 * 2], "cut at {cut}");
        }
    }

    /// Written while it is recorded, or drawn anew from what is there: it is the same.
    #[test]
    fn a_waveform_is_the_same_whether_it_was_written_or_is_drawn_at_the_end() {
        let folder = tempfile::TempDir::new().unwrap();
        let (audio, drawing) = (folder.path().join("a.wav"), folder.path().join("a.peaks"));
        let mut wav = WavFile::create(&RealDisk, &audio, 16_000).unwrap();
        wav.draw_into(RealDisk.create(&drawing).unwrap()).unwrap();
        let mut frames = 0;
        for piece in 1..40u64 {
            let samples: Vec<i16> = (0..piece * 600).map(|n| (n * piece * 7_919 % 30_000) as i16).collect();
            wav.append(&samples).unwrap();
            wav.silence(piece * 3).unwrap();
            frames += piece * 303;
            wav.save_drawing(false);
        }
        wav.save_drawing(true);
        assert_eq!(wav.frames(), frames);
        drop(wav);
        let mut what = Unsealed { audio, drawing: drawing.clone(), frames, rate: 16_000, is_torn: false, is_in_doubt: false };
        let sealed = seal(&RealDisk, &what).unwrap();
        let written = std::fs::read(&drawing).unwrap();
        assert_eq!(written.len() as u64, peaks::HEADER + frames.div_ceil(160) * peaks::VALUE);
        assert!(peaks::Waveform::read(&written).unwrap().data.iter().any(|peak| *peak > 100));
        for torn in 0..3 {
            match torn {
                0 => std::fs::remove_file(&drawing).unwrap(),
                1 => std::fs::write(&drawing, &written[..written.len() - 4]).unwrap(),
                _ => what.is_torn = true,
            }
            assert_eq!(seal(&RealDisk, &what).unwrap(), sealed);
            assert!(std::fs::read(&drawing).unwrap() == written, "{torn}");
        }
    }
}
