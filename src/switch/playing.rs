//! What a command does to the sound of a call: a leg is muted, or hears something instead of the others.

use super::Refusal;
use super::command::{Member, PlayTo, Sound, Tone};
use super::hub::Cx;
use super::input::Actor;
use crate::conversation::Conversation;
use crate::event::{By, CallMuted, CallPlayed, Kind, PlayChange};
use crate::ids::LegId;
use crate::media::{Audio, ClipName, PlayId, Source};

impl Cx<'_> {
    /// What the leg says is heard by nobody until it is taken back; it hears as before, and nobody hears music for it.
    pub fn mute_by_command(&mut self, conv: &mut Conversation, who: &Member, muted: bool, by: &Actor) -> Result<(), Refusal> {
        let id = member(conv, who).ok_or_else(|| Refusal::NoParty(who.to_string()))?;
        let Some(leg) = conv.legs.get_mut(&id) else { return Err(Refusal::NoParty(who.to_string())) };
        if std::mem::replace(&mut leg.muted, muted) == muted {
            return Ok(());
        }
        let agent = conv.leg(id).and_then(|leg| self.agent_of(leg));
        let data = CallMuted { leg: id, agent, muted, by: By::Api(by.0.clone()) };
        self.tell(Some(conv.id), Kind::CallMuted(data));
        Ok(())
    }

    /// Plays to one side of a call, or to all who talk in it, instead of what they hear; the others go on hearing each other.
    pub fn play_by_command(&mut self, conv: &mut Conversation, sound: &Sound, to: PlayTo, by: &Actor) -> Result<(), Refusal> {
        let second = conv.second().ok_or(Refusal::WrongState("nobody is connected"))?;
        let audio = match sound {
            Sound::Prompt(name) => Audio::Prompt(vec![self.prompt(conv, name)?]),
            Sound::Tone(Tone::Music) => Audio::Music(self.music_of(conv)),
            Sound::Tone(Tone::Ringback) => Audio::Ringback,
            Sound::Tone(Tone::Busy) => Audio::Busy,
        };
        let legs = match to {
            PlayTo::Both => conv.talkers(),
            PlayTo::Customer => conv.other(second).into_iter().collect(),
            PlayTo::Agent => vec![second],
        };
        let by = By::Api(by.0.clone());
        for id in legs {
            self.play_into(conv, id, audio.clone(), &by);
        }
        Ok(())
    }

    /// The leg hears this instead of what it hears, until its end.
    pub fn play_into(&mut self, conv: &mut Conversation, id: LegId, audio: Audio, by: &By) {
        self.stop_playing(conv, id, by);
        conv.plays += 1;
        let source = Source::Play(PlayId(conv.plays), audio);
        let sound = said(&source);
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.played = Some(source);
        }
        self.tell_played(conv, id, PlayChange::Started, sound, by.clone());
    }

    /// Who has pressed a code within a call hears that it was taken.
    pub fn beep(&mut self, conv: &mut Conversation, id: LegId) {
        if let Ok(beep) = self.prompt(conv, "beep") {
            let by = self.side(conv, id);
            self.play_into(conv, id, Audio::Prompt(vec![beep]), &by);
        }
    }

    /// Whatever commands play in it ends.
    pub fn stop_by_command(&mut self, conv: &mut Conversation, by: &Actor) -> Result<(), Refusal> {
        let legs: Vec<LegId> = conv.legs.values().filter(|leg| leg.played.is_some()).map(|leg| leg.id).collect();
        if legs.is_empty() {
            return Err(Refusal::WrongState("nothing is played"));
        }
        for id in legs {
            self.stop_playing(conv, id, &By::Api(by.0.clone()));
        }
        Ok(())
    }

    /// What plays to a leg ends, if anything does: with the bridge, or by command.
    pub fn stop_playing(&mut self, conv: &mut Conversation, id: LegId, by: &By) {
        if let Some(source) = conv.legs.get_mut(&id).and_then(|leg| leg.played.take()) {
            self.tell_played(conv, id, PlayChange::Stopped, said(&source), by.clone());
        }
    }

    /// A play has come to its end: whether it was a command's.
    pub fn played(&mut self, conv: &mut Conversation, id: LegId, play: PlayId) -> bool {
        let Some(leg) = conv.legs.get_mut(&id) else { return false };
        let ended = leg.played.take_if(|source| matches!(source, Source::Play(current, _) if *current == play));
        match ended {
            Some(source) => {
                self.tell_played(conv, id, PlayChange::Ended, said(&source), By::Switch);
                true
            }
            None => false,
        }
    }

    fn tell_played(&mut self, conv: &Conversation, leg: LegId, change: PlayChange, sound: String, by: By) {
        self.tell(Some(conv.id), Kind::CallPlayed(CallPlayed { leg, change, sound, by }));
    }

    /// `welcome` in the caller's language, else in English, else in any; `de/welcome` in that one.
    pub fn prompt(&self, conv: &Conversation, name: &str) -> Result<ClipName, Refusal> {
        let clip = match name.contains('/') {
            true => name.to_owned(),
            false => self.spoken(&conv.language, name),
        };
        match self.hub.config.prompts.contains(&clip) {
            true => Ok(ClipName(clip.into())),
            false => Err(Refusal::NoPrompt(name.to_owned())),
        }
    }
}

fn said(source: &Source) -> String {
    match source {
        Source::Play(_, Audio::Prompt(clips)) => clips.first().map_or_else(String::new, |clip| clip.0.to_string()),
        Source::Play(_, Audio::Music(_)) => "music".to_owned(),
        Source::Play(_, Audio::Ringback) => "ringback".to_owned(),
        Source::Play(_, Audio::Busy) => "busy".to_owned(),
        Source::Nothing | Source::Leg(_) | Source::Mix(_) => String::new(),
    }
}

/// The leg that is meant: by its id, a phone's number, a staff number, or the customer's number.
pub(super) fn member(conv: &Conversation, who: &Member) -> Option<LegId> {
    let mut legs = conv.legs.values().filter(|leg| leg.is_answered());
    let customer = conv.customer();
    let found = match who {
        Member::Leg(id) => legs.find(|leg| leg.id == *id),
        Member::Number(number) => legs.find(|leg| {
            leg.peer.phone().is_some_and(|phone| phone.as_str() == number)
                || leg.agent().is_some_and(|agent| agent.as_str() == number)
                || customer == Some(leg.id) && conv.customer_number == *number
        }),
    };
    found.map(|leg| leg.id)
}
