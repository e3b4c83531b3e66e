//! Writes what SIPp's `play_pcap_audio` plays: a capture of RTP with a tone and digits at given moments.
//! (SIPp sends it through a raw socket, so that only works as root; [`super::rtp::Peer`] works for everybody.)

use std::path::Path;
use std::time::Duration;

use super::rtp::{PTIME, Voice};

/// A tone of `length` with `digits` pressed where their moment comes.
pub fn write(path: &Path, hz: f64, length: Duration, digits: &[(Duration, &str)]) {
    let mut file = Vec::new();
    // Global header of libpcap's format: magic, version 2.4, no zone, no accuracy, snap length, Ethernet.
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut voice = Voice::new(hz, 0x7e57);
    let mut at = Duration::ZERO;
    while at < length {
        for (_, digits) in digits.iter().filter(|(moment, _)| (at..at + PTIME).contains(moment)) {
            voice.press(digits);
        }
        for (index, packet) in voice.tick().into_iter().enumerate() {
            record(&mut file, at + Duration::from_micros(index as u64), &packet);
        }
        at += PTIME;
    }
    std::fs::write(path, file).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn record(file: &mut Vec<u8>, at: Duration, payload: &[u8]) {
    let udp = 8 + payload.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((20 + udp).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]); // don't fragment, TTL 64, UDP; SIPp computes checksums itself
    frame.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    for word in [6_000u16, 6_000, udp, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    let length = frame.len() as u32;
    for word in [at.as_secs() as u32, at.subsec_micros(), length, length] {
        file.extend(word.to_le_bytes());
    }
    file.extend(frame);
}
