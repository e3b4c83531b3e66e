//! Figures of the past, and the conversations behind each.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::conversations::{blocking, page_size, shortened};
use super::problem::Problem;
use super::rights::May;
use super::{Api, Shared};
use crate::clock::Wall;
use crate::ids::StaffNumber;
use crate::report::period::{Every, Period};
use crate::report::{Dimension, Figures, Formula, METRICS};
use crate::store::database::DatabaseError;
use crate::store::figures::{Asked, Cursor};
use crate::switch::Refusal;

/// Periods in an answer: a month of quarters of an hour.
const MOST_PERIODS: usize = 3_000;

/// Rows in an answer: some 20 MB.
const MOST_ROWS: usize = 20_000;

/// Conversations a page.
const MOST_PER_PAGE: usize = 1_000;
const PER_PAGE: usize = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `queue`, `agent` or `trunk`.
    by: String,
    /// Only the queue, agent (staff number) or trunk of this name.
    name: Option<String>,
    /// `15m`, `30m`, `hour`, `day`, `week` (from Monday), `month` or `year`; `day` where absent.
    every: Option<String>,
    /// RFC 3339, or a date, which is its beginning; where absent, of today. Whole periods are given that have a part in the time.
    from: Option<String>,
    /// The first moment that is not in it, likewise; now, where absent.
    to: Option<String>,
    /// Whose calendar it goes by, as in the IANA database; the site's, where absent.
    zone: Option<String>,
    /// `json` or `csv`; `json` where absent.
    format: Option<String>,
}

/// What one name has in one period. Without a row, nothing happened.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct FigureRow {
    /// Of the queue, agent (staff number) or trunk.
    name: String,
    /// RFC 3339, in the zone's time.
    from: String,
    /// The first moment that is not in it.
    until: String,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct FigureReport {
    by: Dimension,
    every: Every,
    zone: String,
    /// The last event that is counted.
    sequence: u64,
    /// What the service levels are. T is the queue's `service_level` as it was when the wait ended, short its `short_abandon`.
    formulas: Vec<&'static str>,
    /// By period, then by name.
    items: Vec<FigureRow>,
    /// Always `null`: it is one page.
    next: Option<String>,
}

/// Figures by queue, agent or trunk over periods of the site's calendar. A supervisor is given those of the own teams' agents and queues.
#[utoipa::path(get, path = "/api/v1/figures", tag = "figures", params(Wanted), responses(
    (status = 200, body = FigureReport, description = "As CSV with `format=csv`: a column a figure, in the order of a row's."),
    (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(State(shared): Api, Extension(rights): May, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    let by = dimension(&wanted.by)?;
    if let Some(name) = &wanted.name {
        rights.figures(by, name)?;
    }
    let every = every(wanted.every.as_deref())?;
    let zone = zone(&shared, wanted.zone.as_deref())?;
    let is_csv = match wanted.format.as_deref() {
        None | Some("" | "json") => false,
        Some("csv") => true,
        Some(other) => return Err(Problem::bad(format!("`{}` is no format: json or csv", shortened(other)))),
    };
    let time = time(&shared, wanted.from.as_deref(), wanted.to.as_deref(), &zone)?;
    let periods: Vec<Period> = every.within(time.from, time.until, &zone).take(MOST_PERIODS + 1).collect();
    if periods.len() > MOST_PERIODS {
        return Err(Problem::bad(format!("more than {MOST_PERIODS} periods: ask for longer ones, or for less time")));
    }
    let (figures, now) = (shared.parts.history.clone(), shared.parts.clock.now().wall);
    let sequence = figures.position();
    let place = zone.clone();
    let rows = move || -> Result<Option<Vec<FigureRow>>, DatabaseError> {
        let mut rows = Vec::new();
        for period in periods {
            let sums = figures.sums(by, wanted.name.as_deref(), period, now)?;
            for (name, cell) in sums.into_iter().filter(|(name, _)| rights.sees_figures(by, name)) {
                rows.push(row(name, period, &place, Figures::of(&cell)));
            }
            if rows.len() > MOST_ROWS {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    };
    let items = blocking(rows).await??;
    let items = items.ok_or_else(|| Problem::bad(format!("more than {MOST_ROWS} rows: ask for one name, or for less time")))?;
    if is_csv {
        return Ok(csv(by, &items));
    }
    let formulas = Formula::ALL.iter().map(|formula| formula.text()).collect();
    Ok(Json(FigureReport { by, every, zone: zone_name(&zone), sequence, formulas, items, next: None }).into_response())
}

/// An agent's day so far, by the site's calendar; the state that the agent is in counts until now.
#[utoipa::path(get, path = "/api/v1/agents/{staff_number}/figures", tag = "agents", params(("staff_number" = String, Path)),
    responses((status = 200, body = FigureRow), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_agent(State(shared): Api, Path(staff_number): Path<String>) -> Result<Json<FigureRow>, Problem> {
    if !shared.parts.config.borrow().agents.contains_key(staff_number.as_str()) {
        return Err(Refusal::NoAgent(StaffNumber::new(staff_number)).into());
    }
    let zone = zone(&shared, None)?;
    let today = today(&shared, &zone)?;
    let (figures, now) = (shared.parts.history.clone(), shared.parts.clock.now().wall);
    let name = staff_number.clone();
    let sums = blocking(move || figures.sums(Dimension::Agent, Some(&name), today, now)).await??;
    let cell = sums.into_values().next().unwrap_or_default();
    Ok(Json(row(staff_number, today, &zone, Figures::of(&cell))))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BehindWanted {
    /// `queue`, `agent` or `trunk`.
    by: String,
    /// Of the queue, agent (staff number) or trunk.
    name: String,
    /// A figure that counts or sums what happened in conversations, by its name in `/api/v1/figures`: `answered`, `talk_ms` …
    metric: String,
    /// As in `/api/v1/figures`; to the quarter of an hour.
    from: Option<String>,
    to: Option<String>,
    zone: Option<String>,
    /// Items a page, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// What one conversation has of a figure in a quarter of an hour.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct FigurePart {
    conversation: String,
    /// The quarter of an hour, by its beginning: RFC 3339, in the zone's time.
    from: String,
    value: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct FigureParts {
    /// In the order of time. They add up to the figure; of `longest_wait_ms` the longest is it.
    items: Vec<FigurePart>,
    /// For `cursor` of the next page; `null` at the end. A page may be short, and have a next one.
    next: Option<String>,
}

/// The conversations behind a figure.
#[utoipa::path(get, path = "/api/v1/figures/conversations", tag = "figures", params(BehindWanted), responses(
    (status = 200, body = FigureParts), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn behind(
    State(shared): Api,
    Extension(rights): May,
    Query(wanted): Query<BehindWanted>,
) -> Result<Json<FigureParts>, Problem> {
    let by = dimension(&wanted.by)?;
    rights.figures(by, &wanted.name)?;
    let zone = zone(&shared, wanted.zone.as_deref())?;
    let period = time(&shared, wanted.from.as_deref(), wanted.to.as_deref(), &zone)?;
    if !METRICS.contains(&wanted.metric.as_str()) {
        let metric = shortened(&wanted.metric);
        return Err(Problem::bad(format!("`{metric}` is no figure that conversations are listed for: {}", METRICS.join(", "))));
    }
    let limit = match page_size(wanted.limit, MOST_PER_PAGE)? {
        0 => PER_PAGE,
        limit => limit,
    };
    let cursor = match wanted.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(text) => {
            let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            Some(Cursor(bytes.ok_or_else(|| Problem::bad("the cursor is none of ours"))?))
        }
        None => None,
    };
    let figures = shared.parts.history.clone();
    let page = blocking(move || figures.behind(&Asked { by, name: &wanted.name, period, metric: &wanted.metric }, limit, cursor))
        .await??;
    let items = page.items.into_iter().map(|item| FigurePart {
        conversation: item.conversation.to_string(),
        from: shown(item.quarter.begins(), &zone),
        value: item.value,
    });
    Ok(Json(FigureParts { items: items.collect(), next: page.next.map(|cursor| hex::encode(cursor.0)) }))
}

/// The day of the site's calendar that it is.
pub(super) fn today(shared: &Shared, zone: &TimeZone) -> Result<Period, Problem> {
    let now = shared.parts.clock.now().wall;
    Every::Day.containing(now, zone).ok_or_else(|| Problem::new(500, "the clock is out of the calendar"))
}

pub(super) fn zone(shared: &Shared, name: Option<&str>) -> Result<TimeZone, Problem> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => TimeZone::get(name).map_err(|_| Problem::bad(format!("`{}` is no time zone", shortened(name)))),
        None => Ok(shared.parts.config.borrow().site.time_zone.clone()),
    }
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

fn row(name: String, period: Period, zone: &TimeZone, figures: Figures) -> FigureRow {
    FigureRow { name, from: shown(period.from, zone), until: shown(period.until, zone), figures }
}

/// RFC 3339 with the offset of the place.
fn shown(at: Wall, zone: &TimeZone) -> String {
    match at.timestamp() {
        Some(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        None => at.to_string(),
    }
}

fn dimension(text: &str) -> Result<Dimension, Problem> {
    let found = Dimension::ALL.into_iter().find(|by| by.name() == text);
    found.ok_or_else(|| Problem::bad(format!("`{}` is not what figures are by: queue, agent or trunk", shortened(text))))
}

fn every(text: Option<&str>) -> Result<Every, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Every::Day) };
    serde_json::from_value(text.into())
        .map_err(|_| Problem::bad(format!("`{}` is no period: 15m, 30m, hour, day, week, month or year", shortened(text))))
}

pub(super) fn time(shared: &Shared, from: Option<&str>, to: Option<&str>, zone: &TimeZone) -> Result<Period, Problem> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(|text| moment(text, zone)).transpose();
    let from = match given(from)? {
        Some(from) => from,
        None => today(shared, zone)?.from,
    };
    let until = given(to)?.unwrap_or_else(|| shared.parts.clock.now().wall);
    if until <= from {
        return Err(Problem::bad("`to` is not later than `from`"));
    }
    Ok(Period { from, until })
}

/// A date is its beginning. The plus of an offset may have come as a space, which it is in a query.
fn moment(text: &str, zone: &TimeZone) -> Result<Wall, Problem> {
    let date = text.parse::<Date>().ok().filter(|_| !text.contains(['T', 't', ' ']));
    let begins = date.and_then(|date| zone.to_timestamp(date.to_datetime(Time::midnight())).ok());
    let at = match begins {
        Some(begins) => Some(Wall::from_micros(begins.as_microsecond())),
        None => Wall::parse_rfc3339(&text.replace(' ', "+")),
    };
    at.ok_or_else(|| Problem::bad(format!("`{}` is neither a time (RFC 3339) nor a date", shortened(text))))
}

/// RFC 4180, in UTF-8.
fn csv(by: Dimension, rows: &[FigureRow]) -> Response {
    let mut text = String::new();
    let columns = [by.name(), "from", "until"].into_iter().chain(Figures::COLUMNS.iter().copied());
    line(&mut text, columns.map(str::to_owned));
    for row in rows {
        let first = [row.name.clone(), row.from.clone(), row.until.clone()];
        line(&mut text, first.into_iter().chain(row.figures.columns()));
    }
    let name = "attachment; filename=\"figures.csv\"";
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, name)], text).into_response()
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (nth, cell) in cells.enumerate() {
        if nth > 0 {
            text.push(',');
        }
        text.push_str(&quoted(&cell));
    }
    text.push_str("\r\n");
}

/// A spreadsheet takes a cell with such a beginning for a formula, which a name must not become.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{guard}{}\"", cell.replace('"', "\"\""))
    } else {
        format!("{guard}{cell}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula() {
        for (cell, written) in [
            ("support", "support"),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("a,b", "\"a,b\""),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
        ] {
            assert_eq!(quoted(cell), written);
        }
    }

    #[test]
    fn a_time_is_a_moment_or_the_beginning_of_a_date() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text: &str| moment(text, &berlin).map(|at| at.to_string()).map_err(|problem| problem.status);
        assert_eq!(at("2026-03-29").unwrap(), "2026-03-28T23:00:00.000Z");
        assert_eq!(at("2026-03-30T00:00:00 02:00").unwrap(), "2026-03-29T22:00:00.000Z", "a plus that was not escaped");
        assert_eq!(at("2026-03-30T00:00:00Z").unwrap(), "2026-03-30T00:00:00.000Z");
        for wrong in ["yesterday", "2026-13-01", "2026-03-30T00:00:00", "12"] {
            assert_eq!(at(wrong), Err(400), "{wrong}");
        }
    }
}
