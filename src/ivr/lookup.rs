//! `kind = "lookup"`: asks a server about the caller, and stores what it answers.
//!
//! The caller hears `prompt` meanwhile, or nothing. An answer with a 2xx status that is JSON leads to `on_ok`; none in time, another status
//! (redirects are not followed), garbage, a server that is not there: `on_failed`. The deadline is the session's, so that nobody waits for
//! a server that hangs, and an answer that comes later finds nobody.
//!
//! `{…}` in `url` and `body` is an expression, and its value stands there as text: percent-encoded in a URL, whose scheme and host are always
//! written out; as a JSON string in a body, which is an object. Secrets may go out so, and nowhere else: what is asked is in no event, log
//! or journal. Keys pressed meanwhile are passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::expression::{Expression, Value};
use super::fault::Fault;
use super::found::{Form, Wanted};
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::{Action, Step};
use super::visit::{Around, Memory, Seen, Stored, Visit};
use crate::config::units::Time;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Nobody waits longer in silence.
const LONGEST: Duration = Duration::from_secs(10);
/// More than any menu wants of one answer.
const MOST_VALUES: usize = 16;

/// To be sent by whoever speaks HTTP. What it holds may be a secret: [`fmt::Debug`] leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Option<String>,
    /// Then nobody waits for the answer any more.
    pub timeout: Duration,
    pub wanted: Vec<Wanted>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A 2xx with JSON, and what it held of what is wanted.
    Found(BTreeMap<String, Value>),
    TimedOut,
    /// Another status.
    Status(u16),
    /// Not JSON, or more of it than is read.
    Garbage,
    /// The server is not there, or has no certificate that we trust.
    Unreachable,
    /// More is being looked up than can be at once.
    Busy,
    /// What the menu makes of its values is no URL.
    BadUrl,
}

impl Outcome {
    /// As events and metrics have it.
    pub fn label(&self) -> &'static str {
        match self {
            Outcome::Found(_) => "ok",
            Outcome::TimedOut => "timeout",
            Outcome::Status(_) => "status",
            Outcome::Garbage => "garbage",
            Outcome::Unreachable => "unreachable",
            Outcome::Busy => "busy",
            Outcome::BadUrl => "bad_url",
        }
    }
}

#[derive(Debug)]
pub(super) struct Lookup {
    method: &'static str,
    url: Filled,
    headers: Vec<(String, String)>,
    body: Option<BTreeMap<String, Filled>>,
    timeout: Duration,
    wanted: Vec<Wanted>,
    prompt: Option<Spoken>,
    on_ok: Exit,
    on_failed: Exit,
}

/// Text with values in it.
#[derive(Debug)]
struct Filled(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value(Expression),
}

impl Filled {
    fn fill(&self, seen: &Seen<'_>, escape: fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(expression) => {
                let value = expression.evaluate(seen);
                value.map_or_else(String::new, |value| escape(&Stored { value, secret: false }.text()))
            }
        };
        self.0.iter().map(part).collect()
    }
}

/// RFC 3986 §2.3: all but unreserved characters.
fn percent(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

impl Lookup {
    fn request(&self, memory: &Memory, around: Around<'_>) -> Request {
        let seen = Seen { memory, around };
        let object = |body: &BTreeMap<String, Filled>| {
            let fields = body.iter().map(|(name, value)| (name.clone(), value.fill(&seen, str::to_owned).into()));
            serde_json::Value::Object(fields.collect()).to_string()
        };
        Request {
            method: self.method,
            url: self.url.fill(&seen, percent),
            headers: self.headers.clone(),
            body: self.body.as_ref().map(object),
            timeout: self.timeout,
            wanted: self.wanted.clone(),
        }
    }
}

impl Act for Lookup {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.on_ok, &self.on_failed]
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.prompt.iter().collect()
    }

    /// Nobody knows before the answer.
    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        None
    }

    fn enter(&self, visit: &mut Visit<'_>, _: Option<char>) -> Step {
        let request = self.request(visit.memory, visit.around);
        if let Some(spoken) = &self.prompt {
            let prompts = spoken.prompts.clips(&visit.memory.language).collect();
            visit.out.push(Action::Play { prompts });
        }
        visit.out.push(Action::Lookup { request: Box::new(request) });
        visit.looking_up(self.timeout)
    }

    fn looked_up(&self, visit: &mut Visit<'_>, outcome: Outcome) -> Step {
        if self.prompt.is_some() {
            visit.out.push(Action::StopPlay);
        }
        // What an earlier one found is not taken for this one's.
        for wanted in &self.wanted {
            visit.memory.variables.0.remove(&wanted.name);
        }
        match outcome {
            Outcome::Found(values) => {
                let kept = values.into_iter().filter(|(name, value)| {
                    self.wanted.iter().any(|wanted| wanted.name == *name && wanted.form.kind() == value.kind())
                });
                let kept = kept.map(|(name, value)| (name, Stored { value, secret: false }));
                visit.memory.variables.0.extend(kept);
                visit.on(&self.on_ok, None)
            }
            Outcome::TimedOut
            | Outcome::Status(_)
            | Outcome::Garbage
            | Outcome::Unreachable
            | Outcome::Busy
            | Outcome::BadUrl => visit.on(&self.on_failed, None),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenLookup {
    url: Spanned<String>,
    method: Option<GivenMethod>,
    headers: Option<BTreeMap<String, Spanned<String>>>,
    body: Option<BTreeMap<String, Spanned<String>>>,
    timeout: Option<Spanned<Time>>,
    store: Option<BTreeMap<String, Spanned<GivenWanted>>>,
    prompt: Option<Spanned<Prompts>>,
    on_ok: Spanned<GivenExit>,
    on_failed: Spanned<GivenExit>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum GivenMethod {
    Get,
    Post,
    Put,
}

/// `"/account/name"`, or `{ at = "/account/balance", as = "hundredths" }`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a JSON pointer, or { at = a JSON pointer, as = text, number, hundredths, truth, date or time }")]
pub(super) enum GivenWanted {
    Text(String),
    Typed {
        at: String,
        #[serde(rename = "as")]
        form: Form,
    },
}

impl GivenLookup {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Lookup> {
        let url = filled(&self.url, scope);
        if let Some(url) = &url
            && !is_url(url)
        {
            scope.fault(&self.url, Fault::Url(self.url.get_ref().clone()));
        }
        let method = match (self.method, &self.body) {
            (Some(GivenMethod::Get), _) | (None, None) => "GET",
            (Some(GivenMethod::Post), _) | (None, Some(_)) => "POST",
            (Some(GivenMethod::Put), _) => "PUT",
        };
        if method == "GET" && self.body.is_some() {
            scope.fault(&self.url, Fault::BodyOfGet);
        }
        let mut headers = Vec::new();
        for (name, value) in self.headers.unwrap_or_default() {
            if !is_token(&name) || !value.get_ref().bytes().all(|b| (b' '..0x7f).contains(&b)) {
                scope.fault(&value, Fault::Header(name.clone()));
            }
            headers.push((name, value.into_inner()));
        }
        let mut whole = true;
        let mut body = self.body.is_some().then(BTreeMap::new);
        for (name, value) in self.body.unwrap_or_default() {
            match (filled(&value, scope), &mut body) {
                (Some(value), Some(body)) => drop(body.insert(name, value)),
                (_, _) => whole = false,
            }
        }
        let timeout = scope.wait("timeout", self.timeout.clone(), TIMEOUT);
        if let Some(given) = self.timeout.filter(|_| timeout > LONGEST) {
            scope.fault(&given, Fault::LookupTimeout);
        }
        let store = self.store.unwrap_or_default();
        if store.len() > MOST_VALUES {
            scope.fault(&self.url, Fault::Values { given: store.len(), most: MOST_VALUES });
        }
        let mut wanted = Vec::new();
        for (name, given) in store {
            let (pointer, form) = given.get_ref().parts();
            scope.variable_name(&name, &given);
            scope.stores(&name, form.kind(), &given);
            if !pointer.is_empty() && !pointer.starts_with('/') {
                scope.fault(&given, Fault::Pointer(pointer.to_owned()));
            }
            wanted.push(Wanted { name, pointer: pointer.to_owned(), form });
        }
        let prompt = self.prompt.map(|p| scope.spoken(p));
        let on_ok = scope.exit(self.on_ok);
        let on_failed = scope.exit(self.on_failed);
        let (url, on_ok, on_failed) = (url?, on_ok?, on_failed?);
        whole.then_some(Lookup { method, url, headers, body, timeout, wanted, prompt, on_ok, on_failed })
    }
}

impl GivenWanted {
    fn parts(&self) -> (&str, Form) {
        match self {
            GivenWanted::Text(at) => (at, Form::Text),
            GivenWanted::Typed { at, form } => (at, *form),
        }
    }
}

/// As a sketch of a menu sees it.
pub(super) fn form_of(given: &toml::Value) -> Form {
    let form = given.get("as").and_then(|form| form.clone().try_into().ok());
    form.unwrap_or(Form::Text)
}

/// Text with expressions in braces; `{{` is a brace.
fn filled(given: &Spanned<String>, scope: &mut Scope<'_>) -> Option<Filled> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = given.get_ref().as_str();
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            text.push('{');
            rest = after;
            continue;
        }
        let Some((inner, after)) = after.split_once('}') else {
            scope.fault(given, Fault::Unclosed);
            return None;
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let span = given.span();
        parts.push(Part::Value(scope.expression(&Spanned::new(span, inner.to_owned()))?));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Some(Filled(parts))
}

/// `http` or `https`, a host without a name or password before it, and that much of it written out.
fn is_url(url: &Filled) -> bool {
    let Some(Part::Text(first)) = url.0.first() else { return false };
    let Some(rest) = first.strip_prefix("http://").or_else(|| first.strip_prefix("https://")) else { return false };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_whole = url.0.len() == 1 || !path.is_empty();
    let texts = url.0.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Value(_) => None,
    });
    is_whole && !host.is_empty() && !host.contains('@') && texts.flat_map(str::bytes).all(|b| b.is_ascii_graphic())
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
