//! The recorder of a simulation: its pure part, and reports as if the disk took everything at once.

use cordboard::clock::Mono;
use cordboard::event::{RecordingFinished, RecordingMeasured};
use cordboard::ids::ConversationId;
use cordboard::recorder::measure::Measure;
use cordboard::recorder::timeline::Timeline;
use cordboard::switch::Input;
use cordboard::switch::input::RecorderReport;
use cordboard::switch::output::RecorderCommand;

use super::Sim;

/// A recording as the recorder's pure part made it.
pub struct Recorded {
    pub conversation: ConversationId,
    pub began: Mono,
    pub ended: Option<Mono>,
    pub timeline: Timeline,
    pub measure: Measure,
    /// Interleaved: left said, right heard.
    pub samples: Vec<i16>,
    pub about: cordboard::switch::output::About,
    pub heard: bool,
    /// Of a greeting: it counts.
    pub kept: bool,
}

impl Recorded {
    /// What is complete by then, as the writer does it.
    pub(super) fn drain(&mut self, at: Mono) {
        let before = self.samples.len();
        self.timeline.drain(at, &mut self.samples);
        self.measure.push(&self.samples[before..]);
    }
}

impl Sim {
    pub(super) fn record(&mut self, command: RecorderCommand, later: &mut Vec<Input>) {
        match command {
            RecorderCommand::Begin { at, about } => {
                let (recording, conversation) = (about.recording, about.conversation);
                let recorded = Recorded {
                    conversation,
                    began: at,
                    ended: None,
                    timeline: Timeline::new(at, 8_000),
                    measure: Measure::new(at, 8_000),
                    samples: Vec::new(),
                    about,
                    heard: false,
                    kept: false,
                };
                self.recordings.insert(recording, recorded);
                later.push(Input::Recorder(RecorderReport::Started { conversation, recording }));
            }
            RecorderCommand::Describe(about) => {
                if let Some(recorded) = self.recordings.get_mut(&about.recording) {
                    recorded.about = about;
                }
            }
            RecorderCommand::Pause { recording, at } => {
                if let Some(recorded) = self.recordings.get_mut(&recording) {
                    recorded.timeline.hush(at);
                    recorded.measure.pause(at, true);
                }
            }
            RecorderCommand::Resume { recording, at } => {
                if let Some(recorded) = self.recordings.get_mut(&recording) {
                    recorded.timeline.unhush(at);
                    recorded.measure.pause(at, false);
                }
            }
            RecorderCommand::Listen { recording, at, is_talk } => {
                if let Some(recorded) = self.recordings.get_mut(&recording).filter(|_| self.measures) {
                    recorded.measure.talk(at, is_talk);
                }
            }
            RecorderCommand::Heard { recording } => {
                if let Some(recorded) = self.recordings.get_mut(&recording) {
                    recorded.heard = true;
                }
                if !self.hung {
                    later.push(Input::Recorder(RecorderReport::Kept { recording, gone: false }));
                }
            }
            // A disk that hangs has not done it when the power fails.
            RecorderCommand::Discard { .. } | RecorderCommand::Keep { .. } if self.hung => {}
            RecorderCommand::Keep { recording } => {
                if let Some(recorded) = self.recordings.get_mut(&recording) {
                    recorded.kept = true;
                }
                later.push(Input::Recorder(RecorderReport::Kept { recording, gone: false }));
            }
            RecorderCommand::Discard { recording, .. } => {
                self.recordings.remove(&recording);
                later.push(Input::Recorder(RecorderReport::Kept { recording, gone: true }));
            }
            RecorderCommand::Refuse { conversation, recording } => {
                self.recordings.remove(&recording);
                later.push(Input::Recorder(RecorderReport::Discarded { conversation, recording }));
            }
            RecorderCommand::End { recording, at } => {
                let Some(recorded) = self.recordings.get_mut(&recording) else { return };
                recorded.ended = Some(at);
                let before = recorded.samples.len();
                if !self.deaf {
                    recorded.timeline.finish(at, &mut recorded.samples);
                }
                recorded.measure.push(&recorded.samples[before..]);
                // An end that is told late lies before what was written.
                recorded.samples.truncate(at.since(recorded.began).as_millis() as usize * 16);
                if recorded.about.refused {
                    let conversation = recorded.conversation;
                    self.recordings.remove(&recording);
                    return later.push(Input::Recorder(RecorderReport::Discarded { conversation, recording }));
                }
                let measure = std::mem::replace(&mut recorded.measure, Measure::new(at, 8_000));
                let started_at = recorded.about.started_at;
                if let Some(sound) = measure.finish().filter(|_| recorded.about.mailbox.is_none()) {
                    let measured = Box::new(RecordingMeasured { recording, started_at, sound });
                    let conversation = recorded.conversation;
                    later.push(Input::Recorder(RecorderReport::Measured { conversation, measured }));
                }
                let duration_ms = match self.deaf {
                    true => at.since(recorded.began).as_millis() as u64,
                    false => recorded.samples.len() as u64 / 2 / 8,
                };
                let finished = RecordingFinished { recording, duration_ms, bytes: 0, sha256: String::new(), lost_ms: [0, 0] };
                later.push(Input::Recorder(RecorderReport::Finished { conversation: recorded.conversation, finished }));
            }
        }
    }
}
