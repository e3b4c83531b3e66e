//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): 16 kHz in two bands, each coded as its difference from a prediction (SB-ADPCM).
//!
//! Names of blocks are those of clauses 3, 5 and 6. Arithmetic is in integers as there, so that two implementations agree to the bit. An
//! octet has the higher band's two bits above the lower band's six.

/// Coefficients of the quadrature mirror filters (table 11): even ones from the first on; odd ones are the same, backwards.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
/// Samples that the filters look back on.
const TAPS: usize = 24;
/// Samples by which the filters of both ways together delay.
pub const AHEAD: usize = 22;

/// Decision levels of the lower band's six bits (table 4), but for zero.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121, 1_219, 1_339, 1_458,
    1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// Output of the six-bit inverse quantizer, by code (table 4).
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232, -9_360, -8_576,
    -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360,
    -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576,
    6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432, 136, -432, -136,
];
/// Output of the four-bit inverse quantizer, which both sides predict by (table 4).
const QM4: [i32; 16] =
    [0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200, 0];
/// Output of the higher band's inverse quantizer (table 8).
const QM2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
/// By how much the logarithm of the lower band's step changes, by four-bit code (tables 4 and 14).
const WL: [i32; 16] = [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];
/// The same of the higher band, by code (tables 8 and 14).
const WH: [i32; 4] = [798, -214, 798, -214];
/// Powers of two from 2048 on, in 32 steps to the double (table 13).
const ILB: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774, 2_834, 2_896, 2_960,
    3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// One band's adaptive quantizer step and predictor: the same in encoder and decoder, because both are driven by the code alone.
#[derive(Clone, Debug)]
struct Band {
    /// Logarithm of the step, and the step (`NB`, `DET`).
    log_step: i32,
    step: i32,
    /// The signal's prediction, and the part of it that comes of the zeros (`S`, `SZ`).
    predicted: i32,
    zeros: i32,
    /// Reconstructed signal, partially reconstructed signal, and the coefficients of the poles, newest first (`R`, `P`, `A`).
    r: [i32; 2],
    p: [i32; 2],
    a: [i32; 2],
    /// Differences, newest first, and the coefficients of the zeros (`D`, `B`).
    d: [i32; 6],
    b: [i32; 6],
}

impl Band {
    fn new(step: i32) -> Band {
        Band { log_step: 0, step, predicted: 0, zeros: 0, r: [0; 2], p: [0; 2], a: [0; 2], d: [0; 6], b: [0; 6] }
    }

    /// `LOGSCL`, `SCALEL`, `LOGSCH`, `SCALEH`.
    fn adapt_step(&mut self, change: i32, most: i32, shift: i32) {
        self.log_step = (((self.log_step * 127) >> 7) + change).clamp(0, most);
        let mantissa = ILB[(self.log_step >> 6) as usize & 31];
        let exponent = shift - (self.log_step >> 11);
        self.step = (if exponent < 0 { mantissa << -exponent } else { mantissa >> exponent }) << 2;
    }

    /// Block 4: predictor adaptation and prediction, with the quantized difference `d`.
    fn predict(&mut self, d: i32) {
        let reconstructed = saturate(self.predicted + d);
        let partial = saturate(self.zeros + d);
        let same = |x: i32, y: i32| (x < 0) == (y < 0);

        // UPPOL2, UPPOL1
        let [a1, a2] = self.a;
        let four = saturate(a1 << 2);
        let towards = if same(partial, self.p[0]) { (-four).min(32_767) } else { four };
        let second = (towards >> 7) + if same(partial, self.p[1]) { 128 } else { -128 } + ((a2 * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let first = saturate(if same(partial, self.p[0]) { 192 } else { -192 } + ((a1 * 32_640) >> 15));
        let most = saturate(15_360 - second);
        let first = first.clamp(-most, most);

        // UPZERO
        let gain = if d == 0 { 0 } else { 128 };
        for (b, old) in self.b.iter_mut().zip(&self.d) {
            *b = saturate(if same(*old, d) { gain } else { -gain } + ((*b * 32_640) >> 15));
        }

        // DELAYA
        self.d.copy_within(0..5, 1);
        self.d[0] = d;
        self.r = [reconstructed, self.r[0]];
        self.p = [partial, self.p[0]];
        self.a = [first, second];

        // FILTEP, FILTEZ, PREDIC
        let poles = self.a.iter().zip(&self.r).map(|(a, r)| (a * saturate(r + r)) >> 15).sum();
        let zeros = self.b.iter().zip(&self.d).map(|(b, d)| (b * saturate(d + d)) >> 15).sum();
        self.zeros = saturate(zeros);
        self.predicted = saturate(saturate(poles) + self.zeros);
    }

    /// The lower band after a code, of which it needs four bits.
    fn lower(&mut self, code: i32) {
        let four = (code >> 2) as usize & 15;
        let d = (self.step * QM4[four]) >> 15;
        self.adapt_step(WL[four], 18_432, 8);
        self.predict(d);
    }

    /// The higher band after a code, with its quantized difference.
    fn higher(&mut self, code: usize, d: i32) {
        self.adapt_step(WH[code], 22_528, 10);
        self.predict(d);
    }
}

/// Both bands.
#[derive(Clone, Debug)]
struct Bands {
    low: Band,
    high: Band,
}

impl Bands {
    fn new() -> Bands {
        Bands { low: Band::new(32), high: Band::new(8) }
    }

    /// One octet of a pair of samples of the bands (clause 5.1.2 on).
    fn encode(&mut self, low: i32, high: i32) -> u8 {
        // QUANTL
        let e = saturate(low - self.low.predicted);
        let magnitude = if e < 0 { !e } else { e };
        let level = 1 + Q6.partition_point(|q| (q * self.low.step) >> 12 <= magnitude) as i32;
        let low = match (e < 0, level) {
            (true, 1 | 2) => 64 - level,
            (true, _) => 34 - level,
            (false, _) => 62 - level,
        };
        self.low.lower(low);

        // QUANTH
        let e = saturate(high - self.high.predicted);
        let magnitude = if e < 0 { !e } else { e };
        let large = magnitude >= (564 * self.high.step) >> 12;
        let high = match (e < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2usize,
        };
        self.high.higher(high, (self.high.step * QM2[high]) >> 15);
        ((high as i32) << 6 | low) as u8
    }

    /// The pair of samples of an octet (clause 6.2).
    fn decode(&mut self, octet: u8) -> (i32, i32) {
        let limit = |x: i32| x.clamp(-16_384, 16_383);
        let code = i32::from(octet & 0x3f);
        let low = limit(self.low.predicted + ((self.low.step * QM6[code as usize]) >> 15));
        self.low.lower(code);

        let code = usize::from(octet >> 6);
        let d = (self.high.step * QM2[code]) >> 15;
        let high = limit(self.high.predicted + d);
        self.high.higher(code, d);
        (low, high)
    }
}

/// What the mirror filters have seen, oldest first.
#[derive(Clone, Debug)]
struct Mirror([i32; TAPS]);

impl Mirror {
    fn push(&mut self, pair: [i32; 2]) {
        self.0.copy_within(2.., 0);
        self.0[TAPS - 2..].copy_from_slice(&pair);
    }

    /// Both bands of what was pushed. The filters' gain is 2^12, of two that are summed 2^13; and the bands have 15 bits.
    fn split(&self) -> (i32, i32) {
        let (even, odd) = self.sums();
        ((odd + even) >> 14, (odd - even) >> 14)
    }

    /// Sums of the even and of the odd taps.
    fn sums(&self) -> (i32, i32) {
        let pairs = self.0.as_chunks::<2>().0;
        let even = pairs.iter().zip(&QMF).map(|(x, q)| x[0] * q).sum();
        let odd = pairs.iter().zip(QMF.iter().rev()).map(|(x, q)| x[1] * q).sum();
        (even, odd)
    }
}

#[derive(Clone, Debug)]
pub struct Encoder {
    bands: Bands,
    seen: Mirror,
}

impl Encoder {
    pub fn new() -> Encoder {
        Encoder { bands: Bands::new(), seen: Mirror([0; TAPS]) }
    }

    /// Appends an octet for each two samples.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        for pair in pcm.as_chunks::<2>().0 {
            self.seen.push(pair.map(i32::from));
            let (low, high) = self.seen.split();
            out.push(self.bands.encode(low, high));
        }
    }
}

#[derive(Clone, Debug)]
pub struct Decoder {
    bands: Bands,
    made: Mirror,
    /// The last samples that were given: what [`Decoder::follow`] begins with.
    given: Mirror,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder { bands: Bands::new(), made: Mirror([0; TAPS]), given: Mirror([0; TAPS]) }
    }

    /// Appends two samples for each octet.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        let start = out.len();
        for octet in payload {
            let (low, high) = self.bands.decode(*octet);
            self.made.push([low + high, low - high]);
            let (even, odd) = self.made.sums();
            out.extend([odd, even].map(|x| saturate(x >> 11) as i16));
        }
        let given = &out[start..];
        for pair in given[given.len().saturating_sub(TAPS)..].as_chunks::<2>().0 {
            self.given.push(pair.map(i32::from));
        }
    }

    /// Goes on as if `pcm`, which stands for what was lost, had been received: what the other side's predictors did meanwhile was more
    /// like that than like standing still. `ahead`: the [`AHEAD`] samples after it, because the filters of both ways delay so much.
    pub fn follow(&mut self, pcm: &[i16], ahead: &[i16]) {
        let mut seen = self.given.clone();
        let (pairs, later) = (pcm.as_chunks::<2>().0, ahead.as_chunks::<2>().0);
        for (n, pair) in pairs.iter().chain(later).enumerate() {
            seen.push(pair.map(i32::from));
            if n < pcm.len() / 2 {
                self.given = seen.clone();
            }
            if n >= AHEAD / 2 {
                let (low, high) = seen.split();
                self.bands.encode(low, high);
                self.made.push([low + high, low - high]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conceal::Concealer;
    use super::*;

    fn sound(samples: usize) -> Vec<i16> {
        let hz = |n: usize, hz: f32| (std::f32::consts::TAU * hz * n as f32 / 16_000.0).sin();
        (0..samples)
            .map(|n| (3_000.0 * (hz(n, 180.0) + hz(n, 540.0) + 0.5 * hz(n, 2_160.0) + 0.2 * hz(n, 5_040.0))) as i16)
            .collect()
    }

    /// What ffmpeg makes of the same sound, both ways.
    #[test]
    fn octets_are_those_of_other_implementations() {
        let mut octets = Vec::new();
        Encoder::new().encode(&sound(64), &mut octets);
        assert_eq!(octets, OCTETS);
        let mut again = Vec::new();
        Decoder::new().decode(&octets, &mut again);
        assert_eq!(again, SAMPLES);
    }

    /// 20 ms lost: the error in the 20 ms after it, against what is heard without loss.
    #[test]
    fn a_decoder_that_follows_what_was_concealed_is_sooner_right_again() {
        let (mut followed, mut stood) = (0i64, 0i64);
        for lost in (10..40).step_by(3) {
            let mut octets = Vec::new();
            Encoder::new().encode(&sound(16_000), &mut octets);
            let packets: Vec<_> = octets.chunks(160).collect();
            let after = |follow: bool| {
                let mut decoder = Decoder::new();
                let mut concealer = Concealer::new(16_000);
                let mut out = Vec::new();
                for packet in &packets[..lost] {
                    decoder.decode(packet, &mut out);
                }
                concealer.heard(&mut out);
                let mut made = Vec::new();
                concealer.conceal(320, &mut made);
                concealer.ahead(AHEAD, &mut made);
                if follow {
                    decoder.follow(&made[..320], &made[320..]);
                }
                out.clear();
                decoder.decode(packets[lost + 1], &mut out);
                out
            };
            let mut right = Vec::new();
            Decoder::new().decode(&octets, &mut right);
            let right = &right[(lost + 1) * 320..][..320];
            let error =
                |heard: Vec<i16>| heard.iter().zip(right).map(|(a, b)| (i64::from(*a) - i64::from(*b)).pow(2)).sum::<i64>();
            followed += error(after(true));
            stood += error(after(false));
        }
        assert!(followed * 3 < stood, "{followed} {stood}");
    }

    const OCTETS: [u8; 32] = [
        250, 216, 42, 145, 46, 160, 160, 32, 160, 160, 38, 177, 249, 52, 183, 24, 25, 182, 56, 190, 177, 41, 176, 116, 110, 176,
        29, 216, 254, 23, 206, 83,
    ];
    const SAMPLES: [i16; 64] = [
        0, -1, -1, 0, 0, -1, -1, 0, -1, -2, 0, 5, -2, -11, -3, 10, 12, -20, -23, -12, 32, 53, 70, 131, 268, 426, 695, 1149, 2070,
        3498, 4960, 5811, 5673, 4460, 2982, 2196, 2187, 2650, 3181, 2874, 1596, 54, -951, -1399, -349, 1021, 1545, 1288, 821,
        112, -51, 1816, 3155, 4226, 5289, 4753, 3096, 3290, 3939, 4016, 5086, 5994, 4117, 2021,
    ];
}
