//! The HTTP interface: `/healthz`, `/readyz`, `/metrics`, and `/api/v1/…` in JSON.
//!
//! | part | file |
//! |---|---|
//! | who may come in: bearer tokens, sessions, throttling, no foreign origins | `guard` `login` `session` `throttle` |
//! | what each role may do, route by route | `rights` |
//! | every error as problem details (RFC 9457), also those of the framework | `problem` |
//! | commands to the core over a bounded channel | `core` |
//! | control of calls | `conversations` `control` `consulting` |
//! | rows, recordings, audio and SIP messages out of the store | `conversations` `recordings` `range` `ladder` |
//! | figures of the past, and the wallboard | `figures` `wallboard` |
//! | who is sent events | `webhooks` |
//! | who customers are | `contacts` |
//! | verdicts on the service standards | `standards` |
//! | the description of it all | `openapi` |
//!
//! Nothing is kept here but sessions, failed log-ins, and for a second or a few what the core said of itself. Handlers ask the core or the store and print what they say; the events' routes
//! and the console's page are handed in by the server and stand behind the same guard and the same limits.

mod after;
mod agents;
mod bans;
mod callbacks;
mod consulting;
mod contacts;
mod control;
mod conversations;
mod core;
mod figures;
mod guard;
mod health;
mod ice_servers;
mod ladder;
mod login;
mod openapi;
mod phones;
mod problem;
mod queues;
mod range;
mod recordings;
mod registrations;
mod rights;
mod session;
mod standards;
mod teams;
mod throttle;
mod trunks;
mod voicemail;
mod wallboard;
mod webhooks;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::routing::{delete, get, post, put};
use axum::{Router, middleware};
use serde::Serialize;
use tokio::sync::watch;

pub use self::core::{Asked, Core, MOST_ASKED};
pub use openapi::document as openapi;
pub use webhooks::{Hooks, NotResumed, WebhookView};

use crate::clock::System;
use crate::config::{Config, Secret};
use crate::ids::{Number, RecordingId};
use crate::store::Contacts;
use crate::store::conversations::Conversations;
use crate::store::ladders::Ladders;
use crate::store::log::Log;
use crate::store::recordings::{Folder, Recordings};

/// Asked for whenever metrics are.
pub type Figures = Arc<dyn Fn() -> Measured + Send + Sync>;

/// What transports and media workers count by themselves.
#[derive(Debug, Default)]
pub struct Measured {
    /// How long an input waits for the core.
    pub queue_delay: Duration,
    /// Names as in `/metrics`, without the prefix.
    pub totals: Vec<(String, u64)>,
    /// Open legs of each media worker.
    pub legs_of_workers: Vec<u64>,
    /// Events that each webhook is behind, by its name.
    pub webhooks_behind: Vec<(String, u64)>,
}

/// Keeps a WAV file that somebody has sent as the greeting of a mailbox; called on a thread that may wait for the disk.
pub type Import = Arc<dyn Fn(Number, &[u8]) -> Result<RecordingId, NotImported> + Send + Sync>;

/// Why a file is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    /// It is none that can be played.
    #[error("{0}")]
    Unplayable(Box<dyn std::error::Error + Send + Sync>),
    #[error("a greeting has at least {shortest_ms} ms, and this one {duration_ms} ms")]
    TooShort { duration_ms: u64, shortest_ms: u64 },
    #[error("{0}")]
    Disk(Box<dyn std::error::Error + Send + Sync>),
}

/// What the handlers work with.
pub struct Parts {
    pub core: Core,
    /// Users and their secrets, as of the last reload.
    pub config: watch::Receiver<Arc<Config>>,
    /// `CORDBOARD_ADMIN_TOKEN`.
    pub admin_token: Option<Secret>,
    pub clock: System,
    pub log: Log,
    pub recordings: Recordings,
    pub conversations: Conversations,
    pub ladders: Ladders,
    pub history: crate::store::Figures,
    /// Becomes true when those who are sent something for as long as they listen are to be let go.
    pub stop: watch::Receiver<bool>,
    /// What the transports say of themselves.
    pub figures: Figures,
    /// Where the WAV files lie.
    pub folder: Folder,
    pub import: Import,
    pub hooks: Hooks,
    pub contacts: Contacts,
}

/// What every handler shares.
struct Shared {
    parts: Parts,
    sessions: session::Sessions,
    throttle: throttle::Throttle,
    heard: health::Heard,
    board: wallboard::Board,
}

type Api = axum::extract::State<Arc<Shared>>;

/// A list, in the shape of every list here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct List<T> {
    items: Vec<T>,
    /// For `cursor` of the next page; `null` at the end.
    next: Option<String>,
}

impl<T> List<T> {
    fn whole(items: Vec<T>) -> Self {
        List { items, next: None }
    }
}

/// The whole HTTP service. `guarded` are routes for those who are logged in (events), `open` ones for everybody (the console's page,
/// which holds no data). Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: throttling goes by address.
pub fn router(parts: Parts, guarded: Router, open: Router) -> Router {
    let shared = Arc::new(Shared {
        parts,
        sessions: session::Sessions::default(),
        throttle: throttle::Throttle::default(),
        heard: health::Heard::default(),
        board: wallboard::Board::default(),
    });
    let inside = Router::new()
        .route("/api/v1/logout", post(login::logout))
        .route("/api/v1/me", get(login::me))
        .route("/api/v1/registrations", get(registrations::list))
        .route("/api/v1/conversations", get(conversations::list).post(conversations::originate))
        .route("/api/v1/conversations/{id}", get(conversations::show))
        .route("/api/v1/conversations/{id}/hangup", post(conversations::hangup))
        .route("/api/v1/conversations/{id}/hold", post(conversations::hold))
        .route("/api/v1/conversations/{id}/resume", post(conversations::resume))
        .route("/api/v1/conversations/{id}/transfer", post(conversations::transfer))
        .route("/api/v1/conversations/{id}/conference", post(control::conference))
        .route("/api/v1/conversations/{id}/consult", post(consulting::consult))
        .route("/api/v1/conversations/{id}/swap", post(consulting::swap))
        .route("/api/v1/conversations/{id}/join", post(consulting::join))
        .route("/api/v1/conversations/{id}/complete", post(consulting::complete))
        .route("/api/v1/conversations/{id}/cancel", post(consulting::cancel))
        .route("/api/v1/conversations/{id}/monitor", post(control::monitor))
        .route("/api/v1/conversations/{id}/mute", post(control::mute))
        .route("/api/v1/conversations/{id}/digits", post(control::digits))
        .route("/api/v1/conversations/{id}/recording", post(control::recording))
        .route("/api/v1/conversations/{id}/play", post(control::play).delete(control::stop_play))
        .route("/api/v1/phones", get(phones::list))
        .route("/api/v1/phones/{number}/forwarding", get(phones::forwarding).put(phones::set_forwarding))
        .route("/api/v1/voicemail/{number}", get(voicemail::list))
        .route(
            "/api/v1/voicemail/{number}/greeting",
            get(voicemail::greeting).put(voicemail::set_greeting).delete(voicemail::drop_greeting),
        )
        .route("/api/v1/voicemail/{number}/{id}", delete(voicemail::discard))
        .route("/api/v1/voicemail/{number}/{id}/heard", post(voicemail::heard))
        .route("/api/v1/mailbox-locks", get(voicemail::locks))
        .route("/api/v1/mailbox-locks/{*locked}", delete(voicemail::lift_lock))
        .route("/api/v1/conversations/{id}/ladder", get(ladder::show))
        .route("/api/v1/conversations/{id}/ladder.pcap", get(ladder::pcap))
        .route("/api/v1/signalling", get(ladder::strays))
        .route("/api/v1/signalling.pcap", get(ladder::strays_pcap))
        .route("/api/v1/bans", get(bans::list))
        .route("/api/v1/bans/{address}", delete(bans::lift))
        .route("/api/v1/agents", get(agents::list))
        .route("/api/v1/agents/{staff_number}/state", post(agents::set))
        .route("/api/v1/agents/{staff_number}/figures", get(figures::of_agent))
        .route("/api/v1/conversations/{id}/disposition", post(after::dispose))
        .route("/api/v1/conversations/{id}/note", post(after::note))
        .route("/api/v1/conversations/{id}/tags", post(after::tag))
        .route("/api/v1/conversations/{id}/marker", post(after::mark))
        .route("/api/v1/agents/{staff_number}/wrapup", post(agents::wrap_up))
        .route("/api/v1/agents/{staff_number}/queues", put(agents::put_into).delete(agents::put_back))
        .route("/api/v1/agents/{staff_number}/login", post(agents::log_in))
        .route("/api/v1/agents/{staff_number}/logout", post(agents::log_out))
        .route("/api/v1/teams", get(teams::list))
        .route("/api/v1/queues/{name}/callers", get(queues::callers))
        .route("/api/v1/queues/{name}/announcement", delete(queues::announce_no_more).put(queues::announce))
        .route("/api/v1/conversations/{id}/move", post(queues::move_caller))
        .route("/api/v1/callbacks", get(callbacks::list).post(callbacks::create))
        .route("/api/v1/callbacks/{id}", delete(callbacks::cancel))
        .route("/api/v1/queues", get(queues::list))
        .route("/api/v1/figures", get(figures::list))
        .route("/api/v1/figures/conversations", get(figures::behind))
        .route("/api/v1/standards", get(standards::list))
        .route("/api/v1/conversations/{id}/standards", get(standards::show))
        .route("/api/v1/wallboard", get(wallboard::show))
        .route("/api/v1/wallboard/stream", get(wallboard::watch))
        .route("/api/v1/ice-servers", get(ice_servers::list))
        .route("/api/v1/trunks", get(trunks::list))
        .route("/api/v1/contacts", get(contacts::list))
        .route("/api/v1/contacts.csv", get(contacts::export))
        .route("/api/v1/contacts/import", post(contacts::import))
        .route("/api/v1/contacts/{number}", get(contacts::show).put(contacts::put).delete(contacts::forget))
        .route("/api/v1/webhooks", get(webhooks::list))
        .route("/api/v1/webhooks/{name}/resume", post(webhooks::resume))
        .route("/api/v1/recordings", get(recordings::list))
        .route("/api/v1/recordings/{id}", get(recordings::show))
        .route("/api/v1/recordings/{id}/audio", get(recordings::audio))
        .route("/api/v1/recordings/{id}/peaks", get(recordings::peaks))
        .with_state(shared.clone())
        .merge(guarded)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::admit));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/login", post(login::login))
        .route("/api/v1/openapi.json", get(openapi::serve))
        .with_state(shared)
        .merge(inside)
        .merge(open)
        .fallback(problem::not_found)
        .layer(middleware::from_fn(guard::limit_and_label))
        .layer(middleware::from_fn(problem::explain))
}
