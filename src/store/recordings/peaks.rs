//! The waveform of a recording, for drawing: the lowest and the highest sample of each 10 ms, of both channels.
//!
//! It is computed while the recording is written and lies beside it, in the binary format of BBC `audiowaveform`, version 2, with values of
//! 8 bits. All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | version: 2 |
//! | 4–7 | flags: 1, values have 8 bits |
//! | 8–11 | samples a second of the recording |
//! | 12–15 | samples that a value stands for |
//! | 16–19 | how many values there are; 0 while it is being recorded |
//! | 20–23 | channels: 2 |
//! | 24– | a value: lowest and highest of left, lowest and highest of right, each a signed byte of 256 steps of a sample |

/// Values a second.
pub const PER_SECOND: u32 = 100;
/// Bytes before the values.
pub const HEADER: u64 = 24;
/// Bytes of a value.
pub const VALUE: u64 = 4;

const VERSION: u32 = 2;
const EIGHT_BITS: u32 = 1;
const CHANNELS: u32 = 2;

/// Makes values of samples.
#[derive(Debug)]
pub struct Peaks {
    samples_a_value: usize,
    /// Of the value that is not complete: samples in it, and the lowest and highest of each side.
    count: usize,
    low: [i16; 2],
    high: [i16; 2],
    /// Complete, and not taken yet.
    ready: Vec<u8>,
}

impl Peaks {
    pub fn new(sample_rate: u32) -> Peaks {
        let samples_a_value = (sample_rate / PER_SECOND).max(1) as usize;
        Peaks { samples_a_value, count: 0, low: [0; 2], high: [0; 2], ready: Vec::new() }
    }

    /// Samples that follow those before, left first.
    pub fn push(&mut self, interleaved: &[i16]) {
        let mut rest = interleaved;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min((self.samples_a_value - self.count) * 2));
            for pair in now.chunks_exact(2) {
                if let [left, right] = *pair {
                    self.low = [self.low[0].min(left), self.low[1].min(right)];
                    self.high = [self.high[0].max(left), self.high[1].max(right)];
                }
            }
            self.counted(now.len() / 2);
            rest = later;
        }
    }

    /// The same as they lie in a WAV file.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(4 * 1_024) {
            let mut samples = [0; 2 * 1_024];
            let mut count = 0;
            for (sample, bytes) in samples.iter_mut().zip(chunk.chunks_exact(2)) {
                *sample = i16::from_le_bytes([bytes[0], bytes[1]]);
                count += 1;
            }
            self.push(&samples[..count]);
        }
    }

    pub fn push_silence(&mut self, mut samples: u64) {
        while samples > 0 {
            let now = samples.min((self.samples_a_value - self.count) as u64);
            self.counted(now as usize);
            samples -= now;
        }
    }

    /// What is complete, since last asked.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// The same at the end, with the last value, which may stand for less.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.count > 0 {
            self.counted(self.samples_a_value - self.count);
        }
        self.take()
    }

    fn counted(&mut self, samples: usize) {
        self.count += samples;
        if self.count >= self.samples_a_value {
            let small = |sample: i16| (sample / 256) as i8 as u8;
            for side in 0..2 {
                self.ready.extend([small(self.low[side]), small(self.high[side])]);
            }
            (self.count, self.low, self.high) = (0, [0; 2], [0; 2]);
        }
    }
}

/// How many values a recording of so many samples has.
pub fn values(samples: u64, sample_rate: u32) -> u64 {
    samples.div_ceil(u64::from((sample_rate / PER_SECOND).max(1)))
}

pub fn header(sample_rate: u32, values: u64) -> [u8; HEADER as usize] {
    let values = u32::try_from(values).unwrap_or(u32::MAX);
    let fields = [VERSION, EIGHT_BITS, sample_rate, (sample_rate / PER_SECOND).max(1), values, CHANNELS];
    let mut out = [0; HEADER as usize];
    for (place, field) in out.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    out
}

/// A waveform, as far as it is there, in as few values as whoever draws it wants. The names are those of `audiowaveform`'s JSON.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Waveform {
    pub version: u32,
    /// 2: left is what the customer said, right what the customer heard.
    pub channels: u32,
    pub sample_rate: u32,
    /// Samples of the recording that a value stands for.
    pub samples_per_pixel: u32,
    /// 8: from -128 to 127.
    pub bits: u32,
    /// Values a channel.
    pub length: usize,
    /// Lowest and highest of left, lowest and highest of right, again and again: four times `length`.
    pub data: Vec<i8>,
}

impl Waveform {
    /// Reads a file; `None`, where it is none of these. One that is being written has as many values as are there.
    pub fn read(bytes: &[u8]) -> Option<Waveform> {
        let (header, values) = bytes.split_first_chunk::<{ HEADER as usize }>()?;
        let field = |at: usize| header.get(at * 4..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        let is_ours = field(0)? == VERSION && field(1)? == EIGHT_BITS && field(5)? == CHANNELS;
        let (sample_rate, samples_per_pixel) = (field(2)?, field(3)?);
        if !is_ours || sample_rate == 0 || samples_per_pixel == 0 {
            return None;
        }
        let length = values.len() / VALUE as usize;
        let data = values.iter().take(length * VALUE as usize).map(|byte| *byte as i8).collect();
        Some(Waveform { version: VERSION, channels: CHANNELS, sample_rate, samples_per_pixel, bits: 8, length, data })
    }

    /// In at most so many values, each over as many of those that are there.
    pub fn at_most(self, most: usize) -> Waveform {
        let most = most.max(1);
        if self.length <= most {
            return self;
        }
        let each = self.length.div_ceil(most);
        let mut data = Vec::with_capacity(self.length.div_ceil(each) * VALUE as usize);
        for values in self.data.chunks(each * VALUE as usize) {
            for place in 0..VALUE as usize {
                let these = values.iter().skip(place).step_by(VALUE as usize).copied();
                data.push(if place % 2 == 0 { these.min() } else { these.max() }.unwrap_or(0));
            }
        }
        let samples_per_pixel = self.samples_per_pixel.saturating_mul(u32::try_from(each).unwrap_or(u32::MAX));
        Waveform { samples_per_pixel, length: data.len() / VALUE as usize, data, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sample_rate: u32, samples: &[i16], pieces: usize) -> Vec<u8> {
        let mut peaks = Peaks::new(sample_rate);
        let mut out = header(sample_rate, values(samples.len() as u64 / 2, sample_rate)).to_vec();
        for piece in samples.chunks(pieces * 2) {
            peaks.push(piece);
            out.extend(peaks.take());
        }
        out.extend(peaks.finish());
        out
    }

    #[test]
    fn each_ten_milliseconds_have_their_lowest_and_highest_of_both_sides() {
        let samples: Vec<i16> = (0..250).flat_map(|n: i16| [if n < 80 { n * 256 } else { -512 }, -n]).collect();
        let read = Waveform::read(&file(8_000, &samples, 33)).expect("a waveform");
        assert_eq!((read.length, read.samples_per_pixel, read.sample_rate), (4, 80, 8_000));
        assert_eq!(read.data, [0, 79, 0, 0, -2, 0, 0, 0, -2, 0, 0, 0, -2, 0, 0, 0]);
        let few = read.at_most(3);
        assert_eq!((few.length, few.samples_per_pixel), (2, 160));
        assert_eq!(few.data, [-2, 79, 0, 0, -2, 0, 0, 0]);
    }

    #[test]
    fn in_whatever_pieces_it_comes_it_is_the_same() {
        let samples: Vec<i16> = (0..4_001i32).flat_map(|n| [(n * 7_919 % 65_536 - 32_768) as i16, (n * 31) as i16]).collect();
        let whole = file(16_000, &samples, 4_001);
        for pieces in [1, 79, 160, 161, 1_000] {
            assert_eq!(file(16_000, &samples, pieces), whole);
        }
        let mut by_bytes = Peaks::new(16_000);
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        by_bytes.push_bytes(&bytes);
        assert_eq!(by_bytes.finish(), whole[HEADER as usize..]);
        let mut silent = Peaks::new(8_000);
        silent.push_silence(81);
        assert_eq!(silent.finish(), [0; 8]);
    }

    #[test]
    fn what_is_no_waveform_is_not_read() {
        let good = file(8_000, &[1; 400], 10);
        assert!(Waveform::read(&good).is_some());
        for cut in 0..HEADER as usize {
            assert_eq!(Waveform::read(&good[..cut]), None);
        }
        for (at, byte) in [(0, 1), (4, 0), (20, 1), (8, 0)] {
            let mut bad = good.clone();
            bad[at..at + 4].fill(0);
            bad[at] = byte;
            assert_eq!(Waveform::read(&bad), None, "{at}");
        }
    }
}
