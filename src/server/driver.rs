//! The one task that drives the core: brings inputs and time, carries outputs out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::backlog::Backlog;
use super::kept::Kept;
use super::{Ended, LAST_WORDS, Place, clips};
use crate::api::Asked;
use crate::clock::{Mono, System};
use crate::config::{self, Config, Problem, Source};
use crate::event::Kind;
use crate::ids::{ConversationId, LegId, RecordingId};
use crate::ivr;
use crate::lookup::Lookups;
use crate::mail::Mailer;
use crate::media::{Clip, ClipName, Clips, Command, Quality, Report};
use crate::media_engine::{Engine, sounds};
use crate::recorder::Recorder;
use crate::store::Store;
use crate::store::disk::{Disk as _, RealDisk};
use crate::store::journal_file::JournalFile;
use crate::store::ladders::Way;
use crate::switch::input::{Actor, Recovered};
use crate::switch::journal::{self, Journal};
use crate::switch::output::{Ticket, recorded};
use crate::switch::{Answer, Input, Output, Switch, guarded};
use crate::transport::Transport;
use crate::transport::tls::Tls;
use crate::webhook::Webhooks;

/// Inputs that are taken before outputs are carried out and the clock is looked at again.
const AT_ONCE: usize = 64;

/// A second fault within this long ends the process: what the first one left may be worse than it looked.
const FAULTS: Duration = Duration::from_secs(60);

/// What the journal holds back at most before the operating system has it: a kill costs it so much.
const JOURNAL_LAG: Duration = Duration::from_millis(250);

/// From signals and the API to the driver.
pub enum Order {
    Stop,
    /// Read the configuration anew.
    Reload {
        by: String,
        done: Option<Done>,
    },
    /// A recording was read, to be played to a leg; or could not be.
    Fetched {
        worker: u8,
        leg: LegId,
        recording: RecordingId,
        clip: Option<Arc<Clip>>,
    },
    /// A take has become a prompt, with its sound; or could not.
    PromptKept {
        leg: LegId,
        prompt: String,
        recording: RecordingId,
        kept: bool,
        clip: Option<Arc<Clip>>,
    },
    /// It was read.
    Loaded {
        by: String,
        done: Option<Done>,
        /// What [`Kept::reads`] has said.
        began: u64,
        result: Result<Box<Loaded>, Vec<Problem>>,
    },
}

/// Hears how a reload went.
pub type Done = oneshot::Sender<Result<(), Vec<Problem>>>;

/// A configuration that was found whole, with its sounds.
pub struct Loaded {
    source: Source,
    config: Config,
    clips: Clips,
}

impl Loaded {
    /// With what was kept by phone while it was read.
    fn and(mut self, kept: Vec<(String, Arc<Clip>)>) -> Loaded {
        for (prompt, clip) in kept {
            self.clips = self.clips.with(ClipName(prompt.as_str().into()), clip);
            if let Some(source) = with_prompt(&self.source, &prompt)
                && let Ok(config) = Config::resolve(&source)
            {
                (self.source, self.config) = (source, config);
            }
        }
        self
    }
}

pub(super) struct Driver {
    pub clock: System,
    pub waiting: mpsc::Receiver<Input>,
    pub asked: mpsc::Receiver<Asked>,
    pub ordered: mpsc::Receiver<Order>,
    /// To itself.
    pub orders: mpsc::Sender<Order>,
    pub http: super::Served,
    /// The certificate, which a reload renews.
    pub tls: Option<Tls>,
    pub transport: Transport,
    pub engine: Engine,
    /// The sounds that are in force.
    pub clips: Clips,
    pub kept: Kept,
    pub recorder: Recorder,
    pub mailer: Mailer,
    pub lookups: Lookups,
    pub webhooks: Webhooks,
    pub store: Store,
    pub current: watch::Sender<Arc<Config>>,
    pub place: Place,
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// No new calls; the live ones end by then.
    Draining {
        until: Mono,
    },
    /// The last call is over; the answers to the last requests are waited for until then. A call for help that comes meanwhile has the
    /// patience that there was.
    Leaving {
        until: Mono,
        patience: Mono,
    },
    /// BYE is sent to all; their answers are waited for until then.
    Halting {
        until: Mono,
    },
}

impl Phase {
    /// Where the run stands with so many live calls, and whether anything waits for an answer. `None`: it is over.
    fn next(self, live: usize, is_quiet: bool, now: Mono) -> Option<Phase> {
        match self {
            Phase::Draining { .. } | Phase::Leaving { .. } if live == 0 && is_quiet => None,
            Phase::Draining { until: patience } if live == 0 => Some(Phase::Leaving { until: now + LAST_WORDS, patience }),
            Phase::Leaving { patience, .. } if live > 0 => Some(Phase::Draining { until: patience }),
            Phase::Leaving { until, .. } if until <= now => None,
            Phase::Halting { until } if until <= now || is_quiet => None,
            Phase::Serving | Phase::Draining { .. } | Phase::Leaving { .. } | Phase::Halting { .. } => Some(self),
        }
    }

    fn ends(self) -> Option<Mono> {
        match self {
            Phase::Serving => None,
            Phase::Draining { until } | Phase::Leaving { until, .. } | Phase::Halting { until } => Some(until),
        }
    }
}

/// The core with what a run of it needs.
struct Run {
    switch: Switch,
    /// The configuration that is in force, as it was read.
    source: Source,
    /// `None` where the disk has no room for one, or it is full.
    journal: Option<(Journal, JournalFile)>,
    /// When what was appended to it is handed to the operating system.
    journal_flush: Option<Mono>,
    backlog: Backlog,
    tickets: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    next_ticket: u64,
    last_fault: Option<Mono>,
    out: Vec<Output>,
    /// Reports that carrying out brought about at once.
    back: Vec<Input>,
}

impl Run {
    fn flush_journal(&mut self, now: Mono) {
        if self.journal_flush.is_some_and(|at| at <= now) {
            self.journal_flush = None;
            if let Some((_, file)) = &mut self.journal {
                file.flush();
            }
        }
    }
}

impl Driver {
    pub async fn run(mut self, seed: [u8; 32], source: Source, recovered: Recovered) -> Ended {
        let Ok(config) = Config::resolve(&source) else { return Ended::Faulty };
        // The numbering plans are unpacked at their first use; not while a call waits.
        let _ = crate::route::on_trunk("4930123456", config.site.country);
        self.transport.heed(self.current.borrow().clone());
        let journal = self.begin_journal(seed, &source, &config.recording.folder);
        let mut run = Run {
            switch: Switch::new(seed, config).with_secret_keys(crate::chance::from_system()),
            source,
            journal,
            journal_flush: None,
            backlog: Backlog::default(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            last_fault: None,
            out: Vec::new(),
            back: Vec::new(),
        };
        let mut phase = Phase::Serving;
        let mut ended = if self.take(&mut run, Input::Started(Box::new(recovered))) { None } else { Some(Ended::Faulty) };
        while ended.is_none() {
            self.carry_out(&mut run);
            let now = self.clock.mono();
            let Some(next) = phase.next(run.switch.live(), run.switch.is_quiet(), now) else { break };
            phase = match next {
                Phase::Draining { until } if until <= now => self.halt(&mut run),
                Phase::Serving | Phase::Draining { .. } | Phase::Leaving { .. } | Phase::Halting { .. } => next,
            };
            if run.switch.deadline().is_some_and(|at| at <= self.clock.mono()) && !self.take(&mut run, Input::Tick) {
                ended = Some(Ended::Faulty);
                continue;
            }
            self.carry_out(&mut run);
            run.flush_journal(self.clock.mono());
            if self.waiting.is_empty() {
                run.backlog.is_empty_now();
                self.transport.set_queue_delay(Duration::ZERO);
            }
            // Far enough that it never comes first.
            let idle = self.clock.mono() + Duration::from_secs(3_600);
            let wake =
                [run.switch.deadline(), phase.ends(), run.journal_flush, Some(idle)].into_iter().flatten().min().unwrap_or(idle);
            #[allow(clippy::disallowed_methods, reason = "the driver's one timer")]
            let timer = sleep_until(Instant::from_std(self.clock.instant(wake)));
            let fine = tokio::select! {
                biased;
                order = self.ordered.recv() => match order {
                    Some(order) => self.obey(&mut run, &mut phase, order).await,
                    None => true,
                },
                input = self.waiting.recv() => match input {
                    Some(input) => self.take_all(&mut run, input),
                    None => false,
                },
                Some(asked) = self.asked.recv() => {
                    run.next_ticket += 1;
                    let ticket = Ticket(run.next_ticket);
                    run.tickets.insert(ticket, asked.reply);
                    self.take(&mut run, Input::Command { ticket, by: asked.by, command: asked.command })
                }
                () = timer => true,
            };
            if !fine {
                ended = Some(Ended::Faulty);
            }
        }
        self.carry_out(&mut run);
        let journal_file = run.journal.take().map(|(mut journal, mut file)| {
            let frame = journal.end(journal::Ended::Stopped);
            file.append(&frame);
            file
        });
        self.close(journal_file).await;
        ended.unwrap_or(Ended::Asked)
    }

    fn begin_journal(&self, seed: [u8; 32], source: &Source, recordings: &Path) -> Option<(Journal, JournalFile)> {
        let folder = crate::store::journal_folder(recordings);
        match JournalFile::create(&folder, self.clock.now().wall) {
            Ok(mut file) => {
                let (journal, header) = Journal::begin(seed, source, crate::chance::from_system());
                file.append(&header).then_some((journal, file))
            }
            Err(error) => {
                tracing::warn!(%error, "there is no journal: what the core is told can't be replayed");
                None
            }
        }
    }

    fn take_all(&mut self, run: &mut Run, first: Input) -> bool {
        let mut next = Some(first);
        for _ in 0..AT_ONCE {
            let Some(input) = next.take().or_else(|| self.waiting.try_recv().ok()) else { break };
            if let Some(delay) = run.backlog.taken(self.waiting.len(), self.clock.mono()) {
                self.transport.set_queue_delay(delay);
            }
            if !self.take(run, input) {
                return false;
            }
        }
        true
    }

    /// One input; false if the core can't be trusted any more.
    fn take(&mut self, run: &mut Run, input: Input) -> bool {
        let now = self.clock.now();
        if let Input::Sip { flow, message } = &input
            && self.store.ladders.is_on()
        {
            self.store.ladders.note(now.wall, Way::Received, flow, message.to_bytes());
        }
        if let Some((journal, file)) = &mut run.journal {
            let frame = match run.switch.hidden_key(&input, now) {
                Some(instead) => journal.hidden_key(now, &input, instead),
                None => journal.input(now, &input),
            };
            file.append(&frame);
            run.journal_flush.get_or_insert(now.mono + JOURNAL_LAG);
        }
        let before = run.out.len();
        let handled = guarded(&mut run.switch, input, now, &mut run.out);
        if let Some((journal, file)) = &mut run.journal {
            let frame = journal.outputs(run.out.get(before..).unwrap_or_default(), run.switch.digest_was_right());
            if !file.append(&frame) || journal.has_ended() {
                tracing::info!(path = %file.path().display(), "the journal ends here; a new one begins at the next start");
                file.flush();
                run.journal = None;
            }
        }
        let Err(fault) = handled else { return true };
        if let Some((_, file)) = &mut run.journal {
            file.flush();
        }
        tracing::error!(conversation = ?fault.conversation, "the core panicked; the conversation was ended");
        let again = run.last_fault.is_some_and(|last| now.mono.since(last) < FAULTS);
        run.last_fault = Some(now.mono);
        if again {
            tracing::error!("second fault within a minute: the process ends, to be started again");
        }
        !again
    }

    fn carry_out(&mut self, run: &mut Run) {
        while !run.out.is_empty() {
            let mut out = std::mem::take(&mut run.out);
            let mut events = Vec::new();
            let (now, ladders) = (self.clock.now(), self.store.ladders.clone());
            for output in out.drain(..) {
                match output {
                    Output::Sip { to, bytes, report } => {
                        if ladders.is_on() {
                            ladders.note(now.wall, Way::Sent, &to, bytes.clone());
                        }
                        self.transport.send(to, bytes, report);
                    }
                    Output::CallId { call_id, conversation } => ladders.owned(&call_id, conversation),
                    Output::Bans(all) => self.transport.ban(all),
                    Output::Known(known) => self.transport.know(known),
                    Output::Watch(remote) => self.transport.watch(remote),
                    Output::Resolve { query, wanted } => self.transport.resolve(query, wanted),
                    Output::Media { worker, command } => self.media(run, worker, command),
                    Output::Recorder(command) => self.recorder.command(command),
                    Output::Fetch { worker, leg, recording } => self.fetch(worker, leg, recording),
                    Output::KeepPrompt { leg, prompt, recording } => self.keep_prompt(leg, prompt, recording),
                    Output::Lookup { conversation, nth, request } => self.look_up(run, conversation, nth, *request),
                    Output::Event(event) => {
                        super::story::tell(&event);
                        if let (Kind::CallEnded(_), Some(conversation)) = (&event.kind, event.conversation) {
                            ladders.ended(now, conversation);
                        }
                        events.push(event);
                    }
                    Output::Registration(change) => self.store.keeper.registration(change),
                    Output::Subscription { key, kept } => self.store.keeper.subscription(&key, kept),
                    Output::PhoneSettings { phone, settings } => self.store.keeper.phone(&phone, settings),
                    Output::QueueNews { queue, news } => self.store.keeper.news(&queue, news),
                    Output::Minutes { phone, spent } => self.store.keeper.minutes(&phone, spent),
                    Output::AgentWish { agent, wish } => self.store.keeper.wish(&agent, wish),
                    Output::Reply { ticket, answer } => {
                        if let Some(reply) = run.tickets.remove(&ticket) {
                            // Who asked may have gone away.
                            let _ = reply.send(answer);
                        }
                    }
                }
            }
            if !events.is_empty() {
                self.store.log.append(events);
            }
            // What came back at once; its outputs are carried out in the next round.
            run.out = out;
            for input in std::mem::take(&mut run.back) {
                self.take(run, input);
            }
        }
        self.engine.wake();
    }

    fn media(&mut self, run: &mut Run, worker: u8, command: Command) {
        let closing = matches!(command, Command::Close { .. });
        let leg = command.leg();
        if self.engine.command(worker, command).is_err() {
            let report = if closing { Report::Closed { leg, quality: Quality::default() } } else { Report::Dead { leg } };
            run.back.push(Input::Media(report));
        }
    }

    fn look_up(&mut self, run: &mut Run, conversation: ConversationId, nth: u32, request: ivr::Request) {
        if self.lookups.ask(conversation, nth, request).is_err() {
            run.back.push(Input::LookedUp { conversation, nth, outcome: ivr::Outcome::Busy });
        }
    }

    /// Reads a recording in a thread of its own; [`Order::Fetched`] follows.
    fn fetch(&self, worker: u8, leg: LegId, recording: RecordingId) {
        let (path, orders) = (self.store.folder.audio(recording), self.orders.clone());
        #[allow(clippy::disallowed_methods, reason = "the driver owns its tasks")]
        tokio::task::spawn_blocking(move || {
            let clip = sounds::read_left(&path).map_err(|error| tracing::error!(%error, "a message can't be played"));
            let _ = orders.blocking_send(Order::Fetched { worker, leg, recording, clip: clip.ok().map(Arc::new) });
        });
    }

    /// Replaces a prompt's file as a whole; [`Order::PromptKept`] follows. What else has changed in files waits for a reload.
    fn keep_prompt(&self, leg: LegId, prompt: String, recording: RecordingId) {
        let (audio, path) = (self.store.folder.audio(recording), self.place.config_file.clone());
        let orders = self.orders.clone();
        #[allow(clippy::disallowed_methods, reason = "the driver owns its tasks")]
        tokio::task::spawn_blocking(move || {
            let file = replace_prompt(&audio, &path.with_file_name("prompts"), &prompt);
            let file = file.map_err(|error| tracing::error!(prompt, %error, "a prompt can't be kept")).ok();
            let read =
                |file: &PathBuf| sounds::read(file).map_err(|error| tracing::warn!(%error, "a sound can't be played")).ok();
            let (kept, clip) = (file.is_some(), file.as_ref().and_then(read).map(Arc::new));
            let _ = orders.blocking_send(Order::PromptKept { leg, prompt, recording, kept, clip });
        });
    }

    async fn obey(&mut self, run: &mut Run, phase: &mut Phase, order: Order) -> bool {
        match order {
            Order::Stop => match *phase {
                Phase::Serving => {
                    let patience = self.current.borrow().sip.drain;
                    tracing::info!(
                        live = run.switch.live(),
                        ?patience,
                        "stopping: no new calls, live ones may end; once more to stop at once"
                    );
                    *phase = Phase::Draining { until: self.clock.mono() + patience };
                    self.take(run, Input::Drain)
                }
                Phase::Draining { .. } | Phase::Leaving { .. } => {
                    *phase = self.halt(run);
                    true
                }
                Phase::Halting { .. } => {
                    *phase = Phase::Halting { until: self.clock.mono() };
                    true
                }
            },
            Order::Reload { by, done } => {
                // Files, and sounds that may have to be resampled: seconds, in which calls go on.
                let (path, running, orders) =
                    (self.place.config_file.clone(), self.current.borrow().clone(), self.orders.clone());
                let (tls, began) = (self.tls.clone(), self.kept.reads());
                let file = path.clone();
                #[allow(clippy::disallowed_methods, reason = "the driver owns its tasks")]
                let reading = tokio::task::spawn_blocking(move || {
                    let loaded = load(&path, &running)?;
                    let renewed = tls.map_or(Ok(()), |tls| tls.renew());
                    renewed.map_err(|error| vec![Problem::new(&path, 1, format!("[tls]: {error}"))])?;
                    Ok(Box::new(loaded))
                });
                #[allow(clippy::disallowed_methods, reason = "the driver owns its tasks")]
                tokio::spawn(async move {
                    // Whoever asked is told of a panic, too, and what this reload had kept for it is let go of.
                    let broken = |error| Err(vec![Problem::new(&file, 1, format!("could not be read to its end: {error}"))]);
                    let result = reading.await.unwrap_or_else(broken);
                    let _ = orders.send(Order::Loaded { by, done, began, result }).await;
                });
                true
            }
            Order::Fetched { worker, leg, recording, clip } => {
                let brought = clip.map(|clip| self.engine.bring(worker, leg, recorded(recording), clip));
                self.take(run, Input::Fetched { leg, recording, there: matches!(brought, Some(Ok(()))) })
            }
            Order::PromptKept { leg, prompt, recording, kept, clip } => {
                if let Some(clip) = clip {
                    self.kept.keep(&prompt, &clip);
                    self.sounds_anew(run, &prompt, clip);
                }
                self.take(run, Input::PromptKept { leg, prompt, recording, kept })
            }
            Order::Loaded { by, done, began, result } => {
                let kept = self.kept.has_read(began);
                let result = result.map(|loaded| self.reload(run, by, loaded.and(kept)));
                if let Err(problems) = &result {
                    for problem in problems {
                        tracing::error!("{problem}");
                    }
                    tracing::error!("the configuration was not taken: {} faults", problems.len());
                }
                if let Some(done) = done {
                    let _ = done.send(result);
                }
                true
            }
        }
    }

    fn halt(&mut self, run: &mut Run) -> Phase {
        self.take(run, Input::Halt);
        Phase::Halting { until: self.clock.mono() + LAST_WORDS }
    }

    fn reload(&mut self, run: &mut Run, by: String, loaded: Loaded) {
        let Loaded { source, config, clips } = loaded;
        self.set_clips(clips);
        self.configured(run, by, source, config);
        tracing::info!("the configuration was read anew");
    }

    /// One prompt has another sound, or there is one more; nothing else is read.
    fn sounds_anew(&mut self, run: &mut Run, prompt: &str, clip: Arc<Clip>) {
        self.set_clips(self.clips.with(ClipName(prompt.into()), clip));
        let Some(source) = with_prompt(&run.source, prompt) else { return };
        match Config::resolve(&source) {
            Ok(config) => self.configured(run, format!("prompt {prompt}"), source, config),
            Err(problems) => problems.iter().for_each(|problem| tracing::error!("prompt {prompt}: {problem}")),
        }
    }

    fn set_clips(&mut self, clips: Clips) {
        if self.engine.set_clips(&clips).is_err() {
            tracing::error!("a media worker does not take the new sounds");
        }
        self.clips = clips;
    }

    fn configured(&mut self, run: &mut Run, by: String, source: Source, config: Config) {
        self.take(run, Input::Configured { by: Actor(by), source: Box::new(source.clone()) });
        run.source = source;
        self.store.ladders.set_bounds((&config.sip).into());
        let config = Arc::new(config);
        self.transport.heed(config.clone());
        self.current.send_replace(config);
    }

    /// In the order in which each needs the next.
    async fn close(self, journal: Option<JournalFile>) {
        let Driver { transport, engine, recorder, mailer, lookups, webhooks, store, http, mut waiting, .. } = self;
        // Whoever still reports must not wait for a reader that is gone.
        waiting.close();
        transport.shutdown().await;
        // Before what it reads is closed.
        http.end();
        mailer.end().await;
        webhooks.end().await;
        drop(engine);
        // Threads that still wait for a server end with the process.
        drop(lookups);
        let closing = tokio::task::spawn_blocking(move || {
            recorder.close();
            store.close();
            if let Some(journal) = journal {
                journal.close();
            }
        });
        if closing.await.is_err() {
            tracing::error!("the files were not closed in order; the next start repairs them");
        }
        tracing::info!("stopped");
    }
}

/// Reads the files anew. With any fault nothing changes; so it is with what sockets and threads were made from, since half of a change
/// would be worse than none.
fn load(path: &Path, running: &Config) -> Result<Loaded, Vec<Problem>> {
    let (source, generated) = config::load_or_generate(path).map_err(|error| vec![Problem::new(path, 1, error)])?;
    if let Some(secrets) = generated {
        tracing::info!(path = %secrets.display(), "secrets that the configuration left out were made");
    }
    let problems = ivr::check_all(&source);
    if !problems.is_empty() {
        return Err(problems);
    }
    let config = Config::resolve(&source)?;
    let fixed = super::startup::only_at_start(running, &config);
    if !fixed.is_empty() {
        return Err(fixed.into_iter().map(|what| Problem::new(path, 1, format!("{what} needs a restart"))).collect());
    }
    for caution in config::cautions(&source) {
        tracing::warn!("{caution}");
    }
    let clips = clips(&source, &config, path);
    Ok(Loaded { source, config, clips })
}

/// The same with one prompt more; `None`: it has that one.
fn with_prompt(source: &Source, prompt: &str) -> Option<Source> {
    if source.prompts.iter().any(|there| there == prompt) {
        return None;
    }
    let mut source = source.clone();
    source.prompts.push(prompt.to_owned());
    source.prompts.sort();
    Some(source)
}

/// What was said in a recording is a prompt from here on: the file is the old one or the new one at every moment.
fn replace_prompt(audio: &Path, prompts: &Path, prompt: &str) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
    let wav = sounds::to_wav(&sounds::read_left(audio)?)?;
    let file = prompts.join(prompt).with_added_extension("wav");
    let folder = file.parent().unwrap_or(prompts);
    RealDisk.create_folders(folder)?;
    RealDisk.replace(&file, &wav)?;
    // It is there; a power cut may still bring the old one back.
    if let Err(error) = RealDisk.sync_folder(folder) {
        tracing::warn!(%error, "a prompt's folder can't be synced");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: &str = r#"
[site]
name = "Example support"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[sip]
udp = ["127.0.0.1:5060"]
tcp = ["127.0.0.1:5060"]
max_expires = "1h"

[media]
listen = "127.0.0.1"
ports = "20000-20999"
workers = 1
missing_after = "3s"
dead_after = "30s"

[http]
listen = "127.0.0.1:8080"

[recording]
folder = "recordings"

[[phone]]
number = "201"
secret = "given"

[[user]]
name = "admin"
password = "correct-horse-battery"
token = "token-of-admin-0123456789"
"#;

    /// Sockets, threads and files stand on these; each is refused by its name, so that the operator knows what to take back.
    const ONLY_AT_START: [(&str, &str, &str); 13] = [
        ("cordboard.example", "another.example", "[site] domain"),
        ("\"DE\"", "\"US\"", "[site] country"),
        ("udp = [\"127.0.0.1:5060\"]", "udp = [\"127.0.0.1:5070\"]", "[sip] udp"),
        ("tcp = [\"127.0.0.1:5060\"]", "tcp = [\"127.0.0.1:5070\"]", "tcp"),
        ("\"1h\"", "\"2h\"", "[sip] max_expires"),
        ("listen = \"127.0.0.1\"", "listen = \"127.0.0.2\"", "[media] listen"),
        ("20999", "21999", "ports"),
        ("workers = 1", "workers = 2", "workers"),
        ("\"3s\"", "\"4s\"", "missing_after"),
        ("\"30s\"", "\"40s\"", "dead_after"),
        ("workers = 1", "workers = 1\ndegraded_below = 3.9", "degraded_below"),
        ("8080", "8081", "[http]"),
        ("\"recordings\"", "\"elsewhere\"", "[recording] folder"),
    ];

    #[test]
    fn the_run_ends_when_the_last_words_are_answered_or_soon_after_the_last_call() {
        let at = Mono::from_millis;
        let draining = Phase::Draining { until: at(60_000) };
        assert_eq!(Phase::Serving.next(0, true, at(0)), Some(Phase::Serving));
        assert_eq!(draining.next(1, false, at(0)), Some(draining));
        assert_eq!(draining.next(0, true, at(0)), None);
        let leaving = Phase::Leaving { until: at(1_000) + LAST_WORDS, patience: at(60_000) };
        assert_eq!(draining.next(0, false, at(1_000)), Some(leaving), "a REGISTER has no answer yet");
        assert_eq!(leaving.next(0, false, at(1_100)), Some(leaving));
        assert_eq!(leaving.next(0, true, at(1_100)), None);
        assert_eq!(leaving.next(0, false, at(1_000) + LAST_WORDS), None);
        assert_eq!(leaving.next(1, false, at(1_100)), Some(draining), "a call for help");
        let halting = Phase::Halting { until: at(2_000) };
        assert_eq!(halting.next(1, false, at(1_999)), Some(halting));
        assert_eq!((halting.next(0, true, at(1_000)), halting.next(1, false, at(2_000))), (None, None));
    }

    #[test]
    fn what_is_kept_while_a_reload_reads_is_what_sounds_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cordboard.toml");
        std::fs::write(&path, CENTRE).unwrap();
        std::fs::create_dir_all(folder.path().join("prompts/en")).unwrap();
        let sound = |sample: i16| Arc::new(Clip::new(vec![sample; 800]));
        let lay = |clip: &Clip| std::fs::write(folder.path().join("prompts/en/old.wav"), sounds::to_wav(clip).unwrap()).unwrap();
        lay(&sound(1_000));
        let running = Config::resolve(&config::load_or_generate(&path).unwrap().0).unwrap();
        let read = |kept: Vec<(String, Arc<Clip>)>| load(&path, &running).unwrap_or_else(|p| panic!("{p:?}")).and(kept);
        let heard = |loaded: &Loaded, name: &str| loaded.clips.prompt(&ClipName(name.into())).map(|clip| clip.pcm()[0] / 100);

        let mut kept = Kept::default();
        let first = kept.reads();
        let second = kept.reads();
        kept.keep("en/old", &sound(2_000));
        let third = kept.reads();
        kept.keep("en/new", &sound(3_000));
        let loaded = read(kept.has_read(second));
        assert_eq!((heard(&loaded, "en/old"), heard(&loaded, "en/new")), (Some(20), Some(30)));
        assert!(
            loaded.source.prompts.is_sorted() && loaded.config.prompts.contains(&"en/new".to_owned()),
            "{:?}",
            loaded.source.prompts
        );
        // Whoever began later has the file as it is now.
        let loaded = read(kept.has_read(third));
        assert_eq!((heard(&loaded, "en/old").map(|s| s < 11), heard(&loaded, "en/new")), (Some(true), Some(30)));
        assert_eq!(kept.has_read(first).len(), 2);
        let later = kept.reads();
        assert!(kept.has_read(later).is_empty());
    }

    #[test]
    fn a_reload_that_changes_what_only_a_start_can_is_refused_with_the_names_of_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cordboard.toml");
        let reloaded = |running: &Config, text: &str| {
            std::fs::write(&path, text).unwrap();
            load(&path, running).map(|loaded| loaded.config).map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        std::fs::write(&path, CENTRE).unwrap();
        let running = Config::resolve(&config::load_or_generate(&path).unwrap().0).unwrap();
        for (from, to, key) in ONLY_AT_START {
            assert_eq!(CENTRE.matches(from).count(), 1, "{from}");
            let told = reloaded(&running, &CENTRE.replace(from, to)).expect_err(key);
            assert!(matches!(&told[..], [one] if one.contains(key) && one.contains("needs a restart")), "{key}: {told:?}");
        }
        // All of them at once are told at once, and nothing of the rest is taken with them.
        let all = ONLY_AT_START.iter().fold(CENTRE.to_owned(), |text, (from, to, _)| text.replace(from, to));
        assert_eq!(reloaded(&running, &all.replace("201", "202")).expect_err("refused").len(), 7);
        let taken = reloaded(&running, &CENTRE.replace("201", "202")).expect("taken");
        assert!(taken.phones.contains_key("202"));
        assert!(reloaded(&taken, &format!("{CENTRE}\n[nonsense]\n")).is_err());
    }
}
