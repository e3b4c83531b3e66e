//! Rows as CSV (RFC 4180) for spreadsheets, and as JSON lines for programs.

use std::io::{self, Write};

use crate::route::Direction;
use crate::store::recordings::{Recording, State};

/// Columns of the CSV, in order. New ones are added at the end.
pub const COLUMNS: [&str; 19] = [
    "id",
    "conversation",
    "started_at",
    "duration_ms",
    "direction",
    "customer_number",
    "called",
    "agents",
    "queue",
    "channels",
    "sample_rate",
    "bytes",
    "sha256",
    "state",
    "rule",
    "lost_said_ms",
    "lost_heard_ms",
    "customer_e164",
    "called_e164",
];

pub fn csv_header(out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{}\r\n", COLUMNS.join(","))
}

pub fn csv_row(out: &mut dyn Write, row: &Recording) -> io::Result<()> {
    let agents: Vec<&str> = row.agents.iter().map(|a| a.as_str()).collect();
    let cells = [
        row.id.to_string(),
        row.conversation.to_string(),
        row.started_at.to_string(),
        row.duration_ms.to_string(),
        direction(row.direction).to_owned(),
        cell(&row.customer_number),
        cell(&row.called),
        cell(&agents.join(" ")),
        cell(row.queue.as_ref().map_or("", |q| q.as_str())),
        row.channels.to_string(),
        row.sample_rate.to_string(),
        row.bytes.to_string(),
        row.sha256.clone().unwrap_or_default(),
        state(row.state).to_owned(),
        cell(&row.rule),
        row.lost_ms[0].to_string(),
        row.lost_ms[1].to_string(),
        cell(row.customer_e164.as_deref().unwrap_or_default()),
        cell(row.called_e164.as_deref().unwrap_or_default()),
    ];
    write!(out, "{}\r\n", cells.join(","))
}

pub fn json_line(out: &mut dyn Write, row: &Recording) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
    }
}

pub fn state(state: State) -> &'static str {
    match state {
        State::Recording => "recording",
        State::Finished => "finished",
        State::Repaired => "repaired",
    }
}

/// Text that came from outside, as one cell. What a spreadsheet would take for a formula gets an apostrophe in front, but for what is
/// plainly a telephone number (`+` and digits).
fn cell(text: &str) -> String {
    let number = |t: &str| t.strip_prefix('+').is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !number(text);
    let guarded = if formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', ';', '"', '\r', '\n', '\t']) || guarded.starts_with(' ') || guarded.ends_with(' ') {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_neither_formula_nor_new_cell() {
        assert_eq!(cell("+4930123456"), "+4930123456");
        assert_eq!(cell("=cmd()"), "'=cmd()");
        assert_eq!(cell("+1+2"), "'+1+2");
        assert_eq!(cell("@x"), "'@x");
        assert_eq!(cell("a,\"b\"\r\nc"), "\"a,\"\"b\"\"\r\nc\"");
        assert_eq!(cell("-1,2"), "\"'-1,2\"");
    }
}
