//! A short run, its journal, and what a replay makes of it.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock::{Mono, Wall};
use crate::config::Config;
use crate::sip::{CSeq, Flow, HeaderName, Login, Message, Method, Request, Status, Transport, Uri};
use crate::switch::input::Actor;
use crate::switch::output::{Resolved, Server};
use crate::switch::{Switch, guarded};

const CONFIG: &str = r#"
[site]
name = "Example"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[[phone]]
number = "201"
secret = "geheim-201"

[[phone]]
number = "202"
secret = "geheim-202"

[[trunk]]
name = "carrier"
peer = "198.51.100.10:5060"
user = "490301234"
secret = "carrier-secret"
register = true
"#;

const SEED: [u8; 32] = [5; 32];

fn now(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall: Wall::from_micros(1_795_338_000_000_000) + Duration::from_millis(ms) }
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("address"),
        remote: "192.0.2.9:5060".parse().expect("address"),
        connection: None,
    }
}

/// A switch whose inputs and outputs are written down.
struct Run {
    switch: Switch,
    journal: Journal,
    bytes: Vec<u8>,
    started: Vec<Output>,
    at: u64,
}

impl Run {
    fn new(most: u64) -> Run {
        let source = Source::of(CONFIG);
        let config = Config::resolve(&source).expect("a configuration");
        let (journal, bytes) = Journal::within(most, SEED, &source, [9; 32]);
        let mut run = Run { switch: Switch::new(SEED, config), journal, bytes, started: Vec::new(), at: 0 };
        run.started = run.input(Input::Started(Box::default()));
        run
    }

    /// The carrier's name is resolved, our REGISTER goes there, is challenged, and goes again with credentials.
    fn register_at_carrier(&mut self) {
        let queries = self.started.iter().filter_map(|output| match output {
            Output::Resolve { query, .. } => Some(*query),
            _ => None,
        });
        let query = queries.last().expect("a query");
        let remote = "198.51.100.10:5060".parse().expect("address");
        let addresses = vec![Resolved { remote, local: flow().local.ip(), connection: None }];
        let servers = vec![Server { transport: crate::sip::Transport::Udp, priority: 0, weight: 0, addresses }];
        let mut out = self.input(Input::Resolved { query, servers, whole: true, ttl: std::time::Duration::from_secs(3_600) });
        self.at += 2_000;
        out.extend(self.input(Input::Tick));
        let plain = requests(&out).into_iter().find(|r| r.method == Method::Register).expect("a REGISTER");
        let mut challenge = plain.response_with_tag(Status::UNAUTHORIZED, "t");
        challenge.headers.push(HeaderName::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"");
        let flow = Flow { remote, ..flow() };
        let out = self.input(Input::Sip { flow, message: Message::Response(challenge) });
        let signed = requests(&out);
        assert!(signed.iter().any(|r| r.headers.contains(&HeaderName::Authorization)), "{signed:?}");
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.at += 10;
        self.bytes.extend(self.journal.input(now(self.at), &input));
        let mut out = Vec::new();
        guarded(&mut self.switch, input, now(self.at), &mut out).expect("no fault");
        self.bytes.extend(self.journal.outputs(&out, self.switch.digest_was_right()));
        out
    }

    fn end(&mut self) -> Vec<u8> {
        self.bytes.extend(self.journal.end(Ended::Stopped));
        self.bytes.clone()
    }

    /// Sends a REGISTER; the status that it gets and the bytes that carried it.
    fn register(&mut self, cseq: u32, authorization: Option<Bytes>) -> (Status, Vec<Output>) {
        let out = self.input(Input::Sip { flow: flow(), message: Message::Request(register(cseq, authorization)) });
        let answers = out.iter().filter_map(|output| match output {
            Output::Sip { bytes, .. } => match Message::from_bytes(bytes.clone()) {
                Ok(Message::Response(response)) => Some(response.status),
                Ok(Message::Request(_)) | Err(_) => None,
            },
            _ => None,
        });
        (answers.last().expect("an answer"), out)
    }

    /// Registers with this password.
    fn log_in(&mut self, cseq: u32, password: &str) -> Status {
        let (_, out) = self.register(cseq, None);
        let Some(Output::Sip { bytes, .. }) = out.first() else { panic!("no challenge") };
        let Ok(Message::Response(response)) = Message::from_bytes(bytes.clone()) else { panic!("no response") };
        let challenge = response.headers.challenges(&HeaderName::WwwAuthenticate).remove(0);
        let login = Login { username: "201", password };
        let credentials = challenge.answer(&login, &Method::Register, b"sip:cordboard.example", 1, b"cnonce");
        let mut headers = crate::sip::Headers::new();
        headers.push(HeaderName::Authorization, credentials);
        self.register(cseq + 1, headers.get(&HeaderName::Authorization).cloned()).0
    }
}

fn register(cseq: u32, authorization: Option<Bytes>) -> Request {
    let mut request = Request::new(Method::Register, Uri::parse("sip:cordboard.example").expect("uri"));
    let headers = &mut request.headers;
    headers.push(HeaderName::Via, format!("SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{cseq}"));
    headers.push(HeaderName::From, "<sip:201@cordboard.example>;tag=f");
    headers.push(HeaderName::To, "<sip:201@cordboard.example>");
    headers.push(HeaderName::CallId, "phone-1");
    headers.push(HeaderName::CSeq, CSeq::new(cseq, Method::Register));
    headers.push(HeaderName::Contact, "<sip:201@192.0.2.9:5060>");
    if let Some(authorization) = authorization {
        headers.push(HeaderName::Authorization, authorization);
    }
    request
}

fn requests(out: &[Output]) -> Vec<Request> {
    let read = |output: &Output| match output {
        Output::Sip { bytes, .. } => match Message::from_bytes(bytes.clone()) {
            Ok(Message::Request(request)) => Some(request),
            Ok(Message::Response(_)) | Err(_) => None,
        },
        _ => None,
    };
    out.iter().filter_map(read).collect()
}

/// Phones that log in and fail to, a trunk that challenges us, a reload with a new secret.
fn eventful() -> Run {
    let mut run = Run::new(MOST_BYTES);
    run.register_at_carrier();
    assert_eq!(run.log_in(1, "geheim-201"), Status::OK);
    assert_eq!(run.log_in(3, "mistyped"), Status::UNAUTHORIZED);
    assert_eq!(run.register(5, Some(Bytes::from_static(b"Basic Z2VoZWltLTIwMQ=="))).0, Status::UNAUTHORIZED);
    assert_eq!(run.register(6, Some(Bytes::from_static(b"Digest username=\"geheim-201"))).0, Status::BAD_REQUEST);
    let changed = Source::of(CONFIG.replace("geheim-201", "neu-201"));
    run.input(Input::Configured { by: Actor("test".to_owned()), source: Box::new(changed) });
    assert_eq!(run.log_in(7, "geheim-201"), Status::UNAUTHORIZED);
    assert_eq!(run.log_in(9, "neu-201"), Status::OK);
    run
}

#[test]
fn a_run_replays_to_the_same_digest() {
    let mut run = eventful();
    let live = run.journal.outputs.value();
    let replayed = replay(&run.end()).expect("replays");
    assert_eq!(replayed, Replayed { inputs: 15, faults: 0, digest: live, ended: Some(Ended::Stopped) });
}

#[test]
fn no_secret_is_in_a_journal_nor_what_it_could_be_guessed_from() {
    let mut run = eventful();
    let text = String::from_utf8_lossy(&run.end()).into_owned();
    for secret in ["geheim", "neu-201", "carrier-secret", "mistyped", "Z2VoZWltLTIwMQ"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn what_our_own_credentials_hash_to_is_not_in_the_digest_and_all_else_is() {
    let output = |text: &str| {
        let mut digest = OutputsDigest::default();
        digest.add(&Output::Sip { to: flow(), bytes: Bytes::from(text.to_owned()), report: None });
        digest.value()
    };
    let message = |response: &str, body: &str| {
        output(&format!("REGISTER sip:x SIP/2.0\r\nAuthorization: Digest nc=1, response=\"{response}\", x=1\r\n\r\n{body}"))
    };
    assert_eq!(message("0123", "b"), message("4567", "b"));
    assert_ne!(message("0123", "b"), message("0123", "c"));
    assert_ne!(message("0123", "response=\"1\""), message("0123", "response=\"2\""));
}

/// The records of a journal, with what `change` makes of them.
fn changed(journal: &[u8], mut change: impl FnMut(usize, &mut Record)) -> Vec<u8> {
    let (mut at, mut index, mut new) = (0, 0, Vec::new());
    while let frame::Next::Record(mut record, length) = frame::decode(&journal[at..]) {
        change(index, &mut record);
        new.extend(frame::encode(&record).expect("encodes"));
        at += length;
        index += 1;
    }
    new
}

#[test]
fn one_changed_input_gives_another_digest() {
    let journal = eventful().end();
    let flipped = changed(&journal, |_, record| {
        if let Record::Input { input, .. } = record
            && let Input::Sip { message: Message::Request(request), .. } = input.to_mut()
            && request.headers.cseq().expect("cseq").number == 2
        {
            request.headers.set(HeaderName::CallId, "phone-2");
        }
    });
    assert_eq!(flipped.len(), journal.len());
    assert!(matches!(replay(&flipped), Err(ReplayError::Diverged { input: 6, .. })), "{:?}", replay(&flipped));
}

#[test]
fn a_torn_journal_replays_as_far_as_it_goes_and_a_rotten_one_says_where() {
    let journal = eventful().end();
    for cut in [journal.len() - 1, journal.len() - 30, journal.len() / 2] {
        let torn = replay(&journal[..cut]).expect("replays");
        assert_eq!(torn.ended, None);
        assert!(torn.inputs > 0);
    }
    // Wherever it is: all of a frame in the middle, its head first, where a rotten length may lead beyond the end.
    let mut at = 0;
    let frame = loop {
        let frame::Next::Record(_, length) = frame::decode(&journal[at..]) else { panic!("byte {at}") };
        if at + length > journal.len() / 2 {
            break at..at + length.min(40);
        }
        at += length;
    };
    for byte in frame {
        for bit in [0, 4, 7] {
            let mut rotten = journal.clone();
            rotten[byte] ^= 1 << bit;
            assert!(matches!(replay(&rotten), Err(ReplayError::Rotten { at: here }) if here == at), "{byte} {bit}");
        }
    }
    assert!(matches!(replay(b"RIFF"), Err(ReplayError::NotAJournal)));
}

/// What its sender proved is what the process may have died of.
#[test]
fn a_last_input_without_its_outputs_is_played_with_a_digest_that_is_right() {
    let mut run = Run::new(MOST_BYTES);
    assert_eq!(run.log_in(1, "geheim-201"), Status::OK);
    let (mut at, mut last) = (0, 0);
    while let frame::Next::Record(record, length) = frame::decode(&run.bytes[at..]) {
        if matches!(*record, Record::Outputs { right: true, .. }) {
            last = at;
        }
        at += length;
    }
    let torn = replay(&run.bytes[..last]).expect("replays");
    assert_eq!((torn.digest, torn.ended), (run.journal.outputs.value(), None));
}

/// Whatever a peer writes beside its digest is not kept.
#[test]
fn nothing_is_kept_of_credentials_but_what_is_read() {
    let text = "Digest username=\"201\", realm=\"r\", nonce=\"n\", uri=\"sip:a\", response=\"abcd\", ik=\"key-1\", Digest response=\"key-2\"";
    let mut run = Run::new(MOST_BYTES);
    run.register(1, Some(Bytes::from_static(text.as_bytes())));
    let kept = String::from_utf8_lossy(&run.bytes).into_owned();
    assert!(kept.contains("response=\"0000\""), "{kept}");
    assert!(!kept.contains("key-") && !kept.contains("abcd"), "{kept}");
}

#[test]
fn other_formats_and_versions_are_refused_by_name() {
    let journal = eventful().end();
    let other = changed(&journal, |_, record| {
        if let Record::Header { format, .. } = record {
            *format = 99;
        }
    });
    assert!(matches!(replay(&other), Err(ReplayError::Format { found: 99 })));
    let other = changed(&journal, |_, record| {
        if let Record::Header { version, .. } = record {
            *version = "0.0.0-else".to_owned();
        }
    });
    assert!(matches!(replay(&other), Err(ReplayError::Version { .. })));
}

#[test]
fn a_full_journal_says_so_and_nothing_follows() {
    let most = 6_000;
    let mut run = Run::new(most);
    for cseq in 1..100 {
        run.register(cseq, None);
    }
    assert!(run.journal.has_ended());
    assert!(run.bytes.len() as u64 <= most);
    let replayed = replay(&run.end()).expect("replays");
    assert_eq!(replayed.ended, Some(Ended::Full));
    assert!((2..100).contains(&replayed.inputs));
}
