//! RTCP (RFC 3550 §6): sender and receiver reports, SDES with CNAME, BYE, extended reports (`xr`); other packets are passed over.

use arrayvec::ArrayVec;

use crate::clock::Mono;

use super::xr;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
pub(super) const EXTENDED_REPORT: u8 = 207;

/// What one report says of one source (§6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Since the start, 24 bits, signed.
    pub lost: i32,
    pub extended_newest: u32,
    /// In ticks.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; 0: none yet.
    pub last_report: u32,
    /// Since then, in 1/65536 s.
    pub delay: u32,
}

/// What a sender says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// 32.32 bits of seconds, of any clock.
    pub ntp: u64,
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp<'a> {
    SenderReport {
        ssrc: u32,
        sender: Sender,
        blocks: Blocks<'a>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Blocks<'a>,
    },
    /// SSRC of the first chunk.
    SourceDescription {
        ssrc: Option<u32>,
    },
    Goodbye {
        sources: Sources<'a>,
    },
    ExtendedReport {
        ssrc: u32,
        blocks: xr::Blocks<'a>,
    },
    Other {
        packet_type: u8,
    },
}

impl Rtcp<'_> {
    /// Who speaks, where the packet says so.
    pub fn ssrc(&self) -> Option<u32> {
        match self {
            Rtcp::SenderReport { ssrc, .. } | Rtcp::ReceiverReport { ssrc, .. } | Rtcp::ExtendedReport { ssrc, .. } => {
                Some(*ssrc)
            }
            Rtcp::SourceDescription { ssrc } => *ssrc,
            Rtcp::Goodbye { sources } => { *sources }.next(),
            Rtcp::Other { .. } => None,
        }
    }
}

/// The report blocks of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

const BLOCK: usize = 24;

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (b, rest) = self.0.split_first_chunk::<BLOCK>()?;
        self.0 = rest;
        let lost = u32_at(b, 4) & 0xff_ffff;
        Some(Block {
            ssrc: u32_at(b, 0),
            fraction_lost: b[4],
            lost: ((lost << 8) as i32) >> 8,
            extended_newest: u32_at(b, 8),
            jitter: u32_at(b, 12),
            last_report: u32_at(b, 16),
            delay: u32_at(b, 20),
        })
    }
}

/// The sources that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources<'a>(&'a [u8]);

impl Iterator for Sources<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*ssrc))
    }
}

/// Big-endian at a place that may be outside: then 0. Callers have checked lengths; this keeps a mistake from being a panic.
pub(super) fn u32_at(b: &[u8], at: usize) -> u32 {
    b.get(at..).and_then(|b| b.first_chunk()).map_or(0, |w| u32::from_be_bytes(*w))
}

/// The packets of a compound; ends at the first that is malformed.
#[derive(Clone, Debug)]
pub struct Compound<'a>(&'a [u8]);

/// Reads a datagram. `None` if it does not begin with an RTCP packet. Packets that are not part of a compound are taken as well (RFC
/// 5506); phones send them.
pub fn parse(bytes: &[u8]) -> Option<Compound<'_>> {
    let packets = Compound(bytes);
    packets.clone().next().map(|_| packets)
}

impl<'a> Iterator for Compound<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let &[first, packet_type, high, low, ..] = self.0 else { return None };
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        // 192 to 223 is what RFC 5761 §4 sets apart for RTCP.
        if first >> 6 != 2 || !(192..=223).contains(&packet_type) || length > self.0.len() {
            self.0 = &[];
            return None;
        }
        let (packet, rest) = self.0.split_at(length);
        self.0 = rest;
        let malformed = Rtcp::Other { packet_type };
        let Some(packet) = without_padding(packet) else { return Some(malformed) };
        let count = usize::from(first & 0x1f);
        let ssrc = (packet.len() >= 8).then(|| u32_at(packet, 4));
        let blocks = |at: usize| packet.get(at..at + count * BLOCK).map(Blocks);
        Some(match packet_type {
            SENDER_REPORT => match (ssrc, blocks(28)) {
                (Some(ssrc), Some(blocks)) => {
                    let ntp = u64::from(u32_at(packet, 8)) << 32 | u64::from(u32_at(packet, 12));
                    let sender =
                        Sender { ntp, timestamp: u32_at(packet, 16), packets: u32_at(packet, 20), octets: u32_at(packet, 24) };
                    Rtcp::SenderReport { ssrc, sender, blocks }
                }
                _ => malformed,
            },
            RECEIVER_REPORT => match (ssrc, blocks(8)) {
                (Some(ssrc), Some(blocks)) => Rtcp::ReceiverReport { ssrc, blocks },
                _ => malformed,
            },
            SOURCE_DESCRIPTION => Rtcp::SourceDescription { ssrc: ssrc.filter(|_| count > 0) },
            // The reason that may follow is for people.
            GOODBYE => packet.get(4..4 + count * 4).map_or(malformed, |b| Rtcp::Goodbye { sources: Sources(b) }),
            EXTENDED_REPORT => match (ssrc, packet.get(8..)) {
                (Some(ssrc), Some(blocks)) => Rtcp::ExtendedReport { ssrc, blocks: xr::Blocks(blocks) },
                _ => malformed,
            },
            _ => malformed,
        })
    }
}

/// A packet less its padding, which counts its own bytes in whole words (§6.4.1). `None` if that does not fit.
fn without_padding(packet: &[u8]) -> Option<&[u8]> {
    match packet {
        [first, .., last] if first & 0x20 != 0 => {
            let padding = usize::from(*last);
            let fits = padding > 0 && padding.is_multiple_of(4) && padding + 4 <= packet.len();
            fits.then(|| &packet[..packet.len() - padding])
        }
        _ => Some(packet),
    }
}

/// The largest compound that we write, with room for what SRTCP puts behind it.
pub const LARGEST: usize = 192;

/// A compound of ours (§6.1): a report, our CNAME, and a BYE at the end.
pub fn compound(ssrc: u32, sender: Option<Sender>, block: Option<Block>, cname: &str, bye: bool) -> ArrayVec<u8, LARGEST> {
    let mut out = ArrayVec::new();
    let count = u8::from(block.is_some());
    let words = if sender.is_some() { 6 } else { 1 } + u16::from(count) * 6;
    head(&mut out, count, if sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT }, words);
    put(&mut out, &ssrc.to_be_bytes());
    if let Some(s) = sender {
        put(&mut out, &s.ntp.to_be_bytes());
        for word in [s.timestamp, s.packets, s.octets] {
            put(&mut out, &word.to_be_bytes());
        }
    }
    if let Some(b) = block {
        put(&mut out, &b.ssrc.to_be_bytes());
        put(&mut out, &(u32::from(b.fraction_lost) << 24 | (b.lost as u32 & 0xff_ffff)).to_be_bytes());
        for word in [b.extended_newest, b.jitter, b.last_report, b.delay] {
            put(&mut out, &word.to_be_bytes());
        }
    }
    let cname = &cname.as_bytes()[..cname.len().min(24)];
    // SSRC, item type, length, text, at least one zero byte, up to a whole word.
    let chunk = (4 + 2 + cname.len() + 1).next_multiple_of(4);
    head(&mut out, 1, SOURCE_DESCRIPTION, (chunk / 4) as u16);
    put(&mut out, &ssrc.to_be_bytes());
    put(&mut out, &[1, cname.len() as u8]);
    put(&mut out, cname);
    put(&mut out, &[0; 4][..chunk - 6 - cname.len()]);
    if bye {
        goodbye(&mut out, ssrc);
    }
    out
}

/// Ends a compound: the last packet of a source (§6.6).
pub fn goodbye(out: &mut ArrayVec<u8, LARGEST>, ssrc: u32) {
    head(out, 1, GOODBYE, 1);
    put(out, &ssrc.to_be_bytes());
}

pub(super) fn head(out: &mut ArrayVec<u8, LARGEST>, count: u8, packet_type: u8, words: u16) {
    let [high, low] = words.to_be_bytes();
    put(out, &[0x80 | count, packet_type, high, low]);
}

/// 28 + 24 + 4 + 32 + 8 bytes at most are put, and an extended report of 8 + 12 + 16 + 36: nothing is ever cut, and SRTCP
/// has its room.
pub(super) fn put(out: &mut ArrayVec<u8, LARGEST>, bytes: &[u8]) {
    let cut = out.try_extend_from_slice(bytes);
    debug_assert!(cut.is_ok());
}

/// Our clock in NTP's format. It starts with the process, not in 1900: only differences mean something (§6.4.1 allows that), and the
/// core has no wall clock to ask.
pub fn ntp(now: Mono) -> u64 {
    ((u128::from(now.as_micros()) << 32) / 1_000_000) as u64
}

/// The middle 32 bits: 16.16 seconds.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_A: Block =
        Block { ssrc: 9, fraction_lost: 3, lost: -2, extended_newest: 0x1_0005, jitter: 17, last_report: 0xabcd, delay: 65_536 };

    #[test]
    fn what_is_written_is_read() {
        let sender = Sender { ntp: ntp(Mono::from_millis(1_500)), timestamp: 12, packets: 34, octets: 56 };
        let bytes = compound(7, Some(sender), Some(BLOCK_A), "f00@cordboard", true);
        assert_eq!(bytes.len() % 4, 0);
        let packets: Vec<_> = parse(&bytes).unwrap().collect();
        let Rtcp::SenderReport { ssrc: 7, sender: read, blocks } = packets[0] else { panic!("{packets:?}") };
        assert_eq!(read, sender);
        assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK_A]);
        let [_, Rtcp::SourceDescription { ssrc: Some(7) }, Rtcp::Goodbye { sources }] = &packets[..] else {
            panic!("{packets:?}")
        };
        assert_eq!(sources.collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn a_report_without_blocks_or_sender_is_the_least() {
        let bytes = compound(7, None, None, &"x".repeat(99), false);
        let packets: Vec<_> = parse(&bytes).unwrap().collect();
        assert!(matches!(packets[0], Rtcp::ReceiverReport { ssrc: 7, blocks: Blocks(&[]) }));
        assert_eq!(packets.len(), 2);
    }

    #[test]
    fn reading_stops_where_lengths_do_not_fit() {
        let mut bytes = compound(7, None, Some(BLOCK_A), "x", false).to_vec();
        assert_eq!(parse(&bytes[..20]).map(Iterator::count), None);
        assert_eq!(parse(&bytes[..36]).map(Iterator::count), Some(1));
        bytes[0] = 0x9f; // 31 blocks, of which one is there
        assert_eq!(parse(&bytes).unwrap().next(), Some(Rtcp::Other { packet_type: 201 }));
        assert!(parse(&[]).is_none());
        assert!(parse(&[0x80, 0, 0, 0]).is_none());
    }

    #[test]
    fn all_of_several_blocks_and_leaving_sources_are_read() {
        let one = compound(7, None, Some(BLOCK_A), "x", false);
        let block = &one[8..32];
        let report = [&[0x83, 201, 0, 19, 0, 0, 0, 7][..], block, block, block].concat();
        let bye = [&[0x82, 203, 0, 4, 0, 0, 0, 7, 0, 0, 0, 8, 5][..], b"ended", &[0, 0]].concat();
        let bytes = [report, bye].concat();
        let packets: Vec<_> = parse(&bytes).unwrap().collect();
        let [Rtcp::ReceiverReport { blocks, .. }, Rtcp::Goodbye { sources }] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!((blocks.count(), sources.collect::<Vec<_>>()), (3, vec![7, 8]));
    }

    #[test]
    fn padding_is_not_read_as_content() {
        // An extended report of one block, padded by what looks like another.
        let padded = |pad: u8| [0xa0, 207, 0, 5, 0, 0, 0, 7, 4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 200, 0, 0, pad];
        let count = |bytes: [u8; 24]| match parse(&bytes).unwrap().next() {
            Some(Rtcp::ExtendedReport { blocks, .. }) => Some(blocks.count()),
            _ => None,
        };
        assert_eq!((count(padded(4)), count(padded(0)), count(padded(5)), count(padded(24))), (Some(1), None, None, None));
    }

    #[test]
    fn the_largest_compound_holds_all_that_we_ever_say() {
        let sender = Sender { ntp: 1, timestamp: 2, packets: 3, octets: 4 };
        let mut bytes = compound(7, Some(sender), Some(BLOCK_A), &"x".repeat(99), false);
        xr::extend(&mut bytes, 7, Some(1), Some(xr::Delay::default()), Some(&xr::tests::VOIP_A));
        goodbye(&mut bytes, 7);
        assert_eq!(parse(&bytes).unwrap().count(), 4);
        assert!(bytes.len() + super::super::srtp::GROWTH <= LARGEST);
    }

    #[test]
    fn ntp_time_counts_seconds_in_32_32_bits() {
        assert_eq!(ntp(Mono::from_millis(2_500)), 2 << 32 | 1 << 31);
        assert_eq!(middle(2 << 32 | 1 << 31), 2 << 16 | 1 << 15);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 4..160), kind in 198u8..209, words in 0u8..40) {
            bytes[0] = 0x80 | (bytes[0] & 0x3f);
            bytes[1] = kind;
            bytes[2] = 0;
            bytes[3] = words;
            for packet in parse(&bytes).into_iter().flatten() {
                match packet {
                    Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => {
                        proptest::prop_assert!(blocks.count() <= 31);
                    }
                    Rtcp::Goodbye { sources } => proptest::prop_assert!(sources.count() <= 31),
                    Rtcp::ExtendedReport { blocks, .. } => {
                        for block in blocks {
                            if let xr::Block::Delays(delays) = block {
                                proptest::prop_assert!(delays.count() <= 40);
                            }
                        }
                    }
                    Rtcp::SourceDescription { .. } | Rtcp::Other { .. } => {}
                }
            }
        }
    }
}
