//! `kind = "say"`: says a value in the caller's language, made of the clips of [`say`](super::say), after a prompt perhaps.
//!
//! `say = "number"`, `"digits"`, `"date"`, `"time"` or `"money"`; money is counted in hundredths of its `currency`. Where there is no value,
//! nothing is said, the prompt neither, and the caller goes to `on_missing`, or on.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit, To};
use super::expression::{self, Expression, Kind};
use super::fault::Fault;
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::say::{self, Currency, Money, Saying};
use super::session::Step;
use super::visit::{Around, Memory, Seen, Visit};

#[derive(Debug)]
pub(super) struct Value {
    before: Option<Spoken>,
    way: Way,
    value: Expression,
    line: u32,
    /// As `play` has it.
    barge_in: bool,
    next: Exit,
    on_missing: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Number,
    Digits,
    Date,
    Time,
    Money(Currency),
}

impl Value {
    fn saying(&self, memory: &Memory, around: Around<'_>) -> Option<Saying> {
        // As in a condition: nothing of a secret is said.
        let open = Some(&self.value).filter(|value| !memory.is_secret(value))?;
        let value = open.evaluate(&Seen { memory, around })?;
        match (self.way, value) {
            (Way::Number, expression::Value::Integer(n)) => Some(Saying::Number(n)),
            (Way::Money(currency), expression::Value::Integer(n)) => Some(Saying::Money(Money { hundredths: n, currency })),
            // A text that is missing is the empty one.
            (Way::Digits, expression::Value::Text(text)) => Some(text).filter(|text| !text.is_empty()).map(Saying::Digits),
            (Way::Date, expression::Value::Date(date)) => Some(Saying::Date(date)),
            (Way::Time, expression::Value::Time(time)) => Some(Saying::Time(time)),
            // Kinds were compared when the menu was read.
            (Way::Number | Way::Money(_) | Way::Digits | Way::Date | Way::Time, _) => None,
        }
    }

    fn missing(&self) -> &Exit {
        self.on_missing.as_ref().unwrap_or(&self.next)
    }
}

impl Act for Value {
    fn exits(&self) -> Vec<&Exit> {
        [&self.next].into_iter().chain(&self.on_missing).collect()
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.before.iter().collect()
    }

    fn says(&self) -> Option<u32> {
        Some(self.line)
    }

    fn passes(&self, memory: &mut Memory, around: Around<'_>) -> Option<&Exit> {
        Some(if self.saying(memory, around).is_some() { &self.next } else { self.missing() })
    }

    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        let Some(saying) = self.saying(visit.memory, visit.around) else { return visit.on(self.missing(), ahead) };
        if self.barge_in && ahead.is_some() {
            return visit.on(&self.next, ahead);
        }
        let language = visit.memory.language.clone();
        let mut clips: Vec<String> = self.before.iter().flat_map(|spoken| spoken.prompts.clips(&language)).collect();
        let said = say::Language::of(&language).map(|tongue| say::clips(tongue, &saying)).unwrap_or_default();
        clips.extend(said.iter().map(|clip| format!("{language}/{clip}")));
        if clips.is_empty() {
            return visit.on(&self.next, ahead);
        }
        visit.play(clips)
    }

    fn is_cut_short(&self) -> bool {
        self.barge_in
    }

    fn announced(&self) -> To {
        self.next.to.clone()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenValue {
    say: GivenWay,
    value: Spanned<String>,
    currency: Option<Spanned<String>>,
    prompt: Option<Spanned<Prompts>>,
    barge_in: Option<bool>,
    next: Spanned<GivenExit>,
    on_missing: Option<Spanned<GivenExit>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GivenWay {
    Number,
    Digits,
    Date,
    Time,
    Money,
}

impl GivenValue {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Value> {
        let (way, wanted) = match self.say {
            GivenWay::Number => (Some(Way::Number), Kind::Integer),
            GivenWay::Digits => (Some(Way::Digits), Kind::Text),
            GivenWay::Date => (Some(Way::Date), Kind::Date),
            GivenWay::Time => (Some(Way::Time), Kind::Time),
            GivenWay::Money => (currency(&self.value, self.currency, scope).map(Way::Money), Kind::Integer),
        };
        let value = scope.open_expression(&self.value);
        if let Some(found) = value.as_ref().map(Expression::kind)
            && found != wanted
        {
            scope.fault(&self.value, Fault::NotSaid { wanted, found });
        }
        let line = scope.line_of(&self.value);
        let before = self.prompt.map(|p| scope.spoken(p));
        let next = scope.exit(self.next);
        let on_missing = match self.on_missing {
            Some(exit) => Some(scope.exit(exit)?),
            None => None,
        };
        let barge_in = self.barge_in.unwrap_or(false);
        Some(Value { before, way: way?, value: value?, line, barge_in, next: next?, on_missing })
    }
}

fn currency(value: &Spanned<String>, given: Option<Spanned<String>>, scope: &mut Scope<'_>) -> Option<Currency> {
    let Some(given) = given else {
        scope.fault(value, Fault::NoCurrency);
        return None;
    };
    let currency = Currency::of(given.get_ref());
    if currency.is_none() {
        scope.fault(&given, Fault::UnknownCurrency(given.get_ref().clone()));
    }
    currency
}
