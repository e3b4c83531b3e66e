//! The interface's description (OpenAPI 3.1), generated from the types that are sent.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{
    after, agents, bans, callbacks, consulting, contacts, control, conversations, figures, guard, health, ice_servers, ladder,
    login, phones, problem, queues, recordings, registrations, standards, teams, trunks, voicemail, wallboard, webhooks,
};
use crate::event;

#[derive(OpenApi)]
#[openapi(
    info(title = "Cordboard", description = "A SIP switch with recording for small call centres."),
    paths(
        health::live, health::ready, health::metrics, login::login, login::logout, login::me, registrations::list,
        conversations::list, conversations::show, conversations::originate, conversations::hangup, conversations::hold,
        conversations::resume, conversations::transfer, control::conference, control::monitor,
        consulting::consult, consulting::swap, consulting::join, consulting::complete, consulting::cancel,
        control::mute, control::play, control::stop_play, control::digits, control::recording, ladder::show, ladder::pcap, ladder::strays,
        ladder::strays_pcap, ice_servers::list,
        phones::list, phones::forwarding, phones::set_forwarding, agents::list, agents::set, agents::log_in, agents::log_out,
        agents::wrap_up, agents::put_into, agents::put_back, after::dispose, after::note, after::tag, after::mark, teams::list, queues::list, queues::callers, queues::move_caller, queues::announce, queues::announce_no_more, callbacks::list, callbacks::create, callbacks::cancel, trunks::list,
        standards::list, standards::show,
        figures::list, figures::behind, figures::of_agent, wallboard::show, wallboard::watch,
        webhooks::list, webhooks::resume,
        contacts::list, contacts::show, contacts::put, contacts::forget, contacts::import, contacts::export,
        bans::list, bans::lift, recordings::list, recordings::show,
        recordings::audio, recordings::peaks, voicemail::list, voicemail::heard, voicemail::discard, voicemail::greeting,
        voicemail::set_greeting, voicemail::drop_greeting, voicemail::locks,
        voicemail::lift_lock, events, events_ws, asyncapi, reload, serve
    ),
    components(schemas(event::Kind, CloudEvent, problem::Problem)),
    modifiers(&Access),
    security(("bearer" = []), ("session" = []))
)]
struct Description;

/// CloudEvents 1.0, one event. `type` and `data` are as in `Kind`, with `cordboard.` in front of the type.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described: the store prints events")]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[schema(rename = "type")]
    kind: String,
    /// RFC 3339, UTC, milliseconds.
    time: String,
    /// Conversation.
    subject: Option<String>,
    /// Decimal digits; without gaps.
    sequence: String,
    data: serde_json::Value,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: the events' own routes read it")]
struct EventsWanted {
    /// The last event that was seen; 0 is from the very first; absent is from now on. The header Last-Event-ID wins.
    since: Option<u64>,
    /// `call.*,queue.entered`
    types: Option<String>,
    conversation: Option<String>,
}

/// Events as they happen (Server-Sent Events); `id:` is the sequence.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsWanted), responses(
    (status = 200, body = CloudEvent, content_type = "text/event-stream"),
    (status = 410, body = problem::Problem, content_type = "application/problem+json",
        description = "`since` is no longer kept; `first` is the first that is.")))]
#[allow(dead_code, reason = "only described")]
fn events() {}

/// The same over WebSocket: one text message an event.
#[utoipa::path(get, path = "/api/v1/events/ws", tag = "events", params(EventsWanted), responses(
    (status = 101, description = "Text messages, each a CloudEvent."),
    (status = 410, body = problem::Problem, content_type = "application/problem+json")))]
#[allow(dead_code, reason = "only described")]
fn events_ws() {}

/// The types of events and where they are carried (AsyncAPI 3.0).
#[utoipa::path(get, path = "/api/v1/asyncapi.json", tag = "events", security(()), responses((status = 200, body = serde_json::Value)))]
#[allow(dead_code, reason = "only described: the route is the events' own")]
fn asyncapi() {}

/// What was wrong with the files; nothing of them was taken.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
struct NotTaken {
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    /// `file:line: what is wrong`, one each.
    faults: Vec<String>,
}

/// Reads the configuration's files anew, as SIGHUP does. Running calls are not touched.
#[utoipa::path(post, path = "/api/v1/config/reload", tag = "config", responses(
    (status = 204, description = "It is in force."),
    (status = 422, body = NotTaken, content_type = "application/problem+json", description = "It has faults; nothing was changed.")))]
#[allow(dead_code, reason = "only described: the route is the server's own")]
fn reload() {}

struct Access;

impl Modify for Access {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(guard::COOKIE))));
    }
}

/// The description as a value, for the documentation too.
pub fn document() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "health", security(()), responses((status = 200, body = serde_json::Value)))]
pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
