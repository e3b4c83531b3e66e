//! One call of a user agent: its dialog, its description, its sound.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::sip::{NameAddr, Request, Uri};

use super::srtp::Srtp;
use super::{EVENT, OnInvite, Phase};
use crate::sim::switch;

pub struct Call {
    pub phase: Phase,
    pub outgoing: bool,
    pub call_id: String,
    pub(super) local: NameAddr,
    pub(super) remote: NameAddr,
    /// The other side in the early dialog (its tag of a provisional response).
    pub(super) early: Option<NameAddr>,
    pub(super) cseq: u32,
    /// Request-URI of what we send in the dialog.
    pub(super) target: Uri,
    /// The last INVITE, ours or theirs.
    pub(super) invite: Request,
    pub(super) invite_branch: Bytes,
    /// A CANCEL waits for the first provisional response.
    pub(super) wants_cancel: bool,
    pub(super) rang: bool,
    pub rtp: SocketAddr,
    pub rtp_remote: Option<SocketAddr>,
    /// Described as browsers do.
    pub(super) browser: bool,
    /// As we say it: `sendrecv` …
    pub(super) direction: &'static str,
    pub(super) zero: bool,
    pub srtp: Srtp,
    /// What the other side allows us.
    pub(super) peer_listens: bool,
    pub(super) version: u64,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) next_rtp: Option<Mono>,
    pub(super) digits: VecDeque<char>,
    pub(super) pressing: Option<Press>,
    /// What was heard: when, payload type, first byte.
    pub heard: Vec<(Mono, u8, u8)>,
    /// Samples at 8 kHz, of one that says a tone.
    pub listened: Vec<i16>,
    pub(super) act_at: Option<(Mono, OnInvite)>,
    pub(super) bye_on_ack: bool,
    pub(super) late_answer: bool,
    /// Our ACK of the first 2xx.
    pub(super) first_ack: Option<Bytes>,
    pub final_status: Option<u16>,
}

pub(super) struct Press {
    pub(super) code: u8,
    pub(super) timestamp: u32,
    pub(super) duration: u16,
    pub(super) ends: u8,
}

impl Call {
    pub fn rang(&self) -> bool {
        self.rang
    }

    /// Its own tag, and the other side's.
    pub fn tags(&self) -> (Vec<u8>, Vec<u8>) {
        (self.local.tag().unwrap_or_default().to_vec(), self.remote.tag().unwrap_or_default().to_vec())
    }

    /// Takes an offer of its own back, which was refused.
    pub fn direct(&mut self, direction: &'static str) {
        self.direction = direction;
    }

    /// The agent's phone shows the queue that it is called for.
    pub fn is_of_a_queue(&self) -> bool {
        let title = self.invite.headers.from().ok().and_then(|f| f.display_text().map(|d| d.into_owned()));
        !self.outgoing && matches!(title.as_deref(), Some("Support" | "Sales"))
    }

    pub(super) fn description(&self, codecs: &[u8], events: bool) -> String {
        let ip = self.rtp.ip().to_string();
        let at = if self.zero { "0.0.0.0" } else { &ip };
        let mut formats: Vec<String> = codecs.iter().map(u8::to_string).collect();
        let mut attributes = String::new();
        if events {
            formats.push(EVENT.to_string());
            attributes.push_str(&format!("a=rtpmap:{EVENT} telephone-event/8000\r\na=fmtp:{EVENT} 0-15\r\n"));
        }
        let mut transport = self.srtp.line();
        if self.browser {
            transport = "UDP/TLS/RTP/SAVPF";
            let fingerprint = ["0A"; 32].join(":");
            let (ufrag, pwd) = ("a".repeat(4), "b".repeat(24));
            attributes.push_str(&format!(
                "a=mid:0\r\na=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=setup:active\r\n\
                 a=fingerprint:sha-256 {fingerprint}\r\n"
            ));
        }
        format!(
            "v=0\r\no=- 7 {} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {at}\r\nt=0 0\r\nm=audio {} {} {}\r\n{attributes}{}a={}\r\n",
            self.version,
            self.rtp.port(),
            transport,
            formats.join(" "),
            self.srtp.attribute(),
            self.direction,
        )
    }

    pub(super) fn take_description(&mut self, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(body);
        self.srtp.take(&text);
        assert_eq!(text.contains(" UDP/TLS/RTP/SAVPF "), self.browser, "{text}");
        let has_agent = text.contains("a=ice-lite") != text.contains("a=ice-options:ice2");
        assert_eq!(has_agent && text.contains("a=fingerprint:"), self.browser, "{text}");
        let (mut ip, mut port, mut listens) = (None, None, true);
        for line in text.lines() {
            if let Some(address) = line.strip_prefix("c=IN IP4 ") {
                ip = address.trim().parse::<IpAddr>().ok();
            } else if let Some(rest) = line.strip_prefix("m=audio ") {
                port = rest.split(' ').next().and_then(|p| p.parse().ok());
            } else if matches!(line, "a=sendonly" | "a=inactive") {
                listens = false;
            }
        }
        self.peer_listens = listens;
        if let (Some(ip), Some(port)) = (ip, port) {
            assert!(ip == switch().ip() && port >= 20_000, "a description of somebody else:\n{text}");
            self.rtp_remote = Some(SocketAddr::new(ip, port));
        }
    }
}
