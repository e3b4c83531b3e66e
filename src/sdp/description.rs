//! A peer's description as values.
//!
//! `sdp-types` reads the lines; what it is too strict for is mended before (`tidy`), and what attributes mean is read here. Only what
//! a call needs is kept: time, bandwidth, e-mail and keys of RFC 8866 are passed over.

use std::net::{IpAddr, SocketAddr};

use crate::codec::Codec;

use super::address;
use super::browser::{Fingerprint, IceCredentials, Setup, TheirDtls};
use super::candidate::{self, Candidate, Candidates};
use super::crypto::Crypto;
use super::direction::Direction;
use super::xr::Extended;

/// Why a body is not a description that we can use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("session description of {bytes} bytes is too long")]
    TooLong { bytes: usize },
    #[error("session description with more than {limit} media lines")]
    TooManyLines { limit: usize },
    #[error("session description is malformed at line {line}")]
    Malformed { line: usize },
    #[error("session description has no v=0 line")]
    NoVersion,
}

impl SdpError {
    /// SIP status that says so to the peer.
    pub fn status(&self) -> u16 {
        match self {
            SdpError::TooLong { .. } => 413,
            SdpError::TooManyLines { .. } | SdpError::Malformed { .. } | SdpError::NoVersion => 400,
        }
    }
}

/// A whole description: its `m=` lines in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `<sess-id>` and `<sess-version>` of `o=`; a repeated version means an unchanged body (RFC 3264 §8).
    pub session_id: String,
    pub version: u64,
    /// The `a=mid` of those that `a=group:BUNDLE` has on one port (RFC 8843).
    pub bundle: Vec<String>,
    pub lines: Vec<Line>,
}

/// One `m=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `audio`, `video`, `image`, …
    pub kind: String,
    pub port: u16,
    pub transport: Transport,
    /// The formats as written.
    pub formats: String,
    /// `a=mid` (RFC 5888).
    pub mid: Option<String>,
    /// Read in full where it is audio over RTP with a port, and keys, if any, by `a=crypto`, or as browsers have it over DTLS.
    pub audio: Option<Audio>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `RTP/AVP`
    Avp,
    /// `RTP/AVPF` (RFC 4585): plain RTP with faster feedback; taken as RTP/AVP.
    Avpf,
    /// `RTP/SAVP` (RFC 3711).
    Savp,
    /// `RTP/SAVPF` (RFC 5124), taken as RTP/SAVP.
    Savpf,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764), which browsers have.
    DtlsSavpf,
    /// `UDP/TLS/RTP/SAVP`: the same without faster feedback.
    DtlsSavp,
    /// Anything else, refused: `udptl`, `TCP/TLS/RTP/SAVP`.
    Other(String),
}

impl Transport {
    pub fn name(&self) -> &str {
        match self {
            Transport::Avp => "RTP/AVP",
            Transport::Avpf => "RTP/AVPF",
            Transport::Savp => "RTP/SAVP",
            Transport::Savpf => "RTP/SAVPF",
            Transport::DtlsSavpf => "UDP/TLS/RTP/SAVPF",
            Transport::DtlsSavp => "UDP/TLS/RTP/SAVP",
            Transport::Other(name) => name,
        }
    }

    /// Nothing may go in the clear over it.
    pub fn is_secure(&self) -> bool {
        match self {
            Transport::Savp | Transport::Savpf | Transport::DtlsSavpf | Transport::DtlsSavp => true,
            Transport::Avp | Transport::Avpf | Transport::Other(_) => false,
        }
    }
}

/// An audio stream that the peer offers or answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// `None`: 0.0.0.0, a name, or an address that we refuse.
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    /// The connection address is 0.0.0.0 or `::`: hold as RFC 2543 had it.
    pub zero_address: bool,
    /// In the peer's order of preference.
    pub formats: Vec<Format>,
    /// As the peer wrote it, from its side.
    pub direction: Direction,
    pub ptime_ms: Option<u8>,
    pub max_ptime_ms: Option<u8>,
    /// The extended reports that it asks for; `None`: it says nothing of them.
    pub extended: Option<Extended>,
    /// The line says that nothing may go in the clear.
    pub secure: bool,
    /// Keys with suites that we have, in the peer's order. On a line that is not secure they are a wish: some phones ask so for
    /// encryption that they can do without.
    pub crypto: Vec<Crypto>,
    /// It has keys, of whatever kind.
    pub has_keys: bool,
    /// It is over DTLS: whose it is. Such a line's addresses are not read.
    pub dtls: Option<TheirDtls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    /// `None`: a codec that we have not, or telephone-event.
    pub codec: Option<Codec>,
    /// RFC 4733, at `clock_rate`.
    pub telephone_event: bool,
    pub name: String,
    pub clock_rate: u32,
    pub fmtp: Option<String>,
}

impl Audio {
    /// What the peer has of telephone-event, in its order: payload types with their clocks in Hz.
    pub fn telephone_events(&self) -> impl Iterator<Item = (u8, u32)> {
        self.formats.iter().filter(|f| f.telephone_event).map(|f| (f.payload_type, f.clock_rate))
    }

    /// The one to use beside sound of this clock: one stream has one (RFC 4733 §2.1). Peers that have none but another one mean that.
    pub fn telephone_event(&self, clock_rate: u32) -> Option<(u8, u32)> {
        self.telephone_events().find(|(_, clock)| *clock == clock_rate).or_else(|| self.telephone_events().next())
    }

    /// Whether `usedtx=1` is among the parameters of a payload type.
    pub fn asks_for_dtx(&self, payload_type: u8) -> bool {
        let parameters = self.formats.iter().find(|f| f.payload_type == payload_type).and_then(|f| f.fmtp.as_deref());
        parameters.is_some_and(|p| p.split(';').any(|p| p.trim().eq_ignore_ascii_case("usedtx=1")))
    }

    /// Packet length that we send to this peer, in ms: what it asks for, in whole 10 ms, at most `maxptime`; 20 unless it asks.
    pub fn ptime_to_send(&self) -> u8 {
        let asked = self.ptime_ms.unwrap_or(20).min(self.max_ptime_ms.unwrap_or(u8::MAX));
        (asked / 10 * 10).clamp(10, 60)
    }
}

impl Description {
    /// Longest body that is read. An offer of a browser with all its candidates is about 8 kB.
    pub const LONGEST: usize = 16 * 1024;
    /// Most `m=` lines that are read: an answer repeats each.
    pub const MOST_LINES: usize = 32;

    /// Reads a body, tolerantly: a missing `t=`, `s=` or `o=`, LF alone, doubled spaces, unknown lines and attributes, bytes that are
    /// not UTF-8 are no fault.
    pub fn parse(body: &[u8]) -> Result<Description, SdpError> {
        if body.len() > Self::LONGEST {
            return Err(SdpError::TooLong { bytes: body.len() });
        }
        let tidy = tidy(body)?;
        let session = sdp_types::Session::parse(tidy.as_bytes()).map_err(|e| SdpError::Malformed { line: line_of(&e) })?;
        let level = Level {
            connection: session.connection.as_ref(),
            direction: direction(&session.attributes),
            extended: extended(&session.attributes),
            attributes: &session.attributes,
        };
        let bundle = values_of(&session.attributes, "group").find_map(|v| v.strip_prefix("BUNDLE ")).unwrap_or_default();
        Ok(Description {
            session_id: session.origin.sess_id.clone(),
            version: session.origin.sess_version,
            bundle: bundle.split_ascii_whitespace().take(Self::MOST_LINES).map(str::to_owned).collect(),
            lines: session.medias.iter().map(|m| line(m, &level)).collect(),
        })
    }

    /// The audio lines that can be taken, in order.
    pub fn audios(&self) -> impl Iterator<Item = (usize, &Audio)> {
        self.lines.iter().enumerate().filter_map(|(i, l)| l.audio.as_ref().map(|a| (i, a)))
    }

    /// The first of them.
    pub fn audio(&self) -> Option<(usize, &Audio)> {
        self.audios().next()
    }
}

/// What the session level says for lines that say nothing.
struct Level<'a> {
    connection: Option<&'a sdp_types::Connection>,
    direction: Option<Direction>,
    extended: Option<Extended>,
    attributes: &'a [sdp_types::Attribute],
}

/// The lines that are read (`v o s c t m a`), mended where phones err in ways that mean no harm. The first of repeated `o=`, `s=`
/// and session `c=` lines counts.
fn tidy(body: &[u8]) -> Result<String, SdpError> {
    let mut out = String::with_capacity(body.len() + 16);
    let mut media = 0usize;
    let (mut versions, mut origins, mut names, mut connections) = (0, 0, 0, 0);
    for (number, raw) in body.split(|b| *b == b'\n').enumerate() {
        // No control character gets further: parts of these lines are repeated in our answer.
        let text = String::from_utf8_lossy(raw).replace(char::is_control, " ");
        let text = text.trim();
        let Some((key, value)) = text.split_once('=') else { continue };
        let words = || value.split_ascii_whitespace();
        let value = match key {
            "v" if versions == 0 && media == 0 => {
                versions = 1;
                value.trim().to_owned()
            }
            "o" if origins == 0 && media == 0 => {
                let Some(origin) = origin(words().collect()) else { continue };
                origins = 1;
                origin
            }
            "s" if names == 0 && media == 0 => {
                names = 1;
                "-".to_owned()
            }
            "c" => {
                if media == 0 {
                    if connections == 1 {
                        continue;
                    }
                    connections = 1;
                }
                if words().count() != 3 {
                    return Err(SdpError::Malformed { line: number + 1 });
                }
                join(words())
            }
            "m" => {
                media += 1;
                if media > Description::MOST_LINES {
                    return Err(SdpError::TooManyLines { limit: Description::MOST_LINES });
                }
                let port = words().nth(1).and_then(|p| p.split('/').next()).and_then(|p| p.parse::<u16>().ok());
                if words().count() < 4 || port.is_none() {
                    return Err(SdpError::Malformed { line: number + 1 });
                }
                join(words())
            }
            "a" => value.trim().to_owned(),
            _ => continue,
        };
        if out.is_empty() && (key != "v" || value != "0") {
            return Err(SdpError::NoVersion);
        }
        out.push_str(key);
        out.push('=');
        out.push_str(&value);
        out.push_str("\r\n");
    }
    if out.is_empty() { Err(SdpError::NoVersion) } else { Ok(out) }
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// `o=` with a user name of several words made one, and numbers that are none made 0. `None` where too much is missing: then the
/// line is as good as absent.
fn origin(words: Vec<&str>) -> Option<String> {
    let [user @ .., id, version, net, kind, address] = words.as_slice() else { return None };
    let token = |t: &&str| t.bytes().all(|b| b.is_ascii_alphanumeric());
    if ![net, kind].into_iter().all(token) {
        return None;
    }
    let user = if user.is_empty() { "-".to_owned() } else { user.join("_") };
    let version = version.parse::<u64>().unwrap_or(0);
    Some(format!("{user} {id} {version} {net} {kind} {address}"))
}

fn line_of(error: &sdp_types::ParserError) -> usize {
    use sdp_types::ParserError as E;
    #[allow(deprecated, reason = "the enum still has them")]
    match error {
        E::UnexpectedLine(n, _)
        | E::InvalidLineFormat(n, _)
        | E::InvalidFieldEncoding(n, _)
        | E::InvalidFieldFormat(n, _)
        | E::MissingField(n, _)
        | E::FieldTrailingData(n, _)
        | E::InvalidVersion(n, _)
        | E::MultipleVersions(n)
        | E::MultipleOrigins(n)
        | E::MultipleSessionNames(n)
        | E::MultipleSessionDescription(n)
        | E::MultipleUris(n)
        | E::MultipleConnections(n)
        | E::MultipleTimeZones(n)
        | E::MultipleMediaTitles(n)
        | E::MultipleKeys(n)
        | E::RepeatWithoutTime(n) => *n,
        E::NoVersion | E::NoOrigin | E::NoSessionName => 0,
    }
}

fn line(media: &sdp_types::Media, level: &Level<'_>) -> Line {
    let transport = match media.proto.as_str() {
        t if t.eq_ignore_ascii_case("RTP/AVP") => Transport::Avp,
        t if t.eq_ignore_ascii_case("RTP/AVPF") => Transport::Avpf,
        t if t.eq_ignore_ascii_case("RTP/SAVP") => Transport::Savp,
        t if t.eq_ignore_ascii_case("RTP/SAVPF") => Transport::Savpf,
        t if t.eq_ignore_ascii_case("UDP/TLS/RTP/SAVPF") => Transport::DtlsSavpf,
        t if t.eq_ignore_ascii_case("UDP/TLS/RTP/SAVP") => Transport::DtlsSavp,
        other => Transport::Other(other.to_owned()),
    };
    let speaks = media.port != 0 && media.media.eq_ignore_ascii_case("audio");
    let read = || audio(media, level, transport.is_secure());
    let audio = match transport {
        Transport::Avp | Transport::Avpf | Transport::Savp | Transport::Savpf => speaks.then(read),
        Transport::DtlsSavpf | Transport::DtlsSavp => {
            dtls(media, level).filter(|_| speaks).map(|dtls| Audio { dtls: Some(dtls), ..unaddressed(read()) })
        }
        Transport::Other(_) => None,
    };
    Line {
        kind: media.media.clone(),
        port: media.port,
        mid: value_of(&media.attributes, "mid").filter(|m| is_token(m)).map(str::to_owned),
        audio,
        transport,
        formats: media.fmt.clone(),
    }
}

/// RFC 8866 §9; a peer's is repeated in our answer.
fn is_token(text: &str) -> bool {
    let extra = |b| b"!#$%&'*+-.^_`{|}~".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra(b))
}

/// Whose a line over DTLS is; each attribute may stand at either level. `None` without RTCP on the same port (RFC 5761), which every
/// browser offers: there is one path to it.
fn dtls(media: &sdp_types::Media, level: &Level<'_>) -> Option<TheirDtls> {
    let attribute = |name: &'static str| value_of(&media.attributes, name).or_else(|| value_of(level.attributes, name));
    let mut fingerprints = values_of(&media.attributes, "fingerprint").chain(values_of(level.attributes, "fingerprint"));
    let is_lite = level.attributes.iter().any(|a| a.attribute.trim().eq_ignore_ascii_case("ice-lite"));
    let mut candidates = Candidates::new();
    candidate::add(&mut candidates, values_of(&media.attributes, "candidate").filter_map(Candidate::read));
    let is_muxed = media.attributes.iter().any(|a| a.attribute.trim().eq_ignore_ascii_case("rtcp-mux"));
    is_muxed.then_some(TheirDtls {
        ice: IceCredentials::read(attribute("ice-ufrag")?, attribute("ice-pwd")?)?,
        fingerprint: fingerprints.find_map(Fingerprint::read)?,
        setup: attribute("setup").map_or(Some(Setup::Actpass), Setup::read)?,
        is_lite,
        candidates,
    })
}

/// ICE finds where a browser is; until it has, browsers write 0.0.0.0, which is no hold.
fn unaddressed(audio: Audio) -> Audio {
    Audio { remote: None, remote_rtcp: None, zero_address: false, ..audio }
}

/// Most keys of a line that are looked at.
const MOST_KEYS: usize = 16;

fn audio(media: &sdp_types::Media, level: &Level<'_>, secure: bool) -> Audio {
    let attribute = |name: &'static str| value_of(&media.attributes, name);
    let stated = media.connections.first().or(level.connection).and_then(|c| address::parse(&c.connection_address));
    let fit = stated.filter(|a| address::is_fit(*a));
    Audio {
        remote: fit.map(|a| SocketAddr::new(a, media.port)),
        remote_rtcp: fit.and_then(|a| rtcp(attribute("rtcp"), a, media.port)),
        zero_address: stated.is_some_and(|a| a.is_unspecified()),
        formats: formats(media),
        direction: direction(&media.attributes).or(level.direction).unwrap_or_default(),
        ptime_ms: attribute("ptime").and_then(milliseconds),
        max_ptime_ms: attribute("maxptime").and_then(milliseconds),
        extended: extended(&media.attributes).or(level.extended),
        secure,
        has_keys: values_of(&media.attributes, "crypto").next().is_some(),
        crypto: values_of(&media.attributes, "crypto").take(MOST_KEYS).filter_map(Crypto::parse).collect(),
        dtls: None,
    }
}

/// Where RTCP goes: the port above, unless `a=rtcp:port [IN IP4 address]` (RFC 3605) says otherwise.
fn rtcp(attribute: Option<&str>, address: IpAddr, port: u16) -> Option<SocketAddr> {
    let above = || port.checked_add(1).map(|p| SocketAddr::new(address, p));
    let Some(text) = attribute else { return above() };
    let mut words = text.split_ascii_whitespace();
    let Some(port) = words.next().and_then(|p| p.parse::<u16>().ok()).filter(|p| *p != 0) else { return above() };
    match words.nth(2) {
        None => Some(SocketAddr::new(address, port)),
        Some(other) => address::parse(other).filter(|a| address::is_fit(*a)).map(|a| SocketAddr::new(a, port)),
    }
}

/// A bare `a=rtcp-xr` asks for nothing, but knows of it.
fn extended(attributes: &[sdp_types::Attribute]) -> Option<Extended> {
    let of_it = |a: &&sdp_types::Attribute| a.attribute.trim().eq_ignore_ascii_case("rtcp-xr");
    attributes.iter().find(of_it).map(|a| Extended::parse(a.value.as_deref().unwrap_or_default()))
}

/// Some phones write `20.0`.
fn milliseconds(text: &str) -> Option<u8> {
    let whole = text.split(['.', ' ']).next()?;
    whole.parse::<u16>().ok().filter(|ms| *ms > 0).map(|ms| u8::try_from(ms).unwrap_or(u8::MAX))
}

/// Most formats of a line that are read.
const MOST_FORMATS: usize = 64;

fn formats(media: &sdp_types::Media) -> Vec<Format> {
    let mut out: Vec<Format> = Vec::new();
    for word in media.fmt.split_ascii_whitespace().take(MOST_FORMATS) {
        let Some(payload_type) = word.parse::<u8>().ok().filter(|n| *n < 128) else { continue };
        if out.iter().any(|f| f.payload_type == payload_type) {
            continue;
        }
        let mapped = numbered(&media.attributes, "rtpmap", payload_type).and_then(rtpmap);
        let fixed = || Codec::from_payload_type(payload_type).map(|c| (c.name().to_owned(), c.clock_rate(), c.channels()));
        let (name, clock_rate, channels) = mapped.or_else(fixed).unwrap_or_default();
        out.push(Format {
            payload_type,
            codec: Codec::named(&name, clock_rate, channels),
            telephone_event: channels == 1 && name.eq_ignore_ascii_case("telephone-event"),
            name,
            clock_rate,
            fmtp: numbered(&media.attributes, "fmtp", payload_type).map(str::to_owned),
        });
    }
    out
}

/// `name/clock rate[/channels]`; channels that are no number are none that we have.
fn rtpmap(text: &str) -> Option<(String, u32, u8)> {
    let mut parts = text.trim().split('/');
    let name = parts.next()?.trim();
    let clock_rate = parts.next()?.trim().parse().ok()?;
    let channels = parts.next().map_or(1, |channels| channels.trim().parse().unwrap_or(0));
    Some((name.to_owned(), clock_rate, channels))
}

fn value_of<'a>(attributes: &'a [sdp_types::Attribute], name: &'static str) -> Option<&'a str> {
    values_of(attributes, name).next()
}

fn values_of<'a>(attributes: &'a [sdp_types::Attribute], name: &'static str) -> impl Iterator<Item = &'a str> {
    let named = attributes.iter().filter(move |a| a.attribute.trim().eq_ignore_ascii_case(name));
    named.filter_map(|a| a.value.as_deref()).map(str::trim)
}

/// The value of `a=name:<payload type> value`.
fn numbered<'a>(attributes: &'a [sdp_types::Attribute], name: &str, payload_type: u8) -> Option<&'a str> {
    attributes.iter().filter(|a| a.attribute.trim().eq_ignore_ascii_case(name)).find_map(|a| {
        let (number, value) = a.value.as_deref()?.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        (number.parse::<u8>().ok()? == payload_type).then(|| value.trim())
    })
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes.iter().rev().find_map(|a| Direction::parse(a.attribute.trim()))
}
