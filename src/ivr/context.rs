//! What a menu may refer to: the rest of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::collect::DIGITS;
use super::expression::Kind;
use super::fault::Fault;
use super::lookup::form_of;
use super::variables::{self, Known, Storing, What};
use crate::config::fault::There;
use crate::config::units::is_telephone;
use crate::config::{Config, Pattern, Place};
use crate::ids::{MenuName, Number};

/// Names of everything outside a menu, and the languages that callers can have when they come into it.
#[derive(Clone, Debug)]
pub struct Context {
    prompts: BTreeSet<String>,
    languages: BTreeSet<String>,
    menus: BTreeSet<String>,
    queues: BTreeSet<String>,
    phones: BTreeSet<String>,
    mailboxes: BTreeSet<String>,
    /// Numbers of queues that have one.
    queue_numbers: BTreeMap<String, String>,
    numbers: BTreeSet<String>,
    extensions: BTreeMap<Number, Place>,
    outbound: Vec<Pattern>,
    arriving: BTreeMap<MenuName, BTreeSet<String>>,
    known: BTreeMap<MenuName, Known>,
    nothing: Known,
    pub(super) time_zone: jiff::tz::TimeZone,
}

impl Context {
    pub fn of(config: &Config) -> Self {
        let names = |set: &mut dyn Iterator<Item = &str>| set.map(str::to_owned).collect::<BTreeSet<String>>();
        let phones = names(&mut config.phones.keys().map(Number::as_str));
        let mut numbers = phones.clone();
        numbers.extend(config.extensions.keys().map(|n| n.as_str().to_owned()));
        numbers.extend(config.queues.values().filter_map(|q| q.number.as_ref()).map(|n| n.as_str().to_owned()));
        let sketches: BTreeMap<&MenuName, Sketch> =
            config.menus.iter().map(|(name, text)| (name, Sketch::of(&text.text))).collect();
        let leads = leads(config, &sketches);
        let queues = names(&mut config.queues.keys().map(|q| q.as_str()));
        let stored = sketches.iter().map(|(name, sketch)| (*name, sketch.stored.as_slice())).collect();
        Context {
            known: variables::known(&stored, &leads, &queues),
            nothing: Known::default(),
            languages: config.prompts.iter().filter_map(|p| p.split_once('/')).map(|(language, _)| language.to_owned()).collect(),
            prompts: config.prompts.iter().cloned().collect(),
            menus: names(&mut config.menus.keys().map(MenuName::as_str)),
            queues,
            phones,
            mailboxes: names(&mut config.mailboxes.keys().map(Number::as_str)),
            queue_numbers: config
                .queues
                .values()
                .filter_map(|q| Some((q.name.to_string(), q.number.as_ref()?.to_string())))
                .collect(),
            numbers,
            extensions: config.extensions.clone(),
            outbound: config.outbound.iter().map(|o| o.pattern.clone()).collect(),
            arriving: arriving(&sketches, &leads),
            time_zone: config.site.time_zone.clone(),
        }
    }

    pub(super) fn has_prompt(&self, clip: &str) -> bool {
        self.prompts.contains(clip)
    }

    pub(super) fn language(&self, language: &str) -> Result<(), Fault> {
        if self.languages.contains(language) { Ok(()) } else { Err(Fault::NoLanguage(language.to_owned())) }
    }

    /// Languages that callers bring from menus before this one.
    pub(super) fn arriving(&self, menu: &MenuName) -> impl Iterator<Item = &String> {
        self.arriving.get(menu).into_iter().flatten()
    }

    /// What can be stored when callers are in this menu.
    pub(super) fn known(&self, menu: &MenuName) -> &Known {
        self.known.get(menu).unwrap_or(&self.nothing)
    }

    pub(super) fn queues(&self) -> &BTreeSet<String> {
        &self.queues
    }

    /// Whether the place is there.
    pub(super) fn place(&self, place: &Place) -> Result<(), Fault> {
        let (what, name, there) = match place {
            Place::Menu(m) => ("menu", m.as_str(), &self.menus),
            Place::Queue(q) | Place::Callback(q) => ("queue", q.as_str(), &self.queues),
            Place::Phone(n) => ("phone", n.as_str(), &self.phones),
            Place::Voicemail(n) => ("mailbox", n.as_str(), &self.mailboxes),
            Place::Number(n) => {
                let outside = is_telephone(n) && self.outbound.iter().any(|p| p.matches(n).is_some());
                return if outside || self.numbers.contains(n) { Ok(()) } else { Err(Fault::NotDialled(n.clone())) };
            }
            Place::Hangup => return Ok(()),
        };
        if there.contains(name) {
            return Ok(());
        }
        Err(Fault::Dangling { what, name: name.to_owned(), there: There::of(there.iter().map(String::as_str)) })
    }

    /// The mailbox that a node names: by its number, or by its queue.
    pub(super) fn mailbox(&self, named: &str) -> Result<Number, Fault> {
        let number = match named.strip_prefix("queue:") {
            Some(queue) => self.queue_numbers.get(queue).map_or(named, String::as_str),
            None => named,
        };
        if self.mailboxes.contains(number) {
            return Ok(Number::from(number));
        }
        let there = There::of(self.mailboxes.iter().map(String::as_str));
        Err(Fault::Dangling { what: "mailbox", name: named.to_owned(), there })
    }

    /// The menu that this place is, by itself or by an extension that leads there.
    pub(super) fn menu_at<'a>(&'a self, place: &'a Place) -> Option<&'a MenuName> {
        let mut place = place;
        // Configuration refuses extensions that lead in a circle; the bound is for a value made otherwise.
        for _ in 0..=self.extensions.len() {
            match place {
                Place::Menu(menu) => return Some(menu),
                Place::Number(number) => place = self.extensions.get(number.as_str())?,
                Place::Queue(_) | Place::Phone(_) | Place::Voicemail(_) | Place::Callback(_) | Place::Hangup => {
                    return None;
                }
            }
        }
        None
    }
}

/// For each menu those that it leads to, be it through a queue.
fn leads(config: &Config, sketches: &BTreeMap<&MenuName, Sketch>) -> BTreeMap<MenuName, BTreeSet<MenuName>> {
    let by_extension = |place: &Place| match place {
        Place::Menu(menu) => Some(menu.clone()),
        Place::Number(number) => match config.extensions.get(number.as_str()) {
            Some(Place::Menu(menu)) => Some(menu.clone()),
            Some(_) | None => None,
        },
        Place::Queue(_) | Place::Phone(_) | Place::Voicemail(_) | Place::Callback(_) | Place::Hangup => None,
    };
    let after =
        |queue: &crate::config::Queue| by_extension(&queue.overflow).into_iter().chain(queue.survey.clone()).collect::<Vec<_>>();
    let after_queues: Vec<MenuName> = config.queues.values().flat_map(after).collect();
    let of = |sketch: &Sketch| {
        let after_queues = if sketch.queues { after_queues.as_slice() } else { &[] };
        sketch.places.iter().filter_map(by_extension).chain(after_queues.iter().cloned()).collect()
    };
    sketches.iter().map(|(name, sketch)| ((*name).clone(), of(sketch))).collect()
}

/// For each menu, the languages that a caller can have when another menu, or a queue after one, sends it there. Wider than what happens:
/// a menu that sets a language somewhere is taken to set it on every way out.
fn arriving(
    sketches: &BTreeMap<&MenuName, Sketch>,
    leads: &BTreeMap<MenuName, BTreeSet<MenuName>>,
) -> BTreeMap<MenuName, BTreeSet<String>> {
    let mut arriving: BTreeMap<MenuName, BTreeSet<String>> = BTreeMap::new();
    loop {
        let mut wider = arriving.clone();
        for (name, sketch) in sketches {
            let mut leaving = sketch.languages.clone();
            leaving.extend(arriving.get(*name).into_iter().flatten().cloned());
            for menu in leads.get(*name).into_iter().flatten() {
                wider.entry(menu.clone()).or_default().extend(leaving.iter().cloned());
            }
        }
        if wider == arriving {
            return arriving;
        }
        arriving = wider;
    }
}

/// As much of a menu as can be seen without reading it in earnest.
struct Sketch {
    languages: BTreeSet<String>,
    places: Vec<Place>,
    queues: bool,
    stored: Vec<Storing>,
}

impl Sketch {
    fn of(text: &str) -> Self {
        let mut sketch = Sketch { languages: BTreeSet::new(), places: Vec::new(), queues: false, stored: Vec::new() };
        let Ok(table) = text.parse::<toml::Table>() else { return sketch };
        sketch.languages.extend(table.get("language").and_then(Value::as_str).map(str::to_owned));
        for node in table.get("node").and_then(Value::as_table).into_iter().flat_map(|t| t.values()) {
            if node.get("kind").and_then(Value::as_str) == Some("language") {
                sketch.languages.extend(node.get("set").and_then(Value::as_str).map(str::to_owned));
            }
            sketch.stores(node);
            sketch.places_in(node);
        }
        sketch.queues = sketch.places.iter().any(|p| matches!(p, Place::Queue(_) | Place::Number(_)));
        sketch
    }

    fn stores(&mut self, node: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let table = |key: &str| node.get(key).and_then(Value::as_table).into_iter().flat_map(|table| table.iter());
        let mut store = |name: &str, what: What| self.stored.push(Storing { name: name.to_owned(), what });
        match node.get("kind").and_then(Value::as_str) {
            Some("collect") => {
                let masked = node.get("mask").and_then(Value::as_bool) == Some(true);
                let names = [Some(DIGITS), node.get("store").and_then(Value::as_str)];
                names.into_iter().flatten().for_each(|name| store(name, What::Keyed { masked }));
            }
            Some("set") => {
                let made = table("values").filter_map(|(name, value)| Some((name, text(value)?)));
                made.for_each(|(name, expression)| store(name, What::Made(expression)));
            }
            Some("survey") => {
                let question = node.get("question").and_then(Value::as_str);
                question.into_iter().for_each(|name| store(name, What::Found(Kind::Integer)));
            }
            Some("lookup") => table("store").for_each(|(name, given)| store(name, What::Found(form_of(given).kind()))),
            Some(_) | None => {}
        }
    }

    fn places_in(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.places.extend(text.parse::<Place>().ok()),
            Value::Array(items) => items.iter().for_each(|v| self.places_in(v)),
            Value::Table(table) => table.values().for_each(|v| self.places_in(v)),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }
}
