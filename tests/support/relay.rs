//! A UDP relay between a SIP peer and the switch, which takes something away from what one of them says: so a test shows that a scenario
//! fails without the feature that it is about.
//!
//! A rule is `> strip INVITE Require`: which way (`>` what the peer says, `<` what the switch says), what is done, to which messages, and
//! the rest. Messages are a method (`INVITE`), a status (`200`, `200/BYE` for one to a BYE) or `*`; `#2` behind it means the second such
//! message and all that follow.
//!
//! - `drop 491`: it does not arrive;
//! - `strip INVITE Require`: without that header;
//! - `change 200 a=recvonly => a=sendrecv`: other words, wherever they stand in it (`\n` is a line's end). Content-Length is put right.
//!
//! The switch sees the peer at `outside` and nowhere else: the relay writes that instead of the peer's own address into what it says.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::process::wait_for;

pub struct Relay {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    inside: SocketAddr,
}

struct Rule {
    from_peer: bool,
    act: Act,
    what: String,
    /// The first message that it is for, from 1, among those of this kind.
    from: u32,
    seen: u32,
}

enum Act {
    Drop,
    Strip(String),
    Change(String, String),
}

const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Relay {
    /// `outside`: where the switch meets the peer; `peer`: where it is bound itself. Rules are applied in turn.
    pub fn start(outside: SocketAddr, peer: SocketAddr, switch: SocketAddr, rules: &[&str]) -> Relay {
        // A child that another thread has just forked may hold a port a moment longer than who has given it back.
        let outer = wait_for(&format!("{outside} is free"), Duration::from_secs(5), || UdpSocket::bind(outside).ok());
        let inside = || UdpSocket::bind(("127.0.0.1", super::ports::port())).ok();
        let inner = wait_for("a port inside", Duration::from_secs(5), inside);
        let inside = inner.local_addr().expect("its address");
        let stop = Arc::new(AtomicBool::new(false));
        let rules_of = |from_peer: bool| -> Vec<Rule> {
            rules.iter().map(|text| Rule::parse(text)).filter(|rule| rule.from_peer == from_peer).collect()
        };
        let mut threads = Vec::new();
        for from_peer in [true, false] {
            let (from, to, target) = if from_peer { (&inner, &outer, switch) } else { (&outer, &inner, peer) };
            let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
            from.set_read_timeout(Some(LOOK_EVERY)).expect("a timeout");
            let (mut rules, stop) = (rules_of(from_peer), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || {
                let mut buffer = vec![0; 66_000];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((read, _)) = from.recv_from(&mut buffer) else { continue };
                    // As Latin-1, so that bytes that are no text come out as they went in.
                    let mut text: String = buffer[..read].iter().map(|byte| char::from(*byte)).collect();
                    if from_peer {
                        text = text.replace(&peer.to_string(), &outside.to_string());
                        text = text.replace(&inside.to_string(), &switch.to_string());
                    }
                    let text = rules.iter_mut().try_fold(text, |text, rule| rule.apply(text));
                    if let Some(text) = text {
                        let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
                        let _ = to.send_to(&bytes, target);
                    }
                }
            }));
        }
        Relay { stop, threads, inside }
    }

    /// Where the peer finds the switch.
    pub fn inside(&self) -> SocketAddr {
        self.inside
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Rule {
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let (way, act, what, rest) = (next(), next(), next(), next());
        assert!(matches!(way, "<" | ">") && !what.is_empty(), "no rule of a relay: {text:?}");
        let (what, from) = what.split_once('#').unwrap_or((what, "1"));
        let act = match (act, rest.split_once(" =>").map(|(old, new)| (old, new.strip_prefix(' ').unwrap_or(new)))) {
            ("drop", None) if rest.is_empty() => Act::Drop,
            ("strip", None) if !rest.is_empty() => Act::Strip(rest.to_ascii_lowercase()),
            ("change", Some((old, new))) => Act::Change(old.replace("\\n", "\r\n"), new.replace("\\n", "\r\n")),
            _ => panic!("no rule of a relay: {text:?}"),
        };
        let from = from.parse().unwrap_or_else(|_| panic!("no number in {text:?}"));
        Rule { from_peer: way == ">", act, what: what.to_owned(), from, seen: 0 }
    }

    /// What is left of the message.
    fn apply(&mut self, text: String) -> Option<String> {
        if !self.is_for(&text) {
            return Some(text);
        }
        self.seen += 1;
        if self.seen < self.from {
            return Some(text);
        }
        match &self.act {
            Act::Drop => None,
            Act::Strip(name) => {
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let is_it = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case(name));
                let kept: Vec<&str> = head.split("\r\n").filter(|line| !is_it(line)).collect();
                Some(format!("{}\r\n\r\n{body}", kept.join("\r\n")))
            }
            Act::Change(old, new) => {
                let text = text.replace(old.as_str(), new);
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let mend = |line: &str| match line.split_once(':') {
                    Some((name, _)) if name.eq_ignore_ascii_case("Content-Length") => format!("{name}: {}", body.chars().count()),
                    Some(_) | None => line.to_owned(),
                };
                let head: Vec<String> = head.split("\r\n").map(mend).collect();
                Some(format!("{}\r\n\r\n{body}", head.join("\r\n")))
            }
        }
    }

    fn is_for(&self, text: &str) -> bool {
        let first = text.lines().next().unwrap_or_default();
        let Some(status) = first.strip_prefix("SIP/2.0 ") else {
            return self.what == "*" || first.split(' ').next() == Some(self.what.as_str());
        };
        let (code, method) = self.what.split_once('/').unwrap_or((&self.what, ""));
        let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq:")).unwrap_or_default();
        self.what == "*" || (status.starts_with(code) && (method.is_empty() || cseq.trim_end().ends_with(method)))
    }
}
