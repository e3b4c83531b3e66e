//! A panic in the core ends the conversation that it belongs to, and not the switch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::hub::{Cx, Index};
use super::{Input, Output, Switch};
use crate::clock::Now;
use crate::event::{By, Kind, SystemDegraded};
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
        cx.tell_known();
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
            if let Some(parked) = &conv.parked {
                index.parked.insert(parked.slot.clone(), conv.id);
            }
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
        self.hub.ledger.retain(|leg| index.legs.get(&leg).is_some_and(|at| !at.over));
        self.hub.index = index;
        self.hub.presence.touch_all();
        self.hub.stirred = true;
        self.timers.clear();
        self.armed.clear();
        let deadlines: Vec<_> = self.conversations.values().map(|c| (c.id, c.deadline())).collect();
        for (id, at) in deadlines {
            self.arm(id, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Mono, Wall};
    use crate::config::{Config, File, Source};
    use crate::conversation::Stage;
    use crate::ids::LegId;
    use crate::media::{Command, DigitVia, Lease, PlayId, Quality, Report};
    use crate::sip::{Flow, Message, Response, Transport, parse_datagram};

    const CENTRE: &str = r#"
[site]
name = "Test centre"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[sip]
udp = ["10.0.0.1:5060"]

[recording]
folder = "recordings"

[[trunk]]
name = "carrier"
peer = "10.2.0.1"

[[inbound]]
trunk = "carrier"
number = "100"
to = "menu:main"

# Nobody works in it.
[[queue]]
name = "support"
agents = []
max_wait = "30s"
overflow = "menu:main"
"#;

    const MENU: &str = r#"
name = "main"
language = "en"
start = "hello"

[node.hello]
kind = "play"
prompt = "welcome"
next = "node:top"

[node.top]
kind = "menu"
prompt = "welcome"
timeout = "5s"
retries = 1
digits = { "1" = "hangup", "2" = "queue:support" }
"#;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.2.0.1\r\ns=-\r\nc=IN IP4 10.2.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

    /// A switch with callers of one trunk, and what it says.
    struct Desk {
        switch: Switch,
        now: Now,
        out: Vec<Output>,
    }

    impl Desk {
        fn new() -> Desk {
            let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
            let menus = vec![file("menus/main.toml", MENU)];
            let source = Source { menus, prompts: vec!["en/welcome".into()], ..Source::of(CENTRE) };
            let config = Config::resolve(&source).unwrap();
            let now = Now { mono: Mono::from_millis(1), wall: Wall::from_micros(1_795_338_000_000_000) };
            let mut desk = Desk { switch: Switch::new([1; 32], config), now, out: Vec::new() };
            desk.take(Input::Started(Box::default())).unwrap();
            desk.take(Input::Ports((20_000..20_100).step_by(2).map(|port| Lease { worker: 0, port }).collect())).unwrap();
            desk
        }

        fn take(&mut self, input: Input) -> Result<(), Fault> {
            self.out.clear();
            guarded(&mut self.switch, input, self.now, &mut self.out)
        }

        fn request(&mut self, method: &str, caller: u8, cseq: u8, to_tag: &str, body: &str) {
            let text = format!(
                "{method} sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1:5060;branch=z9hG4bK{method}{caller}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{caller}@10.2.0.1>;tag=f{caller}\r\nTo: <sip:100@10.0.0.1>{to_tag}\r\n\
                 Call-ID: {caller}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{caller}@10.2.0.1>\r\n\
                 Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let at = |text: &str| text.parse::<SocketAddr>().unwrap();
            let flow =
                Flow { transport: Transport::Udp, local: at("10.0.0.1:5060"), remote: at("10.2.0.1:5060"), connection: None };
            let message = parse_datagram(text.as_bytes()).unwrap();
            self.take(Input::Sip { flow, message }).unwrap();
        }

        /// Into the menu: the conversation, its leg, and our tag.
        fn call(&mut self, caller: u8) -> (ConversationId, Caller) {
            self.request("INVITE", caller, 1, "", OFFER);
            let ok = self.responses().into_iter().find(|r| r.status.code() == 200).unwrap();
            let tag = String::from_utf8_lossy(ok.headers.to().unwrap().tag().unwrap()).into_owned();
            let to_tag = format!(";tag={tag}");
            let id = self.events().find_map(|(id, kind)| if let Kind::CallStarted(_) = kind { id } else { None }).unwrap();
            self.request("ACK", caller, 1, &to_tag, "");
            (id, Caller { number: caller, leg: self.switch.conversations[&id].caller, to_tag })
        }

        fn responses(&self) -> Vec<Response> {
            let read = |output: &Output| match output {
                Output::Sip { bytes, .. } => parse_datagram(bytes).ok(),
                _ => None,
            };
            let responses = self.out.iter().filter_map(read);
            responses.filter_map(|m| if let Message::Response(response) = m { Some(response) } else { None }).collect()
        }

        fn events(&self) -> impl Iterator<Item = (Option<ConversationId>, &Kind)> {
            self.out.iter().filter_map(|o| if let Output::Event(e) = o { Some((e.conversation, &e.kind)) } else { None })
        }

        /// Legs that hear something else now, in the order in which it was said.
        fn hear(&self) -> Vec<LegId> {
            let hears = |output: &Output| match output {
                Output::Media { command: Command::Hear { leg, .. }, .. } => Some(*leg),
                _ => None,
            };
            let mut legs: Vec<LegId> = self.out.iter().filter_map(hears).collect();
            legs.dedup();
            legs
        }
    }

    struct Caller {
        number: u8,
        leg: LegId,
        to_tag: String,
    }

    /// The fault is a count that runs over, which only a build with overflow checks sees.
    #[cfg_attr(not(debug_assertions), ignore)]
    #[test]
    fn a_fault_in_one_conversation_ends_that_and_takes_nothing_from_the_others() {
        let mut desk = Desk::new();
        let calls: BTreeMap<ConversationId, Caller> = (1..=3).map(|caller| desk.call(caller)).collect();
        let [before, faulty, after]: [(&ConversationId, &Caller); 3] = calls.iter().collect::<Vec<_>>().try_into().ok().unwrap();
        // It may stop what plays, and enter the next node: what that says comes to nothing with the fault.
        desk.switch.conversations.get_mut(faulty.0).unwrap().plays = u64::MAX - 1;

        // No prompt is longer: all three are due in one tick, in the order of their ids.
        desk.now = desk.now + Duration::from_secs(600);
        assert_eq!(desk.take(Input::Tick), Err(Fault { conversation: Some(*faulty.0) }));
        assert_eq!(desk.hear(), [before.1.leg], "what was said before the fault stands, and nothing of the faulty one");
        let told: Vec<&Kind> = desk.events().filter(|(id, _)| *id == Some(*faulty.0)).map(|(_, kind)| kind).collect();
        assert!(matches!(told[..], [Kind::MenuLeft(_), Kind::SystemDegraded(_)]), "{told:?}");
        assert!(desk.out.iter().any(|o| matches!(o, Output::Sip { bytes, .. } if bytes.starts_with(b"BYE sip:"))));
        // The one that had not come up yet does so in the next tick.
        assert_eq!(desk.switch.deadline(), Some(desk.now.mono));
        desk.take(Input::Tick).unwrap();
        assert_eq!(desk.hear(), [after.1.leg]);

        desk.take(Input::Media(Report::Closed { leg: faulty.1.leg, quality: Quality::default() })).unwrap();
        let ended = desk.events().find_map(|(id, kind)| if let Kind::CallEnded(e) = kind { Some((id, e.cause)) } else { None });
        assert_eq!(ended, Some((Some(*faulty.0), Cause::Fault)));
        assert_eq!(desk.switch.live(), 2);
        // The others are found by their dialogs and end as ever.
        for (id, caller) in [before, after] {
            desk.request("BYE", caller.number, 2, &caller.to_tag, "");
            assert!(desk.responses().iter().any(|r| r.status.code() == 200));
            desk.take(Input::Media(Report::Closed { leg: caller.leg, quality: Quality::default() })).unwrap();
            let ended = |(of, kind): (Option<ConversationId>, &Kind)| of == Some(*id) && matches!(kind, Kind::CallEnded(_));
            assert!(desk.events().any(ended));
        }
        assert_eq!(desk.switch.live(), 0);
    }

    #[cfg_attr(not(debug_assertions), ignore)]
    #[test]
    fn what_belongs_to_no_conversation_is_said_although_the_first_that_comes_up_is_faulty() {
        let mut desk = Desk::new();
        let (id, _) = desk.call(1);
        desk.switch.conversations.get_mut(&id).unwrap().plays = u64::MAX;
        desk.now = desk.now + Duration::from_secs(600);
        assert_eq!(desk.take(Input::Tick), Err(Fault { conversation: Some(id) }));
        // Trunks' names are asked for again once a minute; nobody asks a second time for those of this one.
        assert!(desk.out.iter().any(|o| matches!(o, Output::Resolve { .. })));
    }
    #[cfg_attr(not(debug_assertions), ignore)]
    #[test]
    fn a_caller_whose_turn_comes_in_the_moment_of_anothers_fault_has_its_turn() {
        let mut desk = Desk::new();
        let mut waiting = Vec::new();
        for caller in 1..=2 {
            let (id, caller) = desk.call(caller);
            let digit = Report::Digit { leg: caller.leg, digit: '2', duration_ms: 100, via: DigitVia::Rfc4733 };
            // The first says "welcome" to the end, and asks then.
            let play = PlayId(desk.switch.conversations[&id].plays);
            desk.take(Input::Media(Report::PlayEnded { leg: caller.leg, play })).unwrap();
            desk.take(Input::Media(digit)).unwrap();
            assert!(matches!(desk.switch.conversations[&id].stage, Stage::Queue { .. }));
            waiting.push(id);
        }
        desk.switch.conversations.get_mut(&waiting[0]).unwrap().plays = u64::MAX;
        desk.now = desk.now + Duration::from_secs(31);
        assert_eq!(desk.take(Input::Tick), Err(Fault { conversation: Some(waiting[0]) }));
        desk.take(Input::Tick).unwrap();
        assert!(matches!(desk.switch.conversations[&waiting[1]].stage, Stage::Menu { .. }));
    }
}
