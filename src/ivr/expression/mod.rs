//! Conditions and values that a menu file writes down: `queue.support.waiting < 5 and not 'vip' in caller.tags`.
//!
//! | what | how |
//! |---|---|
//! | values | `12`, `-3`, `'text'` or `"text"` (`\` before a quote or another `\`), `true`, `false` |
//! | names | variables, `caller.number`, `caller.tags`, `called`, `trunk`, `queue.NAME.waiting`, `.ready`, `.expected`, `time`, `date` |
//! | from loose to tight | `or`; `and`; `not`; `==` `!=` `<` `<=` `>` `>=` `in`; `+` `-`; a minus sign |
//! | functions | `starts(text, beginning)`, `len(text)` in characters, `number(text)`, `known(name)` |
//!
//! An expression is typed when it is read ([`Expression::parse`]), bounded in length and depth, and has no fault left for the call: it
//! loops over nothing, and evaluation always ends with a value or with none. A text that stands beside `time` or `date` is read as
//! `'HH:MM'` or `'YYYY-MM-DD'` then.
//!
//! **What is missing** (a variable that nothing was stored in, a queue whose expected wait is unknown, a number out of letters) is the
//! empty text, `false` or no tags; a number, time or date is then simply not there: every comparison with it is false but `!=`, a sum
//! with it is not there either. `known()` asks for it. Numbers stop at the ends of 64 bits; they do not wrap.
//!
//! What a name stands for is the caller's of [`Expression::evaluate`] to say, by a [`World`]; nothing here reads a clock or a queue.
//! Whether a value is secret is theirs too: [`Expression::names`] tells what it was made of.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

pub use parse::{BadExpression, Wrong};

/// The longest expression, in characters.
pub const LONGEST: usize = 1_000;

/// How deep parentheses, functions, `not` and minus signs may stand in one another.
pub const DEEPEST: usize = 16;

/// Texts are cut to so many characters: what a caller keys or a server answers does not grow from menu to menu.
pub const LONGEST_TEXT: usize = 256;

/// Words that no variable can be called.
pub const RESERVED: &[&str] = &[
    "and", "or", "not", "in", "true", "false", "time", "date", "caller", "called", "trunk", "queue", "starts", "len", "number",
    "known",
];

/// What kind of thing an expression or a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Integer,
    Text,
    /// True or false.
    Truth,
    /// Of day, to the minute.
    Time,
    Date,
    /// Several texts, of which none counts as the first: a caller's tags.
    Texts,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Integer => "a number",
            Kind::Text => "text",
            Kind::Truth => "true or false",
            Kind::Time => "a time",
            Kind::Date => "a date",
            Kind::Texts => "tags",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    Integer(i64),
    Text(String),
    Truth(bool),
    Time(Time),
    Date(Date),
    Texts(Vec<String>),
}

impl Value {
    pub fn kind(&self) -> Kind {
        match self {
            Value::Integer(_) => Kind::Integer,
            Value::Text(_) => Kind::Text,
            Value::Truth(_) => Kind::Truth,
            Value::Time(_) => Kind::Time,
            Value::Date(_) => Kind::Date,
            Value::Texts(_) => Kind::Texts,
        }
    }
}

/// What may be asked of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Callers who wait.
    Waiting,
    /// Agents who are ready.
    Ready,
    /// The wait of a caller who would come now, in seconds.
    Expected,
}

impl Figure {
    const ALL: [Figure; 3] = [Figure::Waiting, Figure::Ready, Figure::Expected];

    fn word(self) -> &'static str {
        match self {
            Figure::Waiting => "waiting",
            Figure::Ready => "ready",
            Figure::Expected => "expected",
        }
    }
}

/// Something that an expression asks its world for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// What a node of the menu stored.
    Variable(String),
    CallerNumber,
    CallerTags,
    /// The number that was called.
    Called,
    /// What the call came by; nothing for a phone's.
    Trunk,
    Queue {
        name: String,
        figure: Figure,
    },
    /// The time of day where the menu stands.
    Time,
    Date,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Variable(name) => f.write_str(name),
            Name::CallerNumber => f.write_str("caller.number"),
            Name::CallerTags => f.write_str("caller.tags"),
            Name::Called => f.write_str("called"),
            Name::Trunk => f.write_str("trunk"),
            Name::Queue { name, figure } => {
                f.write_str("queue.")?;
                if parse::is_word(name) {
                    f.write_str(name)?
                } else {
                    quoted(name, f)?
                }
                write!(f, ".{}", figure.word())
            }
            Name::Time => f.write_str("time"),
            Name::Date => f.write_str("date"),
        }
    }
}

/// What is known while a menu file is read.
pub trait Names {
    /// What kind the variable is; `None`: nothing stores it.
    fn variable(&self, name: &str) -> Option<Kind>;

    fn has_queue(&self, name: &str) -> bool;
}

/// What is known while a call stands in the menu.
pub trait World {
    /// `None` where there is nothing. A value of another kind than was said when the menu was read counts as none.
    fn value(&self, name: &Name) -> Option<Value>;
}

/// A checked expression. Printing it ([`fmt::Display`]) gives text that reads as the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    node: Node,
    kind: Kind,
}

impl Expression {
    /// Reads and types an expression of at most [`LONGEST`] characters, nested at most [`DEEPEST`] deep.
    pub fn parse(text: &str, names: &dyn Names) -> Result<Expression, BadExpression> {
        parse::expression(text, names)
    }

    /// What kind [`Expression::evaluate`] gives.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its value, of [`Expression::kind`]; `None` where a number, time or date is not there.
    pub fn evaluate(&self, world: &dyn World) -> Option<Value> {
        self.node.value(world)
    }

    /// Its value as a condition; what is not there does not hold.
    pub fn holds(&self, world: &dyn World) -> bool {
        self.node.holds(world)
    }

    /// Everything that it asks its world for, in the order in which it stands there; a name that is asked for twice comes twice.
    pub fn names(&self) -> Vec<&Name> {
        let mut names = Vec::new();
        self.node.names(&mut names);
        names
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.print(Tightness::Loose, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    fn is_of_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::Unequal)
    }

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A typed tree: the reader puts only what fits into each place. Chains of `or`, `and`, `+` lie side by side, so that the tree is no
/// deeper than what was nested.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Integer(i64),
    Text(String),
    Truth(bool),
    Time(Time),
    Date(Date),
    Name(Name, Kind),
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// One of these, which are written in brackets.
    OneOf(Box<Node>, Vec<Node>),
    /// One of a caller's tags.
    Among(Box<Node>, Box<Node>),
    /// Numbers; `true`: taken away.
    Sum(Box<Node>, Vec<(bool, Node)>),
    /// Texts, one after another.
    Joined(Vec<Node>),
    Negative(Box<Node>),
    Starts(Box<Node>, Box<Node>),
    Len(Box<Node>),
    Number(Box<Node>),
    Known(Name, Kind),
}

/// How tightly what is printed must hold together there, so that it needs no parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tightness {
    Loose,
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Sign,
    Whole,
}

impl Node {
    fn value(&self, world: &dyn World) -> Option<Value> {
        match self {
            Node::Integer(n) => Some(Value::Integer(*n)),
            Node::Text(text) => Some(Value::Text(text.clone())),
            Node::Time(time) => Some(Value::Time(*time)),
            Node::Date(date) => Some(Value::Date(*date)),
            Node::Name(name, kind) => named(name, *kind, world).or_else(|| empty(*kind)),
            Node::Sum(first, more) => {
                let mut sum = first.integer(world)?;
                for (minus, node) in more {
                    let n = node.integer(world)?;
                    sum = if *minus { sum.saturating_sub(n) } else { sum.saturating_add(n) };
                }
                Some(Value::Integer(sum))
            }
            Node::Joined(parts) => {
                let joined: String = parts.iter().map(|part| part.text(world)).collect();
                Some(Value::Text(cut(joined)))
            }
            Node::Negative(node) => Some(Value::Integer(node.integer(world)?.saturating_neg())),
            Node::Len(text) => Some(Value::Integer(i64::try_from(text.text(world).chars().count()).unwrap_or(i64::MAX))),
            Node::Number(text) => text.text(world).trim().parse().ok().map(Value::Integer),
            Node::Truth(_)
            | Node::Or(_)
            | Node::And(_)
            | Node::Not(_)
            | Node::Compare(..)
            | Node::OneOf(..)
            | Node::Among(..)
            | Node::Starts(..)
            | Node::Known(..) => Some(Value::Truth(self.holds(world))),
        }
    }

    fn holds(&self, world: &dyn World) -> bool {
        match self {
            Node::Truth(truth) => *truth,
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(world)),
            Node::And(nodes) => nodes.iter().all(|node| node.holds(world)),
            Node::Not(node) => !node.holds(world),
            Node::Compare(comparison, left, right) => compares(*comparison, left.value(world), right.value(world)),
            Node::OneOf(node, list) => {
                let value = node.value(world);
                list.iter().any(|one| compares(Comparison::Equal, value.clone(), one.value(world)))
            }
            Node::Among(node, texts) => match texts.value(world) {
                Some(Value::Texts(texts)) => texts.contains(&node.text(world)),
                Some(_) | None => false,
            },
            Node::Starts(text, beginning) => text.text(world).starts_with(&beginning.text(world)),
            Node::Known(name, kind) => match named(name, *kind, world) {
                Some(Value::Text(text)) => !text.is_empty(),
                Some(Value::Texts(texts)) => !texts.is_empty(),
                Some(Value::Integer(_) | Value::Truth(_) | Value::Time(_) | Value::Date(_)) => true,
                None => false,
            },
            Node::Name(..) => self.value(world) == Some(Value::Truth(true)),
            // Of another kind, so the reader puts none of them where a condition stands.
            Node::Integer(_)
            | Node::Text(_)
            | Node::Time(_)
            | Node::Date(_)
            | Node::Sum(..)
            | Node::Joined(_)
            | Node::Negative(_)
            | Node::Len(_)
            | Node::Number(_) => false,
        }
    }

    fn integer(&self, world: &dyn World) -> Option<i64> {
        match self.value(world)? {
            Value::Integer(n) => Some(n),
            Value::Text(_) | Value::Truth(_) | Value::Time(_) | Value::Date(_) | Value::Texts(_) => None,
        }
    }

    fn text(&self, world: &dyn World) -> String {
        match self.value(world) {
            Some(Value::Text(text)) => text,
            Some(Value::Integer(_) | Value::Truth(_) | Value::Time(_) | Value::Date(_) | Value::Texts(_)) | None => String::new(),
        }
    }

    fn names<'a>(&'a self, into: &mut Vec<&'a Name>) {
        match self {
            Node::Integer(_) | Node::Text(_) | Node::Truth(_) | Node::Time(_) | Node::Date(_) => {}
            Node::Name(name, _) | Node::Known(name, _) => into.push(name),
            Node::Or(nodes) | Node::And(nodes) | Node::Joined(nodes) => nodes.iter().for_each(|n| n.names(into)),
            Node::Not(node) | Node::Negative(node) | Node::Len(node) | Node::Number(node) => node.names(into),
            Node::Compare(_, left, right) | Node::Among(left, right) | Node::Starts(left, right) => {
                left.names(into);
                right.names(into);
            }
            Node::OneOf(node, list) => {
                node.names(into);
                list.iter().for_each(|n| n.names(into));
            }
            Node::Sum(first, more) => {
                first.names(into);
                more.iter().for_each(|(_, n)| n.names(into));
            }
        }
    }

    fn tightness(&self) -> Tightness {
        match self {
            Node::Or(_) => Tightness::Or,
            Node::And(_) => Tightness::And,
            Node::Not(_) => Tightness::Not,
            Node::Compare(..) | Node::OneOf(..) | Node::Among(..) => Tightness::Comparison,
            Node::Sum(..) | Node::Joined(_) => Tightness::Sum,
            Node::Negative(_) => Tightness::Sign,
            Node::Integer(_)
            | Node::Text(_)
            | Node::Truth(_)
            | Node::Time(_)
            | Node::Date(_)
            | Node::Name(..)
            | Node::Starts(..)
            | Node::Len(_)
            | Node::Number(_)
            | Node::Known(..) => Tightness::Whole,
        }
    }

    fn print(&self, least: Tightness, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tightness() < least {
            f.write_char('(')?;
            self.print(Tightness::Loose, f)?;
            return f.write_char(')');
        }
        match self {
            Node::Integer(n) => write!(f, "{n}"),
            Node::Text(text) => quoted(text, f),
            Node::Truth(truth) => write!(f, "{truth}"),
            Node::Time(time) => write!(f, "'{:02}:{:02}'", time.hour(), time.minute()),
            Node::Date(date) => write!(f, "'{date}'"),
            Node::Name(name, _) => write!(f, "{name}"),
            Node::Or(nodes) => list(nodes, " or ", Tightness::And, f),
            Node::And(nodes) => list(nodes, " and ", Tightness::Not, f),
            Node::Not(node) => {
                f.write_str("not ")?;
                node.print(Tightness::Not, f)
            }
            Node::Compare(comparison, left, right) => {
                left.print(Tightness::Sum, f)?;
                write!(f, " {} ", comparison.symbol())?;
                right.print(Tightness::Sum, f)
            }
            Node::OneOf(node, nodes) => {
                node.print(Tightness::Sum, f)?;
                f.write_str(" in [")?;
                list(nodes, ", ", Tightness::Sum, f)?;
                f.write_char(']')
            }
            Node::Among(node, texts) => {
                node.print(Tightness::Sum, f)?;
                f.write_str(" in ")?;
                texts.print(Tightness::Sum, f)
            }
            Node::Sum(first, more) => {
                first.print(Tightness::Sign, f)?;
                more.iter().try_for_each(|(minus, node)| {
                    f.write_str(if *minus { " - " } else { " + " })?;
                    node.print(Tightness::Sign, f)
                })
            }
            Node::Joined(nodes) => list(nodes, " + ", Tightness::Sign, f),
            // `-5` is a number and `-(5)` the number 5 with its sign changed.
            Node::Negative(node) => match **node {
                Node::Integer(n) => write!(f, "-({n})"),
                _ => {
                    f.write_char('-')?;
                    node.print(Tightness::Sign, f)
                }
            },
            Node::Starts(text, beginning) => {
                f.write_str("starts(")?;
                text.print(Tightness::Loose, f)?;
                f.write_str(", ")?;
                beginning.print(Tightness::Loose, f)?;
                f.write_char(')')
            }
            Node::Len(text) => function("len", text, f),
            Node::Number(text) => function("number", text, f),
            Node::Known(name, _) => write!(f, "known({name})"),
        }
    }
}

fn list(nodes: &[Node], between: &str, least: Tightness, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        node.print(least, f)?;
    }
    Ok(())
}

fn function(name: &str, of: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    of.print(Tightness::Loose, f)?;
    f.write_char(')')
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('\'')
}

/// What the world says, where it is of the kind that was agreed. Texts are cut, seconds dropped.
fn named(name: &Name, kind: Kind, world: &dyn World) -> Option<Value> {
    let value = world.value(name).filter(|value| value.kind() == kind)?;
    Some(match value {
        Value::Text(text) => Value::Text(cut(text)),
        Value::Time(time) => Value::Time(to_the_minute(time)),
        Value::Integer(_) | Value::Truth(_) | Value::Date(_) | Value::Texts(_) => value,
    })
}

fn empty(kind: Kind) -> Option<Value> {
    match kind {
        Kind::Text => Some(Value::Text(String::new())),
        Kind::Truth => Some(Value::Truth(false)),
        Kind::Texts => Some(Value::Texts(Vec::new())),
        Kind::Integer | Kind::Time | Kind::Date => None,
    }
}

fn to_the_minute(time: Time) -> Time {
    Time::new(time.hour(), time.minute(), 0, 0).unwrap_or(time)
}

/// A text as it is kept.
pub(super) fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(at);
    }
    text
}

fn compares(comparison: Comparison, left: Option<Value>, right: Option<Value>) -> bool {
    let order = match (left, right) {
        (Some(Value::Integer(a)), Some(Value::Integer(b))) => a.cmp(&b),
        (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(&b),
        (Some(Value::Truth(a)), Some(Value::Truth(b))) => a.cmp(&b),
        (Some(Value::Time(a)), Some(Value::Time(b))) => a.cmp(&b),
        (Some(Value::Date(a)), Some(Value::Date(b))) => a.cmp(&b),
        // One is not there; kinds agree, and tags are not compared.
        (_, _) => return comparison == Comparison::Unequal,
    };
    comparison.holds(order)
}
