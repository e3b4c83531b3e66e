//! Control of a live call beyond its two parties: conference, supervisors, mute, what is played into it, keys, its recording.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::conversations::{conversation, dialled, done, shortened};
use super::guard::Me;
use super::problem::Problem;
use super::rights::{self, May};
use crate::ids::LegId;
use crate::switch::Command;
use crate::switch::command::{Member, Sound};

/// One of the two.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Conference {
    /// Rings a phone, an agent (staff number, or `phone:` and a number) or a number outside, with the rights of whom the customer talks to.
    to: Option<String>,
    /// The conversation that the same phone has with whom it asked: all talk with each other.
    consultation: Option<String>,
}

/// One more party; whoever leaves, the others go on.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/conference", tag = "conversations", params(("id" = String, Path)),
    request_body = Conference, responses((status = 204, description = "It rings, or is there: `call.conferenced` tells."),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn conference(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(wanted): Json<Conference>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let command = match (wanted.to, wanted.consultation) {
        (Some(to), None) => Command::Confer { conversation, to: dialled("to", to)? },
        (None, Some(consultation)) => {
            let consultation = super::conversations::conversation(&consultation)?;
            rights::controls(&shared, &rights, consultation).await?;
            Command::ConferWith { conversation, consultation }
        }
        (Some(_), Some(_)) | (None, None) => return Err(Problem::new(422, "one of `to` and `consultation` is needed")),
    };
    done(&shared, &who, command).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Monitor {
    /// The supervisor's phone, or the staff number of who works at it.
    phone: Option<String>,
    /// Likewise.
    staff_number: Option<String>,
    /// `listen`, `whisper`, `barge` or `take_over`.
    mode: String,
}

/// Rings a supervisor, who hears the call when the phone is answered; of one who is there already, it changes the mode. It ends when the
/// supervisor hangs up.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/monitor", tag = "conversations", params(("id" = String, Path)),
    request_body = Monitor, responses((status = 204, description = "It rings, or has changed: `call.monitored` tells."),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "There is no such mode."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn monitor(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Monitor>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let mode = word("mode", &wanted.mode, "listen, whisper, barge or take_over")?;
    let supervisor = match (wanted.phone, wanted.staff_number) {
        (Some(phone), None) => dialled("phone", phone)?,
        (None, Some(staff_number)) => dialled("staff_number", staff_number)?,
        (Some(_), Some(_)) | (None, None) => return Err(Problem::new(422, "one of `phone` and `staff_number` is needed")),
    };
    done(&shared, &who, Command::Monitor { conversation, who: supervisor, mode }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mute {
    /// A leg of the conversation, as its events name it.
    leg: Option<u64>,
    /// Or who: a phone's number, a staff number, or the customer's number.
    number: Option<String>,
    muted: bool,
}

/// What a party says is heard by nobody, or again. It goes on hearing, and nobody hears music for it.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/mute", tag = "conversations", params(("id" = String, Path)),
    request_body = Mute, responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json",
        description = "No such conversation, or nobody by that name in it."),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn mute(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Mute>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let member = match (wanted.leg, wanted.number) {
        (Some(leg), None) => Member::Leg(LegId(leg)),
        (None, Some(number)) => Member::Number(dialled("number", number)?),
        (Some(_), Some(_)) | (None, None) => return Err(Problem::new(422, "one of `leg` and `number` is needed")),
    };
    done(&shared, &who, Command::Mute { conversation, who: member, muted: wanted.muted }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Play {
    /// A prompt of the configuration: `welcome`, or `de/welcome`.
    prompt: Option<String>,
    /// Or a tone: `music`, `ringback`, `busy`, until it is stopped.
    tone: Option<String>,
    /// `both` (all who talk), `customer` or `agent`.
    to: String,
}

/// Plays to one side or to all, who hear nobody meanwhile; then they hear again what they heard before.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/play", tag = "conversations", params(("id" = String, Path)),
    request_body = Play, responses((status = 204, description = "It has begun: `call.played` tells its end."),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "There is no such tone, or side."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "There is no such prompt.")))]
pub(super) async fn play(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Play>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let sound = match (wanted.prompt, wanted.tone) {
        (Some(prompt), None) => Sound::Prompt(dialled("prompt", prompt)?),
        (None, Some(tone)) => Sound::Tone(word("tone", &tone, "music, ringback or busy")?),
        (Some(_), Some(_)) | (None, None) => return Err(Problem::new(422, "one of `prompt` and `tone` is needed")),
    };
    let to = word("to", &wanted.to, "both, customer or agent")?;
    done(&shared, &who, Command::Play { conversation, sound, to }).await
}

/// Stops whatever is played into it by command.
#[utoipa::path(delete, path = "/api/v1/conversations/{id}/play", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nothing is played.")))]
pub(super) async fn stop_play(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::StopPlay { conversation }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Digits {
    /// 1 to 64 keys: `0` to `9`, `*`, `#`, `A` to `D`.
    digits: String,
    /// To whom: a leg of the conversation, as its events name it.
    leg: Option<u64>,
    /// Or a phone's number, a staff number, or the customer's number. Without either it is the customer.
    number: Option<String>,
}

/// Sends keys to one in a call, as if the other side pressed them: as telephone-event (RFC 4733), by SIP INFO, or as tones, whichever its
/// peer knows. No event and no journal tells which they were.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/digits", tag = "conversations", params(("id" = String, Path)),
    request_body = Digits, responses((status = 204, description = "They are on their way, one after another."),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "No such conversation, or nobody by that name in it."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody is connected."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "These are no keys.")))]
pub(super) async fn digits(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Digits>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let to = match (wanted.leg, wanted.number) {
        (Some(leg), None) => Some(Member::Leg(LegId(leg))),
        (None, Some(number)) => Some(Member::Number(dialled("number", number)?)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(Problem::new(422, "one of `leg` and `number` says to whom")),
    };
    let digits = dialled("digits", wanted.digits)?;
    done(&shared, &who, Command::Press { conversation, who: to, digits }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    /// `start` (where the rule says `on_demand`), `pause` or `resume`.
    action: String,
}

/// Begins the recording, makes it silent, or lets it go on. A pause ends by itself after `[recording] longest_pause`. Asked again for what
/// is so already, nothing changes.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/recording", tag = "conversations", params(("id" = String, Path)),
    request_body = Recording, responses((status = 204, description = "`recording.paused` and `recording.resumed` tell."),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "There is no such action."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It is not recorded, or not by its rule.")))]
pub(super) async fn recording(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Recording>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let action = word("action", &wanted.action, "start, pause or resume")?;
    done(&shared, &who, Command::Record { conversation, action }).await
}

/// One of a few words.
fn word<T: DeserializeOwned>(name: &str, given: &str, all: &str) -> Result<T, Problem> {
    serde_json::from_value(serde_json::Value::from(given))
        .map_err(|_| Problem::bad(format!("`{}` is no {name}: {all}", shortened(given))))
}
