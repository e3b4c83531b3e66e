//! From packets to sound: what comes next, what is made up, and how fast it goes.
//!
//! ```text
//!            the first packet is due                      its frame is faded out
//!   Silent ────────────────────────▶ Playing ──▶ Ending ───────────────────────▶ Silent
//!                                     the sender is silent, begins anew, or stands still
//! ```
//!
//! A packet that is not there when its turn comes is lost if a later one is there, and is concealed by the decoder. If none is there, it
//! is waited for: what is made up meanwhile stands for no time of the sender yet. If the packet comes after all, it is played and the
//! delay has grown; if a later one comes, the loss has been concealed already. So a stall costs delay, which is worked off again, and
//! not words.

use super::delay::MOST_US;
use super::queue::{Kind, Waiting};
use super::{FRAME_US, Playout, stretch};
use crate::codec::{ComfortNoise, Concealer};

/// Concealment at most before the line falls silent, and the longest wait for a packet. G.711 Appendix I is silent after 60 ms of loss;
/// another codec fades as slowly as it likes.
const CONCEAL_US: i64 = 120_000;
/// The delay may be so far above its target before sound is cut: a cut takes up to [`stretch::FARTHEST`] and must not undershoot.
const ABOVE_US: i64 = 15_000;
/// The delay may be so far below its target before sound is repeated.
const BELOW_US: i64 = 10_000;
/// So far from the target it is more urgent to be there than to sound perfect.
const URGENT_US: i64 = 40_000;
/// Frames between two changes of length, and between two urgent ones: at most 15 ms in 100 or in 40 are cut.
const PATIENCE: u32 = 9;
const URGENT_PATIENCE: u32 = 3;
/// How alike two places must be, and after how many tries any are alike enough: unvoiced sound is like nothing, and forgives.
const ALIKE: f32 = 0.6;
const TRIES: u32 = 20;

/// From silence or noise into sound.
const RAMP_US: i64 = 5_000;
/// What is kept of the sound that was played: what concealment goes by, and more than can be repeated.
const KEPT_MS: usize = 50;
/// What is made up beyond a wait, in ms: there the packet that has come is joined, where it is most alike.
const JOINT_MS: usize = 22;

/// All noise may be the same.
const NOISE_SEED: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Playing,
    /// What is there is to fade out in the next frame.
    Ending,
}

/// What is heard while nothing comes.
#[derive(Debug)]
struct Wait {
    /// The decoder does not know of it: nothing is lost yet.
    concealer: Concealer,
    /// Samples made up that stand for no time of the sender yet.
    made: i64,
}

/// Where the playing is.
#[derive(Debug)]
pub struct State {
    rate: u32,
    mode: Mode,
    /// Decoded sound: up to `read` it was played, and is kept to be repeated.
    sound: Vec<i16>,
    read: usize,
    /// The sender's time after the last of `sound`, in samples.
    end: i64,
    /// A packet is waited for.
    wait: Option<Wait>,
    /// The next packet does not follow on what was decoded last: they are to be crossfaded.
    edge: bool,
    /// The last packet was a key press: that no sound follows is no loss.
    pressed: bool,
    /// Samples of the last packet.
    packet: usize,
    /// Frames until the length may be changed again, and how often no place for it was found.
    patience: u32,
    tries: u32,
    /// In µs, at the last frame that was played.
    delay: i64,
    /// To begin at the target delay, and not with all that waits.
    at_target: bool,
}

impl State {
    pub fn new(rate: u32) -> State {
        State {
            rate,
            mode: Mode::Silent,
            sound: Vec::new(),
            read: 0,
            end: 0,
            wait: None,
            edge: false,
            pressed: false,
            packet: rate as usize / 50,
            patience: 0,
            tries: 0,
            delay: 0,
            at_target: true,
        }
    }

    pub fn packet_samples(&self) -> i64 {
        self.packet as i64
    }

    pub fn delay_us(&self) -> i64 {
        self.delay
    }

    /// Nobody has listened: what was being said is over.
    pub fn resume_at_target(&mut self) {
        self.stop();
        self.at_target = true;
    }

    fn stop(&mut self) {
        self.mode = Mode::Silent;
        self.sound.clear();
        self.read = 0;
        self.wait = None;
        self.edge = false;
        self.pressed = false;
        self.patience = 0;
        self.tries = 0;
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.sound.len()
    }

    fn pending(&self) -> usize {
        self.sound.len() - self.read
    }

    /// Timestamps that are off by less are taken as they come; the unit of concealment, too (the shortest frame of Opus).
    fn grain(&self) -> i64 {
        i64::from(self.rate) / 400
    }

    /// The sender's time of the next sample.
    fn position(&self) -> i64 {
        self.end - self.pending() as i64
    }

    /// The next samples, if so many are there.
    fn take(&mut self, out: &mut [i16]) {
        if let Some(sound) = self.sound.get(self.read..self.read + out.len()) {
            out.copy_from_slice(sound);
            self.read += out.len();
        }
        let keep = self.rate as usize / 1_000 * KEPT_MS;
        if self.read > keep * 4 {
            self.sound.drain(..self.read - keep);
            self.read = keep;
        }
    }
}

impl Playout {
    /// Fills the frame that is due at `at`.
    pub(super) fn play(&mut self, frame: &mut [i16], at: i64) {
        if self.play.mode == Mode::Playing && self.us(self.waiting_samples(self.play.position())) > MOST_US + URGENT_US {
            self.end();
        }
        match self.play.mode {
            Mode::Silent => {
                self.fill_with_noise(frame);
                let Some(wait) = self.begin(at) else { return };
                let Some(rest) = frame.get_mut(wait..) else { return };
                if !self.fill(rest.len(), at) {
                    self.play.mode = Mode::Ending;
                }
                let mut sound = [0; super::LONGEST_FRAME];
                let Some(sound) = sound.get_mut(..rest.len()) else { return };
                self.play.take(sound);
                // From the noise into the sound.
                let ramp = rest.len().min((i64::from(self.rate) * RAMP_US / 1_000_000) as usize);
                let (fading, whole) = rest.split_at_mut(ramp);
                stretch::crossfade(fading, sound);
                whole.copy_from_slice(&sound[ramp..]);
            }
            Mode::Playing => {
                if !self.fill(frame.len(), at) {
                    self.fade(frame);
                } else if !self.adapt(frame, at) {
                    self.play.take(frame);
                }
            }
            Mode::Ending => {
                self.top_up(frame.len());
                self.fade(frame);
            }
        }
    }

    /// What is being said ends with the next frame.
    pub(super) fn end(&mut self) {
        if self.play.mode == Mode::Playing {
            self.top_up(self.rate as usize / 100);
            self.play.mode = Mode::Ending;
        }
    }

    /// The next frame, faded over to noise or silence.
    fn fade(&mut self, frame: &mut [i16]) {
        self.play.take(frame);
        let mut noise = [0; super::LONGEST_FRAME];
        let Some(noise) = noise.get_mut(..frame.len()) else { return };
        self.fill_with_noise(noise);
        stretch::crossfade(frame, noise);
        self.play.stop();
    }

    /// Makes so many samples pending, for a fade.
    fn top_up(&mut self, samples: usize) {
        let short = samples.saturating_sub(self.play.pending());
        if let Some(wait) = &mut self.play.wait {
            wait.concealer.conceal(short, &mut self.play.sound);
        } else if short > 0 {
            let grain = self.play.grain() as usize;
            self.decoder.conceal(short.next_multiple_of(grain), None, &mut self.play.sound);
        }
    }

    /// The delay, were the sample of this time played at `at`.
    fn delay_of(&self, position: i64, at: i64) -> i64 {
        at - self.delays.base().unwrap_or(at) - self.us(position)
    }

    /// Samples that wait, decoded or not, from this time on.
    fn waiting_samples(&self, position: i64) -> i64 {
        match self.queue.last() {
            Some(last) => self.place(last.timestamp) + self.play.packet as i64 - position,
            None => self.play.pending() as i64,
        }
    }

    /// Whether sound begins in this frame, and after how many samples. Comfort noise that is due is heard from now on.
    fn begin(&mut self, at: i64) -> Option<usize> {
        loop {
            let first = self.queue.first()?;
            let start = self.place(first.timestamp);
            let kind = first.kind;
            let delay = self.delay_of(start, at);
            let wait = self.delays.target() - delay;
            match kind {
                Kind::Event => {
                    self.skip();
                }
                Kind::Noise if wait < FRAME_US => {
                    self.hush();
                }
                Kind::Sound if wait < FRAME_US => {
                    let most = if self.play.at_target { self.delays.target() } else { MOST_US } + FRAME_US;
                    if delay > most && self.us(self.waiting_samples(start)) > most {
                        self.skip();
                        continue;
                    }
                    self.counts.lost += self.queue.pass_missing();
                    self.noise = None;
                    self.play.mode = Mode::Playing;
                    self.play.at_target = false;
                    self.play.end = start;
                    // Rather a little early than without room for the ramp.
                    let wait = wait.clamp(0, FRAME_US - RAMP_US);
                    self.play.delay = delay + wait;
                    return Some((wait * i64::from(self.rate) / 1_000_000) as usize);
                }
                Kind::Noise | Kind::Sound => return None,
            }
        }
    }

    /// Leaves the first packet out.
    fn skip(&mut self) {
        self.counts.lost += self.queue.pass_missing();
        if self.queue.pop() == Some(Kind::Sound) {
            self.counts.discarded += 1;
        }
    }

    /// The first packet is noise, and is heard from now on.
    fn hush(&mut self) {
        self.counts.lost += self.queue.pass_missing();
        if let Some(packet) = self.queue.take() {
            // One without a level says nothing new.
            let _ = self.noise.get_or_insert_with(|| ComfortNoise::new(NOISE_SEED)).hear(&packet.payload);
            self.queue.done(packet);
        }
    }

    fn fill_with_noise(&mut self, frame: &mut [i16]) {
        match &mut self.noise {
            None => frame.fill(0),
            Some(noise) => {
                let mut made = Vec::with_capacity(frame.len());
                noise.generate(frame.len(), &mut made);
                frame.copy_from_slice(&made);
            }
        }
    }

    /// Makes so many samples pending. `false`: a pause begins, and the last of them lead into it.
    fn fill(&mut self, samples: usize, at: i64) -> bool {
        while self.play.pending() < samples {
            if !self.more(at) {
                self.top_up(samples);
                return false;
            }
        }
        true
    }

    /// Takes the next packet, or makes up for it. `false`: a pause begins.
    fn more(&mut self, at: i64) -> bool {
        let Some(first) = self.queue.first() else {
            return self.wait();
        };
        let (kind, start) = (first.kind, self.place(first.timestamp));
        match kind {
            Kind::Event => {
                self.skip();
                self.play.pressed = true;
                true
            }
            Kind::Noise => {
                self.hush();
                false
            }
            Kind::Sound => self.sound(start, at),
        }
    }

    /// The next packet has sound from `start` on.
    fn sound(&mut self, start: i64, at: i64) -> bool {
        let missing = self.queue.pass_missing();
        self.counts.lost += missing;
        let grain = self.play.grain();
        // What was made up while nothing came stands for this.
        let waited = self.play.wait.as_mut().map_or(0, |wait| std::mem::take(&mut wait.made));
        let gap = start - self.play.end - waited;
        if waited > 0 && missing > 0 {
            // Now it is a loss, and the decoder's own idea of it is needed for what comes next.
            let samples = (waited + gap.max(0)).min(self.longest_loss());
            self.decoder.conceal(samples as usize, None, &mut Vec::new());
        }
        if gap > grain {
            let packet = self.play.packet as i64;
            let lost = i64::try_from(missing).unwrap_or(0).saturating_mul(packet);
            let made = (if gap < lost + packet / 2 { gap } else { lost }).min(self.longest_loss());
            if self.play.wait.is_some() {
                self.go_on_waiting(made);
            } else {
                // The packet holds a copy of the one before it, if its sender is so kind.
                let copy = if made == gap && made >= packet { packet } else { 0 };
                self.conceal(made - copy, false);
                self.conceal(copy, true);
            }
            if gap - made > grain {
                // The sender was silent meanwhile, or lost more than can be made up.
                if self.delay_of(start, at) + FRAME_US <= self.delays.target() {
                    return false;
                }
                self.play.edge = true;
            }
        }
        self.play.end = start;
        self.decode();
        true
    }

    /// Samples of [`CONCEAL_US`].
    fn longest_loss(&self) -> i64 {
        CONCEAL_US * i64::from(self.rate) / 1_000_000
    }

    /// Makes up a frame while nothing comes. `false`: it was waited for long enough.
    fn wait(&mut self) -> bool {
        let frame = i64::from(self.rate) / 100;
        match &self.play.wait {
            _ if self.play.pressed => return false,
            Some(wait) if self.us(wait.made) >= CONCEAL_US => return false,
            Some(_) => {}
            None => {
                let mut concealer = Concealer::new(self.rate);
                let known = self.play.sound.len().saturating_sub(self.rate as usize / 1_000 * KEPT_MS);
                let mut last = self.play.sound[known..].to_vec();
                concealer.heard(&mut last);
                self.play.wait = Some(Wait { concealer, made: 0 });
            }
        }
        self.go_on_waiting(frame);
        if let Some(wait) = &mut self.play.wait {
            wait.made += frame;
        }
        true
    }

    fn go_on_waiting(&mut self, samples: i64) {
        if let Some(wait) = &mut self.play.wait
            && samples > 0
        {
            wait.concealer.conceal(samples as usize, &mut self.play.sound);
            self.concealed += samples as u64;
        }
    }

    /// Makes up for lost sound. `copied`: the first packet may have a copy of it.
    fn conceal(&mut self, samples: i64, copied: bool) {
        let samples = samples - samples % self.play.grain();
        if samples <= 0 {
            return;
        }
        let next = self.queue.first().filter(|_| copied).map(|packet| &packet.payload[..]);
        self.decoder.conceal(samples as usize, next, &mut self.play.sound);
        self.concealed += samples as u64;
    }

    /// Decodes the first packet.
    fn decode(&mut self) {
        let Some(packet) = self.queue.take() else { return };
        self.play.pressed = false;
        let mut tail = Vec::new();
        let wait = self.play.wait.take();
        let edge = std::mem::take(&mut self.play.edge);
        match wait {
            Some(mut wait) => wait.concealer.conceal(self.rate as usize / 1_000 * JOINT_MS, &mut tail),
            None if edge => self.decoder.conceal(self.rate as usize / 200, None, &mut tail),
            None => {}
        }
        let from = self.play.sound.len();
        match self.decode_packet(&packet) {
            Some(samples) => {
                self.counts.played += 1;
                self.play.packet = samples;
                self.play.end += samples as i64;
                if !tail.is_empty() {
                    self.join(from, tail);
                }
            }
            None => {
                self.counts.discarded += 1;
                self.play.sound.truncate(from);
                let samples = self.play.packet as i64;
                self.conceal(samples, false);
                self.play.end += samples;
            }
        }
        self.queue.done(packet);
    }

    /// Fades `tail`, which goes on from what was before `from`, over to what was decoded from there on.
    fn join(&mut self, from: usize, mut tail: Vec<i16>) {
        let Some(new) = self.play.sound.get_mut(from..) else { return };
        let at = stretch::align(&tail, new, self.rate);
        let length = (tail.len() - at).min(new.len()).min(self.rate as usize / 100);
        stretch::crossfade(&mut tail[at..at + length], new);
        new[..length].copy_from_slice(&tail[at..at + length]);
        self.play.sound.splice(from..from, tail.into_iter().take(at));
        self.concealed += at as u64;
    }

    fn decode_packet(&mut self, packet: &Waiting) -> Option<usize> {
        self.decoder.decode(&packet.payload, &mut self.play.sound).ok().filter(|samples| *samples > 0)
    }

    /// Brings the delay nearer to its target by cutting or repeating sound, if now is a time for it: the frame is filled then.
    fn adapt(&mut self, frame: &mut [i16], at: i64) -> bool {
        let length = frame.len();
        self.play.delay = self.delay_of(self.play.position(), at);
        let above = self.play.delay - self.delays.target();
        if self.play.patience > 0 {
            self.play.patience -= 1;
            return false;
        }
        let back = if above > ABOVE_US {
            // Where less is there, the delay is the network's and not ours, and cutting would run dry.
            let needed = length + stretch::farthest(self.rate);
            self.look_ahead(needed);
            if self.play.pending() < needed {
                return false;
            }
            false
        } else if above < -BELOW_US {
            true
        } else {
            self.play.tries = 0;
            return false;
        };
        let (read, rate) = (self.play.read, self.rate);
        let Some(place) = stretch::most_alike(&self.play.sound, read, length, rate, back) else { return false };
        if place.likeness < ALIKE && self.play.tries < TRIES {
            self.play.tries += 1;
            return false;
        }
        let there = read.saturating_add_signed(place.offset);
        let Some(other) = self.play.sound.get(there..there + length) else { return false };
        frame.copy_from_slice(&self.play.sound[read..read + length]);
        stretch::crossfade(frame, other);
        self.play.read = there + length;
        self.play.tries = 0;
        self.play.patience = if above.abs() > URGENT_US { URGENT_PATIENCE } else { PATIENCE };
        let changed = place.offset.unsigned_abs() as u64;
        if back {
            self.stretched += changed;
        } else {
            self.cut += changed;
        }
        true
    }

    /// Decodes what follows without a gap, until so many samples are pending.
    fn look_ahead(&mut self, samples: usize) {
        while self.play.pending() < samples
            && self.queue.missing() == 0
            && self.queue.first().is_some_and(|first| {
                first.kind == Kind::Sound && (self.place(first.timestamp) - self.play.end).abs() <= self.play.grain()
            })
        {
            self.play.end = self.queue.first().map_or(self.play.end, |first| self.place(first.timestamp));
            self.decode();
        }
    }
}
