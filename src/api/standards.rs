//! Verdicts on the service standards: of one conversation, and of all in a time.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Api;
use super::conversations::{self, blocking, page_size, shortened};
use super::figures::{time, zone};
use super::problem::Problem;
use super::rights::May;
use crate::clock::Wall;
use crate::ids::{ConversationId, QueueName, StaffNumber};
use crate::quality::standards::{Outcome, Rule, Standard, UNJUDGED, Verdict};
use crate::store::database::DatabaseError;

/// How far a moment that was measured may be off: what is lost on the way and how talk is told from noise move its edges.
const TOLERANCE_MS: u64 = 150;

/// Verdicts a page.
const MOST_PER_PAGE: usize = 1_000;
const PER_PAGE: usize = 100;

/// Conversations that one page looks at most: some 100 ms.
const MOST_LOOKED: usize = 5_000;

/// One that no rule is of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Unjudged {
    standard: &'static str,
    why: &'static str,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Judged {
    conversation: String,
    /// In the order of the talks, those of offers first. Empty of calls among colleagues, of consultations that became part of another
    /// conversation, and of those from before verdicts were kept.
    verdicts: Vec<Verdict>,
    /// So much a moment in a recording, or a length that was measured there, may be off.
    tolerance_ms: u64,
    /// Standards of which nothing that the switch knows tells.
    unjudged: Vec<Unjudged>,
}

/// What a conversation has kept of the service standards, and what not, each with the events and the second of the recording that show
/// it. Whoever does not see all is given the verdicts on agents who are seen. While a call lasts there are no verdicts on its sound.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/standards", tag = "standards", params(("id" = String, Path)),
    responses((status = 200, body = Judged), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(shared): Api, Extension(rights): May, Path(id): Path<String>) -> Result<Json<Judged>, Problem> {
    let id = conversations::conversation(&id)?;
    if conversations::row(&shared, id).await?.is_none() {
        return Err(Problem::new(404, format!("there is no conversation {id}")));
    }
    let kept = shared.parts.conversations.clone();
    let trial = blocking(move || kept.trial(id)).await??.unwrap_or_default();
    let mut verdicts = trial.verdicts();
    verdicts.retain(|verdict| verdict.agent.as_ref().is_some_and(|agent| rights.sees_agent(agent)));
    let unjudged = UNJUDGED.iter().map(|(standard, why)| Unjudged { standard, why }).collect();
    Ok(Json(Judged { conversation: id.to_string(), verdicts, tolerance_ms: TOLERANCE_MS, unjudged }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those on this agent (staff number).
    agent: Option<String>,
    /// Only of talks that this queue gave an agent, and of its offers.
    queue: Option<String>,
    /// `S1`, `S2` …
    standard: Option<String>,
    /// `answer`, `greeting`, `hold`, `hold_words`, `mute`, `transfer_words`, `transfer`, `hang_up`, `silence`, `overtalk`, `level` or
    /// `talk_share`.
    rule: Option<String>,
    /// `kept`, `violated` or `unknown`; all where absent. The counts are of all in any case.
    outcome: Option<String>,
    /// When the conversation began: RFC 3339, or a date, which is its beginning; where absent, from today's beginning.
    from: Option<String>,
    /// The first moment that is not in it, likewise; now, where absent.
    to: Option<String>,
    /// Whose calendar dates and today go by, as in the IANA database; the site's, where absent.
    zone: Option<String>,
    /// Verdicts a page, 1 to 1,000; 100 where absent. A page ends with a conversation, so it may be longer by those of one.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct VerdictRow {
    conversation: String,
    /// When it began, RFC 3339.
    began_at: String,
    #[serde(flatten)]
    verdict: Verdict,
}

/// How often a rule was kept and not, by what this page looked at: over the pages they add up to the whole time's.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RuleCount {
    standard: Standard,
    rule: Rule,
    kept: u64,
    violated: u64,
    unknown: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct VerdictPage {
    /// By conversation, newest first.
    items: Vec<VerdictRow>,
    /// By standard and rule; none of a rule of which there is no verdict.
    counts: Vec<RuleCount>,
    /// Conversations that this page looked at.
    conversations: u64,
    /// For `cursor` of the next page; `null` at the end. A page may be short, and have a next one.
    next: Option<String>,
}

/// Verdicts on the service standards by agent, queue, standard and time, with their counts. Whoever does not see all is given those on
/// agents who are seen.
#[utoipa::path(get, path = "/api/v1/standards", tag = "standards", params(Wanted), responses(
    (status = 200, body = VerdictPage), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(shared): Api,
    Extension(rights): May,
    Query(wanted): Query<Wanted>,
) -> Result<Json<VerdictPage>, Problem> {
    let standard: Option<Standard> = one_of("standard", wanted.standard.as_deref())?;
    let rule: Option<Rule> = one_of("rule", wanted.rule.as_deref())?;
    let outcome: Option<Outcome> = one_of("outcome", wanted.outcome.as_deref())?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let agent = given(wanted.agent).map(StaffNumber::new);
    let queue = given(wanted.queue).map(QueueName::new);
    let zone = zone(&shared, wanted.zone.as_deref())?;
    let period = time(&shared, wanted.from.as_deref(), wanted.to.as_deref(), &zone)?;
    let limit = match page_size(wanted.limit, MOST_PER_PAGE)? {
        0 => PER_PAGE,
        limit => limit,
    };
    let mut before = first_id(period.until);
    if let Some(cursor) = given(wanted.cursor) {
        let last: ConversationId = cursor.parse().map_err(|_| Problem::bad("the cursor is none of ours"))?;
        before = before.min(last);
    }
    let is_wanted = move |verdict: &Verdict| {
        verdict.agent.as_ref().is_some_and(|of| rights.sees_agent(of) && agent.as_ref().is_none_or(|agent| agent == of))
            && queue.as_ref().is_none_or(|queue| verdict.queue.as_ref() == Some(queue))
            && standard.is_none_or(|standard| verdict.standard == standard)
            && rule.is_none_or(|rule| verdict.rule == rule)
    };
    let kept = shared.parts.conversations.clone();
    let look = move || -> Result<VerdictPage, DatabaseError> {
        let mut items = Vec::new();
        let mut counts: BTreeMap<(Standard, Rule), [u64; 3]> = BTreeMap::new();
        let mut looked = 0;
        let next = kept.trials(first_id(period.from), before, MOST_LOOKED, |id, trial| {
            looked += 1;
            for verdict in trial.verdicts().into_iter().filter(&is_wanted) {
                let count = counts.entry((verdict.standard, verdict.rule)).or_default();
                let [kept, violated, unknown] = count;
                match verdict.outcome {
                    Outcome::Kept => *kept += 1,
                    Outcome::Violated => *violated += 1,
                    Outcome::Unknown => *unknown += 1,
                }
                if outcome.is_none_or(|outcome| verdict.outcome == outcome) {
                    let began = i64::try_from(id.timestamp_ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
                    let began_at = Wall::from_micros(began).to_string();
                    items.push(VerdictRow { conversation: id.to_string(), began_at, verdict });
                }
            }
            items.len() < limit
        })?;
        let count = |((standard, rule), [kept, violated, unknown]): ((Standard, Rule), [u64; 3])| RuleCount {
            standard,
            rule,
            kept,
            violated,
            unknown,
        };
        let counts = counts.into_iter().map(count).collect();
        Ok(VerdictPage { items, counts, conversations: looked, next: next.map(|id| id.to_string()) })
    };
    Ok(Json(blocking(look).await??))
}

/// The id before all of conversations that begin then.
fn first_id(at: Wall) -> ConversationId {
    let ms = u64::try_from(at.as_micros().div_euclid(1_000)).unwrap_or(0);
    ConversationId::from_parts(ms.min((1 << 48) - 1), 0)
}

/// One of the words that the answers have, too.
fn one_of<T: DeserializeOwned>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let read = serde_json::from_value(text.into());
    read.map(Some).map_err(|_| Problem::bad(format!("`{}` is no {name}", shortened(text))))
}
