//! How late packets come, and from that how long sound should wait.
//!
//! A packet's *transit* is its arrival less its timestamp: the network's delay plus a constant that nobody knows. The lowest transit of the
//! last seconds is the base; what a packet took beyond it is its *delay*. Clocks that drift move the base slowly, and it follows.

use crate::clock::Mono;

/// What is waited for before anything is known of the network.
const START_US: i64 = 40_000;
/// No network is waited for longer: beyond this people begin to speak over each other (ITU-T G.114 has 400 ms for the whole way, both
/// phones and the network included).
pub const MOST_US: i64 = 200_000;
/// A frame of the grid is asked for whole, so its end is needed when its start is due.
const FRAME_US: i64 = 10_000;

/// The share of packets that should be in time. The rest is concealed or stretched over; a higher share would make everybody wait for a
/// few. Chosen by feel.
const IN_TIME: f32 = 0.98;
/// How long a delay is remembered: after this time it weighs a third (1/e).
const MEMORY_US: f32 = 10_000_000.0;
/// What the start value weighs, as sound in µs: a second of packets outweighs it.
const START_WEIGHT: f32 = 1_000_000.0;

const BIN_US: i64 = 5_000;
const BINS: usize = (MOST_US / BIN_US) as usize;

/// The lowest value of the last [`SECONDS`] or so.
#[derive(Clone, Debug)]
pub struct Lowest {
    /// One a second, in a ring.
    seconds: [i64; SECONDS as usize],
    /// The second of the newest.
    newest: u64,
    value: Option<i64>,
}

/// Long enough that one packet in it was not held up, short enough to follow 100 ppm within a millisecond.
const SECONDS: u64 = 8;

impl Lowest {
    pub fn new() -> Lowest {
        Lowest { seconds: [i64::MAX; SECONDS as usize], newest: 0, value: None }
    }

    /// Takes a value and says the lowest.
    pub fn push(&mut self, value: i64, at: Mono) -> i64 {
        let second = at.as_micros() / 1_000_000;
        if second > self.newest {
            for gone in 1..=(second - self.newest).min(SECONDS) {
                self.seconds[((self.newest + gone) % SECONDS) as usize] = i64::MAX;
            }
            self.newest = second;
        }
        let low = &mut self.seconds[(self.newest % SECONDS) as usize];
        *low = value.min(*low);
        let lowest = self.seconds.into_iter().min().unwrap_or(value);
        self.value = Some(lowest);
        lowest
    }

    /// The lowest of the seconds before the last push.
    pub fn value(&self) -> Option<i64> {
        self.value
    }
}

/// The delays of the last seconds as a histogram that forgets.
#[derive(Clone, Debug)]
pub struct Delays {
    base: Lowest,
    /// Sound in µs that came so late.
    bins: [f32; BINS],
    target: i64,
}

impl Delays {
    pub fn new() -> Delays {
        let mut bins = [0.0; BINS];
        bins[bin(START_US - FRAME_US - 1)] = START_WEIGHT;
        Delays { base: Lowest::new(), bins, target: START_US }
    }

    /// The source counts its time anew. The network is the same, so its delays are kept.
    pub fn restart(&mut self) {
        self.base = Lowest::new();
    }

    /// A packet with `packet_us` of sound has come. Its transit is in µs.
    pub fn arrived(&mut self, transit: i64, at: Mono, packet_us: i64) {
        let delay = transit - self.base.push(transit, at);
        let weight = packet_us.clamp(2_500, 120_000) as f32;
        let keep = 1.0 - weight / MEMORY_US;
        for bin in &mut self.bins {
            *bin *= keep;
        }
        self.bins[bin(delay)] += weight;
        self.target = (self.quantile() + FRAME_US).max(packet_us).min(MOST_US);
    }

    /// The delay that [`IN_TIME`] of all packets do not exceed, rounded up to a bin.
    fn quantile(&self) -> i64 {
        let mut left = self.bins.iter().sum::<f32>() * (1.0 - IN_TIME);
        for (i, weight) in self.bins.iter().enumerate().rev() {
            left -= weight;
            if left < 0.0 {
                return (i as i64 + 1) * BIN_US;
            }
        }
        BIN_US
    }

    /// The transit of a packet that nothing held up, in µs.
    pub fn base(&self) -> Option<i64> {
        self.base.value()
    }

    /// How long after a packet that nothing held up its sound should be played, in µs.
    pub fn target(&self) -> i64 {
        self.target
    }
}

fn bin(delay: i64) -> usize {
    ((delay.max(0) / BIN_US) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_forgotten_after_its_seconds() {
        let mut l = Lowest::new();
        let s = |s: u64| Mono::from_millis(s * 1_000);
        assert_eq!(l.push(5, s(1)), 5);
        assert_eq!(l.push(3, s(2)), 3);
        assert_eq!(l.push(9, s(2 + SECONDS - 1)), 3);
        assert_eq!(l.push(9, s(2 + SECONDS)), 9);
        assert_eq!(l.push(11, s(1_000)), 11);
        // Time that stands still or goes back is the newest second's.
        assert_eq!(l.push(10, s(1)), 10);
    }

    /// 20 ms packets whose delay is `delay_ms(i)`.
    fn run(d: &mut Delays, from: u64, count: u64, delay_ms: impl Fn(u64) -> u64) {
        for i in from..from + count {
            let at = Mono::from_millis(i * 20 + delay_ms(i));
            d.arrived(at.as_micros() as i64 - i as i64 * 20_000, at, 20_000);
        }
    }

    #[test]
    fn the_target_is_one_packet_on_a_still_network_after_a_while() {
        let mut d = Delays::new();
        run(&mut d, 0, 10, |_| 0);
        assert_eq!(d.target(), START_US);
        run(&mut d, 10, 3_000, |_| 0);
        assert_eq!(d.target(), 20_000);
    }

    #[test]
    fn the_target_rises_fast_and_falls_slowly() {
        let mut d = Delays::new();
        let jitter = |i: u64| (i * 37) % 81;
        run(&mut d, 0, 3_000, |_| 0);
        run(&mut d, 3_000, 50, jitter);
        assert!(d.target() > 70_000, "{}", d.target());
        run(&mut d, 3_050, 1_000, jitter);
        assert!((85_000..=95_000).contains(&d.target()), "{}", d.target());
        run(&mut d, 4_050, 250, |_| 0);
        assert!(d.target() > 80_000, "{}", d.target());
        run(&mut d, 4_300, 3_000, |_| 0);
        assert_eq!(d.target(), 20_000);
    }

    #[test]
    fn no_delay_asks_for_more_than_the_most() {
        let mut d = Delays::new();
        run(&mut d, 0, 100, |i| i % 7 * 90);
        assert_eq!(d.target(), MOST_US);
    }
}
