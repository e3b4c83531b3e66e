//! What the core tells a media worker, what a worker reports, and the frame that the tap copies to the recorder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::{LegId, RecordingId};
use crate::rtp::srtp;
use crate::sdp;

/// An even RTP port (RTCP is the odd one above) that a worker has bound and waits for a leg on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lease {
    pub worker: u8,
    pub port: u16,
}

/// Counts what a leg was told to play, so that the end of an earlier prompt is not taken for the end of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlayId(pub u64);

/// A sound by name: `<language>/<prompt>` for a prompt. The driver loads it; the core never sees samples.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClipName(pub Arc<str>);

/// What is played to a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audio {
    /// Clips one after another, once; [`Report::PlayEnded`] follows. A clip that is missing is skipped and said so.
    Prompt(Vec<ClipName>),
    /// Music on hold, for as long as it lasts, taken up where this leg last left it: the site's, or this clip over and over.
    Music(Option<ClipName>),
    /// Ringback tone of the site's country (ITU-T E.180), until something else.
    Ringback,
    /// Busy tone, until something else.
    Busy,
}

/// What a leg hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Nothing is sent.
    Nothing,
    /// What the other leg says: relayed as it is where both speak one codec, else decoded and encoded.
    Leg(LegId),
    /// What these legs say, summed. One alone is as [`Source::Leg`].
    Mix(Vec<LegId>),
    Play(PlayId, Audio),
}

/// What offer and answer agreed for a leg (RFC 3264), from our side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Where to send. `None`: the peer gave 0.0.0.0, port 0, or an address that we refuse (multicast, broadcast).
    pub remote: Option<SocketAddr>,
    /// Where RTCP goes; by default the port above (RFC 3605 `a=rtcp` changes it).
    pub remote_rtcp: Option<SocketAddr>,
    pub codec: Codec,
    /// Payload type to send.
    pub payload_type: u8,
    /// What the peer may send, by payload type as we told it; the codec that was agreed first.
    pub receives: Receives,
    /// telephone-event to send, where negotiated (RFC 4733): payload type, and clock rate in Hz.
    pub telephone_event: Option<(u8, u32)>,
    /// And what the peer may send of it. Without any of the two, in-band digits are listened for.
    pub telephone_events_in: sdp::TelephoneEvents,
    /// The peer is told by signalling which keys others press: none is made a tone for it.
    pub keys_by_signalling: bool,
    /// We may send (the peer is sendrecv or recvonly).
    pub send: bool,
    /// The peer may send (it is sendrecv or sendonly).
    pub receive: bool,
    /// Packet length that we send when we are the source, in ms; 20 unless the peer asks otherwise.
    pub ptime_ms: u8,
    /// Silence that we encode need not be sent.
    pub dtx: bool,
    /// The extended reports that the peer asks for (RFC 3611 §5).
    #[serde(default)]
    pub extended: sdp::Extended,
    /// RTP and RTCP are encrypted under these keys, in both directions; `None`: plain.
    pub srtp: Option<srtp::Pair>,
    /// A browser: its packets come and go through ICE and DTLS-SRTP, and `remote` is nothing.
    #[serde(default)]
    pub dtls: Option<Box<sdp::IceDtls>>,
}

/// Codecs that a peer may send, by payload type: as many as we offer.
pub type Receives = ArrayVec<(u8, Codec), 5>;

impl Session {
    /// With a peer at `remote` that asks for nothing but this codec: under the number that we give it, with digits at its clock, both ways,
    /// in packets of 20 ms, and with RTCP on the port above (RFC 3550 §11).
    pub fn plain(codec: Codec, remote: SocketAddr) -> Session {
        let telephone_event = (sdp::TELEPHONE_EVENT, codec.clock_rate());
        Session {
            remote: Some(remote),
            remote_rtcp: remote.port().checked_add(1).map(|port| SocketAddr::new(remote.ip(), port)),
            codec,
            payload_type: codec.payload_type(),
            receives: [(codec.payload_type(), codec)].into_iter().collect(),
            telephone_event: Some(telephone_event),
            telephone_events_in: [telephone_event].into_iter().collect(),
            keys_by_signalling: false,
            send: true,
            receive: true,
            ptime_ms: 20,
            dtx: false,
            extended: sdp::Extended::default(),
            srtp: None,
            dtls: None,
        }
    }
}

impl From<sdp::Agreed> for Session {
    fn from(a: sdp::Agreed) -> Session {
        Session {
            remote: a.remote,
            remote_rtcp: a.remote_rtcp,
            codec: a.codec,
            payload_type: a.payload_type,
            receives: a.receives,
            telephone_event: a.telephone_event,
            telephone_events_in: a.telephone_events_in,
            keys_by_signalling: false,
            send: a.send,
            receive: a.receive,
            ptime_ms: a.ptime_ms,
            dtx: a.dtx,
            extended: a.extended,
            srtp: a.srtp,
            dtls: a.dtls,
        }
    }
}

/// From the core to the worker that has the leg: the one that its lease names, until it is handed over. All legs of a conversation are
/// on one worker.
#[allow(
    clippy::large_enum_variant,
    reason = "an agreement is as frequent as the others, and boxed it would be one allocation more"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A leg begins on a leased port. Nothing is sent or accepted before `Agree`.
    Open {
        leg: LegId,
        lease: Lease,
    },
    /// An offer/answer exchange is complete. Each one unlocks the latch (a re-INVITE may have moved the peer).
    Agree {
        leg: LegId,
        session: Session,
    },
    /// From now on `leg` hears `source`, instead of what it heard.
    Hear {
        leg: LegId,
        source: Source,
    },
    /// Copies to the recorder begin: what `leg` says (left) and hears (right).
    Tap {
        leg: LegId,
        recording: RecordingId,
    },
    Untap {
        leg: LegId,
    },
    /// From now on [`Report::Silence`] is told once, when the leg was silent for so long; `None`: no more.
    Listen {
        leg: LegId,
        quiet: Option<Duration>,
    },
    /// The leg is sent these keys, one after another, behind those that it is being sent.
    Press {
        leg: LegId,
        keys: Vec<Key>,
    },
    /// The leg goes on in another worker, with its port: its conversation joins one that has its legs there. What it hears ends here.
    HandOver {
        leg: LegId,
        to: u8,
    },
    /// Told to the other worker before `HandOver` is told to the one that has the leg: commands for it wait until it is here.
    Expect {
        leg: LegId,
    },
    /// A browser has found more candidates since the agreement (RFC 8840), for a full ICE agent of ours.
    Trickle {
        leg: LegId,
        candidates: Vec<sdp::Candidate>,
    },
    /// The leg ends; its port drains before it is leased again. [`Report::Closed`] follows.
    Close {
        leg: LegId,
    },
}

impl Command {
    pub fn leg(&self) -> LegId {
        match self {
            Command::Open { leg, .. }
            | Command::Agree { leg, .. }
            | Command::Hear { leg, .. }
            | Command::Tap { leg, .. }
            | Command::Untap { leg }
            | Command::Listen { leg, .. }
            | Command::Press { leg, .. }
            | Command::Trickle { leg, .. }
            | Command::HandOver { leg, .. }
            | Command::Expect { leg }
            | Command::Close { leg } => *leg,
        }
    }
}

/// How a digit reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DigitVia {
    Rfc4733,
    InBand,
}

/// A key that a leg is to be sent: by telephone-event where that was agreed, else as a tone in its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub digit: char,
    pub duration_ms: u16,
}

/// Why a browser's leg cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broken {
    /// The browser closed its end (DTLS close_notify): the page hung up or went away.
    Closed,
    /// It has another certificate than its description gave the fingerprint of.
    Fingerprint,
    /// DTLS came to no end.
    Handshake,
    /// No check of the browser's for 30 s (RFC 7675): it wants to hear us no more, or never could be reached.
    Consent,
}

/// From a worker to the core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// One report a key press, at its end or when it is clear that the end is lost: `0`–`9`, `*`, `#`, `A`–`D`.
    Digit {
        leg: LegId,
        digit: char,
        duration_ms: u32,
        via: DigitVia,
    },
    PlayEnded {
        leg: LegId,
        play: PlayId,
    },
    /// A clip that was to be played is not there.
    ClipMissing {
        leg: LegId,
        play: PlayId,
        clip: ClipName,
    },
    /// Nothing is heard, or the peer hears nothing: no packet for `missing_after` while it should send, or another [`Absence`].
    Missing {
        leg: LegId,
        cause: Absence,
    },
    /// What was `Missing` is there again.
    Present {
        leg: LegId,
        cause: Absence,
    },
    /// The leg's score fell below the threshold.
    Degraded {
        leg: LegId,
        mos: f32,
        way: Way,
        quality: Quality,
    },
    Recovered {
        leg: LegId,
        mos: f32,
        quality: Quality,
    },
    /// Neither RTP nor RTCP for `dead_after`, while not on hold.
    Dead {
        leg: LegId,
    },
    /// A browser's leg cannot go on, and nothing is sent to it any more.
    Broken {
        leg: LegId,
        why: Broken,
    },
    /// Media comes from another address than the SDP says, and is now sent there.
    Latched {
        leg: LegId,
        address: SocketAddr,
    },
    Closed {
        leg: LegId,
        quality: Quality,
    },
    /// Nothing loud enough for speech has come, or nothing at all, since then.
    Silence {
        leg: LegId,
        since: Mono,
    },
    /// Frames that the recorder was too slow to take, since the last such report: a gap in the recording.
    TapOverflow {
        leg: LegId,
        recording: RecordingId,
        frames: u64,
    },
}

impl Report {
    pub fn leg(&self) -> LegId {
        match self {
            Report::Digit { leg, .. }
            | Report::PlayEnded { leg, .. }
            | Report::ClipMissing { leg, .. }
            | Report::Missing { leg, .. }
            | Report::Present { leg, .. }
            | Report::Degraded { leg, .. }
            | Report::Recovered { leg, .. }
            | Report::Dead { leg }
            | Report::Broken { leg, .. }
            | Report::Latched { leg, .. }
            | Report::Silence { leg, .. }
            | Report::Closed { leg, .. }
            | Report::TapOverflow { leg, .. } => *leg,
        }
    }
}

/// Why nothing is heard of a peer, as far as its media tells; the last two are of other kinds, and may come beside one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Absence {
    /// No packet has ever come.
    NeverCame,
    /// Packets came, and then no more.
    Stopped,
    /// Packets come from an address that is not believed.
    Stranger { from: SocketAddr },
    /// Packets come of a payload type that was not agreed.
    PayloadType { payload_type: u8 },
    /// What comes is no RTP.
    Malformed,
    /// What comes cannot be decrypted or is not authentic.
    Undecryptable,
    /// The peer's RTCP said that it leaves.
    Goodbye,
    /// RTCP comes, RTP does not.
    OnlyReports,
    /// Packets come, but all of them silent since the first.
    Silence,
    /// The other way round: the peer's reports say that it gets nothing of what it is sent.
    Unheard,
}

/// Of a leg's two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    FromPeer,
    ToPeer,
}

/// What a leg's media was like, from its first packet to its last, or until now (RFC 3550 §6.4, RFC 3611 §4.7, ITU-T G.107).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quality {
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Expected less received, over all; late packets count as received.
    pub packets_lost: i64,
    /// Packets that came too late to be played; where they are relayed, too late for a jitter buffer of 100 ms at the listener.
    #[serde(default)]
    pub packets_discarded: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), in ms, at the end.
    pub jitter_ms: f32,
    /// Bursts (RFC 3611 §4.7.2): the share of packets lost or discarded within them, 0 to 1, and their mean length in ms.
    #[serde(default)]
    pub burst_density: f32,
    #[serde(default)]
    pub burst_ms: f32,
    /// The same of the gaps between bursts.
    #[serde(default)]
    pub gap_density: f32,
    #[serde(default)]
    pub gap_ms: f32,
    /// What is heard of the peer: R of the E-model, 0 to 100.
    #[serde(default)]
    pub rating: Option<f32>,
    /// Its mean opinion score (MOS-CQE), 1 to 4.5.
    #[serde(default)]
    pub mos: Option<f32>,
    /// From the peer's receiver reports: the share of our packets that it lost, 0 to 1.
    pub remote_loss: Option<f32>,
    /// And their jitter there, in ms.
    #[serde(default)]
    pub remote_jitter_ms: Option<f32>,
    /// What the peer hears: R, from its extended reports, else from loss, jitter and round trip.
    #[serde(default)]
    pub remote_rating: Option<f32>,
    #[serde(default)]
    pub remote_mos: Option<f32>,
    /// The lowest score of a report interval (about 5 s), either way.
    #[serde(default)]
    pub worst_mos: Option<f32>,
    /// Round trip by RTCP, in ms.
    pub round_trip_ms: Option<f32>,
    /// Packets that were thrown away because they came from a stranger, or were not encrypted as agreed.
    pub refused: u64,
    /// RTP and RTCP were encrypted (SRTP), in the end at least.
    #[serde(default)]
    pub encrypted: bool,
}

/// Left or right of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// What the customer said: left.
    Said,
    /// What the customer heard: right.
    Heard,
}

/// Room that a frame has for its payload: 60 ms of G.711 or G.722, 60 ms of Opus at 64 kbit/s. Longer payloads lie apart.
pub const FRAME_BYTES: usize = 480;

/// Longest payload that the tap copies: what fits into a packet of Ethernet. Longer ones are cut there, and counted as a gap.
pub const LONGEST_PAYLOAD: usize = 1_488;

/// A payload, without an allocation where it is as short as nearly all are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and must not be allocated")]
pub enum Payload {
    Short(ArrayVec<u8, FRAME_BYTES>),
    Long(Box<[u8]>),
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Payload {
        match ArrayVec::try_from(bytes) {
            Ok(short) => Payload::Short(short),
            Err(_) => Payload::Long(bytes[..bytes.len().min(LONGEST_PAYLOAD)].into()),
        }
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Short(bytes) => bytes,
            Payload::Long(bytes) => bytes,
        }
    }
}

/// One packet as the tap copied it, encoded as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub recording: RecordingId,
    pub side: Side,
    /// When the packet came or went.
    pub at: Mono,
    /// RTP synchronisation source: a change starts a new time line.
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub codec: Codec,
    pub payload: Payload,
}
