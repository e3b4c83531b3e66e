//! Markers at a second of a call, for whoever listens to its recording, and tags of the whole.

use super::command::Refusal;
use super::hub::Cx;
use super::queueing::millis;
use super::{Output, Switch};
use crate::clock::Now;
use crate::conversation::Conversation;
use crate::event::{By, CallMarked, CallTagged, Kind};
use crate::ids::{ConversationId, StaffNumber};

/// The longest text of a marker, in characters: a line.
const LONGEST_TEXT: usize = 200;

/// The longest tag, in characters, and how many may be given at once.
const LONGEST_TAG: usize = 40;
const MOST_TAGS: usize = 10;

impl Switch {
    /// Also after the end.
    pub(super) fn tag(
        &mut self,
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        tags: Vec<String>,
        by: By,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let fits = |tag: &String| !tag.trim().is_empty() && is_line(tag, LONGEST_TAG);
        if tags.is_empty() || tags.len() > MOST_TAGS || !tags.iter().all(fits) {
            return Err(Refusal::BadValue("tags are 1 to 10 texts of 1 to 40 characters"));
        }
        let (whose, _) = self.worked_on(conversation, agent.as_ref());
        self.cx(now, out).tell(Some(conversation), Kind::CallTagged(CallTagged { tags, agent: whose.or(agent), by }));
        Ok(())
    }
}

impl Cx<'_> {
    /// At this moment.
    pub fn mark(&mut self, conv: &Conversation, agent: Option<StaffNumber>, text: Option<String>, by: By) -> Result<(), Refusal> {
        if text.as_ref().is_some_and(|text| !is_line(text, LONGEST_TEXT)) {
            return Err(Refusal::BadValue("the text of a marker is a line of at most 200 characters"));
        }
        let from = conv.recording.and(conv.recording_from);
        let at_ms = from.map(|from| millis(self.now.wall.since(from)));
        let data = CallMarked { recording: conv.recording.filter(|_| at_ms.is_some()), at_ms, text, agent, by };
        self.tell(Some(conv.id), Kind::CallMarked(data));
        Ok(())
    }
}

fn is_line(text: &str, longest: usize) -> bool {
    text.chars().count() <= longest && !text.chars().any(char::is_control)
}
