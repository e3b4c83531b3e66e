//! A browser's page for tests: the crate's whole peer connection, with one track of one codec.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::configure_rtcp_reports;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::{SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{RTCDtlsRole, RTCDtlsTransportState, RTCIceCandidateInit};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::codec::Codec;
use crate::sdp::{Fingerprint, IceCredentials};

pub const PAGE_SSRC: u32 = 0x1111_1111;

/// The browser.
pub struct Page {
    local: SocketAddr,
    pub pc: RTCPeerConnection,
    pub sender: RTCRtpSenderId,
    pub heard: Vec<rtc::rtp::Packet>,
    ssrc: u32,
    sequence: u16,
    pub state: RTCPeerConnectionState,
}

impl Page {
    pub fn new(local: SocketAddr, now: Instant) -> Page {
        Page::with(local, now, RTCDtlsRole::Client)
    }

    pub fn with(local: SocketAddr, now: Instant, answering: RTCDtlsRole) -> Page {
        Page::speaking(Codec::Pcmu, PAGE_SSRC, local, now, answering)
    }

    pub fn speaking(codec: Codec, ssrc: u32, local: SocketAddr, now: Instant, answering: RTCDtlsRole) -> Page {
        let settings = SettingEngineBuilder::new().with_answering_dtls_role(answering).build();
        Page::made(codec, ssrc, local, now, settings, true)
    }

    /// One that reports on what it hears, or not.
    pub fn made(codec: Codec, ssrc: u32, local: SocketAddr, now: Instant, settings: SettingEngine, reports: bool) -> Page {
        let rtp_codec = RTCRtpCodec {
            mime_type: format!("audio/{}", codec.name()),
            clock_rate: codec.clock_rate(),
            channels: codec.channels().into(),
            ..Default::default()
        };
        let mut media = MediaEngine::default();
        let parameters = RTCRtpCodecParameters { rtp_codec: rtp_codec.clone(), payload_type: codec.payload_type() };
        media.register_codec(parameters, RtpCodecKind::Audio).unwrap();
        let interceptors = Default::default();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_setting_engine(settings)
            .with_interceptor_registry(if reports { configure_rtcp_reports(interceptors) } else { interceptors })
            .build(now)
            .unwrap();
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: rtp_codec,
            active: true,
            ..Default::default()
        };
        let track = MediaStreamTrack::new("s".into(), "t".into(), "l".into(), RtpCodecKind::Audio, vec![encoding]);
        let sender = pc.add_track(track).unwrap();
        Page { local, pc, sender, heard: Vec::new(), ssrc, sequence: 0, state: RTCPeerConnectionState::New }
    }

    pub fn listen(&mut self) {
        let candidate = format!("candidate:1 1 udp 2130706431 {} {} typ host", self.local.ip(), self.local.port());
        self.pc.add_local_candidate(RTCIceCandidateInit { candidate, ..Default::default() }).unwrap();
    }

    pub fn offer(&mut self, now: Instant) -> String {
        let offer = self.pc.create_offer(None).unwrap();
        self.pc.set_local_description(now, offer).unwrap();
        self.listen();
        self.pc.local_description().unwrap().sdp
    }

    pub fn answered(&mut self, now: Instant, text: String) {
        self.pc.set_remote_description(now, RTCSessionDescription::answer(text).unwrap()).unwrap();
    }

    pub fn answer(&mut self, now: Instant, offer: String) -> String {
        self.pc.set_remote_description(now, RTCSessionDescription::offer(offer).unwrap()).unwrap();
        self.listen();
        let answer = self.pc.create_answer(None).unwrap();
        self.pc.set_local_description(now, answer).unwrap();
        self.pc.local_description().unwrap().sdp
    }

    pub fn is_connected(&self) -> bool {
        self.state == RTCPeerConnectionState::Connected
    }

    /// 20 ms of PCMU.
    pub fn say(&mut self, now: Instant, byte: u8) {
        self.say_in(now, vec![byte; 160].into());
    }

    /// 20 ms of PCMU, encoded.
    pub fn say_in(&mut self, now: Instant, payload: Bytes) {
        self.sequence = self.sequence.wrapping_add(1);
        let header = rtc::rtp::Header {
            version: 2,
            payload_type: 0,
            sequence_number: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: self.ssrc,
            ..Default::default()
        };
        self.send(now, rtc::rtp::Packet { header, payload });
    }

    pub fn send(&mut self, now: Instant, packet: rtc::rtp::Packet) {
        self.pc.rtp_sender(self.sender).unwrap().write_rtp(now, packet).unwrap();
    }

    pub fn hear(&mut self, from: SocketAddr, now: Instant, datagram: &[u8]) {
        let transport =
            TransportContext { local_addr: self.local, peer_addr: from, transport_protocol: TransportProtocol::UDP, ecn: None };
        self.pc.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) }).unwrap();
        while let Some(message) = self.pc.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message.message {
                self.heard.push(packet);
            }
        }
    }

    pub fn notice(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.state = state;
            }
        }
    }

    /// Its connection says nothing of a close_notify; its transport does.
    pub fn was_told_goodbye(&mut self) -> bool {
        let sender = self.pc.rtp_sender(self.sender).unwrap();
        sender.transport().unwrap().state() == RTCDtlsTransportState::Closed
    }
}

/// The value of the first such attribute.
pub fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|l| l.trim().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).unwrap()
}

/// What the page's description says of itself.
pub fn theirs(text: &str) -> (IceCredentials, Fingerprint) {
    let ice = IceCredentials::read(value(text, "ice-ufrag"), value(text, "ice-pwd")).unwrap();
    (ice, Fingerprint::read(value(text, "fingerprint")).unwrap())
}

/// A description of ours for one codec, as short as the page takes it.
pub fn described(codec: Codec, at: SocketAddr, ours: &IceCredentials, fingerprint: Fingerprint, setup: &str) -> String {
    let IceCredentials { ufrag, pwd } = ours;
    let (ip, port) = (at.ip(), at.port());
    let (number, name, clock) = (codec.payload_type(), codec.name(), codec.clock_rate());
    let channels = if codec.channels() > 1 { format!("/{}", codec.channels()) } else { String::new() };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n\
         m=audio {port} UDP/TLS/RTP/SAVPF {number}\r\nc=IN IP4 {ip}\r\na=mid:0\r\na=rtpmap:{number} {name}/{clock}{channels}\r\n\
         a=sendrecv\r\na=rtcp-mux\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n\
         a=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\na=end-of-candidates\r\n"
    )
}
