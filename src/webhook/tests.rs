//! Webhooks with a store of their own, and receivers that fail, hang and say that they are gone.

use std::path::Path;

use tempfile::TempDir;

#[path = "../../tests/support/receiver.rs"]
mod receiver;

use self::receiver::{Answer, Receiver};
use super::*;
use crate::config::{Source, signing_key};
use crate::event::{Event, Kind, LogLost, SystemDegraded};
use crate::store::LogOptions;
use crate::store::disk::RealDisk;

const SOON: Duration = Duration::from_secs(60);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A process, until it is killed.
struct Run {
    runtime: tokio::runtime::Runtime,
    store: Store,
    webhooks: Webhooks,
    config: watch::Sender<Arc<Config>>,
    /// What the webhooks say of themselves, by part.
    health: Arc<Mutex<BTreeMap<String, String>>>,
}

fn config(hooks: &str) -> Arc<Config> {
    let text = format!(
        "[site]\nname = 'T'\ndomain = 'cordboard.example'\ntime_zone = 'UTC'\ncountry = 'DE'\n\
         [[user]]\nname = 'a'\npassword = 'p'\n{hooks}"
    );
    Arc::new(Config::resolve(&Source::of(&text)).unwrap_or_else(|faults| panic!("{}", faults[0])))
}

fn hook(receiver: &Receiver, more: &str) -> String {
    format!("[[webhook]]\nname = 'crm'\nurl = 'http://{}/in'\nsecret = '{KEY}'\n{more}\n", receiver.address)
}

impl Run {
    fn start(root: &Path, hooks: &str, options: LogOptions) -> Run {
        let clock = System::start();
        let store = Store::open(root, options, Arc::new(RealDisk), clock, Arc::new(|_, _| {})).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (to_webhooks, configs) = watch::channel(config(hooks));
        let health: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let said = health.clone();
        let say: Say = Arc::new(move |part, trouble| {
            let mut said = said.lock().unwrap();
            match trouble {
                Some(why) => said.insert(part.to_owned(), why.to_owned()),
                None => said.remove(part),
            };
            true
        });
        let webhooks = Webhooks::start(&store, configs, clock, &Connections::new(), say, runtime.handle()).unwrap();
        Run { runtime, store, webhooks, config: to_webhooks, health }
    }

    /// Events with these numbers in them; `true` is of the type `log.lost`, `false` of another.
    fn happens(&self, events: impl IntoIterator<Item = (u64, bool)>) {
        let at = System::start().now().wall;
        let kind = |(n, is_lost): (u64, bool)| match is_lost {
            true => Kind::LogLost(LogLost { events: n }),
            false => Kind::SystemDegraded(SystemDegraded { part: n.to_string(), reason: "x".repeat(400) }),
        };
        let before = self.store.log.last();
        let all: Vec<Event> = events.into_iter().map(|e| Event { at, conversation: None, kind: kind(e) }).collect();
        let last = before + all.len() as u64;
        self.store.log.append(all);
        wait("it is durable", || self.store.log.last() >= last);
    }

    fn state(&self) -> State {
        self.webhooks.list()["crm"].state
    }

    /// Nobody waits for pauses here.
    fn hurry(&self) {
        if self.state() == State::Waiting {
            assert!(self.webhooks.heed(&self.config.borrow()).1.is_empty());
        }
    }

    fn kill(self) {
        self.runtime.shutdown_timeout(SOON);
        self.store.close();
    }
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let clock = System::start();
    let until = clock.mono() + SOON;
    while !is_so() {
        assert!(clock.mono() < until, "{what}");
        std::thread::yield_now();
    }
}

fn small() -> LogOptions {
    LogOptions { reserve_bytes: 0, ..LogOptions::default() }
}

#[test]
fn pauses_grow_and_the_last_one_stays() {
    assert!(BACK_OFF.windows(2).all(|two| two[0] < two[1]));
}

/// At least once, in order, none missing, over failures and kills; what is sent again has the same id and the same events.
#[test]
fn every_event_arrives_whatever_fails_and_a_repetition_is_known_by_its_id() {
    let receiver = Receiver::start(|nth, _| match nth % 4 {
        0 => Answer::Status(503),
        1 => Answer::Broken,
        _ => Answer::Status(204),
    });
    let root = TempDir::new().unwrap();
    let hooks = hook(&receiver, "batch = 7");
    let mut happened = 0;
    for round in 0..3 {
        let run = Run::start(root.path(), &hooks, small());
        run.happens((0..20).map(|n| (n, n % 3 == 0)));
        happened = run.store.log.last();
        // In the middle of what is to be sent; the last time all of it.
        let enough = if round == 2 { happened } else { happened - 10 };
        wait("they arrive", || {
            run.hurry();
            receiver.taken().last().is_some_and(|last| *last >= enough)
        });
        run.kill();
    }
    let taken = receiver.taken();
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    sorted.dedup();
    // What the log had before it was first asked is no news.
    assert_eq!(sorted, (happened - 59..=happened).collect::<Vec<_>>());
    let mut by_id = BTreeMap::new();
    for posted in receiver.posted() {
        assert_eq!(posted.header("content-type"), "application/cloudevents-batch+json");
        let (id, seconds) = (posted.header("webhook-id").to_owned(), posted.header("webhook-timestamp").parse().unwrap());
        let key = signing_key(KEY).unwrap();
        let expected = sign::signatures([key.as_slice()], &id, seconds, &posted.body);
        assert_eq!(posted.header("webhook-signature"), expected);
        assert!(posted.sequences().len() <= 7);
        assert_eq!(*by_id.entry(id).or_insert_with(|| posted.sequences()), posted.sequences());
    }
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_its_address_changes_or_somebody_resumes_it() {
    let gone = Receiver::start(|_, _| Answer::Status(410));
    let there = Receiver::start(|_, _| Answer::Status(200));
    let root = TempDir::new().unwrap();
    let types = "types = ['system.*', 'webhook.*']";
    let run = Run::start(root.path(), &hook(&gone, types), small());
    run.happens([(1, false)]);
    wait("it is off", || run.state() == State::Off);
    wait("it is told", || run.health.lock().unwrap().get("webhook crm").is_some_and(|why| why.contains("410")));
    let wanted = run.store.log.last();
    let resume = |name: &str, after| run.runtime.block_on(run.webhooks.resume(name, after, By::Api("a".to_owned())));
    assert_eq!(resume("erp", None), Err(NotResumed::Unknown));
    assert_eq!(resume("crm", Some(1_000)), Err(NotResumed::Ahead { last: run.store.log.last() }));
    let before = gone.posted().len();
    assert_eq!(resume("crm", None), Ok(()));
    wait("it is asked again, and off again", || gone.posted().len() > before && run.state() == State::Off);
    run.kill();

    // A start does not try it, another address does.
    let before = gone.posted().len();
    let run = Run::start(root.path(), &hook(&gone, types), small());
    wait("it is off", || run.state() == State::Off && run.health.lock().unwrap().contains_key("webhook crm"));
    run.config.send_replace(config(&hook(&there, types)));
    wait("it arrives there", || there.taken().first().is_some_and(|first| *first <= wanted));
    wait("it is well", || run.health.lock().unwrap().is_empty());
    assert_eq!(gone.posted().len(), before);
    let has = |kind: &str| there.posted().iter().any(|posted| posted.events().iter().any(|event| event["type"] == kind));
    wait("it hears what was", || has("cordboard.webhook.off") && has("cordboard.webhook.resumed"));
    // Gone from the configuration, and back: it goes on where it was.
    run.config.send_replace(config(""));
    wait("it is gone", || run.webhooks.list().is_empty());
    let before = there.taken();
    run.happens([(7, false)]);
    run.config.send_replace(config(&hook(&there, types)));
    wait("it has the rest", || there.taken().len() > before.len());
    run.kill();
}

#[test]
fn only_what_is_wanted_is_sent_and_what_is_too_large_in_parts() {
    let receiver =
        Receiver::start(|_, posted| if posted.sequences().len() > 3 { Answer::Status(413) } else { Answer::Status(200) });
    let root = TempDir::new().unwrap();
    let run = Run::start(root.path(), &hook(&receiver, "types = ['log.lost']\nbatch = 16"), small());
    run.happens((0..40).map(|n| (n, n % 2 == 0)));
    wait("all arrive", || receiver.taken().len() >= 20);
    let sent = receiver.posted().into_iter().filter(|posted| posted.taken).flat_map(|posted| posted.events());
    let numbers: Vec<u64> = sent.map(|event| event["data"]["events"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..40).step_by(2).collect::<Vec<_>>());
    wait("it is at the end", || run.webhooks.list()["crm"].behind == 0);
    run.kill();
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other_and_what_the_log_deletes_meanwhile_is_told() {
    let silent = Receiver::start(|nth, _| if nth == 0 { Answer::Silence } else { Answer::Status(200) });
    let other = Receiver::start(|_, _| Answer::Status(200));
    let hooks = hook(&silent, "timeout = '1s'\ntypes = ['log.*']") + &hook(&other, "").replace("crm", "erp");
    let root = TempDir::new().unwrap();
    let options = LogOptions { segment_bytes: 4_096, retain_bytes: 16_384, ..small() };
    let run = Run::start(root.path(), &hooks, options);
    // On its way, and not answered.
    run.happens([(0, true)]);
    wait("the first is sent", || silent.posted().len() == 1);
    run.happens([(1, true)]);
    let last = run.store.log.last();
    wait("the other has all", || other.taken().last() == Some(&last));
    // Not read meanwhile, for so long that it is deleted.
    run.kill();
    let run = Run::start(root.path(), "", options);
    let from = run.store.log.last();
    wait("the log deletes", || {
        run.happens([(2, false)]);
        run.store.log.first_kept() > from
    });
    run.kill();

    let run = Run::start(root.path(), &hooks, options);
    let lost = |receiver: &Receiver| {
        let all = receiver.posted().into_iter().filter(|posted| posted.taken).flat_map(|posted| posted.events());
        all.into_iter().find(|event| event["type"] == "cordboard.webhook.lost" && event["data"]["webhook"] == "crm")
    };
    wait("it is told to whom it concerns, whatever is wanted there", || {
        run.hurry();
        lost(&silent).is_some()
    });
    let data = lost(&silent).unwrap()["data"].clone();
    let (first, upto) = (data["first"].as_u64().unwrap(), data["last"].as_u64().unwrap());
    assert!(first <= from && upto >= first && upto < run.store.log.last(), "{data}");
    run.kill();
}
