use std::path::PathBuf;

use super::*;
use crate::codec::Codec;
use crate::recorder::rig;
use crate::store::disk::faulty::FaultyDisk;

/// One recording on virtual time: every 20 ms a frame each side, a tick each 200 ms.
struct Scene {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    now: Mono,
    session: Session,
    told: Vec<String>,
}

fn id() -> RecordingId {
    RecordingId::from_parts(1, 1)
}

fn frame(at: Mono, side: Side) -> Frame {
    let n = at.as_micros() / 20_000;
    let payload = crate::media::Payload::from(&[0x12; 160][..]);
    let (sequence, timestamp) = (n as u16, (n * 160) as u32);
    Frame { recording: id(), side, at, ssrc: 1, sequence, timestamp, codec: Codec::Pcmu, payload }
}

impl Scene {
    fn new() -> Scene {
        let conversation = ConversationId::from_parts(1, 1);
        let session = Session::begin(&About { recording: id(), conversation, ..rig::about(1) }, Mono::ZERO);
        let disk = FaultyDisk::with_free(1 << 30);
        Scene { folder: tempfile::TempDir::new().unwrap(), disk, now: Mono::ZERO, session, told: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.wav")
    }

    fn open(&mut self) {
        let wav = WavFile::create(&self.disk, &self.path(), NARROW).unwrap();
        self.session.opened(wav, self.now);
    }

    fn talk(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.session.push(&frame(self.now, Side::Said));
            self.session.push(&frame(self.now, Side::Heard));
            self.now += Duration::from_millis(20);
            if self.now.as_micros().is_multiple_of(200_000) {
                match self.session.tick(self.now) {
                    Progress::Fine => {}
                    Progress::Fell(_) => self.told.push("fell".into()),
                    Progress::Back { gap_ms } => self.told.push(format!("back {gap_ms}")),
                    Progress::Full => self.told.push("full".into()),
                }
            }
        }
    }

    fn finish(self) -> (Ending, Vec<i16>, Vec<String>, tempfile::TempDir) {
        let ending = self.session.finish(self.now);
        let samples = hound::WavReader::open(self.folder.path().join("a.wav"))
            .map(|mut r| r.samples::<i16>().map(Result::unwrap).collect())
            .unwrap_or_default();
        (ending, samples, self.told, self.folder)
    }
}

#[test]
fn a_recording_is_as_long_as_the_clock_says_and_whole_at_every_tick() {
    let mut scene = Scene::new();
    scene.open();
    for n in 1..=10u64 {
        scene.talk(200);
        let reader = hound::WavReader::open(scene.path()).unwrap();
        assert_eq!(u64::from(reader.duration()), (n - 1) * 1_600, "but for what the time line holds back");
    }
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), told.len()), (16_000, 32_000, 0));
    assert_eq!((ending.lost_ms, ending.gap), ([0, 0], None));
    assert!(samples.iter().all(|s| *s != 0));
}

#[test]
fn a_file_that_is_made_late_still_has_the_beginning() {
    let mut scene = Scene::new();
    scene.talk(1_000);
    scene.open();
    scene.talk(1_000);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), told.len()), (16_000, 32_000, 0));
    assert!(samples.iter().all(|s| *s != 0));
}

#[test]
fn a_file_that_is_made_much_too_late_begins_with_silence_of_that_length() {
    let mut scene = Scene::new();
    scene.talk(5_000);
    assert!(scene.session.is_stalled());
    scene.open();
    scene.talk(1_000);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len()), (48_000, 96_000));
    let silent = samples.iter().take_while(|s| **s == 0).count() / 2;
    assert_eq!(told, [format!("back {}", silent / 8)]);
    assert!(samples[silent * 2..].iter().all(|s| *s != 0));
}

#[test]
fn a_full_disk_costs_silence_of_the_same_length_and_is_told_when_it_is_over() {
    let mut scene = Scene::new();
    scene.open();
    scene.talk(2_000);
    scene.disk.set_free(500);
    scene.talk(3_000);
    assert!(scene.session.is_stalled());
    scene.disk.set_free(1 << 30);
    scene.talk(3_000);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), ending.gap), (64_000, 128_000, None));
    let silent = samples.iter().filter(|s| **s == 0).count() / 2;
    // The write that failed got a few samples in, at their place: they stay.
    let gap: usize = told[1].strip_prefix("back ").unwrap().parse().unwrap();
    assert!(told.len() == 2 && (silent / 8..=silent / 8 + 20).contains(&gap), "{told:?} {silent}");
    assert!((2_400..=4_400).contains(&(silent / 8)), "{silent}");
}

#[test]
fn a_disk_that_stays_full_leaves_a_whole_file_of_the_full_length() {
    let mut scene = Scene::new();
    scene.open();
    scene.talk(2_000);
    scene.disk.set_free(0);
    scene.talk(2_000);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, told), (32_000, vec!["fell".to_owned()]));
    let (why, gap_ms) = ending.gap.unwrap();
    assert_eq!(why, Why::Disk);
    assert_eq!(samples.iter().filter(|s| **s != 0).count() as u64 / 16, 4_000 - gap_ms);
}

#[test]
fn a_disk_that_is_broken_stops_nothing() {
    let mut scene = Scene::new();
    scene.open();
    scene.talk(1_000);
    scene.disk.set_broken(true);
    scene.talk(5_000);
    scene.disk.set_broken(false);
    scene.talk(2_000);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), told.len()), (64_000, 128_000, 2));
}

/// The writer hung for five minutes: the first frame after it finds those in the file, and the memory as it was.
#[test]
fn what_a_hang_leaves_out_goes_to_the_file_in_pieces_and_as_a_hole() {
    let mut scene = Scene::new();
    scene.open();
    scene.talk(1_000);
    let free = scene.disk.free();
    let after = Mono::from_millis(301_000);
    let mut pieces = 0;
    while scene.session.is_behind(after) {
        assert!(matches!(scene.session.tick(after), Progress::Fine));
        assert!(scene.session.pending.capacity() <= ROOM);
        pieces += 1;
    }
    assert!(pieces > 0);
    scene.now = after;
    scene.session.push(&frame(after, Side::Said));
    let reader = hound::WavReader::open(scene.path()).unwrap();
    assert!(reader.duration() > 299 * 8_000, "{}", reader.duration());
    assert!(free - scene.disk.free() < 1 << 20, "{}", free - scene.disk.free());
    scene.now += Duration::from_millis(20);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), told.len(), ending.gap), (301_020 * 8, 301_020 * 16, 0, None));
    assert!(samples[..16_000].iter().all(|s| *s != 0) && samples[301_000 * 16] != 0);
}

#[test]
fn a_stall_that_ends_with_the_recording_is_told() {
    let mut scene = Scene::new();
    scene.open();
    scene.talk(1_000);
    scene.disk.set_broken(true);
    scene.talk(5_000);
    scene.disk.set_broken(false);
    let (ending, samples, told, _folder) = scene.finish();
    assert_eq!((ending.frames, samples.len(), told), (48_000, 96_000, vec!["fell".to_owned()]));
    let silent = samples.iter().filter(|s| **s == 0).count() as u64 / 16;
    assert!(ending.gap.is_some_and(|(why, ms)| why == Why::Disk && ms.abs_diff(silent) <= 20), "{:?} {silent}", ending.gap);
}
