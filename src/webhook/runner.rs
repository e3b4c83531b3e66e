//! One webhook: collects a batch, sends it until it is taken, goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::cursor::{Batch, Cursor};
use super::{BACK_OFF, Parts, Standing, State, sign};
use crate::chance::{self, Chance};
use crate::clock::Mono;
use crate::config::{Webhook, signing_key};
use crate::event::{By, Event, Kind, WebhookLost, WebhookOff, WebhookResumed};
use crate::http_client::{Client, Failure, Request, Response};
use crate::store::database::DatabaseError;
use crate::store::log::{Follow, LogError, Stored, type_of};

/// Octets of events in a request, beside the last one.
const MOST_BYTES: usize = 512 * 1_024;

/// Events after which the place is kept although nothing was to be sent: what a start reads again.
const KEEP_POSITION: u64 = 2_000;

/// Between two looks at an index or a log in trouble.
const RETRY: Duration = Duration::from_secs(5);

/// Events that are looked at before orders are heeded again.
const STRETCH: u32 = 2_000;

/// Failures in a row that may have come of a batch's size, after which a smaller one is sent.
const TOO_LARGE_AFTER: usize = 2;

/// For the log to make durable what is told.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) enum Order {
    Run(Arc<Webhook>),
    /// It is not in the configuration any more. One of its name goes on where it was.
    Gone,
    /// The process ends.
    Stop,
}

pub(super) struct Resume {
    pub after: Option<u64>,
    pub by: By,
    pub done: oneshot::Sender<()>,
}

/// What is to be sent.
#[derive(Default)]
struct Parcel {
    lines: Vec<Arc<str>>,
    bytes: usize,
    /// Sequences of the first and the last of them.
    first: u64,
    last: u64,
    /// The last event that was looked at.
    upto: u64,
    /// It is to be sent as it is.
    closed: bool,
}

pub(super) struct Runner {
    name: String,
    parts: Parts,
    client: Client,
    chance: Chance,
    standing: Arc<Mutex<Standing>>,
    cursor: Cursor,
    /// The index does not say so yet.
    unkept: bool,
    /// What it says of how far we are.
    kept_after: u64,
    follow: Option<Follow>,
    parcel: Parcel,
    /// Most events of a request, once one was too large; halved each time.
    most: Option<usize>,
    /// In a row.
    failures: usize,
    next_at: Mono,
    /// Why the last attempt failed.
    trouble: Option<String>,
    /// Why the index does not take the cursor.
    unwritable: Option<String>,
    /// When an index or a log in trouble is asked again.
    retry_at: Mono,
    /// What was said of our health.
    said: Option<String>,
}

impl Runner {
    pub fn open(
        name: &str,
        webhook: &Webhook,
        parts: &Parts,
        client: Client,
        standing: Arc<Mutex<Standing>>,
    ) -> Result<Runner, DatabaseError> {
        let kept = Cursor::read(&*parts.database, name)?;
        let unkept = kept.is_none();
        let cursor = kept.unwrap_or_else(|| Cursor { after: parts.log.last(), ..Cursor::default() });
        let mut runner = Runner {
            name: name.to_owned(),
            parts: parts.clone(),
            client,
            chance: Chance::seeded(chance::from_system()),
            standing,
            kept_after: cursor.after,
            cursor,
            unkept,
            follow: None,
            parcel: Parcel::default(),
            most: None,
            failures: 0,
            next_at: Mono::ZERO,
            trouble: None,
            unwritable: None,
            retry_at: Mono::ZERO,
            said: None,
        };
        runner.show(webhook, State::Idle);
        Ok(runner)
    }

    pub async fn run(mut self, mut orders: watch::Receiver<Order>, mut resumes: mpsc::Receiver<Resume>) {
        loop {
            let hook = match &*orders.borrow_and_update() {
                Order::Run(hook) => Some(hook.clone()),
                Order::Gone => {
                    self.say(None);
                    None
                }
                Order::Stop => None,
            };
            let Some(hook) = hook else { return self.keep().await };
            self.heed(&hook);
            let now = self.parts.clock.mono();
            let behind = self.cursor.after.saturating_sub(self.kept_after);
            if self.retry_at <= now && (self.unkept || behind >= KEEP_POSITION) {
                self.keep().await;
            }
            if self.cursor.gone.is_none() && self.parcel.closed && self.next_at <= now {
                self.show(&hook, State::Sending);
                self.attempt(&hook, &mut orders).await;
                self.tell_health();
                continue;
            }
            self.tell_health();
            let state = match (self.cursor.gone.is_some(), self.parcel.closed) {
                (true, _) => State::Off,
                (false, true) => State::Waiting,
                (false, false) => State::Idle,
            };
            self.show(&hook, state);
            let collects = state == State::Idle;
            if collects && self.follow.is_none() && self.retry_at <= now {
                self.open_log().await;
                if self.follow.is_none() && self.retry_at <= now {
                    // Another place in it: again.
                    continue;
                }
            }
            // Far enough that it never comes first.
            let mut wake = now + Duration::from_secs(3_600);
            if state == State::Waiting {
                wake = wake.min(self.next_at);
            }
            if self.unkept || (collects && self.follow.is_none()) {
                wake = wake.min(self.retry_at);
            }
            #[allow(clippy::disallowed_methods, reason = "a webhook's one timer")]
            let timer = sleep_until(Instant::from_std(self.parts.clock.instant(wake)));
            tokio::select! {
                biased;
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.hurry();
                }
                Some(resume) = resumes.recv() => self.resume(resume).await,
                next = next(&mut self.follow), if collects => if self.came(next, &hook).await.is_err() {
                    return self.keep().await;
                },
                () = timer => {}
            }
        }
    }

    /// What changes with the configuration: an address at which somebody may be, events that were not wanted.
    fn heed(&mut self, hook: &Webhook) {
        if self.cursor.gone.as_ref().is_some_and(|at| *at != digest(&hook.url)) {
            self.cursor.gone = None;
            self.unkept = true;
        }
        let is_otherwise = |batch: &Batch| batch.types != types(hook);
        if self.cursor.batch.as_ref().is_some_and(is_otherwise) || self.parcel.lines.len() > hook.batch {
            self.anew();
        }
    }

    /// The next batch is put together of what follows [`Cursor::after`].
    fn anew(&mut self) {
        self.cursor.batch = None;
        self.unkept = true;
        self.parcel = Parcel::default();
        self.follow = None;
    }

    /// Somebody may have mended what was wrong.
    fn hurry(&mut self) {
        self.next_at = Mono::ZERO;
        self.retry_at = Mono::ZERO;
    }

    async fn resume(&mut self, resume: Resume) {
        if let Some(after) = resume.after {
            self.anew();
            self.cursor.after = after;
            self.most = None;
        }
        self.cursor.gone = None;
        self.unkept = true;
        self.failures = 0;
        self.hurry();
        let (webhook, after) = (self.name.clone(), self.cursor.after);
        self.append(Kind::WebhookResumed(WebhookResumed { webhook, after, by: resume.by }));
        self.keep().await;
        // Whoever asked may have gone.
        let _ = resume.done.send(());
    }

    /// From where we are. Without a log to follow it is asked again at `retry_at`, which is over where there is another place to go on from.
    async fn open_log(&mut self) {
        let lost = match self.parts.log.follow(Some(self.cursor.after)) {
            Ok(follow) => return self.follow = Some(follow),
            Err(LogError::Gone { first_kept }) => first_kept.saturating_sub(1),
            // The log was taken away: from now on.
            Err(LogError::Ahead { last }) => {
                tracing::warn!(webhook = self.name, "the event log ends before what was sent: it goes on from there");
                self.anew();
                self.cursor.after = last;
                return;
            }
            Err(error) => {
                tracing::error!(%error, webhook = self.name, "a webhook waits: the event log can't be read");
                return self.retry_at = self.parts.clock.mono() + RETRY;
            }
        };
        let (first, webhook) = (self.cursor.after + 1, self.name.clone());
        tracing::error!(webhook, "events {first} to {lost} are no longer kept, and were not delivered");
        let (log, before) = (self.parts.log.clone(), self.parts.log.last());
        self.append(Kind::WebhookLost(WebhookLost { webhook, first, last: lost }));
        // Durable before the place is: a kill between the two tells it twice, and the other way round never.
        let _ = blocking(move || log.wait_past(before, PATIENCE)).await;
        self.anew();
        self.cursor.after = lost;
    }

    /// Something of the log, and what else is there already. Fails at its end.
    async fn came(&mut self, next: Result<Arc<Stored>, LogError>, hook: &Webhook) -> Result<(), ()> {
        let mut next = Some(next);
        let mut looked = 0_u32;
        while let Some(one) = next.take() {
            match one {
                Ok(stored) => self.take(&stored, hook),
                Err(LogError::Closed) => return Err(()),
                Err(error) => {
                    // By number it goes on: at once where we were too slow.
                    self.follow = None;
                    if matches!(error, LogError::Io { .. }) {
                        tracing::error!(%error, webhook = self.name, "a webhook waits: the event log can't be read");
                        self.retry_at = self.parts.clock.mono() + RETRY;
                    }
                }
            }
            if self.parcel.closed {
                break;
            }
            looked += 1;
            // A long stretch of it must not keep other tasks of this thread waiting.
            if looked.is_multiple_of(256) {
                tokio::task::yield_now().await;
            }
            if looked >= STRETCH {
                break;
            }
            next = self.follow.as_mut().and_then(|follow| follow.next().now_or_never());
        }
        match (self.parcel.lines.is_empty(), &self.cursor.batch) {
            // Of one that was begun before, all of it or nothing.
            (_, Some(_)) if !self.parcel.closed => {
                if self.follow.is_none() {
                    self.parcel = Parcel::default();
                }
            }
            (_, Some(_)) => {}
            (true, None) => self.cursor.after = self.cursor.after.max(self.parcel.upto),
            (false, None) => {
                self.parcel.closed = true;
                self.cursor.batch = Some(Batch { upto: self.parcel.upto, types: types(hook) });
                self.unkept = true;
            }
        }
        if self.parcel.closed && self.parcel.lines.is_empty() {
            self.delivered();
        }
        Ok(())
    }

    fn take(&mut self, stored: &Stored, hook: &Webhook) {
        let line = stored.line(&self.parts.source);
        let of_us = matches!(&stored.event.kind, Kind::WebhookLost(lost) if lost.webhook == self.name);
        let parcel = &mut self.parcel;
        parcel.upto = stored.sequence;
        if of_us || type_of(&line).is_some_and(|name| hook.wants(name)) {
            if parcel.lines.is_empty() {
                parcel.first = stored.sequence;
            }
            parcel.last = stored.sequence;
            parcel.bytes += line.len();
            parcel.lines.push(line);
        }
        let most = self.most.unwrap_or(hook.batch).min(hook.batch);
        parcel.closed = match &self.cursor.batch {
            Some(batch) => parcel.upto >= batch.upto,
            None => parcel.lines.len() >= most || parcel.bytes >= MOST_BYTES,
        };
        if parcel.closed && self.cursor.batch.is_none() {
            self.cursor.batch = Some(Batch { upto: parcel.upto, types: types(hook) });
            self.unkept = true;
        }
    }

    async fn attempt(&mut self, hook: &Webhook, orders: &mut watch::Receiver<Order>) {
        let Some(response) = self.post(hook, orders).await else { return };
        let sent = self.parcel.lines.len();
        let why = match response {
            // What it says beside that is nobody's business.
            Ok(Response { status: 200..=299, .. }) => {
                self.count(|standing| {
                    standing.taken += 1;
                    standing.events += sent as u64;
                });
                // Too large once is not too large for ever.
                self.most = self.most.map(|most| most.saturating_mul(2)).filter(|most| *most < hook.batch);
                return self.delivered();
            }
            Ok(Response { status: 410, .. }) => {
                tracing::warn!(webhook = self.name, "its receiver is gone (410): nothing is sent there any more");
                self.cursor.gone = Some(digest(&hook.url));
                self.unkept = true;
                self.append(Kind::WebhookOff(WebhookOff { webhook: self.name.clone(), status: 410 }));
                "the receiver says that it is gone (410): nothing is sent until its address changes, or it is resumed".to_owned()
            }
            Ok(Response { status: 413, .. }) if sent > 1 => {
                self.most = Some(sent / 2);
                self.anew();
                return self.count(|standing| standing.failed += 1);
            }
            Ok(Response { status: status @ 300..=399, .. }) => {
                format!("the receiver answers {status}, and no redirect is followed: give its last address")
            }
            Ok(Response { status, .. }) => format!("the receiver answers {status}"),
            Err(failure) => {
                // Too much for it in the time, or it has closed while there was more to read.
                let may_be_large = matches!(failure, Failure::TimedOut | Failure::Broken);
                if may_be_large && sent > 1 && self.failures + 1 >= TOO_LARGE_AFTER {
                    self.most = Some(sent / 2);
                    self.anew();
                }
                failure.to_string()
            }
        };
        self.count(|standing| standing.failed += 1);
        let pause = BACK_OFF.get(self.failures).or(BACK_OFF.last()).copied().unwrap_or(RETRY);
        // Many switches, or many webhooks, do not come back in the same moment.
        let percent = 80 + u32::try_from(self.chance.below(41)).unwrap_or(0);
        self.next_at = self.parts.clock.mono() + pause * percent / 100;
        self.failures += 1;
        tracing::warn!(webhook = self.name, attempts = self.failures, "events are not delivered: {why}");
        self.trouble = Some(why);
    }

    /// `None`: it is not in the configuration any more, and whatever comes is nothing to us.
    async fn post(&mut self, hook: &Webhook, orders: &mut watch::Receiver<Order>) -> Option<Result<Response, Failure>> {
        let parcel = &self.parcel;
        let body = format!("[{}]", parcel.lines.join(","));
        // Dots stand between what is signed.
        let source = digest(&self.parts.source);
        let source = source.get(..8).unwrap_or_default();
        let id = format!("{}_{source}_{}_{}", self.name.replace('.', "-"), parcel.first, parcel.last);
        let seconds = self.parts.clock.now().wall.as_micros().div_euclid(1_000_000);
        let keys: Vec<Vec<u8>> = hook.secrets.iter().filter_map(|secret| signing_key(secret.expose())).collect();
        let signature = sign::signatures(keys.iter().map(Vec::as_slice), &id, seconds, &body);
        let headers = vec![
            ("content-type".to_owned(), "application/cloudevents-batch+json".to_owned()),
            ("webhook-id".to_owned(), id),
            ("webhook-timestamp".to_owned(), seconds.to_string()),
            ("webhook-signature".to_owned(), signature),
        ];
        let request =
            Request { method: "POST", url: hook.url.clone(), headers, body: Some(body), timeout: hook.timeout, most: 0 };
        let (tell, mut told) = oneshot::channel();
        if self.client.send(request, move |response| drop(tell.send(response))).is_err() {
            return Some(Err(Failure::Unreachable));
        }
        loop {
            tokio::select! {
                biased;
                // Dropped unanswered where the thread is gone.
                response = &mut told => return Some(response.unwrap_or(Err(Failure::Unreachable))),
                changed = orders.changed() => {
                    if changed.is_err() || matches!(*orders.borrow(), Order::Gone) {
                        orders.mark_changed();
                        return None;
                    }
                    // Anything else is heeded when it is answered.
                    self.hurry();
                }
            }
        }
    }

    fn delivered(&mut self) {
        self.cursor.after = self.cursor.after.max(self.parcel.upto);
        self.cursor.batch = None;
        self.unkept = true;
        self.parcel = Parcel::default();
        self.failures = 0;
        self.trouble = None;
    }

    /// Makes durable how far we are, as far as the index takes it.
    async fn keep(&mut self) {
        let (change, database, after) = (self.cursor.change(&self.name), self.parts.database.clone(), self.cursor.after);
        let kept = blocking(move || database.commit(&[change]).and_then(|()| database.flush())).await;
        let why = match kept {
            Ok(Ok(())) => {
                self.unkept = false;
                self.kept_after = after;
                self.unwritable = None;
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(webhook = self.name, "how far it is can't be kept: {why}");
        self.unwritable = Some(why);
        self.retry_at = self.parts.clock.mono() + RETRY;
    }

    fn append(&self, kind: Kind) {
        self.parts.log.append([Event { at: self.parts.clock.now().wall, conversation: None, kind }]);
    }

    /// A single failure is nothing to be told of.
    fn tell_health(&mut self) {
        let unwritable = self.unwritable.as_ref().map(|why| format!("how far it is can't be kept: {why}"));
        let is_ill = self.cursor.gone.is_some() || self.failures > 1;
        let trouble = unwritable.or_else(|| {
            let gone = || "its receiver was gone (410) when it was last tried; resume it".to_owned();
            is_ill.then(|| self.trouble.clone().unwrap_or_else(gone))
        });
        self.say(trouble);
    }

    fn say(&mut self, trouble: Option<String>) {
        if trouble != self.said && (self.parts.say)(&format!("webhook {}", self.name), trouble.as_deref()) {
            self.said = trouble;
        }
    }

    fn show(&mut self, hook: &Webhook, state: State) {
        let now = self.parts.clock.now();
        let next_at = (state == State::Waiting).then(|| now.wall + self.next_at.since(now.mono));
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        hook.server().clone_into(&mut standing.server);
        standing.types = types(hook);
        standing.state = state;
        standing.after = self.cursor.after;
        standing.next_at = next_at;
        standing.trouble = self.unwritable.clone().or_else(|| self.trouble.clone());
    }

    fn count(&self, add: impl FnOnce(&mut Standing)) {
        add(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
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

fn types(hook: &Webhook) -> Vec<String> {
    hook.types.iter().map(ToString::to_string).collect()
}

fn digest(url: &str) -> String {
    hex::encode(Sha256::digest(url))
}
