//! What people would say of a connection: the E-model (ITU-T G.107, 06/2015), from delay and loss to the rating R and a mean opinion
//! score.
//!
//! All that a switch cannot measure (loudness, sidetone, room and circuit noise, the echo of a telephone set) has its default of G.107
//! table 3, by which a clear connection is rated 93.2. What it can measure comes in a [`Path`].
//!
//! A codec is rated on the scale of its bandwidth: narrow-band by G.107; wideband by G.107.1, whose scale ends at 129 and is divided by
//! 1.29 for the score (G.107.1 Annex A). R is given on the scale of 0 to 100 always, as RFC 3611 §4.7.5 reports it, so a clear call
//! by a wideband codec is not above one by G.711: the score says what a network did to a call, not which codec sounds better.

/// Of a codec (ITU-T G.113): what it costs, and how well it bears loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Equipment impairment factor Ie, on the scale of the codec's bandwidth.
    pub ie: f32,
    /// Packet-loss robustness factor Bpl, for random loss.
    pub bpl: f32,
    pub wideband: bool,
}

impl Impairment {
    /// G.711 whose gaps are filled with silence (G.113 table I.2).
    pub const G711_BARE: Impairment = Impairment { ie: 0.0, bpl: 4.3, wideband: false };
    /// G.711 with concealment as in G.711 Appendix I (G.113 table I.2).
    pub const G711: Impairment = Impairment { ie: 0.0, bpl: 25.1, wideband: false };
    /// 64 kbit/s: Ie of G.113 Appendix IV. Its Bpl is assumed to be that of G.711 with concealment.
    pub const G722: Impairment = Impairment { ie: 13.0, bpl: 25.1, wideband: true };
    /// At rates that telephony uses. G.113 has no values for Opus: it is assumed to be a little better than G.722, which listening tests
    /// have found, and to bear loss like G.711 with concealment.
    pub const OPUS: Impairment = Impairment { ie: 8.0, bpl: 25.1, wideband: true };
    /// Wideband without coding; gaps are concealed.
    pub const LINEAR: Impairment = Impairment { ie: 0.0, bpl: 25.1, wideband: true };

    /// Ie,eff (G.107 §7.5): `loss` is a share, 0 to 1; `burst_ratio` is 1 where losses are random.
    fn effective(&self, loss: f32, burst_ratio: f32) -> f32 {
        let percent = loss.clamp(0.0, 1.0) * 100.0;
        self.ie + (95.0 - self.ie) * percent / (percent / burst_ratio.clamp(1.0, MOST_BURSTY) + self.bpl)
    }
}

/// Beyond this a burst ratio says that there were a few long gaps, for which the model was not made.
const MOST_BURSTY: f32 = 8.0;

/// What the network did to one direction of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// From mouth to ear, in ms: network, packet, jitter buffer.
    pub delay_ms: f32,
    /// Share of packets that were lost or came too late, 0 to 1.
    pub loss: f32,
    /// BurstR: mean length of a run of lost packets over what it would be were losses random; 1 or more.
    pub burst_ratio: f32,
}

/// Defaults of G.107 table 3, in dB but for `QDU`.
mod default {
    pub const SLR: f64 = 8.0;
    pub const RLR: f64 = 2.0;
    pub const STMR: f64 = 15.0;
    pub const LSTR: f64 = 18.0;
    pub const DS: f64 = 3.0;
    pub const TELR: f64 = 65.0;
    pub const WEPL: f64 = 110.0;
    pub const QDU: f64 = 1.0;
    pub const NC: f64 = -70.0;
    pub const NFOR: f64 = -64.0;
    pub const PS: f64 = 35.0;
    pub const PR: f64 = 35.0;
}

/// Ro,WB with the defaults of G.107.1, where the wideband scale ends.
const WIDEBAND: f64 = 129.0;

/// The rating R of a connection, 0 to 100.
pub fn rating(codec: Impairment, path: Path) -> f32 {
    let delay = f64::from(path.delay_ms.clamp(0.0, 10_000.0));
    let equipment = f64::from(codec.effective(path.loss, path.burst_ratio));
    let r = if codec.wideband {
        // Delay weighs as in the narrow-band model, by the share that it takes of the scale.
        (WIDEBAND - equipment) / 1.29 - delay_impairment(delay)
    } else {
        basic_signal_to_noise() - simultaneous_impairment(delay) - delay_impairment(delay) - equipment
    };
    r.clamp(0.0, 100.0) as f32
}

/// The mean opinion score of a conversation, MOS-CQE, 1 to 4.5 (G.107 Annex B).
pub fn mos(r: f32) -> f32 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        // The cubic dips below 1 for ratings under 6.5.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }
}

fn power(db: f64) -> f64 {
    10f64.powf(db / 10.0)
}

/// No: all noise at the 0 dBr point (G.107 §7.2).
fn noise() -> f64 {
    use default::*;
    let olr = SLR + RLR;
    let send_side = PS - SLR - DS - 100.0 + 0.004 * (PS - olr - DS - 14.0).powi(2);
    let effective_room = PR + 10.0 * (1.0 + power(10.0 - LSTR)).log10();
    let receive_side = RLR - 121.0 + effective_room + 0.008 * (effective_room - 35.0).powi(2);
    10.0 * (power(NC) + power(send_side) + power(receive_side) + power(NFOR + RLR)).log10()
}

/// Ro (G.107 §7.2).
fn basic_signal_to_noise() -> f64 {
    15.0 - 1.5 * (default::SLR + noise())
}

/// Is: too loud, sidetone, quantizing (G.107 §7.3). `delay` in ms.
fn simultaneous_impairment(delay: f64) -> f64 {
    use default::*;
    let olr = SLR + RLR;
    let x = olr + 0.2 * (64.0 + noise() - RLR);
    let too_loud = 20.0 * ((1.0 + (x / 8.0).powi(8)).powf(1.0 / 8.0) - x / 8.0);
    let stmr = -10.0 * (power(-STMR) + (-delay / 4.0).exp() * power(-TELR)).log10();
    let sidetone = 12.0 * (1.0 + ((stmr - 13.0) / 6.0).powi(8)).powf(1.0 / 8.0)
        - 28.0 * (1.0 + ((stmr + 1.0) / 19.4).powi(35)).powf(1.0 / 35.0)
        - 13.0 * (1.0 + ((stmr - 3.0) / 33.0).powi(13)).powf(1.0 / 13.0)
        + 29.0;
    let q = 37.0 - 15.0 * QDU.log10();
    let g = 1.07 + 0.258 * q + 0.0602 * q * q;
    let y = (basic_signal_to_noise() - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
    let z = 46.0 / 30.0 - g / 40.0;
    let quantizing = 15.0 * (1.0 + 10f64.powf(y) + 10f64.powf(z)).log10();
    too_loud + sidetone + quantizing
}

/// Id: talker's echo, listener's echo, absolute delay (G.107 §7.4). `delay` in ms is T and Ta; the round trip Tr is twice as long.
fn delay_impairment(delay: f64) -> f64 {
    use default::*;
    let no = noise();
    let terv = TELR - 40.0 * ((1.0 + delay / 10.0) / (1.0 + delay / 150.0)).log10() + 6.0 * (-0.3 * delay * delay).exp();
    let half = (-1.5 * (no - RLR) - (80.0 + 2.5 * (terv - 14.0))) / 2.0;
    let talker = (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-delay).exp());
    let half = (basic_signal_to_noise() - 10.5 * (WEPL + 7.0) * (2.0 * delay + 1.0).powf(-0.25)) / 2.0;
    let listener = half + (half * half + 169.0).sqrt();
    let absolute = if delay <= 100.0 {
        0.0
    } else {
        let x = (delay / 100.0).log2();
        25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
    };
    talker + listener + absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: Path = Path { delay_ms: 0.0, loss: 0.0, burst_ratio: 1.0 };

    fn g711(delay_ms: f32, loss: f32, burst_ratio: f32) -> f32 {
        rating(Impairment::G711, Path { delay_ms, loss, burst_ratio })
    }

    // G.107 §7.7: "the calculation results in a very high quality with a rating factor of R = 93.2"; Annex B: MOS 4.41.
    #[test]
    fn defaults_give_the_rating_of_the_recommendation() {
        let r = g711(0.0, 0.0, 1.0);
        assert!((r - 93.2).abs() < 0.05, "{r}");
        assert!((mos(r) - 4.41).abs() < 0.005, "{}", mos(r));
        assert_eq!(rating(Impairment::G711_BARE, CLEAR), r);
    }

    // G.107 table B.1: lower limits of the categories of users' satisfaction, as rounded there.
    #[test]
    fn scores_are_those_of_the_table() {
        for (r, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((mos(r) - score).abs() < 0.008, "{r}: {}", mos(r));
        }
        assert_eq!((mos(-3.0), mos(0.0), mos(3.0), mos(100.0), mos(120.0)), (1.0, 1.0, 1.0, 4.5, 4.5));
    }

    // Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl), with Bpl of G.113.
    #[test]
    fn loss_costs_what_the_formula_says() {
        let bare = |loss| rating(Impairment::G711_BARE, Path { loss, ..CLEAR });
        assert!((93.2 - bare(0.01) - 95.0 / 5.3).abs() < 0.1, "{}", bare(0.01));
        assert!((93.2 - g711(0.0, 0.01, 1.0) - 95.0 / 26.1).abs() < 0.1);
        assert!((93.2 - g711(0.0, 0.05, 2.0) - 95.0 * 5.0 / 27.6).abs() < 0.1);
        assert!(g711(0.0, 0.05, 2.0) < g711(0.0, 0.05, 1.0));
        assert_eq!(g711(0.0, 0.05, 8.0), g711(0.0, 0.05, 1_000.0));
    }

    // The usual approximation 0.024 d + 0.11 (d - 177.3) above 177.3 ms follows G.107 within a few points up to 400 ms.
    #[test]
    fn delay_costs_little_until_people_interrupt_each_other() {
        for d in [20.0f32, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0] {
            let usual = 93.2 - 0.024 * d - 0.11 * (d - 177.3).max(0.0);
            assert!((g711(d, 0.0, 1.0) - usual).abs() < 5.0, "{d} ms: {}, not {usual}", g711(d, 0.0, 1.0));
        }
        assert!(mos(g711(100.0, 0.0, 1.0)) > 4.3 && mos(g711(600.0, 0.0, 1.0)) < 3.1);
    }

    #[test]
    fn codecs_are_alike_where_nothing_goes_wrong() {
        for codec in [Impairment::G711, Impairment::G722, Impairment::OPUS, Impairment::LINEAR] {
            let score = mos(rating(codec, CLEAR));
            assert!((4.3..=4.5).contains(&score), "{codec:?}: {score}");
        }
    }

    proptest::proptest! {
        #[test]
        fn worse_is_never_rated_better(delay in 0f32..2_000.0, loss in 0f32..1.0, burst in 1f32..8.0, more in 0f32..0.3) {
            for codec in [Impairment::G711, Impairment::G711_BARE, Impairment::G722, Impairment::OPUS] {
                let r = rating(codec, Path { delay_ms: delay, loss, burst_ratio: burst });
                proptest::prop_assert!((0.0..=100.0).contains(&r) && (1.0..=4.5).contains(&mos(r)));
                let lossy = rating(codec, Path { delay_ms: delay, loss: loss + more, burst_ratio: burst });
                let slow = rating(codec, Path { delay_ms: delay * (1.0 + more), loss, burst_ratio: burst });
                proptest::prop_assert!(lossy <= r + 1e-3 && slow <= r + 1e-3, "{} {} {}", r, lossy, slow);
            }
        }

        #[test]
        fn no_number_makes_it_panic(delay in proptest::num::f32::ANY, loss in proptest::num::f32::ANY, burst in proptest::num::f32::ANY) {
            let r = rating(Impairment::G711, Path { delay_ms: delay, loss, burst_ratio: burst });
            proptest::prop_assert!(r.is_nan() || (0.0..=100.0).contains(&r));
        }
    }
}
