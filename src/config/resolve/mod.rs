//! From given to resolved: defaults filled in, every reference followed, every fault with its line.
//!
//! | file | what |
//! |---|---|
//! | `system` | site, sip, media, http, recording, feature codes, park slots |
//! | `people` | phones, agents, teams, users |
//! | `queues` | queues |
//! | `standards` | limits of the service standards |
//! | `routes` | places to go, extensions, trunks, inbound, outbound |
//! | `webhooks` | who is sent events |
//!
//! A fault never stops the reading: a value that is out of range is replaced by its default, a table that cannot be used is left out,
//! and names are taken from what stands in the file, so that one mistake is reported once. The result is used only if there was none.

mod people;
mod queues;
mod routes;
mod standards;
mod system;
mod webhooks;

pub(super) use people::ADMIN;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_spanned::Spanned;

use self::queues::Surroundings;
use super::fault::{Fault, There};
use super::given::{Given, Named, Secrets};
use super::text::Reader;
use super::units::{Every, Time, is_name};
use super::{Config, Mailbox, MenuText, Problem, Source, Standards};
use crate::ids::{MenuName, Number};

/// What to do with a phone or user that has no secret yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secretless {
    Refused,
    /// For checking only: the first start will generate them. The resulting configuration must not be served.
    Passed,
}

/// The configuration, and what is no fault in it and yet hardly meant; or every fault.
pub(super) fn resolve(source: &Source, secretless: Secretless) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let mut reader = Reader::new(&source.main.path, &source.main.text);
    let mut problems = Vec::new();
    let (secrets, secretless) = secrets(source, secretless, &mut problems);
    let menus = menus(source, &mut problems);
    let Some(mut given) = Given::read(&mut reader, &source.main.text) else {
        problems.extend(reader.into_problems());
        return Err(problems);
    };
    let mut checking = Checking {
        reader,
        named: std::mem::take(&mut given.named),
        menus: menus.keys().map(|m| m.as_str().to_owned()).collect(),
        inside: BTreeMap::new(),
        folder: source.main.path.parent().unwrap_or(Path::new("")).to_owned(),
        secrets,
        secretless,
        mailboxes: BTreeMap::new(),
        languages: source.prompts.iter().filter_map(|p| p.split_once('/')).map(|(language, _)| language.to_owned()).collect(),
    };
    let config = checking.config(given, menus, source.prompts.clone());
    let cautions = checking.reader.take_cautions();
    problems.extend(checking.reader.into_problems());
    problems.sort();
    problems.dedup();
    match config {
        Some(config) if problems.is_empty() => Ok((config, cautions)),
        Some(_) | None => Err(problems),
    }
}

/// The generated secrets. Where their file cannot be read, that is the fault, and not every phone that has no secret for it.
fn secrets(source: &Source, secretless: Secretless, problems: &mut Vec<Problem>) -> (Secrets, Secretless) {
    let Some(file) = &source.secrets else {
        return (Secrets::default(), secretless);
    };
    let mut reader = Reader::new(&file.path, &file.text);
    let secrets = Secrets::read(&mut reader, &file.text);
    let secretless = if reader.is_clean() { secretless } else { Secretless::Passed };
    problems.extend(reader.into_problems());
    (secrets.unwrap_or_default(), secretless)
}

/// Menus by the name of their file; `ivr` reads what is in them.
fn menus(source: &Source, problems: &mut Vec<Problem>) -> BTreeMap<MenuName, MenuText> {
    let mut menus = BTreeMap::new();
    for file in &source.menus {
        let stem = file.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_name(&stem) {
            problems.push(Problem::new(&file.path, 1, Fault::MenuFileName(stem)));
            continue;
        }
        let text = MenuText { path: file.path.clone(), text: file.text.as_str().into() };
        if menus.insert(MenuName::from(stem.as_str()), text).is_some() {
            problems.push(Problem::new(&file.path, 1, Fault::Twice { what: "menu", name: stem, first: 1 }));
        }
    }
    menus
}

/// What is known while a configuration is checked.
struct Checking {
    reader: Reader,
    named: Named,
    menus: BTreeSet<String>,
    /// Who has a number inside, and the line that says so.
    inside: BTreeMap<String, u32>,
    /// Where relative paths of the main file begin.
    folder: PathBuf,
    secrets: Secrets,
    secretless: Secretless,
    /// Those that phones and queues have brought.
    mailboxes: BTreeMap<Number, Mailbox>,
    /// That there are prompts in.
    languages: BTreeSet<String>,
}

impl Checking {
    fn config(&mut self, given: Given, menus: BTreeMap<MenuName, MenuText>, prompts: Vec<String>) -> Option<Config> {
        let site = self.site(given.site);
        let media = self.media(given.media);
        let sip = self.sip(given.sip, media.ports.clone());
        let guard = self.guard(given.guard);
        let http = self.http(given.http);
        let needs = match (sip.tls.is_empty(), http.secure) {
            (false, _) => Some("[sip] tls"),
            (true, Some(_)) => Some("[http] secure"),
            (true, None) => None,
        };
        let tls = self.tls(given.tls, needs);
        let turn = self.turn(given.turn);
        let recording = self.recording(given.recording, &prompts);
        let codes = self.codes(given.codes);
        let ring_cycle = site.as_ref().map_or(Duration::from_secs(5), |s| s.country.ring_cycle());
        let classes = self.classes(given.classes);
        let phones = self.phones(given.phones);
        let agents = self.agents(given.agents);
        let teams = self.teams(given.teams);
        let outbound = self.outbound(given.outbound);
        let standards = self.standards(given.standards.map(Spanned::into_inner), &Standards::default());
        let of_queues =
            Surroundings { ring_cycle, outbound: &outbound, agents: &agents, prompts: &prompts, standards: &standards };
        let queues = self.queues(given.queues, &of_queues);
        let extensions = self.extensions(given.extensions, &outbound);
        let park = self.park(given.park, &extensions, &outbound);
        let voicemail = self.voicemail(given.voicemail);
        let mail = self.mail(given.mail);
        let webhooks = self.webhooks(given.webhooks);
        let trunks = self.trunks(given.trunks, &sip);
        let inbound = self.inbound(given.inbound, &outbound);
        let users = self.users(given.users);
        let spoken = self.spoken(given.prompts);
        Some(Config {
            site: site?,
            sip,
            guard,
            media,
            turn,
            tls,
            http,
            recording,
            spoken,
            codes,
            park,
            voicemail,
            mail,
            webhooks,
            standards,
            mailboxes: std::mem::take(&mut self.mailboxes),
            classes,
            phones,
            agents,
            teams,
            queues,
            extensions,
            trunks,
            inbound,
            outbound,
            menus,
            prompts,
            users,
        })
    }

    fn fault<T>(&mut self, at: &Spanned<T>, what: Fault) {
        self.reader.fault(at.span().start, what);
    }

    fn line<T>(&self, at: &Spanned<T>) -> u32 {
        self.reader.line(at.span().start)
    }

    fn path(&self, given: &str) -> PathBuf {
        self.folder.join(given)
    }

    /// A length of time within limits, or its default.
    fn time(
        &mut self,
        key: &'static str,
        given: Option<Spanned<Time>>,
        default: Duration,
        limits: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(given) = given else { return default };
        let value = given.get_ref().0;
        if limits.contains(&value) {
            return value;
        }
        self.out_of_range(&given, key, show(value), show(*limits.start()), show(*limits.end()));
        default
    }

    /// A length of time within limits or none at all, or its default.
    fn every(
        &mut self,
        key: &'static str,
        given: Option<Spanned<Every>>,
        default: Duration,
        limits: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(given) = given else { return Some(default) };
        let value = given.get_ref().0?;
        if !limits.contains(&value) {
            self.out_of_range(&given, key, show(value), show(*limits.start()), show(*limits.end()));
        }
        Some(value)
    }

    /// A count within limits, or its default.
    fn count(&mut self, key: &'static str, given: Option<Spanned<u64>>, default: u32, limits: RangeInclusive<u32>) -> u32 {
        let Some(given) = given else { return default };
        match u32::try_from(*given.get_ref()) {
            Ok(value) if limits.contains(&value) => value,
            Ok(_) | Err(_) => {
                self.out_of_range(&given, key, given.get_ref(), limits.start(), limits.end());
                default
            }
        }
    }

    /// A mean opinion score, 1 to 4.5, or its default.
    fn score(&mut self, key: &'static str, given: Option<Spanned<f64>>, default: f32) -> f32 {
        let Some(given) = given else { return default };
        let value = *given.get_ref();
        if (1.0..=4.5).contains(&value) {
            return value as f32;
        }
        self.out_of_range(&given, key, value, 1, 4.5);
        default
    }

    fn out_of_range<T>(
        &mut self,
        at: &Spanned<T>,
        key: &'static str,
        given: impl Display,
        least: impl Display,
        most: impl Display,
    ) {
        let fault = Fault::Range { key, given: given.to_string(), least: least.to_string(), most: most.to_string() };
        self.fault(at, fault);
    }

    /// Takes a number inside; two cannot have the same.
    fn take_number<T>(&mut self, number: &str, at: &Spanned<T>) {
        let line = self.line(at);
        if let Some(first) = self.inside.insert(number.to_owned(), line) {
            self.inside.insert(number.to_owned(), first);
            self.fault(at, Fault::Twice { what: "number", name: number.to_owned(), first });
        }
    }

    fn dangling<'a, T>(&mut self, at: &Spanned<T>, what: &'static str, name: &str, there: impl IntoIterator<Item = &'a String>) {
        let there = There::of(there.into_iter().map(String::as_str));
        self.fault(at, Fault::Dangling { what, name: name.to_owned(), there });
    }
}

/// A length of time as it is written, in the largest unit that divides it.
fn show(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, length)| ms >= *length && ms.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", ms / length),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

/// Names that were seen, and where first.
struct Seen {
    what: &'static str,
    first: BTreeMap<String, u32>,
}

impl Seen {
    fn new(what: &'static str) -> Self {
        Seen { what, first: BTreeMap::new() }
    }

    /// Whether the name is new; a fault where it is not.
    fn is_new<T>(&mut self, checking: &mut Checking, name: &str, at: &Spanned<T>) -> bool {
        let line = checking.line(at);
        if let Some(first) = self.first.get(name) {
            checking.fault(at, Fault::Twice { what: self.what, name: name.to_owned(), first: *first });
            return false;
        }
        self.first.insert(name.to_owned(), line);
        true
    }
}
