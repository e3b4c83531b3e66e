//! What a NOTIFY says: dialog-info (RFC 4235), message-summary (RFC 3842), reginfo (RFC 3680).

use std::fmt::Write;

use super::line::{Dialog, DialogState};
use super::{Contact, State};
use crate::clock::Wall;

/// In one document; a number with more has a display that shows nothing of them.
const MOST_DIALOGS: usize = 8;

/// Octets of a document that goes by UDP. With the headers of its NOTIFY, which are 400 to 550, it fits the 1,472 of an Ethernet: what is
/// in fragments does not pass every NAT.
const MOST_BY_DATAGRAM: usize = 900;

/// Of a subscriber's view of a resource.
pub(super) struct Told<'a> {
    /// As the subscriber writes our address: `sip:201@192.168.1.5`.
    pub entity: String,
    /// The part behind the `@` of it.
    pub host: String,
    pub now: Wall,
    /// Increases by one with each document of a subscription.
    pub version: u32,
    /// The document before had these.
    pub before: &'a [Dialog],
    /// It goes by UDP.
    pub by_datagram: bool,
}

pub(super) fn content_type(state: &State) -> &'static str {
    match state {
        State::Line(_) => "application/dialog-info+xml",
        State::Messages { .. } => "application/simple-message-summary",
        State::Registration(_) => "application/reginfo+xml",
    }
}

pub(super) fn body(state: &State, told: &Told<'_>) -> String {
    let mut out = String::with_capacity(512);
    match state {
        State::Line(dialogs) => dialog_info(&mut out, dialogs, told),
        State::Messages { new, old } => {
            let waiting = if *new > 0 { "yes" } else { "no" };
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "Messages-Waiting: {waiting}\r\nMessage-Account: {}\r\nVoice-Message: {new}/{old} (0/0)\r\n",
                told.entity
            );
        }
        State::Registration(contacts) => reg_info(&mut out, contacts, told),
    }
    out
}

fn dialog_info(out: &mut String, dialogs: &[Dialog], told: &Told<'_>) {
    let _ = write!(
        out,
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{}\" state=\"full\" \
         entity=\"{}\">\r\n",
        told.version,
        Escaped(&told.entity)
    );
    let ended = told.before.iter().filter(|before| !dialogs.iter().any(|now| now.leg == before.leg));
    let ended = ended.map(|dialog| (dialog, "terminated"));
    let live = dialogs.iter().map(|dialog| (dialog, dialog.state.as_str()));
    let end = "</dialog-info>\r\n";
    let mut all: Vec<(&Dialog, &str)> = live.chain(ended).collect();
    let mut texts: Vec<String> = all.iter().take(MOST_DIALOGS).map(|(dialog, state)| one_dialog(dialog, state, told)).collect();
    let room = MOST_BY_DATAGRAM.saturating_sub(out.len() + end.len());
    if told.by_datagram && texts.iter().map(String::len).sum::<usize>() > room {
        // What rings can be picked up; that the line is busy one call says for all.
        all.sort_by_key(|(_, state)| match *state {
            "early" => 0,
            "confirmed" => 1,
            "trying" => 2,
            _ => 3,
        });
        texts = all.iter().take(MOST_DIALOGS).map(|(dialog, state)| one_dialog(dialog, state, told)).collect();
        let mut taken = 0;
        let fits = |text: &String| {
            // One there has to be, however long its names are.
            let first = taken == 0;
            taken += text.len();
            first || taken <= room
        };
        let fitting = texts.iter().map(fits).take_while(|fits| *fits).count();
        texts.truncate(fitting);
    }
    out.extend(texts);
    out.push_str(end);
}

fn one_dialog(dialog: &Dialog, state: &str, told: &Told<'_>) -> String {
    let mut text = String::with_capacity(384);
    let out = &mut text;
    let _ = write!(out, "<dialog id=\"{}\" call-id=\"{}\"", dialog.leg.0, Escaped(&dialog.call_id));
    for (name, tag) in [("local-tag", &dialog.local_tag), ("remote-tag", &dialog.remote_tag)] {
        if !tag.is_empty() {
            let _ = write!(out, " {name}=\"{}\"", Escaped(tag));
        }
    }
    let direction = if dialog.initiator { "initiator" } else { "recipient" };
    let _ = write!(out, " direction=\"{direction}\">\r\n<state>{state}</state>\r\n");
    party(out, "local", None, &told.entity);
    let remote = match dialog.remote.as_str() {
        "" | "anonymous" => "sip:anonymous@anonymous.invalid".to_owned(),
        number => format!("sip:{}@{}", user(number), told.host),
    };
    party(out, "remote", dialog.remote_name.as_deref(), &remote);
    out.push_str("</dialog>\r\n");
    text
}

fn party(out: &mut String, side: &str, name: Option<&str>, uri: &str) {
    let _ = write!(out, "<{side}><identity");
    if let Some(name) = name {
        let _ = write!(out, " display=\"{}\"", Escaped(name));
    }
    let _ = write!(out, ">{0}</identity><target uri=\"{0}\"/></{side}>\r\n", Escaped(uri));
}

fn reg_info(out: &mut String, contacts: &[Contact], told: &Told<'_>) {
    let state = if contacts.is_empty() { "terminated" } else { "active" };
    let aor = Escaped(&told.entity);
    let _ = write!(
        out,
        "<?xml version=\"1.0\"?>\r\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{}\" state=\"full\">\r\n\
         <registration aor=\"{aor}\" id=\"{aor}\" state=\"{state}\">\r\n",
        told.version
    );
    for contact in contacts {
        let uri = Escaped(&contact.uri);
        let _ = write!(
            out,
            "<contact id=\"{uri}\" state=\"active\" event=\"registered\" expires=\"{}\"><uri>{uri}</uri></contact>\r\n",
            contact.expires_at.since(told.now).as_secs()
        );
    }
    out.push_str("</registration>\r\n</reginfo>\r\n");
}

/// Digits and the like as they are; whatever else a display number holds does not leave the user part.
fn user(number: &str) -> String {
    crate::sip::SipUri::new(number, std::net::IpAddr::from([0, 0, 0, 0]), None).user().unwrap_or_default().to_owned()
}

/// Text in XML: markup escaped, and left out what XML 1.0 cannot hold at all.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

impl DialogState {
    fn as_str(self) -> &'static str {
        match self {
            DialogState::Trying => "trying",
            DialogState::Early => "early",
            DialogState::Confirmed => "confirmed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LegId;

    fn told(before: &[Dialog]) -> Told<'_> {
        Told {
            entity: "sip:201@10.0.0.1".into(),
            host: "10.0.0.1".into(),
            now: Wall::from_micros(0),
            version: 3,
            before,
            by_datagram: false,
        }
    }

    fn ringing() -> Dialog {
        Dialog {
            leg: LegId(7),
            call_id: "a<b@c".into(),
            local_tag: String::new(),
            remote_tag: "ours".into(),
            initiator: false,
            state: DialogState::Early,
            remote: "+49 30\"x".into(),
            remote_name: Some("J & \u{1}K".into()),
        }
    }

    #[test]
    fn a_line_that_rings_says_by_which_dialog_and_for_whom() {
        assert_eq!(
            body(&State::Line(vec![ringing()]), &told(&[])),
            "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"3\" state=\"full\" \
             entity=\"sip:201@10.0.0.1\">\r\n\
             <dialog id=\"7\" call-id=\"a&lt;b@c\" remote-tag=\"ours\" direction=\"recipient\">\r\n<state>early</state>\r\n\
             <local><identity>sip:201@10.0.0.1</identity><target uri=\"sip:201@10.0.0.1\"/></local>\r\n\
             <remote><identity display=\"J &amp; K\">sip:+49%2030%22x@10.0.0.1</identity>\
             <target uri=\"sip:+49%2030%22x@10.0.0.1\"/></remote>\r\n\
             </dialog>\r\n</dialog-info>\r\n"
        );
    }

    #[test]
    fn what_was_told_and_is_over_is_told_as_terminated() {
        let text = body(&State::Line(Vec::new()), &told(&[ringing()]));
        assert!(text.contains("<dialog id=\"7\"") && text.contains("<state>terminated</state>"), "{text}");
        assert!(!body(&State::Line(Vec::new()), &told(&[])).contains("<dialog "));
    }

    #[test]
    fn a_document_stays_small_however_many_calls_there_are() {
        let many: Vec<Dialog> = (0..100).map(|n| Dialog { leg: LegId(n), ..ringing() }).collect();
        let text = body(&State::Line(many), &told(&[]));
        assert_eq!(text.matches("</dialog>").count(), MOST_DIALOGS);
    }

    #[test]
    fn by_udp_it_fits_a_datagram_and_what_rings_goes_before_what_talks_and_is_over() {
        let talks = |n| Dialog { leg: LegId(n), state: DialogState::Confirmed, ..ringing() };
        let many: Vec<Dialog> = (0..6).map(talks).chain([ringing()]).collect();
        let over = [Dialog { leg: LegId(99), ..ringing() }];
        let text = body(&State::Line(many), &Told { by_datagram: true, ..told(&over) });
        assert!(text.len() <= MOST_BY_DATAGRAM, "{}", text.len());
        let states: Vec<&str> = text.split("<state>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        assert_eq!(states, ["early", "confirmed"]);
        // Two are told as they are.
        let text = body(&State::Line(vec![talks(1)]), &Told { by_datagram: true, ..told(&over) });
        assert!(text.contains("confirmed") && text.contains("terminated") && text.len() <= MOST_BY_DATAGRAM, "{text}");
        // One there is, however long it is.
        let long = Dialog { remote_name: Some("x".repeat(2_000)), ..ringing() };
        let text = body(&State::Line(vec![long, talks(1)]), &Told { by_datagram: true, ..told(&[]) });
        assert_eq!(text.matches("</dialog>").count(), 1);
    }

    #[test]
    fn messages_light_the_lamp_when_they_are_new() {
        let text = body(&State::Messages { new: 2, old: 8 }, &told(&[]));
        assert_eq!(text, "Messages-Waiting: yes\r\nMessage-Account: sip:201@10.0.0.1\r\nVoice-Message: 2/8 (0/0)\r\n");
        assert!(body(&State::Messages { new: 0, old: 8 }, &told(&[])).starts_with("Messages-Waiting: no\r\n"));
    }

    #[test]
    fn a_registration_lists_its_contacts() {
        let text = body(
            &State::Registration(vec![Contact {
                uri: "sip:201@10.1.0.1;x=1&2".into(),
                expires_at: Wall::from_micros(60_000_000),
            }]),
            &told(&[]),
        );
        assert!(
            text.contains("state=\"active\">") && text.contains("expires=\"60\"><uri>sip:201@10.1.0.1;x=1&amp;2</uri>"),
            "{text}"
        );
        assert!(body(&State::Registration(Vec::new()), &told(&[])).contains("state=\"terminated\""));
    }
}
