//! What comes to a user agent, and what it makes of it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::codec::Codec;
use cordboard::rtp::Packet;
use cordboard::sip::{self, HeaderName, Message, Method, Request, Response};

use super::{OnInvite, Phase, Seen, Ua, branch_of, call_id, contact_of, with_body};

impl Ua {
    pub fn receive(&mut self, bytes: &[u8], now: Mono) {
        if self.dead {
            return;
        }
        match sip::parse_datagram(bytes) {
            Ok(Message::Request(request)) => self.requested(request, now),
            Ok(Message::Response(response)) => self.answered(response, now),
            Err(_) => panic!("the switch sent what cannot be read:\n{}", String::from_utf8_lossy(bytes)),
        }
    }

    pub fn hear(&mut self, to: SocketAddr, bytes: &[u8], rtcp: bool, now: Mono) {
        if rtcp || self.dead {
            return;
        }
        let to = SocketAddr::new(to.ip(), to.port().wrapping_sub(self.rtp_shift));
        if let Some(call) = self.calls.iter_mut().rfind(|c| c.rtp == to) {
            let Some(bytes) = call.srtp.open(bytes) else { return };
            let Ok(packet) = Packet::parse(&bytes[..]) else { panic!("not RTP") };
            call.heard.push((now, packet.payload_type(), packet.payload().first().copied().unwrap_or(0)));
            if self.tone.is_some()
                && let Some(law) = Codec::from_payload_type(packet.payload_type()).and_then(Codec::g711)
            {
                call.listened.extend(packet.payload().iter().map(|byte| law.decode(*byte)));
            }
        }
    }

    pub(super) fn requested(&mut self, request: Request, now: Mono) {
        let method = request.method.to_string();
        self.note(now, format!("<- {method}"));
        if [HeaderName::Authorization, HeaderName::ProxyAuthorization].iter().any(|name| request.headers.contains(name)) {
            self.signed.push(method.clone());
        }
        let branch = branch_of(&request);
        if request.method == Method::Ack {
            return self.acked(&request, now);
        }
        if let Some(given) = self.given.get(&(branch.clone(), method.clone())) {
            let given = given.clone();
            return self.put(given);
        }
        if !self.admits(&request) {
            return;
        }
        let number = request.headers.cseq().map_or(0, |c| c.number);
        self.cseqs.push((request.method.to_string(), number));
        let found = self.find(&request);
        match request.method {
            Method::Invite => match found {
                Some(i) => self.reinvited(i, &request),
                None => self.invited(request, now),
            },
            Method::Cancel => {
                let reason = request.headers.reasons().into_iter().find(|r| r.protocol().eq_ignore_ascii_case("SIP"));
                self.cancels.push(reason.and_then(|r| r.cause()));
                self.reply(&request, 200);
                let ringing = self.calls.iter().position(|c| c.phase == Phase::Ringing && c.invite_branch == branch);
                if let Some(i) = ringing {
                    self.refuse(i, 487, now);
                }
            }
            Method::Bye => match found {
                Some(i) => {
                    self.byes += 1;
                    match self.on_bye.pop_front() {
                        Some(status) => self.reply(&request, status),
                        None => {
                            self.over(i, now);
                            self.reply(&request, 200);
                        }
                    }
                }
                None => self.reply(&request, 481),
            },
            Method::Notify if self.notified(&request) => {}
            Method::Message => self.messaged(&request),
            Method::Notify => {
                let text = String::from_utf8_lossy(&request.body).trim().to_owned();
                self.reply(&request, 200);
                let status: u16 = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                self.notifies.push(text);
                if let Some(i) = found
                    && (200..300).contains(&status)
                    && self.leaves_after_transfer
                {
                    self.end(i, now);
                }
            }
            Method::Update => {
                self.refreshes.push("UPDATE".to_owned());
                match self.on_refresh.pop_front() {
                    Some(0) => {}
                    Some(status) => self.reply(&request, status),
                    None if self.allows_update => {
                        let Some(i) = found else { return self.reply(&request, 481) };
                        let mut response = self.response(&request, 200, i);
                        self.grant(&mut response);
                        self.put(response.to_bytes());
                    }
                    None => self.reply(&request, 405),
                }
            }
            Method::Prack => {
                let rack = request.headers.get(&HeaderName::RAck).map(|v| String::from_utf8_lossy(v).into_owned());
                self.racks.push(rack.unwrap_or_default());
                self.reply(&request, 200);
            }
            Method::Options if found.is_none() => {
                self.options += 1;
                self.reply(&request, self.on_options);
            }
            Method::Options => self.reply(&request, 200),
            Method::Info => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let kind = request.headers.get(&HeaderName::ContentType).map(|value| text(value)).unwrap_or_default();
                self.infos.push((kind, text(&request.body)));
                let status = self.on_info.pop_front().unwrap_or(200);
                self.reply(&request, status);
            }
            Method::Register => {
                self.registers += 1;
                self.registers_with(&request);
            }
            _ => self.reply(&request, 405),
        }
    }

    pub(super) fn invited(&mut self, request: Request, now: Mono) {
        if request.headers.to().is_ok_and(|to| to.tag().is_some()) {
            return self.reply(&request, 481);
        }
        let branch = branch_of(&request);
        if let Some(i) = self.calls.iter().position(|c| !c.outgoing && c.invite_branch == branch) {
            // Again, while it rings: our 180 was lost.
            if self.calls[i].phase == Phase::Ringing {
                self.ring(i);
            }
            return;
        }
        let what = self.script.pop_front().unwrap_or(self.on_invite);
        let unknown = self.srtp.is_none()
            && !self.browser
            && !self.sees_no_srtp
            && memchr::memmem::find(&request.body, b"RTP/SAVP").is_some();
        let what = if unknown { OnInvite::Refuse(488) } else { what };
        let from = request.headers.from().unwrap_or_else(|e| panic!("From: {e}"));
        self.invites.push(Seen {
            display: from.display_text().map(|d| d.into_owned()),
            number: from.uri.dialled().unwrap_or_default(),
            uri: request.uri.to_string(),
            diversion: values(&request, &HeaderName::Diversion),
            history: values(&request, &HeaderName::HistoryInfo),
            who: [
                HeaderName::From,
                HeaderName::PAssertedIdentity,
                HeaderName::RemotePartyId,
                HeaderName::Privacy,
                HeaderName::Identity,
                HeaderName::Date,
            ]
            .map(|name| request.headers.get(&name).map(|v| String::from_utf8_lossy(v).into_owned())),
            referred_by: request.headers.referred_by().ok().flatten().and_then(|by| by.uri.dialled()),
            by_itself: [
                request.headers.get(&HeaderName::AnswerMode).is_some_and(|v| v == "Auto"),
                request.headers.get(&HeaderName::AlertInfo).is_some_and(|v| v.ends_with(b";info=alert-autoanswer;delay=0")),
                request.headers.get(&HeaderName::CallInfo).is_some_and(|v| v.ends_with(b";answer-after=0")),
            ],
        });
        if what == OnInvite::Ignore {
            return;
        }
        let asked = request.headers.session_expires().ok().flatten().map(|s| s.interval);
        self.sessions.extend(asked.map(|seconds| format!("asked {seconds}")));
        if let (Some(least), Some(asked)) = (self.min_se, asked)
            && asked < least
        {
            return self.refuse_with_min_se(&request, least, now);
        }
        let tag = self.token("t");
        let local = request.headers.to().unwrap_or_else(|e| panic!("To: {e}")).with_tag(&tag);
        let target = contact_of(&request.headers).unwrap_or_else(|| panic!("an INVITE without Contact"));
        let mut call = self.blank(false, call_id(&request.headers), local, from, target, request.clone());
        call.invite_branch = branch;
        call.phase = Phase::Ringing;
        call.take_description(&request.body);
        self.calls.push(call);
        let i = self.calls.len() - 1;
        match what {
            OnInvite::Answer(d) | OnInvite::AnswerThenBye(d) | OnInvite::RefuseAfter(_, d) if d > Duration::ZERO => {
                self.ring(i);
                self.begin_to_speak(i, now);
                self.calls[i].act_at = Some((now + d, what));
            }
            OnInvite::Ring => {
                self.ring(i);
                self.begin_to_speak(i, now);
            }
            OnInvite::Try => self.say(i, 100),
            other => self.carry_out(i, other, now),
        }
    }

    /// 422 (RFC 4028 §6), repeated until its ACK as every refusal.
    fn refuse_with_min_se(&mut self, request: &Request, least: u32, now: Mono) {
        let local = request.headers.to().unwrap_or_else(|e| panic!("To: {e}")).with_tag("t422");
        let from = request.headers.from().unwrap_or_else(|e| panic!("From: {e}"));
        let target = contact_of(&request.headers).unwrap_or_else(|| panic!("an INVITE without Contact"));
        let mut call = self.blank(false, call_id(&request.headers), local, from, target, request.clone());
        call.invite_branch = branch_of(request);
        call.phase = Phase::Over;
        self.calls.push(call);
        let i = self.calls.len() - 1;
        let mut response = self.response(request, 422, i);
        response.headers.push(HeaderName::MinSe, least);
        self.finally(i, request, response, now);
    }

    pub(super) fn carry_out(&mut self, i: usize, what: OnInvite, now: Mono) {
        if self.calls[i].phase != Phase::Ringing {
            return;
        }
        match what {
            OnInvite::Answer(_) => self.accept(i, false, now),
            OnInvite::AnswerThenBye(_) => {
                self.calls[i].bye_on_ack = true;
                self.accept(i, false, now);
            }
            OnInvite::AnswerUnusably => self.accept(i, true, now),
            OnInvite::Refuse(status) | OnInvite::RefuseAfter(status, _) => self.refuse(i, status, now),
            OnInvite::Ring | OnInvite::Try | OnInvite::Ignore => {}
        }
    }

    pub(super) fn reinvited(&mut self, i: usize, request: &Request) {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let direction = ["sendonly", "recvonly", "inactive"].iter().find(|d| text.contains(**d)).unwrap_or(&"sendrecv");
        self.refreshes.push(format!("INVITE {direction}"));
        match self.on_refresh.pop_front() {
            Some(0) => return,
            Some(status) => return self.reply(request, status),
            None => {}
        }
        self.calls[i].take_description(&request.body);
        let body = self.calls[i].description(&self.codecs, self.events);
        let mut response = self.response(request, 200, i);
        with_body(&mut response, body);
        self.grant(&mut response);
        let bytes = response.to_bytes();
        self.given.insert((branch_of(request), "INVITE".into()), bytes.clone());
        self.put(bytes);
    }

    pub(super) fn acked(&mut self, request: &Request, now: Mono) {
        let branch = branch_of(request);
        let id = call_id(&request.headers);
        // By branch to a refusal, by dialog to a 2xx.
        self.repeats.retain(|r| {
            let ours = r.request.is_none() && r.key.1 == "INVITE";
            let by_call = r.call.is_some_and(|c| self.calls[c].call_id == id && self.calls[c].phase == Phase::Answered);
            !(ours && (r.key.0 == branch || by_call))
        });
        let Some(i) = self.calls.iter().position(|c| c.call_id == id && c.phase == Phase::Answered) else { return };
        self.calls[i].phase = Phase::Up;
        if !request.body.is_empty() {
            self.calls[i].take_description(&request.body);
        }
        self.begin_to_speak(i, now);
        if self.calls[i].bye_on_ack {
            self.end(i, now);
        }
    }

    pub(super) fn answered(&mut self, response: Response, now: Mono) {
        let Ok(cseq) = response.headers.cseq() else { panic!("a response without CSeq") };
        let method = cseq.method.to_string();
        let code = response.status.code();
        self.note(now, format!("<- {code} {method}"));
        let branch = response.headers.via().ok().and_then(|v| v.branch().map(Bytes::copy_from_slice)).unwrap_or_default();
        let key = (branch, method.clone());
        let Some(at) = self.repeats.iter().position(|r| r.key == key && r.request.is_some()) else {
            // A repeat of a final response: its ACK again.
            if cseq.method == Method::Invite && code >= 200 {
                self.acknowledge_again(&response, &key);
            }
            return;
        };
        if code < 200 {
            self.statuses.push((method.clone(), code));
            if cseq.method == Method::Invite {
                let r = &mut self.repeats[at];
                r.quiet = true;
                r.until = now + Duration::from_secs(3_600);
                if let Some(i) = r.call {
                    self.calls[i].take_description(&response.body);
                    self.calls[i].rang |= code > 100;
                    self.calls[i].early = response.headers.to().ok().filter(|to| to.tag().is_some());
                    let rseq = response.headers.get(&HeaderName::RSeq);
                    let rseq = rseq.and_then(|v| std::str::from_utf8(v).ok()?.parse::<u32>().ok());
                    if let Some(rseq) = rseq {
                        self.note(now, format!("rseq={rseq}"));
                    }
                    if let (Some(rseq), true) = (rseq, self.pracks) {
                        self.send_prack(i, rseq, now);
                    }
                    if self.calls[i].wants_cancel {
                        self.calls[i].wants_cancel = false;
                        self.send_cancel(i, now);
                    }
                }
            }
            return;
        }
        let repeat = self.repeats.remove(at);
        let Some(request) = repeat.request else { return };
        if matches!(code, 401 | 407) && self.is_phone && !repeat.tried_auth {
            if cseq.method == Method::Invite {
                self.ack_failure(&request, &response);
            }
            if repeat.call.is_none_or(|i| !self.calls[i].wants_cancel) {
                return self.with_credentials(request, &response, repeat.call, now);
            }
        } else if cseq.method == Method::Invite && code >= 300 {
            self.ack_failure(&request, &response);
        }
        self.statuses.push((method, code));
        for name in [HeaderName::SessionExpires, HeaderName::MinSe] {
            if let Some(value) = response.headers.get(&name) {
                self.sessions.push(String::from_utf8_lossy(value).into_owned());
            }
        }
        match (&request.method, repeat.call) {
            (Method::Subscribe, _) => self.watch_answered(&response),
            (Method::Register, _) => self.registered_or_not(&request, code, now),
            (Method::Invite, Some(i)) => self.invite_answered(i, &request, &response, now),
            (Method::Bye | Method::Refer | Method::Info, Some(i)) if code == 481 || code == 408 => self.over(i, now),
            _ => {}
        }
    }

    pub(super) fn invite_answered(&mut self, i: usize, request: &Request, response: &Response, now: Mono) {
        let code = response.status.code();
        let is_first = self.calls[i].phase == Phase::Calling;
        if is_first {
            self.calls[i].final_status = Some(code);
        }
        if code >= 300 {
            match code {
                _ if is_first => self.over(i, now),
                // A re-INVITE that was refused changes nothing, unless the dialog is gone (§12.2.1.2).
                481 | 408 => self.over(i, now),
                _ => {}
            }
            return;
        }
        if let Ok(to) = response.headers.to() {
            self.calls[i].remote = to;
        }
        if let Some(target) = contact_of(&response.headers) {
            self.calls[i].target = target;
        }
        self.calls[i].take_description(&response.body);
        self.calls[i].late_answer = request.body.is_empty();
        self.calls[i].invite = request.clone();
        if is_first {
            self.calls[i].phase = Phase::Up;
            self.calls[i].wants_cancel = false;
        }
        if self.acks {
            self.ack_success(i, request);
        }
        self.begin_to_speak(i, now);
    }
}

fn values(request: &Request, name: &HeaderName) -> Vec<String> {
    request.headers.get_all(name).map(|v| String::from_utf8_lossy(v).into_owned()).collect()
}
