//! SRTP of a call, one suite: what most phones have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard::rtp::srtp::{Inbound, Master, Outbound, Suite};

const SUITE: Suite = Suite::AesCm80;

/// Key and salt.
const LENGTH: usize = 30;

pub struct Srtp {
    /// The line as it is offered; `None`: plain.
    wanted: Option<&'static str>,
    key: u8,
    out: Option<Outbound>,
    /// What the switch's description said last: its key, if any, and under which tag.
    theirs: Option<Option<(String, Vec<u8>)>>,
    inbound: Option<Inbound>,
    /// Packets that were not encrypted as agreed.
    pub refused: usize,
    /// Packets that were.
    pub opened: usize,
}

impl Srtp {
    pub(super) fn of(wanted: Option<&'static str>, key: u8) -> Srtp {
        Srtp { wanted, key, out: None, theirs: None, inbound: None, refused: 0, opened: 0 }
    }

    pub(super) fn change(&mut self, wanted: Option<&'static str>, key: u8) {
        *self = Srtp { wanted, key, out: None, inbound: self.inbound.take(), theirs: None, ..*self };
    }

    /// It offers so, or answers in kind.
    fn speaks(&self) -> bool {
        self.wanted.is_some() && self.theirs.as_ref().is_none_or(Option::is_some)
    }

    pub(super) fn line(&self) -> &'static str {
        self.wanted.filter(|_| self.speaks()).unwrap_or("RTP/AVP")
    }

    pub(super) fn attribute(&self) -> String {
        if !self.speaks() {
            return String::new();
        }
        let tag = self.theirs.iter().flatten().map(|(tag, _)| tag.as_str()).next().unwrap_or("1");
        format!("a=crypto:{tag} {} inline:{}|2^31\r\n", SUITE.name(), STANDARD.encode([self.key; LENGTH]))
    }

    pub(super) fn take(&mut self, description: &str) {
        let crypto = description.lines().filter_map(|line| line.strip_prefix("a=crypto:")).find_map(|line| {
            let mut words = line.split(' ');
            let (tag, suite, key) = (words.next()?, words.next()?, words.next()?.strip_prefix("inline:")?);
            (suite == SUITE.name()).then(|| (tag.to_owned(), STANDARD.decode(key).unwrap_or_default()))
        });
        let known = self.theirs.as_ref().is_some_and(|theirs| *theirs == crypto) && self.inbound.is_some();
        if !known && self.wanted.is_some() {
            self.inbound = crypto.as_ref().and_then(|(_, key)| Some(Inbound::new(&Master::new(SUITE, key)?)));
        }
        self.theirs = Some(crypto);
    }

    pub(super) fn seal(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        if self.inbound.is_none() {
            return packet;
        }
        let master = Master::new(SUITE, &[self.key; LENGTH]).unwrap_or_else(|| panic!("a key of the suite's length"));
        let out = self.out.get_or_insert_with(|| Outbound::new(&master));
        let length = packet.len();
        packet.resize(length + 32, 0);
        let sealed = out.rtp(&mut packet, length).unwrap_or_else(|e| panic!("{e}"));
        packet.truncate(sealed);
        packet
    }

    /// Nothing of a packet that is not as agreed.
    pub(super) fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Some(inbound) = &mut self.inbound else { return Some(packet.to_vec()) };
        let mut packet = packet.to_vec();
        match inbound.rtp(&mut packet) {
            Ok(length) => {
                self.opened += 1;
                packet.truncate(length);
                Some(packet)
            }
            Err(_) => {
                self.refused += 1;
                None
            }
        }
    }
}
