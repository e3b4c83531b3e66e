//! `cordboard erlang …`: arguments, and the answer as text or JSON. `main` gives where to write it.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::erlang::{Goal, Outlook, Traffic, Unanswerable, agents_needed, blocked, lines_needed};
use crate::config::units;

/// What is asked. Agents, or what the agents are to reach; lines, or how few calls they are to turn away; either or both.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("question").multiple(true).required(true)
    .args(["agents", "service_level", "asa", "occupancy", "abandoned", "lines", "blocked"]))]
pub struct Question {
    /// Calls that come in each `--every`, on average.
    #[arg(long)]
    pub calls: f64,
    /// The interval of `--calls`: 15m, 30m, 1h
    #[arg(long, default_value = "30m", value_parser = time)]
    pub every: Duration,
    /// AHT: talk, hold and wrap-up of a call. For lines: from the first ring to the end.
    #[arg(long, value_parser = time)]
    pub handling: Duration,
    /// Mean time after which a waiting caller gives up, estimated as total wait of all / abandoned: Erlang A. Without it callers wait
    /// as long as it takes: Erlang C.
    #[arg(long, value_parser = time)]
    pub patience: Option<Duration>,
    /// T of the service level, F3 answered≤T / (answered + abandoned).
    #[arg(long, default_value = "20s", value_parser = time)]
    pub within: Duration,
    /// How callers fare with so many agents.
    #[arg(long, conflicts_with_all = ["service_level", "asa", "occupancy", "abandoned"])]
    pub agents: Option<u32>,
    /// How many agents it takes for at least this share to be answered within T: 80%
    #[arg(long, value_parser = share)]
    pub service_level: Option<f64>,
    /// … for an average wait of the answered of at most this: 10s
    #[arg(long, value_parser = time)]
    pub asa: Option<Duration>,
    /// … for agents who are on calls for at most this share of their time: 85%
    #[arg(long, value_parser = share)]
    pub occupancy: Option<f64>,
    /// … for at most this share to give up: 3%
    #[arg(long, value_parser = share, requires = "patience")]
    pub abandoned: Option<f64>,
    /// What share finds so many lines taken (Erlang B).
    #[arg(long, conflicts_with = "blocked")]
    pub lines: Option<u32>,
    /// How many lines it takes for at most this share to find them all taken (Erlang B): 1%
    #[arg(long, value_parser = share)]
    pub blocked: Option<f64>,
    /// One JSON object instead of text; shares are 0 to 1, times seconds, and what has no end is null.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    #[error(transparent)]
    Unanswerable(#[from] Unanswerable),
    #[error("{0} agents or lines: at most {max} are computed", max = super::erlang::MOST_AGENTS)]
    TooMany(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Answers, writing to `out`.
pub fn run(question: &Question, out: &mut dyn Write) -> Result<(), QuestionError> {
    let answer = answer(question)?;
    if question.json {
        serde_json::to_writer_pretty(&mut *out, &answer).map_err(io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    Ok(write!(out, "{answer}")?)
}

#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    erlangs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<OfAgents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<OfLines>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OfAgents {
    model: &'static str,
    agents: u32,
    waits: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    abandoned: Option<f64>,
    mean_wait_s: Option<f64>,
    asa_s: Option<f64>,
    service_level: f64,
    within_s: f64,
    formula: &'static str,
    occupancy: f64,
}

#[derive(Debug, PartialEq, Serialize)]
struct OfLines {
    model: &'static str,
    lines: u32,
    blocked: f64,
}

/// Said with every service level. There are four others; only here, where nothing but waits is known, the choice is made for good.
const FORMULA: &str = "F3 answered≤T / (answered + abandoned)";

fn answer(question: &Question) -> Result<Answer, QuestionError> {
    let given = Traffic::new(question.calls, question.every, question.handling)?;
    let traffic = match question.patience {
        Some(mean) => given.with_patience(mean)?,
        None => given,
    };
    let goals = goals(question);
    let agents = match question.agents {
        Some(agents) => Some(bounded(agents)?),
        None if goals.is_empty() => None,
        None => Some(agents_needed(&traffic, &goals)?),
    };
    let lines = match (question.lines, question.blocked) {
        (Some(lines), _) => Some(bounded(lines)?),
        (None, Some(most)) => Some(lines_needed(&traffic, most)?),
        (None, None) => None,
    };
    Ok(Answer {
        erlangs: traffic.erlangs(),
        agents: agents.map(|agents| of_agents(question, &Outlook::of(&traffic, agents))),
        lines: lines.map(|lines| OfLines { model: "Erlang B", lines, blocked: blocked(traffic.erlangs(), lines) }),
    })
}

fn goals(question: &Question) -> Vec<Goal> {
    let goals = [
        question.service_level.map(|share| Goal::ServiceLevel(share, question.within)),
        question.asa.map(Goal::Asa),
        question.occupancy.map(Goal::Occupancy),
        question.abandoned.map(Goal::Abandoned),
    ];
    goals.into_iter().flatten().collect()
}

/// The time that an answer takes grows with the number.
fn bounded(number: u32) -> Result<u32, QuestionError> {
    if number > super::erlang::MOST_AGENTS { Err(QuestionError::TooMany(number)) } else { Ok(number) }
}

fn of_agents(question: &Question, outlook: &Outlook) -> OfAgents {
    let seconds = |time: Option<Duration>| time.map(|t| t.as_secs_f64());
    OfAgents {
        model: if question.patience.is_some() { "Erlang A" } else { "Erlang C" },
        agents: outlook.agents(),
        waits: outlook.waits(),
        abandoned: question.patience.map(|_| outlook.abandoned()),
        mean_wait_s: seconds(outlook.mean_wait()),
        asa_s: seconds(outlook.asa()),
        service_level: outlook.service_level(question.within),
        within_s: question.within.as_secs_f64(),
        formula: FORMULA,
        occupancy: outlook.occupancy(),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.2} Erlang", self.erlangs)?;
        if let Some(agents) = &self.agents {
            write!(f, "{agents}")?;
        }
        if let Some(OfLines { model, lines, blocked }) = &self.lines {
            writeln!(f, "{lines} line{} ({model})\n  {:<16}{}", plural(*lines), "blocked", Percent(*blocked))?;
        }
        Ok(())
    }
}

impl fmt::Display for OfAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} agent{} ({})", self.agents, plural(self.agents), self.model)?;
        let mut line = |name: &str, value: fmt::Arguments<'_>| writeln!(f, "  {name:<16}{value}");
        line("have to wait", format_args!("{}", Percent(self.waits)))?;
        if let Some(abandoned) = self.abandoned {
            line("abandoned", format_args!("{}", Percent(abandoned)))?;
            line("wait of all", format_args!("{}", Wait(self.mean_wait_s)))?;
        }
        line("ASA", format_args!("{}", Wait(self.asa_s)))?;
        line("service level", format_args!("{}  {}, T = {} s", Percent(self.service_level), self.formula, self.within_s))?;
        line("occupancy", format_args!("{}", Percent(self.occupancy)))
    }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.2} %", self.0 * 100.0)
    }
}

struct Wait(Option<f64>);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(seconds) => write!(f, "{seconds:>7.2} s"),
            None => f.write_str("without end"),
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|e| e.to_string())
}

/// Not a share.
#[derive(Debug, thiserror::Error)]
#[error("not a share: write 80% or 0.8")]
pub struct BadShare;

fn share(text: &str) -> Result<f64, BadShare> {
    let (number, of) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().map_err(|_| BadShare)? / of;
    // "80" without its sign is a slip, not eighty-fold.
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(BadShare) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        question: Question,
    }

    fn ask(line: &str) -> Result<String, String> {
        let line = Line::try_parse_from(std::iter::once("erlang").chain(line.split_whitespace())).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        run(&line.question, &mut out).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn refuses(line: &str, because: &str) {
        let error = ask(line).unwrap_err();
        assert!(error.contains(because), "{line}: {error}");
    }

    #[test]
    fn an_answer_is_readable_and_names_its_formula() {
        let expected = "\
48.00 Erlang
55 agents (Erlang C)
  have to wait      23.87 %
  ASA                8.18 s
  service level     84.59 %  F3 answered≤T / (answered + abandoned), T = 15 s
  occupancy         87.27 %
";
        assert_eq!(ask("--calls 360 --handling 4m --agents 55 --within 15s").unwrap(), expected);
        assert_eq!(ask("--calls 720 --every 1h --handling 240s --service-level 80% --within 15s").unwrap(), expected);
    }

    #[test]
    fn patience_makes_it_erlang_a() {
        let expected = "\
48.00 Erlang
50 agents (Erlang A)
  have to wait      46.78 %
  abandoned          3.09 %
  wait of all        3.71 s
  ASA                3.62 s
  service level     94.30 %  F3 answered≤T / (answered + abandoned), T = 20 s
  occupancy         93.03 %
";
        assert_eq!(ask("--calls 2880 --every 1h --handling 60s --patience 2m --agents 50").unwrap(), expected);
    }

    #[test]
    fn lines_stand_beside_agents() {
        let expected = "10.00 Erlang\n15 lines (Erlang B)\n  blocked            3.65 %\n";
        assert_eq!(ask("--calls 100 --handling 180s --lines 15").unwrap(), expected);
        assert_eq!(ask("--calls 100 --handling 180s --blocked 5%").unwrap(), expected);
        let both = ask("--calls 100 --handling 180s --lines 1 --agents 10").unwrap();
        assert!(both.contains("10 agents") && both.contains("without end") && both.contains("1 line ("), "{both}");
    }

    #[test]
    fn json_has_shares_and_seconds() {
        let text = ask("--calls 100 --handling 180s --lines 15 --agents 10 --json").unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["erlangs"], 10.0);
        let agents = &value["agents"];
        assert_eq!((&agents["model"], &agents["agents"], &agents["waits"]), (&"Erlang C".into(), &10.into(), &1.0.into()));
        assert!(agents["asa_s"].is_null() && agents.get("abandoned").is_none());
        assert_eq!((&agents["service_level"], &agents["within_s"]), (&0.0.into(), &20.0.into()));
        assert!((value["lines"]["blocked"].as_f64().unwrap() - 0.036497).abs() < 1e-6);
        let text = ask("--calls 100 --handling 180s --patience 5m --abandoned 3% --json").unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["agents"]["agents"], 13);
        assert!((value["agents"]["abandoned"].as_f64().unwrap() - 0.024963).abs() < 1e-6 && value.get("lines").is_none());
    }

    #[test]
    fn what_cannot_be_answered_says_what_would_be_right() {
        refuses("--calls 100 --handling 180s", "required");
        refuses("--calls 100 --agents 5", "--handling");
        refuses("--calls 100 --handling 180 --agents 5", "length of time");
        refuses("--calls 100 --handling 180s --agents 5 --asa 10s", "cannot be used with");
        refuses("--calls 100 --handling 180s --abandoned 3%", "--patience");
        refuses("--calls 100 --handling 180s --service-level 80", "80% or 0.8");
        refuses("--calls 100 --handling 180s --service-level NaN", "80% or 0.8");
        refuses("--calls 100 --handling 180s --service-level 100%", "no share between 0 and 1");
        refuses("--calls 100 --handling 180s --agents 4000000000", "at most 100000");
        refuses("--calls=-1 --handling 180s --agents 5", "from 0 up");
        refuses("--calls 1e9 --handling 180s --agents 5", "Erlang: at most");
    }
}
