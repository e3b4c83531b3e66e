//! Media workers that have no time: what a prompt's end and a key are without them.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::media;
use cordboard::switch::Input;

use super::Sim;

impl Sim {
    /// A prompt lasts as long as its clips.
    pub(super) fn play(&mut self, command: &media::Command) {
        match command {
            media::Command::Hear { leg, source: media::Source::Play(play, media::Audio::Prompt(clips)) } => {
                let samples: usize = clips.iter().filter_map(|clip| self.clips.prompt(clip)).map(|clip| clip.len()).sum();
                self.plays.insert(*leg, (self.now.mono + Duration::from_micros(samples as u64 * 125), *play));
            }
            media::Command::Hear { leg, .. } | media::Command::Close { leg } => drop(self.plays.remove(leg)),
            _ => {}
        }
    }

    /// A key of who is at the other end of this call of theirs, as media tells it.
    pub fn key(&mut self, at: SocketAddr, call_id: &str, digit: char) {
        let call = self.ua(at).calls.iter().find(|call| call.call_id == call_id);
        let leg = call.and_then(|call| self.legs.get(&call.rtp_remote?.port())).copied();
        if let Some(leg) = leg {
            let via = media::DigitVia::Rfc4733;
            self.input(Input::Media(media::Report::Digit { leg, digit, duration_ms: 100, via }));
        }
    }
}
