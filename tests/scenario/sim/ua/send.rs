//! What a user agent sends.

use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::sip::{
    Algorithm, CSeq, Challenge, HeaderName, Host, HostPort, Login, Method, NameAddr, Request, Response, SipUri, Status,
    Transport, Uri, Via, ha1,
};

use super::{GIVE_UP, Phase, Repeat, T1, Ua, branch_of, switch_host, with_body};
use crate::sim::network::Parcel;
use crate::sim::switch;

impl Ua {
    pub(super) fn send_register(&mut self, expires: u32, now: Mono) {
        self.register_cseq += 1;
        let own = SipUri::new(&self.number, switch_host(), None);
        let mut request = Request::new(Method::Register, SipUri::of_host(HostPort { host: switch_host(), port: Some(5060) }));
        let tag = self.token("f");
        request.headers.push(HeaderName::From, NameAddr::new(own.clone()).with_tag(&tag));
        request.headers.push(HeaderName::To, NameAddr::new(own));
        request.headers.push(HeaderName::CallId, format!("reg-{}", self.at));
        request.headers.push(HeaderName::CSeq, CSeq::new(self.register_cseq, Method::Register));
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::Contact, self.contact());
        request.headers.push(HeaderName::Expires, expires);
        self.start(request, None, false, now);
    }

    pub(super) fn registered_or_not(&mut self, request: &Request, code: u16, now: Mono) {
        let expires = request.headers.expires().ok().flatten().unwrap_or(0);
        if code == 200 {
            self.registered = expires > 0;
            self.refresh_at = (expires > 0).then(|| now + Duration::from_secs(3_000));
        }
    }

    pub(super) fn invite(&mut self, number: &str, with_offer: bool, now: Mono) -> usize {
        let tag = self.token("f");
        let from = NameAddr::new(SipUri::new(&self.number, if self.is_phone { switch_host() } else { self.host() }, None));
        let nobody = NameAddr::new(SipUri::new("anonymous", Host::new("anonymous.invalid").unwrap_or_else(switch_host), None));
        let local = if self.nobody { nobody } else { from }.with_tag(&tag);
        let target: Uri = SipUri::new(number, switch_host(), Some(5060)).into();
        let remote = NameAddr::new(target.clone());
        let id = self.token("c");
        let mut request = Request::new(Method::Invite, target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, &local);
        request.headers.push(HeaderName::To, &remote);
        request.headers.push(HeaderName::CallId, id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(1, Method::Invite));
        if !self.unreachable {
            request.headers.push(HeaderName::Contact, self.contact());
        }
        if let Some(asserted) = &self.asserted {
            request.headers.push(HeaderName::PAssertedIdentity, asserted.as_str());
        }
        for (name, value) in &self.more {
            let name = HeaderName::parse(*name).unwrap_or_else(|| panic!("{name}"));
            request.headers.push(name, *value);
        }
        if let Some(replaces) = self.replaces.take() {
            request.headers.push(HeaderName::Replaces, replaces);
        }
        let mut call = self.blank(true, id, local, remote, target, request.clone());
        call.cseq = 1;
        if with_offer {
            request.headers.push(HeaderName::ContentType, "application/sdp");
            request.body = call.description(&self.codecs, self.events).into();
        }
        self.calls.push(call);
        let i = self.calls.len() - 1;
        self.start(request, Some(i), false, now);
        i
    }

    pub(super) fn reinvite(&mut self, direction: &'static str, zero: bool, with_offer: bool, now: Mono) {
        let Some(i) = self.up() else { return };
        let contact = self.contact();
        self.calls[i].direction = direction;
        self.calls[i].zero = zero;
        self.calls[i].version += 1;
        let body = self.calls[i].description(&self.codecs, self.events);
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::Contact, contact);
            if with_offer {
                r.headers.push(HeaderName::ContentType, "application/sdp");
                r.body = body.into();
            }
        };
        self.in_dialog(i, Method::Invite, fill, now);
    }

    pub(super) fn in_dialog(&mut self, i: usize, method: Method, fill: impl FnOnce(&mut Request), now: Mono) {
        let call = &mut self.calls[i];
        call.cseq += 1;
        let mut request = Request::new(method.clone(), call.target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, &call.local);
        request.headers.push(HeaderName::To, &call.remote);
        request.headers.push(HeaderName::CallId, call.call_id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(call.cseq, method));
        fill(&mut request);
        self.start(request, Some(i), false, now);
    }

    /// Sends a request of ours and repeats it until it is answered.
    pub(super) fn start(&mut self, mut request: Request, call: Option<usize>, tried_auth: bool, now: Mono) {
        let branch = Bytes::from(format!("z9hG4bK{}", self.token("b")));
        let via = Via::new(Transport::Udp, HostPort { host: self.host(), port: Some(self.at.port()) }, &branch);
        request.headers.push_via(&via);
        if let (Some(seconds), Method::Invite | Method::Update) = (self.session_expires, &request.method) {
            request.headers.set(HeaderName::Supported, "timer");
            request.headers.set(HeaderName::SessionExpires, seconds);
        }
        if let (Some(wants), Method::Invite | Method::Update, Some(_)) = (self.wants, &request.method, call) {
            request.headers.set(HeaderName::Supported, "timer");
            request.headers.set(HeaderName::SessionExpires, wants);
        }
        let bytes = request.to_bytes();
        let method = request.method.to_string();
        self.note(now, format!("-> {method}"));
        if let Some(i) = call.filter(|_| request.method == Method::Invite) {
            self.calls[i].invite_branch = branch.clone();
            self.calls[i].invite = request.clone();
        }
        self.repeats.push(Repeat {
            key: (branch, method),
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call,
            request: Some(request),
            quiet: false,
            tried_auth,
        });
        self.put(bytes);
    }

    pub(super) fn with_credentials(&mut self, mut request: Request, response: &Response, call: Option<usize>, now: Mono) {
        let (asked, answer) = match response.status.code() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            _ => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        };
        let challenge = response.headers.challenges(&asked).into_iter().next().unwrap_or_else(|| panic!("no challenge"));
        let login = Login { username: &self.number, password: &self.secret };
        let credentials = challenge.answer(&login, &request.method, request.uri.to_string().as_bytes(), 1, b"cnonce");
        self.nc += 1;
        request.headers.set(answer, credentials);
        request.headers.remove_top_via();
        let cseq = match call {
            Some(i) => {
                self.calls[i].cseq += 1;
                self.calls[i].cseq
            }
            None => {
                self.register_cseq += 1;
                self.register_cseq
            }
        };
        let method = request.method.clone();
        request.headers.set(HeaderName::CSeq, CSeq::new(cseq, method));
        self.start(request, call, true, now);
    }

    pub(super) fn cancel_call(&mut self, i: usize, now: Mono) {
        let branch = self.calls[i].invite_branch.clone();
        let heard = self.repeats.iter().any(|r| r.key.0 == branch && r.key.1 == "INVITE" && r.quiet);
        if heard {
            self.send_cancel(i, now);
        } else {
            self.calls[i].wants_cancel = true;
        }
    }

    pub(super) fn send_cancel(&mut self, i: usize, now: Mono) {
        let call = &self.calls[i];
        let mut request = Request::new(Method::Cancel, call.invite.uri.clone());
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId] {
            request.headers.copy(&name, &call.invite.headers);
        }
        let number = call.invite.headers.cseq().map_or(1, |c| c.number);
        request.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Cancel));
        request.headers.push(HeaderName::MaxForwards, 70u32);
        let branch = call.invite_branch.clone();
        let bytes = request.to_bytes();
        self.note(now, "-> CANCEL".into());
        self.repeats.push(Repeat {
            key: (branch, "CANCEL".into()),
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call: Some(i),
            request: Some(request),
            quiet: false,
            tried_auth: true,
        });
        self.put(bytes);
    }

    pub(super) fn ack_failure(&mut self, request: &Request, response: &Response) {
        let mut ack = Request::new(Method::Ack, request.uri.clone());
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId] {
            ack.headers.copy(&name, &request.headers);
        }
        ack.headers.copy(&HeaderName::To, &response.headers);
        let number = request.headers.cseq().map_or(1, |c| c.number);
        ack.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Ack));
        ack.headers.push(HeaderName::MaxForwards, 70u32);
        let bytes = ack.to_bytes();
        let branch = branch_of(request);
        self.given.insert((branch, "ACK".into()), bytes.clone());
        self.put(bytes);
    }

    pub(super) fn ack_success(&mut self, i: usize, request: &Request) {
        let branch = format!("z9hG4bK{}", self.token("a"));
        let host = self.host();
        let port = self.at.port();
        let call = &mut self.calls[i];
        let number = request.headers.cseq().map_or(1, |c| c.number);
        let mut ack = Request::new(Method::Ack, call.target.clone());
        ack.headers.push_via(&Via::new(Transport::Udp, HostPort { host, port: Some(port) }, &branch));
        ack.headers.push(HeaderName::MaxForwards, 70u32);
        ack.headers.push(HeaderName::From, &call.local);
        ack.headers.push(HeaderName::To, &call.remote);
        ack.headers.push(HeaderName::CallId, call.call_id.as_str());
        ack.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Ack));
        if call.late_answer {
            ack.headers.push(HeaderName::ContentType, "application/sdp");
            ack.body = call.description(&self.codecs, self.events).into();
        }
        let bytes = ack.to_bytes();
        call.first_ack.get_or_insert(bytes.clone());
        self.given.insert((branch_of(request), "ACK".into()), bytes.clone());
        self.put(bytes);
    }

    pub(super) fn acknowledge_again(&mut self, response: &Response, key: &(Bytes, String)) {
        if response.status.is_success() && !self.acks {
            return;
        }
        if let Some(ack) = self.given.get(&(key.0.clone(), "ACK".into())) {
            let ack = ack.clone();
            self.put(ack);
        }
    }

    pub(super) fn ring(&mut self, i: usize) {
        let invite = self.calls[i].invite.clone();
        let mut response = self.response(&invite, if self.early { 183 } else { 180 }, i);
        if self.early {
            let body = self.calls[i].description(&self.codecs, self.events);
            with_body(&mut response, body);
        }
        if let Some(rseq) = &mut self.rseq {
            response.headers.push(HeaderName::Require, "100rel");
            response.headers.push(HeaderName::RSeq, *rseq);
            *rseq += 1;
        }
        self.put(response.to_bytes());
    }

    pub(super) fn send_prack(&mut self, i: usize, rseq: u32, now: Mono) {
        let Some(to) = self.calls[i].early.clone() else { panic!("no early dialog") };
        let cseq = self.calls[i].invite.headers.cseq().map_or(0, |c| c.number);
        let fill = |r: &mut Request| {
            r.headers.set(HeaderName::To, &to);
            r.headers.push(HeaderName::RAck, format!("{rseq} {cseq} INVITE"));
        };
        self.in_dialog(i, Method::Prack, fill, now);
    }

    pub(super) fn grant(&self, response: &mut Response) {
        if let Some(grants) = self.grants {
            response.headers.set(HeaderName::SessionExpires, grants);
        }
        if self.allows_update {
            response.headers.set(HeaderName::Allow, "INVITE, ACK, BYE, CANCEL, UPDATE");
        }
    }

    /// A provisional response.
    pub(super) fn say(&mut self, i: usize, status: u16) {
        let invite = self.calls[i].invite.clone();
        let response = self.response(&invite, status, i);
        self.put(response.to_bytes());
    }

    pub(super) fn accept(&mut self, i: usize, unusable: bool, now: Mono) {
        let invite = self.calls[i].invite.clone();
        let mut response = self.response(&invite, 200, i);
        let body = if unusable {
            format!("v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 9000 RTP/AVP 3\r\n", self.at.ip())
        } else {
            self.calls[i].description(&self.codecs, self.events)
        };
        with_body(&mut response, body);
        self.grant(&mut response);
        self.calls[i].phase = Phase::Answered;
        self.calls[i].act_at = None;
        self.finally(i, &invite, response, now);
    }

    pub(super) fn refuse(&mut self, i: usize, status: u16, now: Mono) {
        let invite = self.calls[i].invite.clone();
        let mut response = self.response(&invite, status, i);
        if (300..400).contains(&status) {
            response.headers.set(HeaderName::Contact, self.redirects_to.as_str());
        }
        self.over(i, now);
        self.finally(i, &invite, response, now);
    }

    /// A final response to an INVITE: again until its ACK.
    pub(super) fn finally(&mut self, i: usize, invite: &Request, response: Response, now: Mono) {
        let bytes = response.to_bytes();
        let key = (branch_of(invite), "INVITE".to_owned());
        self.note(now, format!("-> {}", response.status.code()));
        self.given.insert(key.clone(), bytes.clone());
        self.repeats.push(Repeat {
            key,
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call: Some(i),
            request: None,
            quiet: false,
            tried_auth: false,
        });
        self.put(bytes);
    }

    pub(super) fn response(&self, request: &Request, code: u16, i: usize) -> Response {
        let status = Status::new(code).unwrap_or_else(|| panic!("status {code}"));
        let tag = self.calls[i].local.tag().unwrap_or_default().to_vec();
        let mut response = request.response_with_tag(status, tag);
        if code < 300 {
            response.headers.push(HeaderName::Contact, self.contact());
        } else if let Some(seconds) = self.retry_after {
            response.headers.push(HeaderName::RetryAfter, seconds);
        }
        response
    }

    /// A trunk's answer to a REGISTER.
    pub(super) fn registers_with(&mut self, request: &Request) {
        let status = Status::new(self.on_register).unwrap_or_else(|| panic!("status {}", self.on_register));
        let nonce = format!("nonce=\"n{}\"", self.nonces);
        let credentials = request.headers.get(&HeaderName::Authorization);
        let proven = credentials.is_some_and(|c| String::from_utf8_lossy(c).contains(&nonce));
        if !status.is_success() {
            return self.reply(request, self.on_register);
        }
        let tag = self.token("r");
        let mut response = request.response_with_tag(status, tag);
        if self.one_nonce_each {
            self.nonces += 1;
            if !proven {
                response.status = Status::UNAUTHORIZED;
                let challenge = format!("Digest realm=\"carrier\", nonce=\"n{}\", algorithm=MD5, qop=\"auth\"", self.nonces);
                response.headers.push(HeaderName::WwwAuthenticate, challenge);
            }
        }
        if response.status.is_success() {
            self.registers_as(request);
            if let Some(contacts) = &self.lists {
                response.headers.push(HeaderName::Contact, contacts.as_str());
            }
        }
        let bytes = response.to_bytes();
        self.given.insert((branch_of(request), request.method.to_string()), bytes.clone());
        self.put(bytes);
    }

    fn registers_as(&mut self, request: &Request) {
        let contacts = request.headers.get_all(&HeaderName::Contact).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        self.accepted.push((contacts, request.headers.expires().ok().flatten()));
    }

    pub(super) fn reply(&mut self, request: &Request, code: u16) {
        let status = Status::new(code).unwrap_or_else(|| panic!("status {code}"));
        let tag = self.token("r");
        let mut response = request.response_with_tag(status, tag);
        if let (true, Some(seconds)) = (code >= 300, self.retry_after) {
            response.headers.push(HeaderName::RetryAfter, seconds);
        }
        if code == 407 {
            let challenge = "Digest realm=\"carrier\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
            response.headers.push(HeaderName::ProxyAuthenticate, challenge);
        }
        let bytes = response.to_bytes();
        self.given.insert((branch_of(request), request.method.to_string()), bytes.clone());
        self.put(bytes);
    }

    /// Whether a request within a call may go on; else it is challenged.
    pub(super) fn admits(&mut self, request: &Request) -> bool {
        let in_call = request.headers.to().is_ok_and(|to| to.tag().is_some());
        if !in_call || !self.challenges.contains(&request.method.as_str()) {
            return true;
        }
        let (user, secret) = &self.takes;
        let given = request.headers.authorizations().unwrap_or_default();
        let secret = ha1(Algorithm::Md5, user.as_bytes(), b"peer", secret.as_bytes());
        let is_right = given.first().is_some_and(|c| c.verify(&secret, &request.method));
        let is_stale = is_right && self.stale > 0;
        if is_right && !is_stale {
            return true;
        }
        self.stale -= usize::from(is_stale);
        self.challenged += 1;
        let status = Status::new(401).unwrap_or_else(|| panic!("status"));
        let mut response = request.response(status);
        let nonce = format!("nonce-{}", self.challenged).into();
        let challenge =
            Challenge { realm: "peer".into(), nonce, algorithm: Algorithm::Md5, qop_auth: true, stale: is_stale, opaque: None };
        response.headers.push(HeaderName::WwwAuthenticate, challenge);
        let bytes = response.to_bytes();
        self.given.insert((branch_of(request), request.method.to_string()), bytes.clone());
        self.put(bytes);
        false
    }

    pub(super) fn put(&mut self, bytes: Bytes) {
        if !self.dead {
            let transport = if self.browser { Transport::Ws } else { Transport::Udp };
            self.parcels.push((switch(), Parcel::Sip { from: self.at, bytes, transport }));
        }
    }
}
