//! Who calls, across the border of trust (RFC 3325, RFC 3323).
//!
//! | | from a trunk | to a trunk |
//! |---|---|---|
//! | trusted (`trust = true`) | P-Asserted-Identity, else Remote-Party-ID, else From | both are put in; a hidden number stands in them only |
//! | not trusted | From | neither is put in; a hidden number is told to nobody |
//!
//! What phones say of themselves counts nowhere: their number is the one that they have proven. They may ask to be hidden: by Privacy, by
//! an anonymous From, or by a code before the number.

use crate::sip::{HeaderName, NameAddr, Request, SipUri, Uri};

/// How a call shows to a trunk who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// As this trunk wants it; `None`: there is none that it would know.
    pub number: Option<String>,
    pub hidden: bool,
    pub trusted: bool,
}

/// Whether the caller wants to be hidden: by Privacy (RFC 3323 §4.2; `id` of RFC 3325 §9.3), or by a From that says nobody.
pub(super) fn wants_to_be_hidden(request: &Request) -> bool {
    let mut asked = false;
    for value in request.headers.get_all(&HeaderName::Privacy) {
        for word in value.split(|b| matches!(b, b';' | b',')).map(<[u8]>::trim_ascii) {
            // Nothing is to be done to the request, not even what a default would (§4.2).
            if word.eq_ignore_ascii_case(b"none") {
                return false;
            }
            asked |= [&b"id"[..], b"user", b"header"].iter().any(|known| word.eq_ignore_ascii_case(known));
        }
    }
    asked || request.headers.from().is_ok_and(|from| is_nobody(&from))
}

fn is_nobody(address: &NameAddr) -> bool {
    match &address.uri {
        Uri::Sip(uri) => uri.user().is_none_or(|user| user.eq_ignore_ascii_case("anonymous")),
        Uri::Tel(_) | Uri::Other(_) => false,
    }
}

/// The number of a trunk's caller; none where it is not to be shown.
pub(super) fn caller_number(request: &Request, trusted: bool) -> Option<String> {
    if !trusted {
        return if wants_to_be_hidden(request) { None } else { request.headers.from().ok().and_then(|from| number_of(&from)) };
    }
    // A From that says nobody is what the caller's network makes of a hidden number; it says by Privacy that it is to stay hidden.
    let hidden = request.headers.contains(&HeaderName::Privacy) && wants_to_be_hidden(request);
    let remote_party = request.headers.get(&HeaderName::RemotePartyId).and_then(|value| NameAddr::parse(value.clone()).ok());
    let full = |party: &NameAddr| party.params.get("privacy").is_some_and(|p| p.eq_ignore_ascii_case(b"full"));
    if hidden || remote_party.as_ref().is_some_and(full) {
        return None;
    }
    let asserted = request.headers.asserted_identity().ok().and_then(|list| list.into_iter().find_map(|a| number_of(&a)));
    let asserted = asserted.or_else(|| remote_party.and_then(|party| number_of(&party)));
    asserted.or_else(|| request.headers.from().ok().and_then(|from| number_of(&from)))
}

/// The numbers that a signature may be over: that of P-Asserted-Identity, and of From (RFC 8224 §4.1).
pub(super) fn signed_callers(request: &Request) -> Vec<String> {
    let asserted = request.headers.asserted_identity().unwrap_or_default();
    asserted.iter().chain(request.headers.from().as_ref().ok()).filter_map(number_of).collect()
}

fn number_of(address: &NameAddr) -> Option<String> {
    let number = address.uri.dialled()?;
    // Whatever stands there is shown to agents and written to disk: no control characters, no novels.
    let number: String = number.chars().filter(|c| !c.is_control()).take(64).collect();
    (!number.is_empty() && !number.eq_ignore_ascii_case("anonymous")).then_some(number)
}

impl Shown {
    /// From of an INVITE to the trunk.
    pub fn from(&self, domain: &str) -> NameAddr {
        match self.number.as_deref().filter(|_| !self.hidden) {
            Some(number) => NameAddr::new(SipUri::new(number, super::outgoing::host(domain), None)),
            // RFC 3323 §4.1.1.3.
            None => {
                let nobody = SipUri::new("anonymous", super::outgoing::host("anonymous.invalid"), None);
                NameAddr::new(nobody).with_display("Anonymous")
            }
        }
    }

    /// The other headers that say who calls.
    pub fn write(&self, request: &mut Request, domain: &str) {
        if self.hidden {
            request.headers.push(HeaderName::Privacy, "id");
        }
        if let (true, Some(number)) = (self.trusted, &self.number) {
            let own = NameAddr::new(SipUri::new(number, super::outgoing::host(domain), None));
            request.headers.push(HeaderName::PAssertedIdentity, &own);
            let privacy = if self.hidden { "full" } else { "off" };
            let party = own.with_param("party", "calling").with_param("screen", "yes").with_param("privacy", privacy);
            request.headers.push(HeaderName::RemotePartyId, party);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Message, parse_datagram};

    fn invite(from: &str, more: &str) -> Request {
        let text = format!(
            "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: {from};tag=f\r\nTo: <sip:1@10.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:x@10.2.0.1>\r\n{more}\r\n"
        );
        match parse_datagram(text.as_bytes()) {
            Ok(Message::Request(request)) => request,
            _ => panic!("{text}"),
        }
    }

    const NAMED: &str = "<sip:+4930111@x.example>";
    const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    const ASSERTED: &str = "P-Asserted-Identity: <sip:+4930222@x.example>\r\n";
    const PARTY: &str = "Remote-Party-ID: <sip:+4930333@x.example>;party=calling;privacy=";

    #[test]
    fn a_trusted_trunks_word_counts_and_anothers_does_not() {
        for (from, more, trusted, untrusted) in [
            (NAMED, String::new(), Some("+4930111"), Some("+4930111")),
            (NAMED, ASSERTED.to_owned(), Some("+4930222"), Some("+4930111")),
            (NAMED, format!("{PARTY}off\r\n"), Some("+4930333"), Some("+4930111")),
            (NAMED, format!("{PARTY}full\r\n"), None, Some("+4930111")),
            (NOBODY, ASSERTED.to_owned(), Some("+4930222"), None),
            (NOBODY, format!("{ASSERTED}Privacy: id\r\n"), None, None),
            (NAMED, format!("{ASSERTED}Privacy: id;critical\r\n"), None, None),
            (NAMED, format!("{ASSERTED}Privacy: none\r\n"), Some("+4930222"), Some("+4930111")),
            (NAMED, "Privacy: history\r\n".to_owned(), Some("+4930111"), Some("+4930111")),
            (NOBODY, String::new(), None, None),
        ] {
            let request = invite(from, &more);
            assert_eq!(caller_number(&request, true).as_deref(), trusted, "{from} {more}");
            assert_eq!(caller_number(&request, false).as_deref(), untrusted, "{from} {more}");
        }
    }

    #[test]
    fn a_phone_asks_to_be_hidden_in_several_ways() {
        assert!(!wants_to_be_hidden(&invite(NAMED, "")));
        assert!(wants_to_be_hidden(&invite(NOBODY, "")));
        assert!(wants_to_be_hidden(&invite(NAMED, "Privacy: user\r\n")));
        assert!(wants_to_be_hidden(&invite(NAMED, "Privacy: critical; Header\r\n")));
        assert!(!wants_to_be_hidden(&invite(NOBODY, "Privacy: none\r\n")));
    }
}
