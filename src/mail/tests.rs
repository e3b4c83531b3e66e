//! The mailer with a store of its own and a mail server of a few lines; the test stands for the core.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::*;
use crate::config::{File, Source};
use crate::event::{Event, Voicemail};
use crate::ids::ConversationId;
use crate::store::LogOptions;
use crate::store::database::{Change, Order, Tree};
use crate::store::disk::RealDisk;
use crate::store::recordings::State;
use crate::switch::output::About;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn pauses_grow_and_the_last_one_stays() {
    assert!(BACK_OFF.windows(2).all(|two| two[0] < two[1]));
    let total: Duration = BACK_OFF.iter().sum();
    assert!(total < GIVES_UP);
}

/// Takes every mail, but for what it is told to refuse: the beginning of a line ("" is the greeting, "." the content), and the answer.
struct Server {
    port: u16,
    mails: Arc<AtomicUsize>,
}

impl Server {
    fn start(refuses: Option<(&'static str, &'static str)>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(AtomicUsize::new(0));
        let count = mails.clone();
        let serve = move || {
            for stream in listener.incoming() {
                // Who goes in the middle is gone.
                let _ = converse(stream.unwrap(), refuses, &count);
            }
        };
        std::thread::Builder::new().spawn(serve).unwrap();
        Server { port, mails }
    }

    fn mails(&self) -> usize {
        self.mails.load(Ordering::Acquire)
    }
}

fn converse(mut stream: TcpStream, refuses: Option<(&str, &str)>, mails: &AtomicUsize) -> std::io::Result<()> {
    let answer = |to: &str, else_: &'static str| {
        let refusal = refuses.filter(|(at, _)| *at == to).map(|(_, answer)| answer);
        format!("{}\r\n", refusal.unwrap_or(else_)).into_bytes()
    };
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(&answer("", "220 test"))?;
    while let Some(line) = lines.next().transpose()? {
        match line.get(..4).unwrap_or_default() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                while lines.next().transpose()?.is_some_and(|line| line != ".") {}
                let taken = answer(".", "250 taken");
                mails.fetch_add(usize::from(taken.starts_with(b"2")), Ordering::AcqRel);
                stream.write_all(&taken)?;
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n"),
            command => stream.write_all(&answer(command, "250 fine"))?,
        }
    }
    Ok(())
}

/// An index that can be made to take nothing.
struct Faulty {
    inner: Arc<dyn Database>,
    broken: AtomicBool,
}

impl Database for Faulty {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.inner.get(tree, key)
    }

    fn page(
        &self,
        tree: Tree,
        from: &[u8],
        to: Option<&[u8]>,
        order: Order,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, DatabaseError> {
        self.inner.page(tree, from, to, order, most)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        if self.broken.load(Ordering::Acquire) { Err(DatabaseError::Closed) } else { self.inner.commit(changes) }
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        self.inner.flush()
    }
}

/// A process, until it is killed.
struct Run {
    runtime: tokio::runtime::Runtime,
    store: Store,
    index: Arc<Faulty>,
    inputs: mpsc::Receiver<Input>,
    /// What the part `mail` says of itself.
    health: Arc<Mutex<Option<String>>>,
    _config: watch::Sender<Arc<Config>>,
    _mailer: Mailer,
}

impl Run {
    fn start(root: &Path, port: u16) -> Run {
        let text = format!(
            "[site]\nname = \"Test\"\ndomain = \"cordboard.example\"\ntime_zone = \"UTC\"\ncountry = \"DE\"\n\
             [sip]\nudp = [\"127.0.0.1:5060\"]\n[media]\nlisten = \"127.0.0.1\"\nports = \"20000-20999\"\n\
             [recording]\nfolder = \"recordings\"\n\
             [mail]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\nfrom = \"pbx@example.com\"\n\
             [[phone]]\nnumber = \"201\"\nname = \"Olena\"\nsecret = \"given\"\nvoicemail = true\npin = \"4711\"\nmail = \"owner@example.com\"\n\
             mail_delete = true\n"
        );
        let main = File { path: "cordboard.toml".into(), text };
        let source = Source { main, secrets: None, menus: Vec::new(), prompts: Vec::new() };
        let config = Config::resolve(&source).unwrap_or_else(|faults| panic!("{}", faults[0]));
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let mut store = Store::open(root, options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        let index = Arc::new(Faulty { inner: store.database.clone(), broken: AtomicBool::new(false) });
        store.database = index.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (config, configs) = watch::channel(Arc::new(config));
        let (to_core, inputs) = mpsc::channel(8);
        let health = Arc::new(Mutex::new(None));
        let said = health.clone();
        let say: Health = Arc::new(move |_, trouble| {
            *said.lock().unwrap_or_else(PoisonError::into_inner) = trouble.map(str::to_owned);
        });
        let mailer = Mailer::start(&store, configs, System::start(), to_core, say, runtime.handle()).unwrap();
        Run { runtime, store, index, inputs, health, _config: config, _mailer: mailer }
    }

    /// A message lies in the mailbox, and the log has it.
    fn leave(&self, n: u64) -> RecordingId {
        let recording = RecordingId::from_parts(System::start().now().wall.as_millis() as u64 + n, 1);
        let about = About {
            recording,
            conversation: ConversationId::from_parts(n, 1),
            started_at: System::start().now().wall,
            direction: Direction::Inbound,
            customer_number: "210".to_owned(),
            called: "201".to_owned(),
            customer_e164: None,
            called_e164: None,
            agents: Vec::new(),
            queue: None,
            rule: String::new(),
            paused_ms: 0,
            sample_rate: 8_000,
            refused: false,
            supervises: false,
            prompt: false,
            mailbox: Some("201".into()),
            greeting: false,
        };
        let row = Recording { state: State::Finished, duration_ms: 1_000, ..Recording::begun(&about) };
        std::fs::create_dir_all(self.store.folder.day(recording)).unwrap();
        let spec =
            hound::WavSpec { channels: 2, sample_rate: 8_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut wav = hound::WavWriter::create(self.store.folder.audio(recording), spec).unwrap();
        (0..16_000).for_each(|_| wav.write_sample(7_i16).unwrap());
        wav.finalize().unwrap();
        self.store.recordings.put(&row, true).unwrap();
        self.log(Kind::VoicemailLeft(voicemail(recording)));
        recording
    }

    fn log(&self, kind: Kind) {
        let last = self.store.log.last();
        self.store.log.append([Event { at: System::start().now().wall, conversation: None, kind }]);
        assert!(self.store.log.wait_past(last, SOON));
    }

    /// The next thing that the core is told.
    fn told(&mut self) -> Input {
        let next = async { timeout(SOON, self.inputs.recv()).await };
        self.runtime.block_on(next).expect("nothing is told").expect("the mailer is there")
    }

    fn mailed(&mut self) -> (Mailed, bool, bool) {
        match self.told() {
            Input::Mailed { mailed, delete, told } => (mailed, delete, told),
            other => panic!("{other:?}"),
        }
    }

    fn wait_for_health(&self, is_so: impl Fn(Option<&str>) -> bool) {
        let clock = System::start();
        let until = clock.mono() + SOON;
        while !is_so(self.health.lock().unwrap().as_deref()) {
            assert!(clock.mono() < until, "{:?}", self.health.lock().unwrap());
            std::thread::yield_now();
        }
    }

    /// What the mailer has noted is not waited for.
    fn kill(self) {
        self.runtime.shutdown_timeout(SOON);
        self.store.close();
    }
}

fn voicemail(recording: RecordingId) -> Voicemail {
    let (customer_e164, called_e164) = (None, None);
    Voicemail { mailbox: "201".into(), recording, caller: "210".to_owned(), customer_e164, called_e164, duration_ms: 1_000 }
}

/// Each time the process is killed right after it has said something, or right after the log has it.
#[test]
fn what_the_mail_server_has_taken_is_told_once_and_goes_whenever_a_kill_comes() {
    let root = TempDir::new().unwrap();
    let server = Server::start(None);
    let mut run = Run::start(root.path(), server.port);
    let recording = run.leave(1);
    let (mailed, delete, told) = run.mailed();
    assert_eq!((mailed.recording, mailed.attached, delete, told, server.mails()), (recording, true, true, false, 1));
    run.kill();

    let mut run = Run::start(root.path(), server.port);
    assert_eq!(run.mailed(), (mailed.clone(), true, false), "the core has not told the log");
    run.log(Kind::VoicemailMailed(mailed.clone()));
    run.kill();

    let mut run = Run::start(root.path(), server.port);
    assert_eq!(run.mailed(), (mailed.clone(), true, true), "the message is still there");
    run.store.recordings.remove(recording).unwrap();
    run.kill();

    let mut run = Run::start(root.path(), server.port);
    let next = run.leave(50);
    assert_eq!(run.mailed().0.recording, next, "of the first one there is nothing more to say");
    assert_eq!(server.mails(), 2, "each was sent once");
    run.kill();
}

#[test]
fn a_mail_that_the_index_does_not_take_is_written_later_and_told_as_trouble_until_then() {
    let root = TempDir::new().unwrap();
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut run = Run::start(root.path(), port);
    run.index.broken.store(true, Ordering::Release);
    let first = run.leave(1);
    assert!(matches!(run.told(), Input::MailFailed(failed) if !failed.gives_up && failed.recording == first));
    run.wait_for_health(|said| said.is_some_and(|said| said.contains("can't be kept")));
    run.index.broken.store(false, Ordering::Release);
    run.wait_for_health(|said| said.is_some_and(|said| !said.contains("can't be kept")));
    let kept = Outbox::open(&*run.index, 0).unwrap();
    assert_eq!(kept.next(System::start().now().wall).map(|entry| entry.recording), Some(first));
    assert_eq!(kept.position(), run.store.log.last());
    // Nobody waits for the server any more: that it is away is no trouble.
    run.log(Kind::VoicemailDeleted(voicemail(first)));
    run.wait_for_health(|said| said.is_none());
    run.kill();
}

/// RFC 5321 §4.2.1, §6.1: what a server says of itself is no word about the mail, whatever its code.
#[test]
fn a_server_that_refuses_us_is_tried_again_and_a_mail_that_is_refused_for_good_is_not() {
    for (at, answer, gives_up, is_ill) in [
        ("", "554 5.3.2 no mail here today", false, true),
        ("", "421 too many of you", false, true),
        ("EHLO", "550 5.7.1 who are you", false, true),
        ("MAIL", "550 5.7.1 not from there", false, true),
        ("MAIL", "451 4.3.0 later", false, true),
        ("RCPT", "530 5.7.0 authentication required", false, true),
        ("RCPT", "554 5.7.1 Relay access denied", false, true),
        ("RCPT", "550 relay not permitted", false, true),
        (".", "550 5.7.26 not authenticated", false, true),
        (".", "550 5.7.1 not such content", true, false),
        ("RCPT", "552 5.2.2 full", true, false),
        ("RCPT", "451 4.2.0 later", false, false),
        ("RCPT", "550 5.1.1 no such mailbox", true, false),
        (".", "554 5.6.0 not such content", true, false),
    ] {
        let root = TempDir::new().unwrap();
        let server = Server::start(Some((at, answer)));
        let mut run = Run::start(root.path(), server.port);
        run.leave(1);
        let failed = match run.told() {
            Input::MailFailed(failed) => failed,
            other => panic!("{at} {answer}: {other:?}"),
        };
        assert_eq!((failed.gives_up, failed.attempts, server.mails()), (gives_up, 1, 0), "{at} {answer}");
        assert!(failed.reason.contains(&answer[4..]), "{}", failed.reason);
        if is_ill {
            run.wait_for_health(|said| said.is_some_and(|said| said.contains(&answer[4..])));
        } else {
            // Said after each attempt; a second one is through that.
            run.log(Kind::VoicemailMailFailed(failed));
            run.leave(2);
            run.told();
            assert_eq!(*run.health.lock().unwrap(), None, "{at} {answer}");
        }
        run.kill();
    }
}

#[test]
fn only_a_phone_of_ours_is_shown_by_its_name() {
    let root = TempDir::new().unwrap();
    let run = Run::start(root.path(), 1);
    let config = Config::clone(&run._config.borrow());
    let row = |direction| {
        let recording = run.leave(1);
        Recording { direction, ..run.store.recordings.row(recording).unwrap().unwrap() }
    };
    assert_eq!(caller(&config, &row(Direction::Internal), "201"), "Olena (201)");
    assert_eq!(caller(&config, &row(Direction::Inbound), "201"), "201", "whoever says so from outside");
    assert_eq!(caller(&config, &row(Direction::Internal), ""), "");
    run.kill();
}
