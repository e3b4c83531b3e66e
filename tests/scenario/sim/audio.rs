//! What the media worker says, and clips that are known again when they are heard: each is one value throughout.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use cordboard::ids::LegId;
use cordboard::media::{Clip, ClipName, Clips, Frame, Port, Report, Sink, Slot};

#[derive(Default)]
pub struct Loudspeaker {
    pub sent: Vec<(LegId, Port, SocketAddr, Vec<u8>)>,
    pub frames: Vec<Frame>,
    pub reports: Vec<Report>,
}

impl Sink for Loudspeaker {
    fn send(&mut self, _slot: Slot, leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]) {
        self.sent.push((leg, port, to, datagram.to_vec()));
    }

    fn tap(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    fn report(&mut self, report: Report) {
        self.reports.push(report);
    }
}

/// µ-law bytes by which music and prompts are known.
pub const MUSIC: u8 = 0x21;
pub const PROMPT: u8 = 0x32;

pub fn clips(prompts: &[String]) -> Clips {
    let sample = cordboard::codec::G711::Pcmu.decode(PROMPT);
    let second = Arc::new(Clip::new(vec![sample; 8_000]));
    let named: BTreeMap<ClipName, Arc<Clip>> =
        prompts.iter().map(|p| (ClipName(p.as_str().into()), Arc::clone(&second))).collect();
    let music = Clip::new(vec![cordboard::codec::G711::Pcmu.decode(MUSIC); 16_000]);
    Clips::new(named, Some(Arc::new(music)))
}
