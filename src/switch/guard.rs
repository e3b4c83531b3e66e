//! A panic in the core ends the conversation that it belongs to, and not the switch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::event::{By, Kind, SystemDegraded};
use super::hub::{Cx, Index};
use super::{Input, Output, Switch};
use crate::clock::Now;
use crate::ids::ConversationId;
use crate::route::Cause;

/// A panic was caught while an input was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose conversation has been ended for it; `None` where the input belonged to none.
    pub conversation: Option<ConversationId>,
}

/// Handles an input; a panic in it discards what the conversation at hand had said in it, ends that, and is told. What other
/// conversations had said before (many come up in one tick) stands. The driver counts faults: a second one within a minute is reason
/// to restart the process.
pub fn guarded(switch: &mut Switch, input: Input, now: Now, out: &mut Vec<Output>) -> Result<(), Fault> {
    // What the panic leaves half done is one conversation and the indices; the first is ended and the second are built anew.
    let handled = catch_unwind(AssertUnwindSafe(|| switch.handle(input, now, out)));
    if handled.is_ok() {
        return Ok(());
    }
    let whole = switch.whole.min(out.len());
    out.truncate(whole);
    let fault = Fault { conversation: switch.at_hand.take() };
    let recovered = catch_unwind(AssertUnwindSafe(|| switch.recover(fault.conversation, now, out)));
    if recovered.is_err() {
        out.truncate(whole);
        if let Some(id) = fault.conversation {
            switch.conversations.remove(&id);
        }
        switch.reindex();
    }
    Err(fault)
}

impl Switch {
    fn recover(&mut self, conversation: Option<ConversationId>, now: Now, out: &mut Vec<Output>) {
        if let Some(id) = conversation {
            self.with(id, now, out, |cx, conv| cx.end(conv, Cause::Fault, By::Switch));
        }
        self.reindex();
        let mut cx = Cx { hub: &mut self.hub, now, out };
        cx.count("core_faults_total");
        let reason = match conversation {
            Some(id) => format!("a fault ended conversation {id}"),
            None => "a fault, in no conversation".to_owned(),
        };
        cx.tell(conversation, Kind::SystemDegraded(SystemDegraded { part: "core".to_owned(), reason }));
    }

    /// Builds what is derived from the conversations.
    fn reindex(&mut self) {
        let mut index = Index::default();
        for conv in self.conversations.values() {
            for leg in conv.legs.values() {
                index.put(conv.id, leg);
                if !leg.is_live() {
                    index.release(leg.id);
                }
            }
        }
        for (id, departing) in &self.hub.departing {
            index.keys.insert(departing.call.key().clone(), *id);
        }
        self.hub.index = index;
        self.hub.stirred = true;
        self.timers.clear();
        self.armed.clear();
        let deadlines: Vec<_> = self.conversations.values().map(|c| (c.id, c.deadline())).collect();
        for (id, at) in deadlines {
            self.arm(id, at);
        }
    }
}
