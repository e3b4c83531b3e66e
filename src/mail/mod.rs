//! Sends messages of mailboxes to their owners by mail (SMTP, RFC 5321).
//!
//! ```text
//! event log ── voicemail.left ──> outbox (index) ── when due ──> letter ──> the mail server
//!     ^                              ^  │ position and outbox in one commit        │
//!     │                              │  └───────────── later: back-off ────────────┤
//!     └── core: mailed, mail_failed <┴────────── taken, or given up ───────────────┘
//! ```
//! It reads the log as any other reader does, from a position that is kept beside what is to be sent, so no kill loses a mail. What came of
//! one is durable before the core hears of it, and stays until the log has it (and the message is gone, where it goes with the mail): a
//! start reads the log to its end before it sends or tells anything. A mail is sent twice only if the process dies between the server's word
//! that it has it and the commit that follows; both then have one Message-ID (RFC 5322 §3.6.4), by which mailboxes tell that they are the
//! same.
//!
//! | what the server does | what is done |
//! |---|---|
//! | takes it | `voicemail.mailed`, and the message is deleted if its mailbox wants that |
//! | is not there, silent, has no certificate that we trust; refuses us, by whatever code ([`refusal`]); or this mail for now (4xx) | again later ([`BACK_OFF`]), until [`GIVES_UP`] |
//! | refuses this recipient or this content for good (5xx) | given up |
//!
//! Each failure is a `voicemail.mail_failed`; trouble with the server itself degrades the part `mail` for as long as a mail waits, and so does
//! an index that does not take the outbox. Nothing here waits for a disk on a thread of the runtime.

mod letter;
mod outbox;
mod refusal;
mod smtp;

use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::extension::Extension;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use self::letter::Letter;
use self::outbox::{Entry, Outbox, Outcome};
use self::smtp::{Step, Taken};
use crate::clock::{Mono, System};
use crate::config::Config;
use crate::event::{Kind, MailFailed, Mailed};
use crate::ids::{Number, RecordingId};
use crate::route::Direction;
use crate::store::database::{Database, DatabaseError};
use crate::store::log::{Follow, Log, LogError, Stored};
use crate::store::recordings::{Folder, Recording, Recordings};
use crate::store::{Health, Store};
use crate::switch::input::Input;

/// The part that [`Health`] is told about.
const PART: &str = "mail";

/// Between two attempts at one mail; the last one again and again.
const BACK_OFF: [Duration; 6] = [
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(1_800),
    Duration::from_secs(3_600),
];

/// After this long a mail is given up (RFC 5321 §4.5.4.1 has four to five days).
const GIVES_UP: Duration = Duration::from_secs(4 * 86_400);

/// How long the end of the process waits for an attempt that is on its way.
const LAST_ATTEMPT: Duration = Duration::from_secs(5);

/// Between two looks at an index or a log in trouble.
const RETRY: Duration = Duration::from_secs(5);

/// Events after which the position is kept although there was nothing to send: what a start reads again.
const KEEP_POSITION: u64 = 2_000;

/// The running mailer.
pub struct Mailer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Mailer {
    /// `inputs` is the core's: it tells what came of each mail.
    pub fn start(
        store: &Store,
        config: watch::Receiver<Arc<Config>>,
        clock: System,
        inputs: mpsc::Sender<Input>,
        health: Health,
        on: &tokio::runtime::Handle,
    ) -> Result<Mailer, DatabaseError> {
        let last = store.log.last();
        let outbox = Outbox::open(&*store.database, last)?;
        let (stop, stops) = watch::channel(false);
        let work = Work {
            outbox,
            database: store.database.clone(),
            known: last,
            told_rest: false,
            log: store.log.clone(),
            folder: store.folder.clone(),
            recordings: store.recordings.clone(),
            config,
            clock,
            inputs,
            health,
            servers: None,
            unwritable: None,
            said: None,
        };
        #[allow(clippy::disallowed_methods, reason = "the mailer owns its task")]
        let task = on.spawn(work.run(stops));
        Ok(Mailer { stop, task })
    }

    /// Lets an attempt that is on its way come to its end, if that is soon.
    pub async fn end(self) {
        let _ = self.stop.send(true);
        let abort = self.task.abort_handle();
        if timeout(LAST_ATTEMPT, self.task).await.is_err() {
            abort.abort();
        }
    }
}

struct Work {
    outbox: Outbox,
    database: Arc<dyn Database>,
    /// Where the log ended at the start: up to there it is read before anything is sent.
    known: u64,
    /// What the last run left untold is told.
    told_rest: bool,
    log: Log,
    folder: Folder,
    recordings: Recordings,
    config: watch::Receiver<Arc<Config>>,
    clock: System,
    inputs: mpsc::Sender<Input>,
    health: Health,
    /// What is wrong with the server, as of the last attempt.
    servers: Option<String>,
    /// Why the index does not take the outbox, and when it is asked again.
    unwritable: Option<(String, Mono)>,
    /// What was said of our health.
    said: Option<String>,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("{error}")]
    Smtp { step: Step, error: lettre::transport::smtp::Error },
    #[error("the mail server did not come to an end within {} s", .1.as_secs())]
    Endless(Step, Duration),
    #[error("an address or the text is not ASCII, and the mail server does not offer {0}")]
    NotAscii(Extension),
    #[error("{path}: {error}")]
    Certificate { path: std::path::PathBuf, error: std::io::Error },
    #[error("reading certificates panicked")]
    Panicked,
    #[error(transparent)]
    Letter(#[from] letter::Unwritten),
    #[error("[mail] is gone from the configuration")]
    Unconfigured,
}

impl Unsent {
    /// No later attempt will do better.
    fn is_final(&self) -> bool {
        match self {
            Unsent::Smtp { error, .. } => error.is_permanent() && !self.is_the_servers(),
            Unsent::NotAscii(_) => true,
            Unsent::Letter(error) => error.is_final(),
            Unsent::Endless(..) | Unsent::Certificate { .. } | Unsent::Panicked | Unsent::Unconfigured => false,
        }
    }

    /// Nothing can be sent there, whatever it is.
    fn is_the_servers(&self) -> bool {
        match self {
            Unsent::Smtp { step: Step::Server, .. } => true,
            Unsent::Smtp { step, error } => match error.status() {
                Some(code) if error.is_permanent() => {
                    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
                    refusal::is_the_servers(*step, code.into(), &text)
                }
                Some(_) => false,
                // There was no answer.
                None => true,
            },
            Unsent::Endless(..) | Unsent::Certificate { .. } | Unsent::Panicked | Unsent::Unconfigured => true,
            Unsent::Letter(_) | Unsent::NotAscii(_) => false,
        }
    }
}

impl Work {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut follow = self.follow();
        loop {
            self.tell_rest().await;
            let due = self.outbox.due().filter(|_| self.is_up_to_date()).map(|at| at.since(self.clock.now().wall));
            // Far enough that it never comes first.
            let wait = due.unwrap_or(Duration::from_secs(3_600));
            let now = self.clock.mono();
            let again = self.unwritable.as_ref().map_or(wait, |(_, at)| at.since(now));
            let wait = wait.min(again).min(if follow.is_none() { RETRY } else { wait });
            let wake = self.clock.instant(now + wait);
            #[allow(clippy::disallowed_methods, reason = "the mailer's one timer")]
            let timer = sleep_until(Instant::from_std(wake));
            tokio::select! {
                biased;
                _ = stop.changed() => return self.last_words().await,
                // What comes while the outbox is full is read from the log later.
                event = next(&mut follow), if !self.outbox.is_full() => match event {
                    Ok(stored) => self.happened(&stored),
                    Err(LogError::Closed) => return self.last_words().await,
                    // Followed again after a while: a log that can't be read would be asked without a pause.
                    Err(error) => {
                        tracing::error!(%error, "the event log can't be followed");
                        follow = None;
                    }
                },
                // Somebody may have mended what was wrong.
                _ = self.config.changed() => self.outbox.hurry(),
                () = timer => {
                    if follow.is_none() {
                        follow = self.follow();
                    }
                }
            }
            // An index in trouble is asked once in a while, not at each event.
            let may_keep = self.unwritable.as_ref().is_none_or(|(_, at)| *at <= self.clock.mono());
            if may_keep && (self.outbox.is_unwritten() || self.outbox.behind() >= KEEP_POSITION) {
                self.keep().await;
            }
            let now = self.clock.now().wall;
            if self.is_up_to_date()
                && let Some(entry) = self.outbox.next(now)
            {
                // To its end, even if the process is asked to end meanwhile: a mail that is half sent is sent twice.
                self.attempt(entry).await;
            }
            self.say_health();
            if *stop.borrow() {
                return self.last_words().await;
            }
        }
    }

    /// The next start reads less.
    async fn last_words(mut self) {
        if self.outbox.is_unwritten() || self.outbox.behind() > 0 {
            self.keep().await;
        }
    }

    /// All that the log had at the start is looked at.
    fn is_up_to_date(&self) -> bool {
        self.outbox.position() >= self.known
    }

    /// What a kill kept the last run from telling, or from doing.
    async fn tell_rest(&mut self) {
        if self.told_rest || !self.is_up_to_date() {
            return;
        }
        self.told_rest = true;
        for entry in self.outbox.untold() {
            match entry.outcome {
                Some(Outcome::Taken { mailed, delete, told }) => {
                    if told && matches!(self.row(entry.recording).await, Ok(None)) {
                        self.outbox.remove(entry.recording);
                    } else {
                        self.tell(Input::Mailed { mailed, delete, told }).await;
                    }
                }
                Some(Outcome::GaveUp(failed)) => self.tell(Input::MailFailed(failed)).await,
                None => {}
            }
        }
        self.keep().await;
    }

    fn follow(&mut self) -> Option<Follow> {
        let position = self.outbox.position();
        let followed = match self.log.follow(Some(position)) {
            Err(LogError::Gone { first_kept }) => self.log.follow(Some(first_kept.saturating_sub(1))),
            // The log was taken away: from now on.
            Err(LogError::Ahead { last }) => {
                self.outbox.rewind(last);
                self.known = last;
                self.log.follow(Some(last))
            }
            other => other,
        };
        followed.map_err(|error| tracing::error!(%error, "mails wait: the event log can't be read")).ok()
    }

    fn happened(&mut self, stored: &Stored) {
        match &stored.event.kind {
            Kind::VoicemailLeft(left) => {
                let wants = self.config.borrow().mailboxes.get(&left.mailbox).is_some_and(|mailbox| mailbox.mail.is_some());
                // What a reader that was away for a week finds is no news.
                let is_news = self.clock.now().wall.since(stored.event.at) < GIVES_UP;
                if wants && is_news {
                    self.outbox.wants(Entry::new(left, stored.event.at));
                }
            }
            Kind::VoicemailMailed(mailed) => {
                let deletes = deletes(&self.config.borrow(), &mailed.mailbox, mailed.attached);
                self.outbox.mailed(mailed, deletes);
            }
            Kind::VoicemailMailFailed(failed) => self.outbox.failed(failed),
            Kind::VoicemailDeleted(gone) => self.outbox.deleted(gone.recording),
            _ => {}
        }
        self.outbox.looked_at(stored.sequence);
    }

    /// Makes durable what has changed, as far as the index takes it.
    async fn keep(&mut self) {
        let (changes, database) = (self.outbox.changes(), self.database.clone());
        let kept = blocking(move || database.commit(&changes).and_then(|()| database.flush())).await;
        match kept {
            Ok(Ok(())) => {
                self.outbox.written();
                self.unwritable = None;
            }
            Ok(Err(error)) => self.not_kept(error.to_string()),
            Err(error) => self.not_kept(error.to_string()),
        }
    }

    fn not_kept(&mut self, why: String) {
        tracing::error!("what is to be mailed can't be kept: {why}");
        self.unwritable = Some((why, self.clock.mono() + RETRY));
    }

    async fn row(&self, recording: RecordingId) -> Result<Option<Recording>, String> {
        let recordings = self.recordings.clone();
        let row = blocking(move || recordings.row(recording)).await.map_err(|error| error.to_string())?;
        row.map_err(|error| error.to_string())
    }

    async fn attempt(&mut self, entry: Entry) {
        let config = self.config.borrow().clone();
        let mailbox = config.mailboxes.get(&entry.mailbox).and_then(|mailbox| Some((mailbox, mailbox.mail.clone()?)));
        let row = match self.row(entry.recording).await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(%error, "what is to be mailed can't be looked up");
                return self.outbox.put(Entry { next_at: self.clock.now().wall + RETRY, ..entry });
            }
        };
        // Deleted meanwhile, or its owner wants none any more: there is nothing to say.
        let (Some((mailbox, to)), Some(row)) = (mailbox, row) else {
            self.outbox.remove(entry.recording);
            return self.keep().await;
        };
        let sent = self.send(&config, &entry, &caller(&config, &row, &entry.caller), mailbox, &to).await;
        let now = self.clock.now().wall;
        let (mailbox, recording) = (entry.mailbox.clone(), entry.recording);
        match sent {
            Ok((attached, taken)) => {
                self.servers = None;
                let delete = deletes(&config, &mailbox, attached);
                let mailed = Mailed { mailbox, recording, to: to.to, attached };
                let outcome = Outcome::Taken { mailed: mailed.clone(), delete, told: false };
                self.outbox.put(Entry { outcome: Some(outcome), ..entry });
                self.keep().await;
                self.tell(Input::Mailed { mailed, delete, told: false }).await;
                taken.goodbye().await;
            }
            Err(why) => {
                let gives_up = why.is_final() || now.since(entry.left_at) >= GIVES_UP;
                let reason = letter::one_line(&said(&why), 500);
                tracing::warn!(%mailbox, gives_up, "a message can't be mailed: {reason}");
                if why.is_the_servers() {
                    self.servers = Some(reason.clone());
                }
                let attempts = entry.attempts + 1;
                let failed = MailFailed { mailbox, recording, to: to.to, reason, attempts, gives_up };
                self.outbox.put(if gives_up {
                    Entry { attempts, outcome: Some(Outcome::GaveUp(failed.clone())), ..entry }
                } else {
                    let pause = BACK_OFF.get(attempts as usize - 1).or(BACK_OFF.last()).copied().unwrap_or(RETRY);
                    Entry { attempts, next_at: now + pause, ..entry }
                });
                self.keep().await;
                self.tell(Input::MailFailed(failed)).await;
            }
        }
    }

    async fn send(
        &self,
        config: &Config,
        entry: &Entry,
        caller: &str,
        mailbox: &crate::config::Mailbox,
        to: &crate::config::MailTo,
    ) -> Result<(bool, Taken), Unsent> {
        let mail = config.mail.as_ref().ok_or(Unsent::Unconfigured)?;
        let letter = Letter {
            site: &config.site.name,
            domain: &config.site.domain,
            from: &mail.from,
            to,
            title: &mailbox.title,
            language: mailbox.language.as_deref().unwrap_or("en"),
            caller,
            left_at: entry.left_at,
            zone: &config.site.time_zone,
            duration: Duration::from_millis(entry.duration_ms),
            recording: entry.recording,
            now: self.clock.now().wall,
        };
        let (message, attached) = letter.write(&self.folder).await?;
        let taken = smtp::send(mail, &config.site.domain, &message).await?;
        Ok((attached, taken))
    }

    /// The server's trouble is nobody's while nothing is to be sent.
    fn say_health(&mut self) {
        if !self.outbox.waits() {
            self.servers = None;
        }
        let unwritable = self.unwritable.as_ref().map(|(why, _)| format!("what is to be mailed can't be kept: {why}"));
        let trouble = unwritable.or_else(|| self.servers.clone());
        if trouble != self.said {
            (self.health)(PART, trouble.as_deref());
            self.said = trouble;
        }
    }

    /// The core may have much to do, and a report must not be lost. At the end nobody listens.
    async fn tell(&self, input: Input) {
        let _ = self.inputs.send(input).await;
    }
}

async fn next(follow: &mut Option<Follow>) -> Result<Arc<Stored>, LogError> {
    match follow {
        Some(follow) => follow.next().await,
        None => std::future::pending().await,
    }
}

/// What waits for a disk, on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// Whether a message goes when its owner has it by mail.
fn deletes(config: &Config, mailbox: &Number, attached: bool) -> bool {
    attached && config.mailboxes.get(mailbox).and_then(|mailbox| mailbox.mail.as_ref()).is_some_and(|mail| mail.delete)
}

/// Who has left a message: a phone of ours by its name too. Numbers of callers from outside are as they say.
fn caller(config: &Config, row: &Recording, number: &str) -> String {
    let phone = config.phones.get(number).filter(|_| row.direction == Direction::Internal);
    match phone.and_then(|phone| phone.name.as_ref()) {
        Some(name) => format!("{name} ({number})"),
        None => number.to_owned(),
    }
}

/// The error with what it comes from: lettre's own words say little.
fn said(why: &Unsent) -> String {
    let mut text = why.to_string();
    let mut source = std::error::Error::source(why);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
