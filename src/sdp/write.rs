//! Writes our descriptions: the least that every phone understands, in the order of RFC 8866 §5.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;

use crate::codec::Codec;

use super::browser::{Fingerprint, IceAgent, IceCredentials, Setup};
use super::crypto::Crypto;
use super::direction::Direction;
use super::negotiation::{Local, Shape};
use super::xr;

/// The audio line of a description of ours.
#[derive(Clone, Copy, Debug)]
pub struct OurAudio<'a> {
    /// With the payload type that each has.
    pub codecs: &'a [(u8, Codec)],
    /// telephone-event: payload type and clock rate.
    pub events: &'a [(u8, u32)],
    pub direction: Direction,
    pub ptime_ms: u8,
    /// Extended reports are asked for: in every offer, in an answer where the offer knows of them (RFC 3611 §5.2).
    pub extended: bool,
    /// Our keys.
    pub crypto: &'a [Crypto],
    /// It is over DTLS.
    pub dtls: Option<&'a Secured>,
}

/// What our audio line says of ICE and DTLS.
#[derive(Clone, Debug)]
pub struct Secured {
    pub agent: IceAgent,
    pub ice: IceCredentials,
    pub fingerprint: Fingerprint,
    pub setup: Setup,
    /// The peer has its lines on one port.
    pub is_bundled: bool,
}

/// All below the `o=` line: a version counts up when this changes.
pub fn rest(local: &Local, lines: &[Shape], audio_at: usize, audio: &OurAudio<'_>) -> String {
    let mut out = String::with_capacity(256);
    let family = if local.address.is_ipv4() { "IP4" } else { "IP6" };
    let _ = write!(out, "s=-\r\nc=IN {family} {}\r\nt=0 0\r\n", local.address);
    if let Some(secured) = audio.dtls {
        out.push_str(match secured.agent {
            IceAgent::Lite => "a=ice-lite\r\n",
            // It nominates as RFC 8445 has it (§10).
            IceAgent::Full => "a=ice-options:ice2\r\n",
        });
        if let Some(mid) = lines.get(audio_at).and_then(|l| l.mid.as_ref()).filter(|_| secured.is_bundled) {
            let _ = write!(out, "a=group:BUNDLE {mid}\r\n");
        }
    }
    for (i, line) in lines.iter().enumerate() {
        if i == audio_at {
            write_audio(&mut out, local, line, audio);
        } else {
            // Refused, or not used any more: port 0, the formats repeated (RFC 3264 §6).
            let _ = write!(out, "m={} 0 {} {}\r\n", line.kind, line.transport, line.formats);
            write_mid(&mut out, line);
        }
    }
    out
}

fn write_mid(out: &mut String, line: &Shape) {
    if let Some(mid) = &line.mid {
        let _ = write!(out, "a=mid:{mid}\r\n");
    }
}

fn write_audio(out: &mut String, local: &Local, line: &Shape, audio: &OurAudio<'_>) {
    let _ = write!(out, "m=audio {} {}", local.port, line.transport);
    for (payload_type, _) in audio.codecs {
        let _ = write!(out, " {payload_type}");
    }
    for (event, _) in audio.events {
        let _ = write!(out, " {event}");
    }
    out.push_str("\r\n");
    for (payload_type, codec) in audio.codecs {
        let channels = if codec.channels() == 1 { String::new() } else { format!("/{}", codec.channels()) };
        let _ = write!(out, "a=rtpmap:{payload_type} {}/{}{channels}\r\n", codec.name(), codec.clock_rate());
        if *codec == Codec::Opus {
            // What we understand (RFC 7587 §6.1): one channel is encoded, and packets protect the ones before them.
            let _ = write!(out, "a=fmtp:{payload_type} useinbandfec=1\r\n");
        }
    }
    for (event, clock_rate) in audio.events {
        // Events 0 to 15: digits, star, pound, A to D.
        let _ = write!(out, "a=rtpmap:{event} telephone-event/{clock_rate}\r\na=fmtp:{event} 0-15\r\n");
    }
    if audio.extended {
        out.push_str(xr::OURS);
    }
    for crypto in audio.crypto {
        let _ = write!(out, "a=crypto:{crypto}\r\n");
    }
    let _ = write!(out, "a=ptime:{}\r\na={}\r\n", audio.ptime_ms, audio.direction.name());
    write_mid(out, line);
    if let Some(secured) = audio.dtls {
        write_secured(out, local, secured);
    }
}

/// One candidate, our own address (RFC 8445 §5.2), at the highest priority of its kind (§5.1.2.1). The stream has a name because pages
/// play what comes with one.
fn write_secured(out: &mut String, local: &Local, secured: &Secured) {
    let Secured { ice, fingerprint, setup, .. } = secured;
    let _ = write!(out, "a=msid:cordboard audio\r\na=rtcp-mux\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ice.ufrag, ice.pwd);
    let _ = write!(out, "a=fingerprint:{fingerprint}\r\na=setup:{}\r\n", setup.name());
    let _ = write!(out, "a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n", local.address, local.port);
}

/// The whole body.
pub fn body(local: &Local, version: u64, rest: &str) -> Bytes {
    let family = match local.address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    format!("v=0\r\no=- {} {version} IN {family} {}\r\n{rest}", local.session_id, local.address).into()
}
