//! The recorder without its threads, on virtual time: for tests.

use std::sync::Arc;
use std::time::Duration;

use super::clerk::{Clerk, Job, Surroundings, ToSeal};
use super::layer::Layer;
use super::wav::seal;
use super::writer::Writer;
use crate::clock::{Mono, System, Wall};
use crate::codec::Codec;
use crate::ids::{ConversationId, RecordingId};
use crate::media::{Frame, Payload, Side};
use crate::route::Direction;
use crate::store::disk::faulty::FaultyDisk;
use crate::store::recordings::Folder;
use crate::store::{LogOptions, Store};
use crate::switch::input::RecorderReport;
use crate::switch::output::{About, RecorderCommand};

/// 2026-11-22T09:00:00Z
pub const START_MS: u64 = 1_795_338_000_000;

pub struct Rig {
    pub root: tempfile::TempDir,
    pub disk: FaultyDisk,
    pub store: Store,
    pub writer: Writer,
    pub layer: Layer,
    pub clerk: Clerk,
    pub now: Mono,
    pub reports: Vec<RecorderReport>,
    pub talking: Vec<RecordingId>,
    /// On a disk whose syncs take long: it does nothing yet.
    pub clerk_is_behind: bool,
}

struct Around {
    seals: Vec<ToSeal>,
}

impl Surroundings for Around {
    fn seal(&mut self, order: ToSeal) -> bool {
        self.seals.push(order);
        true
    }
}

pub fn open_store(root: &std::path::Path, disk: &FaultyDisk) -> Store {
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    Store::open(root, options, Arc::new(disk.clone()), System::start(), Arc::new(|_, _| {})).unwrap()
}

pub fn recording(n: u64) -> RecordingId {
    RecordingId::from_parts(START_MS + n * 1_000, u128::from(n) + 77)
}

pub fn about(n: u64) -> About {
    About {
        recording: recording(n),
        conversation: ConversationId::from_parts(START_MS + n * 1_000, u128::from(n)),
        started_at: Wall::from_micros((START_MS + n * 1_000) as i64 * 1_000),
        direction: Direction::Inbound,
        customer_number: format!("+49301234{n:03}"),
        called: "100".into(),
        customer_e164: None,
        called_e164: None,
        agents: vec![],
        queue: None,
        rule: "inbound default".into(),
        paused_ms: 0,
        sample_rate: 8_000,
        refused: false,
        supervises: false,
        prompt: false,
        mailbox: None,
        greeting: false,
    }
}

pub fn frame(recording: RecordingId, at: Mono, side: Side) -> Frame {
    let n = at.as_micros() / 20_000;
    let payload = Payload::from(&[0x12; 160][..]);
    Frame { recording, side, at, ssrc: 1, sequence: n as u16, timestamp: (n * 160) as u32, codec: Codec::Pcmu, payload }
}

impl Rig {
    pub fn new() -> Rig {
        let root = tempfile::TempDir::new().unwrap();
        let disk = FaultyDisk::with_free(1 << 30);
        let store = open_store(root.path(), &disk);
        let clerk = Clerk::new(Arc::new(disk.clone()), store.folder.clone(), store.recordings.clone());
        let layer = Layer::new(Arc::new(disk.clone()), store.folder.clone());
        let (writer, now) = (Writer::default(), Mono::ZERO);
        Rig { root, disk, store, writer, layer, clerk, now, reports: vec![], talking: vec![], clerk_is_behind: false }
    }

    pub fn folder(&self) -> Folder {
        self.store.folder.clone()
    }

    pub fn begin(&mut self, n: u64) {
        self.writer.command(RecorderCommand::Begin { at: self.now, about: about(n) });
        self.talking.push(recording(n));
    }

    pub fn end(&mut self, n: u64) {
        self.writer.command(RecorderCommand::End { recording: recording(n), at: self.now });
        self.talking.retain(|id| *id != recording(n));
    }

    /// Frames every 20 ms, a tick and a round of the clerk every 200 ms.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            for id in &self.talking {
                for side in [Side::Said, Side::Heard] {
                    let reports = &mut self.reports;
                    self.writer.frame(&frame(*id, self.now, side), &mut |r| reports.push(r));
                }
            }
            self.now += Duration::from_millis(20);
            if self.now.as_micros().is_multiple_of(200_000) {
                self.tick();
            }
        }
    }

    pub fn tick(&mut self) {
        let reports = &mut self.reports;
        self.writer.tick(self.now, &mut |r| reports.push(r));
        self.round();
    }

    /// What is asked of the layer, as its thread does it while the clerk's is behind.
    pub fn lay(&mut self) {
        for about in self.writer.to_lay.drain(..) {
            self.layer.take(about);
        }
        let (writer, now) = (&mut self.writer, self.now);
        self.layer.work(true, &mut |laid| writer.laid(laid, now));
    }

    pub fn round(&mut self) {
        self.lay();
        if self.clerk_is_behind {
            return;
        }
        for job in self.writer.outbox.drain(..) {
            self.clerk.take(job);
        }
        // Twice: what was sealed in the first is closed in the second.
        for _ in 0..2 {
            let mut around = Around { seals: vec![] };
            let reports = &mut self.reports;
            self.clerk.work(&mut around, &mut |r| reports.push(r));
            for ToSeal { recording, unsealed } in around.seals {
                let result = seal(&self.disk, &unsealed);
                self.clerk.take(Job::Hashed { recording, result });
            }
        }
    }

    /// As after `kill -9`: writer and clerk are gone without a word; what they wrote is there.
    pub fn kill(self) -> (tempfile::TempDir, FaultyDisk, Vec<RecorderReport>) {
        self.store.close();
        // Their drops must not tidy up: hound would write a header.
        std::mem::forget(self.writer);
        (self.root, self.disk, self.reports)
    }
}
