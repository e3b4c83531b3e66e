//! Calls that a menu is to lead where somebody wants them, in files beside it: `menus/NAME.scenario.toml`.
//!
//! ```toml
//! [[call]]
//! to = "+4930555000"
//! from = "+4930123456"
//! at = "2026-11-25T10:00"                # in the time of the site
//! keys = "1@3s 42#@9s"                   # from the answer on
//! answers = ['{"balance": 12}']          # to lookups, in order
//! agents = true                          # false: nobody is at the phones
//! expect = ["node:top", "queue:support"] # places that it comes to, in this order; there may be others between them
//! ```

use serde::Deserialize;
use serde_spanned::Spanned;
use toml::de::DeValue;

use super::call::{BadCall, Described, keys, moment};
use super::{RINGS, Simulation};
use crate::config::text::Reader;
use crate::config::{Config, File, Problem};
use crate::media::Clips;

/// How the calls of a file went.
pub struct Checked {
    pub calls: usize,
    /// What is wrong with the file, or where a call went instead.
    pub problems: Vec<Problem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    call: Vec<GivenCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenCall {
    to: Spanned<String>,
    from: Spanned<String>,
    at: Spanned<String>,
    #[serde(default)]
    keys: Option<Spanned<String>>,
    #[serde(default)]
    answers: Vec<String>,
    agents: Option<bool>,
    expect: Spanned<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Call(BadCall),
    #[error("the call does not come to `{missed}`; it goes {path}")]
    Elsewhere { missed: String, path: String },
}

/// Walks all calls of a file.
pub fn check(file: &File, config: &Config, clips: &Clips) -> Checked {
    let mut reader = Reader::new(&file.path, &file.text);
    let table = reader.parse(&file.text);
    let given = table.and_then(|table| reader.read::<Given>(Spanned::new(0..0, DeValue::Table(table)))).map(Spanned::into_inner);
    let calls = given.map(|given| given.call).unwrap_or_default();
    let count = calls.len();
    for call in calls {
        let described = match described(&call, config) {
            Ok(described) => described,
            Err((at, bad)) => {
                reader.fault(at, Fault::Call(bad));
                continue;
            }
        };
        let rings = call.agents.unwrap_or(true).then_some(RINGS);
        match Simulation::new(config, clips.clone(), described.at, rings).call(&described) {
            Ok(path) => {
                if let Some(missed) = path.misses(call.expect.get_ref()) {
                    let went = path.places().collect::<Vec<_>>().join(", ");
                    reader.fault(call.expect.span().start, Fault::Elsewhere { missed: missed.to_owned(), path: went });
                }
            }
            Err(bad) => reader.fault(call.to.span().start, Fault::Call(bad)),
        }
    }
    let mut problems = reader.into_problems();
    problems.sort();
    Checked { calls: count, problems }
}

fn described(call: &GivenCall, config: &Config) -> Result<Described, (usize, BadCall)> {
    let at = moment(call.at.get_ref(), config).map_err(|bad| (call.at.span().start, bad))?;
    let keys = match &call.keys {
        Some(text) => keys(text.get_ref()).map_err(|bad| (text.span().start, bad))?,
        None => Vec::new(),
    };
    let (to, from) = (call.to.get_ref().clone(), call.from.get_ref().clone());
    Ok(Described { to, from, at, keys, answers: call.answers.clone() })
}
