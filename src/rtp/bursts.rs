//! How loss is spread: bursts and gaps as RFC 3611 §4.7.2 defines them, and the burst ratio of the E-model.
//!
//! A *burst* begins and ends with a packet that was lost or discarded and has fewer than [`GMIN`] good packets in a row inside; all else
//! is *gap*, where losses stand alone. Packets are settled in the order of their numbers, a window's length after the newest, so that
//! one which was only overtaken is not taken for lost.

/// Good packets in a row that end a burst (RFC 3611 §4.7.2 recommends 16).
pub const GMIN: u32 = 16;

/// A packet that comes behind more than this many newer ones is of no use to anybody: it stays lost.
const WINDOW: u32 = 32;

/// More than this at once is no burst of loss but an outage, and settled as such without a look at each packet.
const OUTAGE: u32 = 3_000;

/// Sums from which densities, durations and ratios are made. Of two moments the difference is what happened between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Settled packets, good or not.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came, but too late to be played.
    pub discarded: u64,
    /// Runs of packets, one after another, that were lost or discarded.
    pub runs: u64,
    pub bursts: u64,
    /// Packets of bursts, and how many of them were lost or discarded.
    pub burst_packets: u64,
    pub burst_bad: u64,
}

impl Spread {
    fn bad(&self) -> u64 {
        self.lost + self.discarded
    }

    /// The share of packets that were lost or discarded, 0 to 1.
    pub fn loss(&self) -> f32 {
        share(self.bad(), self.packets)
    }

    /// The share of a burst's packets that were lost or discarded, 0 to 1.
    pub fn burst_density(&self) -> f32 {
        share(self.burst_bad, self.burst_packets)
    }

    /// The same outside bursts.
    pub fn gap_density(&self) -> f32 {
        share(self.bad().saturating_sub(self.burst_bad), self.packets.saturating_sub(self.burst_packets))
    }

    /// Mean length of a burst, in packets; 0 without one.
    pub fn burst_length(&self) -> f32 {
        if self.bursts == 0 { 0.0 } else { self.burst_packets as f32 / self.bursts as f32 }
    }

    /// Mean length of what lies between two bursts, before the first and after the last, in packets.
    pub fn gap_length(&self) -> f32 {
        self.packets.saturating_sub(self.burst_packets) as f32 / (self.bursts + 1) as f32
    }

    /// BurstR of ITU-T G.107 §7.5: the mean run of lost packets over the mean run that random loss of the same share has; at least 1.
    pub fn burst_ratio(&self) -> f32 {
        if self.runs == 0 {
            return 1.0;
        }
        (self.bad() as f32 / self.runs as f32 * (1.0 - self.loss())).max(1.0)
    }

    /// Of two streams, one after the other.
    pub fn plus(&self, other: &Spread) -> Spread {
        Spread {
            packets: self.packets + other.packets,
            lost: self.lost + other.lost,
            discarded: self.discarded + other.discarded,
            runs: self.runs + other.runs,
            bursts: self.bursts + other.bursts,
            burst_packets: self.burst_packets + other.burst_packets,
            burst_bad: self.burst_bad + other.burst_bad,
        }
    }

    /// What was settled since `earlier`, a state of the same stream.
    pub fn since(&self, earlier: &Spread) -> Spread {
        Spread {
            packets: self.packets.saturating_sub(earlier.packets),
            lost: self.lost.saturating_sub(earlier.lost),
            discarded: self.discarded.saturating_sub(earlier.discarded),
            runs: self.runs.saturating_sub(earlier.runs),
            bursts: self.bursts.saturating_sub(earlier.bursts),
            burst_packets: self.burst_packets.saturating_sub(earlier.burst_packets),
            burst_bad: self.burst_bad.saturating_sub(earlier.burst_bad),
        }
    }
}

fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { (part as f32 / whole as f32).min(1.0) }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    Lost,
    Discarded,
}

/// The machine: fed by [`Bursts::newest`], [`Bursts::late`] and [`Bursts::discard`], read by [`Bursts::spread`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Of the newest packets, bit 0 the newest of all: came, and was discarded.
    came: u32,
    discarded: u32,
    /// Bits of the window that stand for a packet.
    held: u32,
    settled: Spread,
    /// Good packets since the last bad one.
    good: u32,
    /// What may be a burst: its packets up to the last bad one, and the bad ones among them. Nothing while in a gap.
    burst_packets: u64,
    burst_bad: u64,
}

impl Bursts {
    /// A packet `ahead` numbers after the newest so far: 1 where none is missing. `0` is taken as 1: the first of all.
    #[inline]
    pub fn newest(&mut self, ahead: u32) {
        let ahead = ahead.max(1);
        if ahead > WINDOW {
            self.jump(ahead);
        } else {
            for _ in 0..ahead {
                self.shift();
            }
        }
        self.came |= 1;
    }

    /// One from `behind` numbers before the newest: overtaken, or doubled.
    pub fn late(&mut self, behind: u32) {
        if behind < self.held {
            self.came |= 1 << behind;
        }
    }

    /// The packet `behind` numbers before the newest came too late to be played. Counts once, and only within the window.
    pub fn discard(&mut self, behind: u32) {
        if behind < self.held {
            self.discarded |= 1 << behind;
        }
    }

    /// All up to now, with what is still in the window taken as it is.
    pub fn spread(&self) -> Spread {
        let mut ended = *self;
        for _ in 0..WINDOW {
            ended.shift();
        }
        ended.end_burst();
        ended.settled
    }

    /// The source begins anew: what is in the window is settled, and a burst that was open ends.
    pub fn restart(&mut self) {
        let settled = self.spread();
        *self = Bursts { settled, ..Bursts::default() };
    }

    /// Makes room for one newer packet; the oldest is settled.
    #[inline]
    fn shift(&mut self) {
        if self.held == WINDOW {
            let oldest = 1 << (WINDOW - 1);
            let fate = match (self.came & oldest != 0, self.discarded & oldest != 0) {
                (true, false) => Fate::Good,
                (_, true) => Fate::Discarded,
                (false, false) => Fate::Lost,
            };
            self.settle(fate);
        } else {
            self.held += 1;
        }
        self.came <<= 1;
        self.discarded <<= 1;
    }

    /// A jump over more packets than the window has.
    fn jump(&mut self, ahead: u32) {
        for _ in 0..WINDOW {
            self.shift();
        }
        for _ in WINDOW..ahead.min(OUTAGE) {
            self.settle(Fate::Lost);
        }
    }

    #[inline]
    fn settle(&mut self, fate: Fate) {
        self.settled.packets += 1;
        match fate {
            Fate::Good => {
                self.good = self.good.saturating_add(1);
                if self.good == GMIN {
                    self.end_burst();
                }
                return;
            }
            Fate::Lost => self.settled.lost += 1,
            Fate::Discarded => self.settled.discarded += 1,
        }
        if self.good > 0 || self.settled.packets == 1 {
            self.settled.runs += 1;
        }
        // Good ones between two bad ones belong to the burst.
        let between = if self.burst_bad == 0 { 0 } else { u64::from(self.good) };
        self.burst_packets += between + 1;
        self.burst_bad += 1;
        self.good = 0;
    }

    fn end_burst(&mut self) {
        // One that stands alone is part of the gap.
        if self.burst_bad > 1 {
            self.settled.bursts += 1;
            self.settled.burst_packets += self.burst_packets;
            self.settled.burst_bad += self.burst_bad;
        }
        self.burst_packets = 0;
        self.burst_bad = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x` lost, `d` discarded, anything else good; the first is good.
    fn fed(story: &str) -> Bursts {
        let mut b = Bursts::default();
        let mut ahead = 1;
        for c in story.chars() {
            if c == 'x' {
                ahead += 1;
                continue;
            }
            b.newest(ahead);
            ahead = 1;
            if c == 'd' {
                b.discard(0);
            }
        }
        b
    }

    fn good(n: usize) -> String {
        ".".repeat(n)
    }

    // RFC 3611 §4.7.2: "a lost packet that is preceded and followed by at least Gmin good ones is in a gap".
    #[test]
    fn a_loss_that_stands_alone_is_in_a_gap() {
        let s = fed(&format!("{}x{}x{}", good(40), good(16), good(100))).spread();
        assert_eq!((s.packets, s.lost, s.bursts, s.runs), (158, 2, 0, 2));
        assert_eq!((s.burst_density(), s.burst_length()), (0.0, 0.0));
        assert!((s.gap_density() - 2.0 / 158.0).abs() < 1e-6 && s.gap_length() == 158.0);
    }

    #[test]
    fn losses_with_fewer_than_sixteen_good_ones_between_are_a_burst() {
        let s = fed(&format!("{}x{}x{}", good(40), good(15), good(100))).spread();
        assert_eq!((s.bursts, s.burst_packets, s.burst_bad, s.runs), (1, 17, 2, 2));
        assert_eq!((s.burst_length(), s.gap_density(), s.gap_length()), (17.0, 0.0, 70.0));
        assert!((s.burst_density() - 2.0 / 17.0).abs() < 1e-6);
    }

    // The example of RFC 3611 §4.7.2, with 1 received, 0 lost, X discarded: "11110111111111111111111X111X1011110111111111111111111X111111111".
    #[test]
    fn the_example_of_the_rfc_has_its_burst_where_the_rfc_has_it() {
        let story = "11110111111111111111111X111X1011110111111111111111111X111111111".replace('0', "x").replace('X', "d");
        let s = fed(&story).spread();
        // |----gap----||---burst---||---gap---|: from the first discarded to the last lost one before 18 good ones.
        assert_eq!((s.packets, s.lost, s.discarded), (63, 3, 3));
        assert_eq!((s.bursts, s.burst_packets, s.burst_bad), (1, 12, 4));
        assert!((s.burst_density() - 0.33).abs() < 0.01 && (s.gap_density() - 0.04).abs() < 0.01);
    }

    #[test]
    fn what_was_overtaken_is_not_lost_and_what_comes_far_behind_is() {
        let mut b = fed(&format!("{}x.", good(20)));
        assert_eq!(b.spread().lost, 1);
        b.late(1);
        assert_eq!(b.spread().lost, 0);
        b.late(40);
        let mut b = fed(&format!("{}x{}", good(20), good(40)));
        b.late(40);
        assert_eq!(b.spread().lost, 1);
    }

    #[test]
    fn an_outage_is_one_run_whatever_its_length() {
        for length in [31usize, 32, 33, 100, 2_999] {
            let s = fed(&format!("{}{}{}", good(50), "x".repeat(length), good(50))).spread();
            assert_eq!((s.packets, s.lost, s.runs, s.bursts), (100 + length as u64, length as u64, 1, 1), "{length}");
            assert_eq!(s.burst_length(), length as f32);
        }
        let mut b = fed(&good(10));
        b.newest(u32::MAX);
        assert!(b.spread().lost < 3_100);
    }

    // G.107 §7.5: 1 for random loss, above it for bursts.
    #[test]
    fn the_burst_ratio_is_of_runs_against_random_ones() {
        let alone = fed(&format!("{}x", good(19)).repeat(50)).spread();
        assert_eq!(alone.burst_ratio(), 1.0);
        let pairs = fed(&format!("{}xx", good(38)).repeat(50)).spread();
        assert!((pairs.burst_ratio() - 2.0 * 0.95).abs() < 0.01, "{}", pairs.burst_ratio());
        assert_eq!(Spread::default().burst_ratio(), 1.0);
    }

    #[test]
    fn a_new_start_settles_what_was_before() {
        let mut b = fed(&format!("{}xx.", good(20)));
        let before = b.spread();
        b.restart();
        b.newest(1);
        assert_eq!((before.lost, b.spread().lost, b.spread().packets), (2, 2, before.packets + 1));
        assert_eq!(b.spread().since(&before), Spread { packets: 1, ..Spread::default() });
    }

    proptest::proptest! {
        #[test]
        fn sums_agree_whatever_comes(steps in proptest::collection::vec((0u8..4, 0u32..80), 0..200)) {
            let mut b = Bursts::default();
            b.newest(1);
            for (kind, n) in steps {
                match kind {
                    0 => b.newest(n),
                    1 => b.late(n),
                    2 => b.discard(n),
                    _ => b.restart(),
                }
                let s = b.spread();
                proptest::prop_assert!(s.burst_packets <= s.packets && s.burst_bad <= s.bad() && s.bad() <= s.packets);
                proptest::prop_assert!(s.runs <= s.bad() && s.bursts * 2 <= s.burst_bad && s.burst_ratio() >= 1.0);
            }
        }
    }
}
