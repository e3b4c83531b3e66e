//! RTCP extended reports (RFC 3611): the reference time of a receiver (§4.4), the delay since it (§4.5), VoIP metrics (§4.7). Other
//! blocks are passed over.

use arrayvec::ArrayVec;

use super::rtcp::{EXTENDED_REPORT, LARGEST, head, put, u32_at};

const REFERENCE_TIME: u8 = 4;
const DELAYS: u8 = 5;
const VOIP: u8 = 7;

/// Words of a VoIP metrics block without its head.
const VOIP_WORDS: u16 = 8;

/// One block of an extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// When it was sent, by the sender's clock: 32.32 bits of seconds.
    ReferenceTime(u64),
    Delays(Delays<'a>),
    Voip(VoipMetrics),
    Other {
        block_type: u8,
    },
}

/// For one receiver: when its reference time came, so that it can tell the round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    pub ssrc: u32,
    /// Middle 32 bits of the reference time; 0: none has come.
    pub last_reference: u32,
    /// Since then, in 1/65536 s.
    pub delay: u32,
}

/// Delays of a block, one a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays<'a>(&'a [u8]);

impl Iterator for Delays<'_> {
    type Item = Delay;

    fn next(&mut self) -> Option<Delay> {
        let (d, rest) = self.0.split_first_chunk::<12>()?;
        self.0 = rest;
        Some(Delay { ssrc: u32_at(d, 0), last_reference: u32_at(d, 4), delay: u32_at(d, 8) })
    }
}

/// Where an 8-bit value of VoIP metrics is not known: levels, R and the scores.
pub const UNAVAILABLE: u8 = 127;

/// Call quality as the receiver of a source has it (§4.7). Shares are in 256ths, times in ms, scores in tenths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The source that is reported on.
    pub ssrc: u32,
    pub loss_rate: u8,
    pub discard_rate: u8,
    pub burst_density: u8,
    pub gap_density: u8,
    pub burst_ms: u16,
    pub gap_ms: u16,
    pub round_trip_ms: u16,
    pub end_system_delay_ms: u16,
    /// Good packets in a row that end a burst.
    pub gmin: u8,
    /// 0 to 100, or [`UNAVAILABLE`].
    pub r_factor: u8,
    /// 10 to 50, or [`UNAVAILABLE`].
    pub mos_lq: u8,
    pub mos_cq: u8,
    /// Concealment, kind of jitter buffer and its rate (§4.7.7).
    pub receiver: u8,
    pub buffer_nominal_ms: u16,
    pub buffer_maximum_ms: u16,
    pub buffer_absolute_ms: u16,
}

impl VoipMetrics {
    /// Levels, echo and the external R are left as not known: what is relayed is not looked into.
    fn words(&self) -> [[u8; 4]; VOIP_WORDS as usize] {
        let two = |a: u16, b: u16| [(a >> 8) as u8, a as u8, (b >> 8) as u8, b as u8];
        [
            self.ssrc.to_be_bytes(),
            [self.loss_rate, self.discard_rate, self.burst_density, self.gap_density],
            two(self.burst_ms, self.gap_ms),
            two(self.round_trip_ms, self.end_system_delay_ms),
            [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, self.gmin],
            [self.r_factor, UNAVAILABLE, self.mos_lq, self.mos_cq],
            [self.receiver, 0, (self.buffer_nominal_ms >> 8) as u8, self.buffer_nominal_ms as u8],
            two(self.buffer_maximum_ms, self.buffer_absolute_ms),
        ]
    }

    fn read(b: &[u8; VOIP_WORDS as usize * 4]) -> VoipMetrics {
        let two = |at: usize| (u32_at(b, at & !3) >> (if at.is_multiple_of(4) { 16 } else { 0 })) as u16;
        VoipMetrics {
            ssrc: u32_at(b, 0),
            loss_rate: b[4],
            discard_rate: b[5],
            burst_density: b[6],
            gap_density: b[7],
            burst_ms: two(8),
            gap_ms: two(10),
            round_trip_ms: two(12),
            end_system_delay_ms: two(14),
            gmin: b[19],
            r_factor: b[20],
            mos_lq: b[22],
            mos_cq: b[23],
            receiver: b[24],
            buffer_nominal_ms: two(26),
            buffer_maximum_ms: two(28),
            buffer_absolute_ms: two(30),
        }
    }
}

/// The blocks of an extended report; ends at the first whose length does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let &[block_type, _, high, low, ref rest @ ..] = self.0 else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])) * 4;
        let Some((body, rest)) = rest.split_at_checked(length) else {
            self.0 = &[];
            return None;
        };
        self.0 = rest;
        let read = match block_type {
            REFERENCE_TIME => body.first_chunk().map(|t| Block::ReferenceTime(u64::from_be_bytes(*t))),
            DELAYS => Some(Block::Delays(Delays(body))),
            VOIP => body.first_chunk().map(|b| Block::Voip(VoipMetrics::read(b))),
            _ => None,
        };
        Some(read.unwrap_or(Block::Other { block_type }))
    }
}

/// Adds an extended report of ours to a compound: nothing where there is nothing to say.
pub fn extend(
    out: &mut ArrayVec<u8, LARGEST>,
    ssrc: u32,
    reference: Option<u64>,
    delay: Option<Delay>,
    voip: Option<&VoipMetrics>,
) {
    let words =
        3 * u16::from(reference.is_some()) + 4 * u16::from(delay.is_some()) + (VOIP_WORDS + 1) * u16::from(voip.is_some());
    if words == 0 {
        return;
    }
    head(out, 0, EXTENDED_REPORT, words + 1);
    put(out, &ssrc.to_be_bytes());
    if let Some(ntp) = reference {
        put(out, &[REFERENCE_TIME, 0, 0, 2]);
        put(out, &ntp.to_be_bytes());
    }
    if let Some(d) = delay {
        put(out, &[DELAYS, 0, 0, 3]);
        for word in [d.ssrc, d.last_reference, d.delay] {
            put(out, &word.to_be_bytes());
        }
    }
    if let Some(voip) = voip {
        put(out, &[VOIP, 0, 0, VOIP_WORDS as u8]);
        for word in voip.words() {
            put(out, &word);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rtp::rtcp::{self, Rtcp};

    pub const VOIP_A: VoipMetrics = VoipMetrics {
        ssrc: 9,
        loss_rate: 1,
        discard_rate: 2,
        burst_density: 3,
        gap_density: 4,
        burst_ms: 0x0506,
        gap_ms: 0x0708,
        round_trip_ms: 0x090a,
        end_system_delay_ms: 0x0b0c,
        gmin: 16,
        r_factor: 93,
        mos_lq: 44,
        mos_cq: 43,
        receiver: 0b1011_0000,
        buffer_nominal_ms: 0x0d0e,
        buffer_maximum_ms: 0x0f10,
        buffer_absolute_ms: 0x1112,
    };

    fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
        let read = rtcp::parse(bytes).unwrap().find_map(|p| match p {
            Rtcp::ExtendedReport { ssrc: 7, blocks } => Some(blocks.collect()),
            _ => None,
        });
        read.unwrap_or_default()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = rtcp::compound(7, None, None, "f00@cordboard", false);
        let before = bytes.len();
        extend(&mut bytes, 7, None, None, None);
        assert_eq!(bytes.len(), before);
        let delay = Delay { ssrc: 9, last_reference: 0xaabb_ccdd, delay: 65_536 };
        extend(&mut bytes, 7, Some(0x0102_0304_0506_0708), Some(delay), Some(&VOIP_A));
        assert_eq!(bytes.len() % 4, 0);
        let read = blocks(&bytes);
        let [Block::ReferenceTime(0x0102_0304_0506_0708), Block::Delays(delays), Block::Voip(voip)] = read[..] else {
            panic!("{read:?}")
        };
        assert_eq!((delays.collect::<Vec<_>>(), voip), (vec![delay], VOIP_A));
    }

    // The layout of RFC 3611 §4.7, byte by byte.
    #[test]
    fn voip_metrics_lie_where_the_rfc_has_them() {
        let mut bytes = ArrayVec::new();
        extend(&mut bytes, 7, None, None, Some(&VOIP_A));
        let expected: [&[u8]; 10] = [
            &[0x80, 207, 0, 10, 0, 0, 0, 7],
            &[7, 0, 0, 8],
            &[0, 0, 0, 9],
            &[1, 2, 3, 4],
            &[5, 6, 7, 8],
            &[9, 10, 11, 12],
            &[127, 127, 127, 16],
            &[93, 127, 44, 43],
            &[0b1011_0000, 0, 13, 14],
            &[15, 16, 17, 18],
        ];
        assert_eq!(bytes[..], expected.concat());
    }

    #[test]
    fn unknown_and_cut_blocks_do_not_hide_what_came_before() {
        let unknown: &[u8] = &[200, 0, 0, 1, 1, 2, 3, 4];
        let time: &[u8] = &[4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let short: &[u8] = &[4, 0, 0, 1, 0, 0, 0, 1];
        let two: &[u8] = &[5, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6];
        let cut: &[u8] = &[7, 0, 0, 8, 0, 0, 0, 1];
        let body = [unknown, time, short, two, cut].concat();
        let words = (body.len() / 4 + 1) as u8;
        let bytes = [&[0x80, 207, 0, words, 0, 0, 0, 7][..], &body].concat();
        let read = blocks(&bytes);
        let [
            Block::Other { block_type: 200 },
            Block::ReferenceTime(0x1_0000_0002),
            Block::Other { block_type: 4 },
            Block::Delays(d),
        ] = read[..]
        else {
            panic!("{read:?}")
        };
        assert_eq!(d.map(|d| (d.ssrc, d.last_reference, d.delay)).collect::<Vec<_>>(), [(1, 2, 3), (4, 5, 6)]);
    }
}
