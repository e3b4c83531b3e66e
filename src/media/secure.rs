//! A leg's SRTP: what comes is checked and decrypted before anybody looks at it, what goes is encrypted last of all.

use crate::rtp::srtp::{Inbound, Outbound, Pair, Refused};

use super::receive::LONGEST_COPY;
use super::{Datagram, Port};

/// The contexts of a leg's keys.
#[derive(Debug)]
pub struct Secure {
    pair: Pair,
    inbound: Inbound,
    /// Under the peer's key before, until the first packet under its new one: what was on its way is heard.
    before: Option<Inbound>,
    outbound: Outbound,
}

impl Secure {
    pub fn new(pair: Pair) -> Secure {
        Secure { inbound: Inbound::new(&pair.theirs), outbound: Outbound::new(&pair.ours), before: None, pair }
    }

    /// A further agreement. With the same keys everything goes on: no packet that was heard is heard again, and none is sent under an index
    /// that was used.
    pub fn agree(&mut self, pair: &Pair) {
        if pair.theirs != self.pair.theirs {
            let next = Inbound::after(&self.inbound, &pair.theirs);
            self.before = Some(std::mem::replace(&mut self.inbound, next));
        }
        if pair.ours != self.pair.ours {
            self.outbound = Outbound::new(&pair.ours);
        }
        self.pair = pair.clone();
    }

    /// Checks a datagram and decrypts it in place.
    pub fn open(&mut self, port: Port, datagram: &mut Datagram<'_>) -> Result<(), Refused> {
        let Some(packet) = datagram.buffer.get_mut(..datagram.length) else { return Err(Refused::Malformed) };
        let open = |inbound: &mut Inbound, packet: &mut [u8]| match port {
            Port::Rtp => inbound.rtp(packet),
            Port::Rtcp => inbound.rtcp(packet),
        };
        let length = match &mut self.before {
            None => open(&mut self.inbound, packet)?,
            // A try spoils the packet.
            Some(before) => {
                let mut copy = [0; LONGEST_COPY];
                let copy = copy.get_mut(..packet.len()).ok_or(Refused::Malformed)?;
                copy.copy_from_slice(packet);
                match open(&mut self.inbound, packet) {
                    Ok(length) => {
                        self.before = None;
                        length
                    }
                    Err(_) => {
                        packet.copy_from_slice(copy);
                        open(before, packet)?
                    }
                }
            }
        };
        datagram.length = length;
        Ok(())
    }

    /// Encrypts the packet in `buffer[..length]`; how long it is then. `None`: it can't be sent.
    pub fn seal(&mut self, port: Port, buffer: &mut [u8], length: usize) -> Option<usize> {
        let sealed = match port {
            Port::Rtp => self.outbound.rtp(buffer, length),
            Port::Rtcp => self.outbound.rtcp(buffer, length),
        };
        sealed.ok()
    }
}
