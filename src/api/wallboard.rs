//! The wallboard: queues and agents as they are, with their day so far.
//!
//! It is made once a second at most, however many look, and not while nobody does: the core is asked, and what the log was folded into is
//! added. All who see all of it are sent the same text.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::conversations::blocking;
use super::problem::Problem;
use super::rights::{May, Rights};
use super::{Api, Shared, figures};
use crate::clock::{Mono, Now};
use crate::ids::StaffNumber;
use crate::report::{Cell, Dimension, Figures, Formula};
use crate::switch::command::{AgentView, QueueView};
use crate::switch::{Answer, Command};

/// Between two of a stream.
const PACE: Duration = Duration::from_secs(1);

/// One as old as this still does: a little less than the pace, so that each beat has its own.
const FRESH: Duration = Duration::from_millis(900);

/// The day's sums are read from the index, and change slowly.
const SUMS_FRESH: Duration = Duration::from_secs(5);

/// Who looks at once; more get 503. A screen in each team and one at each desk.
const MOST_LOOKERS: usize = 200;

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Wallboard {
    /// RFC 3339.
    at: String,
    /// What the service levels are; T is a queue's threshold at the end of each wait.
    formulas: Vec<&'static str>,
    queues: Vec<QueueBoard>,
    agents: Vec<AgentBoard>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct QueueBoard {
    #[serde(flatten)]
    now: QueueView,
    /// Since the site's midnight, as in `/api/v1/figures`; some seconds old.
    today: Figures,
}

#[derive(Serialize, utoipa::ToSchema)]
struct AgentBoard {
    #[serde(flatten)]
    now: AgentView,
    today: AgentDay,
}

/// Since the site's midnight; some seconds old.
#[derive(Serialize, utoipa::ToSchema)]
struct AgentDay {
    answered: u64,
    unanswered: u64,
    transfers: u64,
    direct_calls: u64,
    talk_ms: u64,
    hold_ms: u64,
    wrapup_ms: u64,
    aht_ms: Option<u64>,
    occupancy: Option<f64>,
}

/// What was made last.
pub(super) struct Board {
    made: Mutex<Last>,
    sums: Mutex<Option<(Mono, Arc<Sums>)>>,
    seats: Arc<Semaphore>,
}

impl Default for Board {
    fn default() -> Self {
        Board { made: Mutex::default(), sums: Mutex::default(), seats: Arc::new(Semaphore::new(MOST_LOOKERS)) }
    }
}

#[derive(Default)]
struct Last {
    made: Option<Made>,
    /// When it could last not be made.
    failed: Option<Mono>,
}

#[derive(Clone)]
struct Made {
    at: Mono,
    board: Arc<Wallboard>,
    /// Of those who see all of it.
    text: Arc<str>,
}

/// What a supervisor sees of it.
#[derive(Serialize)]
struct Seen<'a> {
    at: &'a str,
    formulas: &'a [&'static str],
    queues: Vec<&'a QueueBoard>,
    agents: Vec<&'a AgentBoard>,
}

struct Sums {
    queues: BTreeMap<String, Cell>,
    agents: BTreeMap<String, Cell>,
}

/// Queues and agents as they are, with their day so far. A supervisor sees the agents of the own teams, and the queues that they work in.
#[utoipa::path(get, path = "/api/v1/wallboard", tag = "figures", responses((status = 200, body = Wallboard),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(shared): Api, Extension(rights): May) -> Result<Response, Problem> {
    let text = text(&shared, &rights).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text.to_string()).into_response())
}

/// The same each second, as Server-Sent Events.
#[utoipa::path(get, path = "/api/v1/wallboard/stream", tag = "figures", responses(
    (status = 200, body = Wallboard, content_type = "text/event-stream"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn watch(
    State(shared): Api,
    Extension(rights): May,
    Extension(let_go): Extension<watch::Receiver<bool>>,
) -> Result<Response, Problem> {
    let seat = shared.board.seats.clone().try_acquire_owned();
    let seat = seat.map_err(|_| Problem::unavailable("too many look at the wallboard"))?;
    let mut pace = interval(PACE);
    // Who has not read for a while is shown what is, and not what was.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = shared.parts.stop.clone();
    let looking = (shared, rights, pace, stop, let_go, seat);
    let boards = stream::unfold(looking, |(shared, rights, mut pace, mut stop, mut let_go, seat)| async move {
        tokio::select! {
            biased;
            // Also when nobody is left who could say it.
            _ = stop.wait_for(|stop| *stop) => return None,
            _ = let_go.wait_for(|gone| *gone) => return None,
            _ = pace.tick() => {}
        }
        // Who looks comes again where the core does not answer.
        let text = text(&shared, &rights).await.ok()?;
        Some((Ok::<_, Infallible>(Event::default().data(&*text)), (shared, rights, pace, stop, let_go, seat)))
    });
    let sse = Sse::new(boards).keep_alive(KeepAlive::new());
    // X-Accel-Buffering: nginx would hold it back otherwise.
    Ok(([(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")], sse).into_response())
}

async fn text(shared: &Arc<Shared>, rights: &Rights) -> Result<Arc<str>, Problem> {
    let Made { board, text, .. } = made(shared).await?;
    if rights.sees_all() {
        return Ok(text);
    }
    let seen = Seen {
        at: &board.at,
        formulas: &board.formulas,
        queues: board.queues.iter().filter(|queue| rights.sees_queue(&queue.now.name)).collect(),
        agents: board
            .agents
            .iter()
            .filter(|agent| rights.sees_agent(&StaffNumber::new(agent.now.staff_number.as_str())))
            .collect(),
    };
    written(&seen)
}

fn written(board: &impl Serialize) -> Result<Arc<str>, Problem> {
    Ok(serde_json::to_string(board).map_err(|_| Problem::new(500, "the wallboard is no JSON"))?.into())
}

async fn made(shared: &Arc<Shared>) -> Result<Made, Problem> {
    // Held while it is made, so that many who come at once are one question.
    let mut last = shared.board.made.lock().await;
    let now = shared.parts.clock.now();
    let is_fresh = |at: Mono| now.mono.since(at) < FRESH;
    if let Some(made) = last.made.as_ref().filter(|made| is_fresh(made.at)) {
        return Ok(made.clone());
    }
    // Those who waited with the one who asked in vain do not ask in vain one after the other.
    if last.failed.is_some_and(is_fresh) {
        return Err(Problem::unavailable("the wallboard can't be made now"));
    }
    let made = make(shared, now).await;
    match &made {
        Ok(made) => *last = Last { made: Some(made.clone()), failed: None },
        Err(_) => last.failed = Some(shared.parts.clock.mono()),
    }
    made
}

async fn make(shared: &Arc<Shared>, now: Now) -> Result<Made, Problem> {
    let queues = match shared.parts.core.ask("wallboard", Command::Queues).await? {
        Answer::Queues(queues) => queues,
        _ => return Err(Problem::mismatch()),
    };
    let agents = match shared.parts.core.ask("wallboard", Command::Agents).await? {
        Answer::Agents(agents) => agents,
        _ => return Err(Problem::mismatch()),
    };
    let sums = sums(shared).await?;
    let queue = |now: QueueView| {
        let today = Figures::of(sums.queues.get(now.name.as_str()).unwrap_or(&Cell::default()));
        QueueBoard { now, today }
    };
    let agent = |now: AgentView| {
        let today = AgentDay::of(sums.agents.get(now.staff_number.as_str()).unwrap_or(&Cell::default()));
        AgentBoard { now, today }
    };
    let board = Wallboard {
        at: now.wall.to_string(),
        formulas: Formula::ALL.iter().map(|formula| formula.text()).collect(),
        queues: queues.into_iter().map(queue).collect(),
        agents: agents.into_iter().map(agent).collect(),
    };
    let text = written(&board)?;
    Ok(Made { at: now.mono, board: Arc::new(board), text })
}

async fn sums(shared: &Arc<Shared>) -> Result<Arc<Sums>, Problem> {
    let mut last = shared.board.sums.lock().await;
    let now = shared.parts.clock.now();
    if let Some((at, sums)) = &*last
        && now.mono.since(*at) < SUMS_FRESH
    {
        return Ok(sums.clone());
    }
    let today = figures::today(shared, &figures::zone(shared, None)?)?;
    let history = shared.parts.history.clone();
    let sums = blocking(move || {
        let queues = history.sums(Dimension::Queue, None, today, now.wall)?;
        Ok::<_, crate::store::database::DatabaseError>(Sums {
            queues,
            agents: history.sums(Dimension::Agent, None, today, now.wall)?,
        })
    });
    let sums = Arc::new(sums.await??);
    *last = Some((now.mono, sums.clone()));
    Ok(sums)
}

impl AgentDay {
    fn of(cell: &Cell) -> AgentDay {
        let figures = Figures::of(cell);
        AgentDay {
            answered: figures.answered,
            unanswered: figures.unanswered,
            transfers: figures.transfers,
            direct_calls: figures.direct_calls,
            talk_ms: figures.talk_ms,
            hold_ms: figures.hold_ms,
            wrapup_ms: figures.wrapup_ms,
            aht_ms: figures.aht_ms,
            occupancy: figures.occupancy,
        }
    }
}
