//! Who commanded what: every command that changes something is told as `audit.commanded`, whether it was carried out or refused.
//!
//! Those of the API all come by [`Switch::command`], and codes of phones by the two places that act on them. What only asks is not told.

use serde_json::{Value, json};

use super::command::{Answer, Command};
use super::hub::Cx;
use super::input::Actor;
use super::output::Ticket;
use super::{Output, Switch};
use crate::clock::Now;
use crate::event::{AuditCommanded, AuditOutcome, By, Kind};
use crate::ids::Number;
use crate::route::{Code, When};

impl Switch {
    pub(super) fn command(&mut self, ticket: Ticket, by: &Actor, command: Command, now: Now, out: &mut Vec<Output>) -> Answer {
        let spelled = changes(&command).then(|| spelled(&command));
        let answer = self.obey(ticket, by, command, now, out);
        if let Some((command, asked)) = spelled {
            let why = match &answer {
                Answer::Refused(refusal) => Some(refusal.to_string()),
                _ => None,
            };
            let by = By::Api(by.0.clone());
            self.cx(now, out).audited(AuditCommanded {
                by,
                phone: None,
                agent: None,
                command,
                asked,
                outcome: outcome(why.as_deref()),
                why,
            });
        }
        answer
    }
}

impl Cx<'_> {
    fn audited(&mut self, data: AuditCommanded) {
        self.tell(None, Kind::AuditCommanded(data));
    }

    /// A code that was dialled or pressed at a phone: the name of the command of the API that does the same, and what it asked for.
    pub fn code_audited(&mut self, phone: &Number, (command, asked): (&str, Value), why: Option<String>) {
        let agent = self.hub.acd.agent_at(phone).cloned();
        let (by, phone, command) = (By::Phone, Some(phone.clone()), command.to_owned());
        self.audited(AuditCommanded { by, phone, agent, command, asked, outcome: outcome(why.as_deref()), why });
    }
}

fn outcome(why: Option<&str>) -> AuditOutcome {
    if why.is_none() { AuditOutcome::Done } else { AuditOutcome::Refused }
}

fn changes(command: &Command) -> bool {
    match command {
        Command::Originate { .. }
        | Command::Hangup { .. }
        | Command::Hold { .. }
        | Command::Resume { .. }
        | Command::Transfer { .. }
        | Command::Join { .. }
        | Command::Confer { .. }
        | Command::ConferWith { .. }
        | Command::Consult { .. }
        | Command::Consultation { .. }
        | Command::Monitor { .. }
        | Command::Mute { .. }
        | Command::Play { .. }
        | Command::StopPlay { .. }
        | Command::Press { .. }
        | Command::Record { .. }
        | Command::SetAgent { .. }
        | Command::ExtendWrapUp { .. }
        | Command::Dispose { .. }
        | Command::Note { .. }
        | Command::Tag { .. }
        | Command::Mark { .. }
        | Command::LogIn { .. }
        | Command::LogOut { .. }
        | Command::PutInto { .. }
        | Command::MoveCaller { .. }
        | Command::Announce { .. }
        | Command::CallBack { .. }
        | Command::CancelCallback { .. }
        | Command::SetForwarding { .. }
        | Command::HearMessage { .. }
        | Command::DeleteMessage { .. }
        | Command::SetGreeting { .. }
        | Command::DropGreeting { .. }
        | Command::LiftMailboxLock { .. }
        | Command::LiftBan { .. } => true,
        Command::Phones
        | Command::Mailbox { .. }
        | Command::Greeting { .. }
        | Command::MailboxLocks
        | Command::Registrations
        | Command::Bans
        | Command::Agents
        | Command::Queues
        | Command::Callers { .. }
        | Command::Trunks
        | Command::Callbacks
        | Command::Status => false,
    }
}

/// Its name, and its fields but for keys that are sent into a call, which may be somebody's PIN at the other end, and a note's text, which is
/// the conversation's.
fn spelled(command: &Command) -> (String, Value) {
    let (name, mut asked) = match serde_json::to_value(command) {
        Ok(Value::Object(variant)) => variant.into_iter().next().unwrap_or_default(),
        Ok(Value::String(name)) => (name, Value::Null),
        Ok(_) | Err(_) => (String::new(), Value::Null),
    };
    if let Some(fields) = asked.as_object_mut() {
        fields.remove("digits");
        fields.remove("text");
    }
    (snake_case(&name), asked)
}

fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// What a code that is dialled changes; `None` of one that only begins a call.
pub(super) fn dialled(code: &Code) -> Option<(&'static str, Value)> {
    let when = |when: &When| match when {
        When::Always => "always",
        When::Busy => "busy",
        When::NoAnswer => "no_answer",
        When::Unregistered => "unregistered",
    };
    match code {
        Code::Ready => Some(("set_agent", json!({"state": "ready"}))),
        Code::Pause { reason } => Some(("set_agent", json!({"state": "paused", "reason": reason}))),
        Code::Offline => Some(("set_agent", json!({"state": "offline"}))),
        Code::Forward { when: on, to } => Some(("set_forwarding", json!({ (when(on)): to }))),
        Code::DoNotDisturb { on } => Some(("set_forwarding", json!({"do_not_disturb": on}))),
        Code::LogOut => Some(("log_out", json!({}))),
        // Told when the PIN was right, or was not.
        Code::LogIn(_) => None,
        Code::Pickup(_) | Code::Intercom(_) | Code::Park | Code::Parked(_) | Code::Messages(_) | Code::Prompt(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConversationId;

    #[test]
    fn a_command_is_spelled_without_the_keys_that_it_sends() {
        let conversation = ConversationId::from_parts(1, 1);
        let press = Command::Press { conversation, who: None, digits: "4711".into() };
        let (name, asked) = spelled(&press);
        assert_eq!((name.as_str(), asked), ("press", json!({"conversation": conversation.to_string(), "who": null})));
        assert_eq!(spelled(&Command::LiftBan { address: "192.0.2.1".parse().unwrap() }).0, "lift_ban");
    }
}
