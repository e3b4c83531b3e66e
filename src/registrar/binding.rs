//! One contact of a phone's number.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::sip::{self, Flow};

/// A contact that a phone registered, and the flow that it did so on. Its key within its number is [`Binding::key`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Contact URI as given, printed (the Request-URI of calls to it).
    #[serde(with = "sip::journal")]
    pub contact: Bytes,
    /// Where the REGISTER came from: calls go back there (symmetric, so NAT is no matter).
    pub flow: Flow,
    pub user_agent: Option<String>,
    /// Call-ID and CSeq of the last REGISTER: an older one of the same Call-ID is refused (§10.3 step 7).
    #[serde(with = "sip::journal")]
    pub call_id: Bytes,
    pub cseq: u32,
    pub expires_at: Wall,
    /// 0 to 1000 (RFC 3261 `q`), higher first.
    pub q: u16,
    /// RFC 3327 Path, in order: the first is the proxy next to us.
    pub path: Vec<Bytes>,
    /// What the phone says that it is, whatever contact it has today.
    #[serde(default)]
    pub device: Option<Device>,
    /// Where an edge proxy of our own says that the REGISTER came from, if it came by one.
    #[serde(default)]
    pub reported: Option<SocketAddr>,
}

/// `+sip.instance`, and which of the device's flows this is (RFC 5626 §4.1, §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub instance: String,
    /// `reg-id`, where the phone does as the RFC says; one that only names itself has none.
    pub reg_id: Option<u32>,
}

impl Device {
    /// The same device, and the same of its flows as far as both say.
    pub fn is_same_flow(&self, other: &Device) -> bool {
        self.instance == other.instance && (self.reg_id == other.reg_id || self.reg_id.is_none() || other.reg_id.is_none())
    }
}

impl Binding {
    /// Unique within the number: two flows of one device may have the same contact.
    pub fn key(&self) -> String {
        let contact = String::from_utf8_lossy(&self.contact);
        match &self.device {
            Some(Device { instance, reg_id: Some(reg_id) }) => format!("{contact} {instance} {reg_id}"),
            Some(Device { reg_id: None, .. }) | None => contact.into_owned(),
        }
    }

    /// The device, where its flows are told apart: calls go to one of them at a time.
    pub fn device_of_flows(&self) -> Option<&str> {
        self.device.as_ref().filter(|device| device.reg_id.is_some()).map(|device| device.instance.as_str())
    }

    /// Where the phone is, as far as anybody knows.
    pub fn source(&self) -> SocketAddr {
        self.reported.unwrap_or(self.flow.remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn it_reads_back_and_so_does_one_that_an_earlier_release_wrote() {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.9:40000".parse().unwrap(),
            connection: None,
        };
        let mut binding = Binding {
            contact: Bytes::from_static(b"sip:201@a"),
            flow,
            user_agent: None,
            call_id: Bytes::from_static(b"a@\xff"),
            cseq: 7,
            expires_at: Wall::from_micros(5),
            q: 1_000,
            path: vec![],
            device: None,
            reported: None,
        };
        let text = serde_json::to_string(&binding).unwrap();
        assert!(text.contains(r#""contact":"sip:201@a","#), "{text}");
        assert_eq!(serde_json::from_str::<Binding>(&text).unwrap(), binding);
        binding.call_id = Bytes::from_static(b"ab");
        let octets = serde_json::to_string(&binding).unwrap().replace(r#""ab""#, "[97,98]");
        assert!(octets.contains("[97,98]"));
        assert_eq!(serde_json::from_str::<Binding>(&octets).unwrap(), binding);
        let packed = rmp_serde::to_vec_named(&binding).unwrap();
        assert_eq!(rmp_serde::from_slice::<Binding>(&packed).unwrap(), binding);
    }
}
