//! `cordboard recordings …`: arguments, and what they do. `main` gives the folder and how to reach a running switch.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};

use super::catalogue::{ApiAccess, Catalogue, CatalogueError};
use super::export;
use super::repair::{RepairError, rebuild};
use super::verify::{self, Fault, How};
use crate::clock::Wall;
use crate::ids::{BadId, QueueName, RecordingId, StaffNumber};
use crate::route::Direction;
use crate::store::disk::RealDisk;
use crate::store::recordings::{Filter, Folder, Kind, Recording};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists recordings, newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u64,
        /// JSON lines instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Shows all that is known of one recording, and where its file lies.
    Show { id: String },
    /// Holds every recording's row, file and sidecar against each other. Exits 1 where something is wrong.
    Verify {
        #[command(flatten)]
        which: Which,
        /// Leaves out the SHA-256, for which every file is read whole.
        #[arg(long)]
        quick: bool,
    },
    /// Makes the index anew from the files and their sidecars. Not while the switch runs.
    Rebuild,
    /// Writes all rows that the filter finds to standard output.
    Export {
        #[command(flatten)]
        which: Which,
        #[arg(long, value_enum, default_value = "csv")]
        format: Format,
    },
}

/// Which recordings; everything given must hold.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Staff number.
    #[arg(long)]
    pub agent: Option<String>,
    /// The last queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// The customer's number in any spelling, or its last digits.
    #[arg(long)]
    pub number: Option<String>,
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
    /// Began at or after: 2026-11-22T09:00:00Z
    #[arg(long, value_parser = time)]
    pub from: Option<Wall>,
    /// Began before.
    #[arg(long, value_parser = time)]
    pub to: Option<Wall>,
    /// Shortest length in seconds.
    #[arg(long)]
    pub min_s: Option<u64>,
    /// Longest length in seconds.
    #[arg(long)]
    pub max_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    Inbound,
    Outbound,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How it went, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Fine,
    /// Done, and something is wrong with what was looked at.
    Faults,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Repair(#[from] RepairError),
    #[error("{0:?} is not the id of a recording")]
    BadId(String, #[source] BadId),
    #[error("there is no recording {0}")]
    Unknown(RecordingId),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Carries a command out on the recordings in `folder`, writing to `out`.
pub fn run(command: &Command, folder: &Path, api: &ApiAccess, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match command {
        Command::List { which, limit, json } => list(&Catalogue::open(folder, api)?, &which.filter(), *limit, *json, out),
        Command::Show { id } => {
            let id = id.parse::<RecordingId>().map_err(|error| CommandError::BadId(id.clone(), error))?;
            show(&Catalogue::open(folder, api)?, &Folder::new(folder), id, out)
        }
        Command::Verify { which, quick } => verify_all(folder, api, &Filter { kind: None, ..which.filter() }, !quick, out),
        Command::Rebuild => rebuild_all(folder, out),
        Command::Export { which, format } => export_all(&Catalogue::open(folder, api)?, &which.filter(), *format, out),
    }
}

fn list(rows: &Catalogue, filter: &Filter, limit: u64, json: bool, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    if !json {
        writeln!(out, "{:<26}  {:<24}  {:>8}  {:<8}  {:<16}  agents, queue", "id", "started", "seconds", "", "customer")?;
    }
    rows.each(filter, limit, |row| {
        if json {
            return Ok::<(), CommandError>(export::json_line(out, &row)?);
        }
        let agents: Vec<&str> = row.agents.iter().map(|a| a.as_str()).collect();
        let seconds = match row.state {
            crate::store::recordings::State::Recording => "live".to_owned(),
            crate::store::recordings::State::Finished | crate::store::recordings::State::Repaired => {
                format!("{:.1}", row.duration_ms as f64 / 1_000.0)
            }
        };
        let line = format!(
            "{:<26}  {:<24}  {seconds:>8}  {:<8}  {:<16}  {} {}",
            row.id.to_string(),
            row.started_at.to_string(),
            export::direction(row.direction),
            row.customer_number,
            agents.join(","),
            row.queue.as_ref().map_or("", |q| q.as_str()),
        );
        Ok(writeln!(out, "{}", plain(line.trim_end()))?)
    })?;
    Ok(Outcome::Fine)
}

/// A terminal takes control characters for orders; numbers come from outside.
fn plain(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn show(rows: &Catalogue, folder: &Folder, id: RecordingId, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let row = rows.row(id)?.ok_or(CommandError::Unknown(id))?;
    serde_json::to_writer_pretty(&mut *out, &row).map_err(io::Error::from)?;
    writeln!(out, "\n{}", folder.audio(id).display())?;
    Ok(Outcome::Fine)
}

fn verify_all(root: &Path, api: &ApiAccess, filter: &Filter, hash: bool, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let rows = Catalogue::open(root, api)?;
    let folder = Folder::new(root);
    let how = How { hash, live: rows.is_running() };
    let mut seen = BTreeSet::new();
    let mut faults = 0u64;
    let mut say = |out: &mut dyn Write, id: RecordingId, fault: &Fault| {
        faults += 1;
        writeln!(out, "{id}: {fault}")
    };
    // Files first: what begins while we look then has a file that is not asked for, not a file without a row.
    let whole = *filter == Filter::default();
    let files = if whole { verify::strays(&folder, &BTreeSet::new())? } else { Vec::new() };
    rows.each(filter, u64::MAX, |row: Recording| {
        seen.insert(row.id);
        for fault in verify::row(&folder, &row, how) {
            say(out, row.id, &fault)?;
        }
        Ok::<(), CommandError>(())
    })?;
    for id in files.into_iter().filter(|id| !seen.contains(id)) {
        say(out, id, &Fault::NoRow)?;
    }
    writeln!(out, "{} recordings, {faults} faults", seen.len())?;
    Ok(if faults == 0 { Outcome::Fine } else { Outcome::Faults })
}

fn rebuild_all(root: &Path, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let Catalogue::Files(table, conversations) = Catalogue::files(root)? else {
        return Err(CatalogueError::Running { folder: root.to_owned() }.into());
    };
    let rebuilt = rebuild(&Folder::new(root), &table, &conversations, &RealDisk)?;
    for (id, fault) in &rebuilt.faults {
        writeln!(out, "{id}: {fault}")?;
    }
    writeln!(out, "{} recordings indexed, {} of them repaired, {} faults", rebuilt.rows, rebuilt.repaired, rebuilt.faults.len())?;
    Ok(if rebuilt.faults.is_empty() { Outcome::Fine } else { Outcome::Faults })
}

fn export_all(rows: &Catalogue, filter: &Filter, format: Format, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match format {
        Format::Csv => export::csv_header(out)?,
        Format::Jsonl => {}
    }
    rows.each(filter, u64::MAX, |row| {
        match format {
            Format::Csv => export::csv_row(out, &row)?,
            Format::Jsonl => export::json_line(out, &row)?,
        }
        Ok::<(), CommandError>(())
    })?;
    Ok(Outcome::Fine)
}

impl Which {
    pub fn filter(&self) -> Filter {
        Filter {
            agent: self.agent.as_deref().map(StaffNumber::from),
            queue: self.queue.as_deref().map(QueueName::from),
            number: self.number.clone(),
            direction: self.direction.map(|d| match d {
                DirectionArg::Inbound => Direction::Inbound,
                DirectionArg::Outbound => Direction::Outbound,
                DirectionArg::Internal => Direction::Internal,
            }),
            kind: Some(Kind::Conversation),
            from: self.from,
            to: self.to,
            min_s: self.min_s,
            max_s: self.max_s,
            limit: 0,
            cursor: None,
        }
    }
}

/// Not a moment in time.
#[derive(Debug, thiserror::Error)]
#[error("not a time of RFC 3339, such as 2026-11-22T09:00:00Z")]
pub struct BadTime;

fn time(text: &str) -> Result<Wall, BadTime> {
    Wall::parse_rfc3339(text).ok_or(BadTime)
}
