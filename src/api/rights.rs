//! What whoever was let in may do: the one place where rights are looked up.
//!
//! | role | sees | controls |
//! |---|---|---|
//! | agent | the own state, the own calls, the own mailbox | the own state; a call while it is in it; the own phone |
//! | supervisor | the agents of the own teams, their calls and recordings, the queues that they work in | these |
//! | manager | everything | everything but bans, webhooks and the configuration |
//! | admin | everything | everything |
//!
//! [`RULES`] says for every route what it needs, and [`check`] is asked before any handler. A route without a rule is the administrator's,
//! and a test refuses it. What a path does not name is left to handlers: they leave out of lists what [`Rights`] does not show, and ask it
//! for what stands in a body. A call goes by the agents who have had it; one that nobody has had, by its queues.
//!
//! The stream of all events is the manager's, since an event of a team cannot be told from another's when it happens; a supervisor follows
//! a conversation of the own teams by `conversation=`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;
use serde::Deserialize;

use super::Shared;
use super::conversations::{self, blocking};
use super::problem::Problem;
use crate::config::{Config, Role, Team};
use crate::ids::{ConversationId, Number, QueueName, RecordingId, StaffNumber, TeamName};
use crate::report::Dimension;
use crate::store::conversations::{Conversation, Span};
use crate::store::recordings::{Kind, Recording};

/// What a route needs of whom it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// This role, or one above it. What it lists is filtered.
    Role(Role),
    /// This role, and sight of the agent that the path names.
    Agent(Role),
    /// Sight of the phone that the path names.
    Phone,
    /// Sight of the queue that the path names.
    Queue,
    /// Sight of the phone or queue whose mailbox the path names.
    Mailbox,
    /// This role, and sight of the call that the path names.
    Call(Role),
    /// Control of it: an agent must be in it now.
    Control(Role),
    /// Control of it as the one whom the customer talks to, whose phone's class says what may be dialled.
    Lead(Role),
    /// Sight of the recording that the path names.
    Recording,
    /// All events, or those of a call that is in sight.
    Events,
}

/// Method, route as it is matched, what it needs.
#[rustfmt::skip]
pub(super) const RULES: &[(&str, &str, Needs)] = &[
    ("POST", "/api/v1/logout", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/me", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/ice-servers", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/conversations", Needs::Role(Role::Agent)),
    ("POST", "/api/v1/conversations", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/conversations/{id}", Needs::Call(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/hangup", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/hold", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/resume", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/transfer", Needs::Lead(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/conference", Needs::Lead(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/consult", Needs::Lead(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/swap", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/join", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/complete", Needs::Lead(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/cancel", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/monitor", Needs::Control(Role::Supervisor)),
    ("POST", "/api/v1/conversations/{id}/mute", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/digits", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/recording", Needs::Control(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/play", Needs::Control(Role::Agent)),
    ("DELETE", "/api/v1/conversations/{id}/play", Needs::Control(Role::Agent)),
    ("GET", "/api/v1/conversations/{id}/ladder", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/conversations/{id}/ladder.pcap", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/signalling", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/signalling.pcap", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/phones", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/phones/{number}/forwarding", Needs::Phone),
    ("PUT", "/api/v1/phones/{number}/forwarding", Needs::Phone),
    ("GET", "/api/v1/registrations", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/voicemail/{number}", Needs::Mailbox),
    ("GET", "/api/v1/voicemail/{number}/greeting", Needs::Mailbox),
    ("PUT", "/api/v1/voicemail/{number}/greeting", Needs::Mailbox),
    ("DELETE", "/api/v1/voicemail/{number}/greeting", Needs::Mailbox),
    ("DELETE", "/api/v1/voicemail/{number}/{id}", Needs::Mailbox),
    ("POST", "/api/v1/voicemail/{number}/{id}/heard", Needs::Mailbox),
    ("GET", "/api/v1/mailbox-locks", Needs::Role(Role::Manager)),
    ("DELETE", "/api/v1/mailbox-locks/{*locked}", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/bans", Needs::Role(Role::Manager)),
    ("DELETE", "/api/v1/bans/{address}", Needs::Role(Role::Admin)),
    ("GET", "/api/v1/agents", Needs::Role(Role::Agent)),
    ("POST", "/api/v1/agents/{staff_number}/state", Needs::Agent(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/disposition", Needs::Call(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/note", Needs::Call(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/tags", Needs::Call(Role::Agent)),
    ("POST", "/api/v1/conversations/{id}/marker", Needs::Call(Role::Agent)),
    ("POST", "/api/v1/agents/{staff_number}/wrapup", Needs::Agent(Role::Agent)),
    ("POST", "/api/v1/agents/{staff_number}/login", Needs::Agent(Role::Agent)),
    ("POST", "/api/v1/agents/{staff_number}/logout", Needs::Agent(Role::Agent)),
    ("PUT", "/api/v1/agents/{staff_number}/queues", Needs::Agent(Role::Supervisor)),
    ("DELETE", "/api/v1/agents/{staff_number}/queues", Needs::Agent(Role::Supervisor)),
    ("GET", "/api/v1/teams", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/queues/{name}/callers", Needs::Queue),
    ("PUT", "/api/v1/queues/{name}/announcement", Needs::Queue),
    ("DELETE", "/api/v1/queues/{name}/announcement", Needs::Queue),
    ("POST", "/api/v1/conversations/{id}/move", Needs::Control(Role::Supervisor)),
    ("GET", "/api/v1/callbacks", Needs::Role(Role::Agent)),
    ("POST", "/api/v1/callbacks", Needs::Role(Role::Agent)),
    ("DELETE", "/api/v1/callbacks/{id}", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/queues", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/figures", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/figures/conversations", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/standards", Needs::Role(Role::Agent)),
    ("GET", "/api/v1/conversations/{id}/standards", Needs::Call(Role::Agent)),
    ("GET", "/api/v1/agents/{staff_number}/figures", Needs::Agent(Role::Agent)),
    ("GET", "/api/v1/wallboard", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/wallboard/stream", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/trunks", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/recordings", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/recordings/{id}", Needs::Recording),
    ("GET", "/api/v1/recordings/{id}/audio", Needs::Recording),
    ("GET", "/api/v1/recordings/{id}/peaks", Needs::Recording),
    ("GET", "/api/v1/contacts", Needs::Role(Role::Supervisor)),
    ("GET", "/api/v1/contacts.csv", Needs::Role(Role::Manager)),
    ("POST", "/api/v1/contacts/import", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/contacts/{number}", Needs::Role(Role::Agent)),
    ("PUT", "/api/v1/contacts/{number}", Needs::Role(Role::Supervisor)),
    ("DELETE", "/api/v1/contacts/{number}", Needs::Role(Role::Manager)),
    ("GET", "/api/v1/webhooks", Needs::Role(Role::Manager)),
    ("POST", "/api/v1/webhooks/{name}/resume", Needs::Role(Role::Admin)),
    ("GET", "/api/v1/events", Needs::Events),
    ("GET", "/api/v1/events/ws", Needs::Events),
    ("POST", "/api/v1/config/reload", Needs::Role(Role::Admin)),
];

/// What a user may, by the configuration of the moment in which the request came.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub role: Role,
    pub teams: BTreeSet<TeamName>,
    pub agent: Option<StaffNumber>,
    config: Arc<Config>,
}

/// The rights of the one who was let in.
pub(super) type May = Extension<Rights>;

impl Rights {
    /// Of the token of the environment.
    pub fn of_admin(config: Arc<Config>) -> Rights {
        Rights { role: Role::Admin, teams: BTreeSet::new(), agent: None, config }
    }

    /// `None`: there is no such user any more.
    pub fn of(user: &str, config: Arc<Config>) -> Option<Rights> {
        let user = config.users.iter().find(|u| u.name == user)?;
        let (role, teams, agent) = (user.role, user.teams.clone(), user.agent.clone());
        Some(Rights { role, teams, agent, config })
    }

    pub fn sees_all(&self) -> bool {
        self.role >= Role::Manager
    }

    pub fn sees_team(&self, team: &TeamName) -> bool {
        self.sees_all() || self.role == Role::Supervisor && self.teams.contains(team)
    }

    /// Whether who has these is shown just what who has the others is. Whom a team or queue has may change with each reload.
    pub fn sees_what(&self, others: &Rights) -> bool {
        let same = (self.role, &self.teams, &self.agent) == (others.role, &others.teams, &others.agent);
        same && (self.sees_all() || Arc::ptr_eq(&self.config, &others.config))
    }

    /// Those that are seen.
    pub fn teams(&self) -> impl Iterator<Item = (&TeamName, &Team)> {
        self.config.teams.iter().filter(|(name, _)| self.sees_team(name))
    }

    pub fn sees_agent(&self, agent: &StaffNumber) -> bool {
        self.sees_all()
            || self.agent.as_ref() == Some(agent)
            || self.config.team_of(agent).is_some_and(|team| self.sees_team(team))
    }

    /// One in which somebody works whom a supervisor sees.
    pub fn sees_queue(&self, queue: &QueueName) -> bool {
        let works = |queue: &crate::config::Queue| queue.agents.iter().any(|agent| self.sees_agent(agent));
        self.sees_all() || self.role == Role::Supervisor && self.config.queues.get(queue).is_some_and(works)
    }

    /// One in which an agent works who is seen, an agent's own among them.
    pub fn serves_queue(&self, queue: &QueueName) -> bool {
        let works = |queue: &crate::config::Queue| queue.agents.iter().any(|agent| self.sees_agent(agent));
        self.sees_all() || self.config.queues.get(queue).is_some_and(works)
    }

    /// Whose figures are seen.
    pub fn sees_figures(&self, by: Dimension, name: &str) -> bool {
        match by {
            Dimension::Queue => self.sees_queue(&QueueName::new(name)),
            Dimension::Agent => self.sees_agent(&StaffNumber::new(name)),
            Dimension::Trunk => self.sees_all(),
        }
    }

    /// The queue, agent or trunk whose figures are asked for.
    pub fn figures(&self, by: Dimension, name: &str) -> Result<(), Problem> {
        let refused = || self.refused(&format!("{} {}", by.name(), conversations::shortened(name)));
        if self.sees_figures(by, name) { Ok(()) } else { Err(refused()) }
    }

    /// One of an agent who is seen.
    pub fn sees_phone(&self, phone: &Number) -> bool {
        self.sees_all() || self.agents_of(phone).any(|agent| self.sees_agent(agent))
    }

    fn agents_of<'a>(&'a self, phone: &'a Number) -> impl Iterator<Item = &'a StaffNumber> {
        self.config.agents.values().filter(move |agent| agent.phones.contains(phone)).map(|agent| &agent.staff_number)
    }

    fn sees_mailbox(&self, number: &Number) -> bool {
        let is_its = |queue: &&crate::config::Queue| queue.number.as_ref() == Some(number);
        self.sees_phone(number) || self.config.queues.values().find(is_its).is_some_and(|queue| self.sees_queue(&queue.name))
    }

    pub fn sees_call(&self, call: &Conversation) -> bool {
        // Who was asked and answered knows what it is about.
        let was_asked = |span: &Span| matches!(span, Span::Consultation { consulted: Some(agent), answered: true, .. } if self.sees_agent(agent));
        self.has_call(call) || call.intervals.iter().any(|interval| was_asked(&interval.span))
    }

    /// It is, or was, one of theirs who are seen; one that nobody has had is its queue's.
    fn has_call(&self, call: &Conversation) -> bool {
        let talked = call.intervals.iter().filter_map(|interval| match &interval.span {
            Span::Bridge { agent, .. } => agent.as_ref(),
            _ => None,
        });
        let mut had = call.agents.iter().chain(talked).peekable();
        let nobody = had.peek().is_none();
        self.sees_all()
            || had.any(|agent| self.sees_agent(agent))
            || call.phone.as_ref().is_some_and(|phone| self.sees_phone(phone))
            || nobody && call.queues.iter().any(|queue| self.sees_queue(queue))
    }

    /// A supervisor's is what agents of the own teams have had, and not what they were asked about; an agent must be in it now, or have begun
    /// it and handed it to nobody.
    fn controls_call(&self, call: &Conversation) -> bool {
        if self.role > Role::Agent {
            return self.has_call(call);
        }
        let own = self.sees_phone_of(call.phone.as_ref());
        let is_anothers =
            running(call).any(|span| matches!(span, Span::Bridge { agent: Some(agent), .. } if !self.sees_agent(agent)));
        call.is_live() && (self.leads_call(call) || own && !is_anothers)
    }

    /// An agent whom the customer talks to, or who was called: what it asks for is dialled with the rights of that phone.
    fn leads_call(&self, call: &Conversation) -> bool {
        if self.role > Role::Agent {
            return self.has_call(call);
        }
        let leads = |span: &Span| match span {
            Span::Bridge { phone, agent, .. } => {
                agent.as_ref().map_or_else(|| self.sees_phone_of(phone.as_ref()), |agent| self.sees_agent(agent))
            }
            Span::Hold { agent, .. } => agent.as_ref().is_some_and(|agent| self.sees_agent(agent)),
            _ => false,
        };
        call.is_live() && running(call).any(leads)
    }

    fn sees_phone_of(&self, phone: Option<&Number>) -> bool {
        phone.is_some_and(|phone| self.sees_phone(phone))
    }

    /// An agent hears the own messages and no other recording.
    pub fn sees_recording(&self, row: &Recording) -> bool {
        let of_mailbox = row.mailbox.as_ref().is_some_and(|mailbox| self.sees_mailbox(mailbox));
        match (self.role, row.kind) {
            (Role::Manager | Role::Admin, _) => true,
            (_, Kind::Voicemail | Kind::Greeting) => of_mailbox,
            (Role::Supervisor, Kind::Conversation | Kind::Supervisor | Kind::Prompt) => {
                let has = |agent: &StaffNumber| self.sees_agent(agent);
                row.agents.iter().any(has)
                    || row.agents.is_empty() && row.queue.as_ref().is_some_and(|queue| self.sees_queue(queue))
            }
            (Role::Agent, Kind::Conversation | Kind::Supervisor | Kind::Prompt) => false,
        }
    }

    fn needs(&self, role: Role) -> Result<(), Problem> {
        let why = || format!("this needs the role {}, and yours is {}", role.label(), self.role.label());
        if self.role >= role { Ok(()) } else { Err(Problem::new(403, why())) }
    }

    /// Why something is out of sight.
    fn refused(&self, what: &str) -> Problem {
        let whose = match self.role {
            Role::Agent => "is not yours",
            Role::Supervisor | Role::Manager | Role::Admin => "is of none of your teams",
        };
        Problem::new(403, format!("{what} {whose}"))
    }

    /// The queue that a body names.
    pub fn queue(&self, queue: &QueueName) -> Result<(), Problem> {
        let refused = || self.refused(&format!("queue {}", conversations::shortened(queue.as_str())));
        if self.sees_queue(queue) { Ok(()) } else { Err(refused()) }
    }

    /// The phone that a body names.
    pub fn phone(&self, phone: &str) -> Result<(), Problem> {
        let refused = || self.refused(&format!("phone {}", conversations::shortened(phone)));
        if self.sees_phone(&Number::new(phone)) { Ok(()) } else { Err(refused()) }
    }
}

#[derive(Default, Deserialize)]
struct Followed {
    conversation: Option<String>,
}

/// Whether this request may be served.
///
/// # Errors
/// 403 that says what is missing; 404 of a call or a recording that there is not.
pub(super) async fn check(shared: &Shared, rights: &Rights, parts: &mut Parts) -> Result<(), Problem> {
    let Some(route) = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()) else {
        return Ok(());
    };
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let rule = RULES.iter().find(|(needed, path, _)| *path == route && *needed == method.as_str());
    let Some((_, _, needs)) = rule else {
        return rights.needs(Role::Admin);
    };
    if let Needs::Role(role) = needs {
        return rights.needs(*role);
    }
    let named = match RawPathParams::from_request_parts(parts, &()).await {
        Ok(params) => params.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default(),
        // What is no text is nobody's: the handler says so.
        Err(_) => return rights.needs(Role::Manager),
    };
    match needs {
        Needs::Role(role) => rights.needs(*role),
        Needs::Agent(role) => {
            rights.needs(*role)?;
            let refused = || rights.refused(&format!("agent {}", conversations::shortened(&named)));
            if rights.sees_agent(&StaffNumber::new(named.as_str())) { Ok(()) } else { Err(refused()) }
        }
        Needs::Phone => rights.phone(&named),
        Needs::Queue if rights.sees_queue(&QueueName::new(named.as_str())) => Ok(()),
        Needs::Queue => Err(rights.refused(&format!("queue {}", conversations::shortened(&named)))),
        Needs::Mailbox if rights.sees_mailbox(&Number::new(named.as_str())) => Ok(()),
        Needs::Mailbox => Err(rights.refused(&format!("mailbox {}", conversations::shortened(&named)))),
        Needs::Call(role) => {
            rights.needs(*role)?;
            sight(shared, rights, conversations::conversation(&named), Rights::sees_call).await
        }
        Needs::Control(role) => {
            rights.needs(*role)?;
            sight(shared, rights, conversations::conversation(&named), Rights::controls_call).await
        }
        Needs::Lead(role) => {
            rights.needs(*role)?;
            sight(shared, rights, conversations::conversation(&named), Rights::leads_call).await
        }
        Needs::Recording => recording(shared, rights, &named).await,
        Needs::Events if rights.sees_all() => Ok(()),
        Needs::Events => {
            rights.needs(Role::Supervisor)?;
            let query = Query::<Followed>::from_request_parts(parts, &()).await.map(|query| query.0).unwrap_or_default();
            let Some(id) = query.conversation.filter(|id| !id.is_empty()) else {
                return Err(Problem::new(403, "all events need the role manager; name a conversation of your teams"));
            };
            sight(shared, rights, conversations::conversation(&id), Rights::sees_call).await
        }
    }
}

/// What goes on in it.
fn running(call: &Conversation) -> impl Iterator<Item = &Span> {
    call.intervals.iter().filter(|interval| interval.to.is_none()).map(|interval| &interval.span)
}

/// A further call that a body names.
pub(super) async fn controls(shared: &Shared, rights: &Rights, call: ConversationId) -> Result<(), Problem> {
    sight(shared, rights, Ok(call), Rights::controls_call).await
}

async fn sight(
    shared: &Shared,
    rights: &Rights,
    call: Result<ConversationId, Problem>,
    may: fn(&Rights, &Conversation) -> bool,
) -> Result<(), Problem> {
    if rights.sees_all() {
        return Ok(());
    }
    let id = call?;
    let row = conversations::row(shared, id).await?.ok_or_else(|| Problem::new(404, format!("there is no conversation {id}")))?;
    if may(rights, &row) { Ok(()) } else { Err(rights.refused(&format!("conversation {id}"))) }
}

async fn recording(shared: &Shared, rights: &Rights, named: &str) -> Result<(), Problem> {
    if rights.sees_all() {
        return Ok(());
    }
    let id: RecordingId = named.parse().map_err(|_| Problem::new(404, "that is no recording's id"))?;
    let recordings = shared.parts.recordings.clone();
    let row = blocking(move || recordings.row(id)).await??;
    match row {
        Some(row) if rights.sees_recording(&row) => Ok(()),
        Some(_) => Err(rights.refused(&format!("recording {id}"))),
        None => Err(Problem::new(404, format!("there is no recording {id}"))),
    }
}
