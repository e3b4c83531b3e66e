//! Playout: what one leg says, decoded in real time, as an even stream of 10 ms frames for all who need its sound and not its packets.
//!
//! Packets wait in a [`queue`] by sequence number. How long is said by [`delay`]: as long as nearly all packets of the last seconds took
//! beyond the fastest one. [`play`] takes them out by RTP time: it decodes, conceals what is missing, and keeps the delay near its target
//! by cutting or repeating whole pitch periods ([`stretch`]); drift between the sender's clock and ours is no more than a delay that
//! grows or shrinks. In the sender's silence the delay is set anew for nothing.
//!
//! Frames are numbered by a grid of 10 ms that all legs share, so as many samples come out as time has passed, whatever the network
//! does. Time is an argument; nothing here grows with what a peer sends: the queue has a bound in packets and in bytes.

mod delay;
mod play;
mod queue;
mod stretch;

use crate::clock::Mono;
use crate::codec::{Codec, ComfortNoise, Decoder};
use crate::rtp::Fields;

use delay::{Delays, Lowest};
use queue::{Kind, MOST_BYTES, Place, Queue};

/// Frames that are kept for those who ask later, at least as many as a listener with packets of 60 ms asks for at once.
const KEPT: u64 = 8;

/// A source whose packets are this far from where its time base has them counts its time anew, in µs.
const NEW_TIME_BASE_US: i64 = 1_000_000;

/// What became of the packets and the sound of a leg since its playout began.
///
/// `received` is the sum of `played`, `late`, `duplicates`, `discarded`, and those that still wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of sound that came.
    pub received: u64,
    /// Packets that were decoded.
    pub played: u64,
    /// Packets that were not there in time and have not come since.
    pub lost: u64,
    /// Packets that came when their turn was over.
    pub late: u64,
    pub duplicates: u64,
    /// Packets that came after a later one (RFC 4737), late ones included.
    pub reordered: u64,
    /// Packets that could not be decoded, or were skipped to keep the delay bounded.
    pub discarded: u64,
    /// Sound made up where packets were missing.
    pub concealed_ms: u64,
    /// Sound added to raise the delay.
    pub stretched_ms: u64,
    /// Sound taken out to lower the delay.
    pub cut_ms: u64,
    /// How long sound waits now beyond the fastest packet of the last seconds.
    pub delay_ms: u32,
    /// How long it should.
    pub target_ms: u32,
}

/// Frames of one leg's sound. One codec; another one is another `Playout`.
#[derive(Debug)]
pub struct Playout {
    codec: Codec,
    decoder: Decoder,
    /// Samples a second.
    rate: u32,
    queue: Queue,
    delays: Delays,
    /// What is heard while the sender is silent; nothing if it did not say.
    noise: Option<ComfortNoise>,
    play: play::State,
    /// Frame 0 of [`Playout::at`]'s count, and when frames are asked for relative to it.
    grid: Option<Grid>,
    /// The newest [`KEPT`] frames, in a ring.
    kept: Vec<i16>,
    counts: Counts,
    /// In samples: concealed, stretched, cut.
    concealed: u64,
    stretched: u64,
    cut: u64,
}

/// Which frames have been made, and when they are asked for.
#[derive(Debug)]
struct Grid {
    first: u64,
    newest: u64,
    /// The earliest that frames were asked for, in µs from where they lie if the first lies at zero.
    asked: Lowest,
}

impl Playout {
    /// Frames at `rate`: the codec's own, or another that its decoder can give.
    pub fn at(codec: Codec, rate: u32) -> Playout {
        Playout {
            codec,
            decoder: Decoder::at(codec, rate),
            rate,
            queue: Queue::default(),
            delays: Delays::new(),
            noise: None,
            play: play::State::new(rate),
            grid: None,
            kept: vec![0; KEPT as usize * rate as usize / 100],
            counts: Counts::default(),
            concealed: 0,
            stretched: 0,
            cut: 0,
        }
    }

    /// A packet of sound that was accepted. Any order, doubled or late: it is counted as what it is.
    pub fn packet(&mut self, fields: &Fields, payload: &[u8], at: Mono) {
        if payload.is_empty() {
            // A keep-alive of some phones; its number must not look lost.
            self.event(fields, at);
            return;
        }
        self.counts.received += 1;
        if payload.len() > MOST_BYTES {
            self.counts.discarded += 1;
            return;
        }
        self.arrived(Kind::Sound, fields, payload, at);
    }

    /// The sender is silent from here on: parameters of its noise (RFC 3389).
    pub fn comfort_noise(&mut self, fields: &Fields, payload: &[u8], at: Mono) {
        self.arrived(Kind::Noise, fields, &payload[..payload.len().min(MOST_NOISE_BYTES)], at);
    }

    /// A key press (RFC 4733): its sequence number is not missing, and sound may pause.
    pub fn event(&mut self, fields: &Fields, at: Mono) {
        self.arrived(Kind::Event, fields, &[], at);
    }

    fn arrived(&mut self, kind: Kind, fields: &Fields, payload: &[u8], at: Mono) {
        let sound = kind == Kind::Sound;
        let (sequence, timestamp) = match self.queue.place(fields) {
            Place::At { sequence, timestamp, reordered } => {
                // The timestamp of an event is when it began: it says nothing about delay.
                if kind != Kind::Event && self.is_new_time_base(timestamp, at) {
                    self.restart(fields)
                } else {
                    self.counts.reordered += u64::from(reordered && sound);
                    (sequence, timestamp)
                }
            }
            Place::Anew => self.restart(fields),
            Place::Late { timestamp } => {
                self.queue.seen(kind, fields);
                if sound {
                    self.counts.late += 1;
                    self.counts.reordered += 1;
                    if !self.is_new_time_base(timestamp, at) {
                        self.delays.arrived(self.transit(timestamp, at), at, self.length_us(payload));
                    }
                }
                self.counts.lost = self.counts.lost.saturating_sub(1);
                return;
            }
            Place::Duplicate => {
                self.counts.duplicates += u64::from(sound);
                return;
            }
            Place::Stray => {
                self.counts.discarded += u64::from(sound);
                return;
            }
        };
        self.queue.seen(kind, fields);
        match kind {
            Kind::Sound => self.delays.arrived(self.transit(timestamp, at), at, self.length_us(payload)),
            // Its timestamp is as good as that of sound.
            Kind::Noise => self.delays.arrived(self.transit(timestamp, at), at, self.us(self.play.packet_samples())),
            Kind::Event => {}
        }
        if self.queue.insert(sequence, timestamp, kind, payload) == Some(Kind::Sound) {
            self.counts.discarded += 1;
        }
    }

    /// A new source, or one that counts anew: what waits of the old one is dropped, and what is being said fades out.
    fn restart(&mut self, fields: &Fields) -> (i64, i64) {
        self.counts.discarded += self.queue.sounds();
        self.delays.restart();
        self.end();
        self.decoder = Decoder::at(self.codec, self.rate);
        self.queue.restart(fields)
    }

    /// A jump of the timestamp that the time of arrival does not explain. Hours of silence are none.
    fn is_new_time_base(&self, timestamp: i64, at: Mono) -> bool {
        self.delays.base().is_some_and(|base| (self.transit(timestamp, at) - base).abs() > NEW_TIME_BASE_US)
    }

    /// Arrival less timestamp, in µs.
    fn transit(&self, timestamp: i64, at: Mono) -> i64 {
        micros(at) - timestamp * 1_000_000 / self.clock_rate()
    }

    /// How much sound a payload has, in µs.
    fn length_us(&self, payload: &[u8]) -> i64 {
        i64::from(self.codec.ticks(payload)) * 1_000_000 / self.clock_rate()
    }

    fn clock_rate(&self) -> i64 {
        i64::from(self.codec.clock_rate().max(1))
    }

    /// Where a timestamp lies, counted in samples.
    fn place(&self, timestamp: i64) -> i64 {
        (timestamp * i64::from(self.rate)).div_euclid(self.clock_rate())
    }

    fn us(&self, samples: i64) -> i64 {
        samples * 1_000_000 / i64::from(self.rate)
    }

    /// Frame `n` of the grid: 10 ms at the playout's rate. Whoever is first asks for each `n` in turn, at `now`; the newest few can be
    /// asked for again, an older one is silence. After a gap in `n`, in which nobody listened, it goes on with what is said now.
    pub fn frame(&mut self, n: u64, now: Mono) -> &[i16] {
        let length = self.rate as usize / 100;
        match &self.grid {
            Some(grid) if n <= grid.newest && grid.newest - n < FORGOTTEN => {}
            Some(grid) if n > grid.newest && n - grid.newest <= KEPT => {
                for next in grid.newest + 1..=n {
                    self.make(next, now);
                }
            }
            Some(_) | None => {
                self.play.resume_at_target();
                self.kept.fill(0);
                self.grid = Some(Grid { first: n, newest: n, asked: Lowest::new() });
                self.make(n, now);
            }
        }
        let kept = self.grid.as_ref().is_some_and(|grid| grid.newest.saturating_sub(n) < KEPT);
        let start = (n % KEPT) as usize * length;
        match self.kept.get(start..start + length) {
            Some(frame) if kept => frame,
            Some(_) | None => &SILENCE[..length.min(SILENCE.len())],
        }
    }

    /// Makes a frame and keeps it.
    fn make(&mut self, n: u64, now: Mono) {
        let Some(grid) = &mut self.grid else { return };
        grid.newest = n;
        let lies_at = (n - grid.first) as i64 * FRAME_US;
        let at = lies_at + grid.asked.push(micros(now) - lies_at, now);
        let length = self.rate as usize / 100;
        let mut frame = [0; LONGEST_FRAME];
        let Some(frame) = frame.get_mut(..length) else { return };
        self.play(frame, at);
        let start = (n % KEPT) as usize * length;
        if let Some(kept) = self.kept.get_mut(start..start + length) {
            kept.copy_from_slice(frame);
        }
    }

    pub fn counts(&self) -> Counts {
        let ms = |samples: u64| samples * 1_000 / u64::from(self.rate);
        Counts {
            concealed_ms: ms(self.concealed),
            stretched_ms: ms(self.stretched),
            cut_ms: ms(self.cut),
            delay_ms: (self.play.delay_us().max(0) / 1_000) as u32,
            target_ms: (self.delays.target() / 1_000) as u32,
            ..self.counts
        }
    }

    /// Packets of sound that wait.
    #[cfg(test)]
    fn waiting(&self) -> u64 {
        self.queue.sounds()
    }
}

/// Of a payload of comfort noise: the level and as much of the spectrum as anybody sends.
const MOST_NOISE_BYTES: usize = 32;
/// Length of a frame, and its samples at 48 kHz.
const FRAME_US: i64 = 10_000;
const LONGEST_FRAME: usize = 480;
const SILENCE: [i16; LONGEST_FRAME] = [0; LONGEST_FRAME];
/// A frame so many before the newest is asked for by somebody with another grid: it begins anew there.
const FORGOTTEN: u64 = 1_000;

fn micros(at: Mono) -> i64 {
    at.as_micros() as i64 & (i64::MAX >> 1)
}

#[cfg(test)]
mod network;
#[cfg(test)]
mod tests;
