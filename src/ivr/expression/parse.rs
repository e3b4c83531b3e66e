//! How an expression is read: characters to words, words to a typed tree.

use jiff::civil::{Date, Time};

use super::{Comparison, DEEPEST, Expression, Figure, Kind, LONGEST, Name, Names, Node, RESERVED};

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at character {})", self.at + 1)]
pub struct BadExpression {
    /// Characters before it.
    pub at: usize,
    pub what: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("{0} characters are too many for one expression (at most {LONGEST}); store a part of it first")]
    TooLong(usize),
    #[error("this is nested deeper than {DEEPEST}; store a part of it first")]
    TooDeep,
    #[error("`{}` has no meaning here", .0.escape_debug())]
    Character(char),
    #[error("write `{1}` for `{0}`")]
    Spelling(&'static str, &'static str),
    #[error("the text has no closing {0}")]
    Unclosed(char),
    #[error("`{0}` is no number that fits into 64 bits")]
    Number(String),
    #[error("{wanted} is expected here, not {found}")]
    Expected { wanted: &'static str, found: String },
    #[error("this is {found}, and must be {wanted}")]
    Kind { wanted: Kind, found: Kind },
    #[error("{left} cannot be compared with {right}")]
    Differ { left: Kind, right: Kind },
    #[error("{0} cannot be greater or less")]
    NoOrder(Kind),
    #[error("{0} cannot be compared; write 'tag' in caller.tags")]
    NotCompared(Kind),
    #[error("{0} cannot be added")]
    NotAdded(Kind),
    #[error("comparisons do not follow one another; put `and` between them")]
    Chained,
    #[error("`{}` is no time; write 'HH:MM', 00:00 to 23:59", .0.escape_debug())]
    BadTime(String),
    #[error("`{}` is no date; write 'YYYY-MM-DD'", .0.escape_debug())]
    BadDate(String),
    #[error("nothing stores `{0}`")]
    NothingStored(String),
    #[error("there is no queue `{}`", .0.escape_debug())]
    NoQueue(String),
    #[error("`{0}` is no function; there are starts, len, number and known")]
    NoFunction(String),
}

/// Whether it can be written without quotes, as a variable or as a queue's name.
pub(super) fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(begins_word) && chars.all(goes_on) && !RESERVED.contains(&text)
}

fn begins_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn goes_on(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

pub(super) fn expression(text: &str, names: &dyn Names) -> Result<Expression, BadExpression> {
    let tokens = tokens(text)?;
    let end = text.chars().count();
    let mut reader = Reader { tokens, next: 0, end, depth: 0, names };
    let part = reader.either()?;
    match reader.peek() {
        None => Ok(Expression { node: part.node, kind: part.kind }),
        Some(_) => Err(reader.expected("the end, or a word that joins")),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Without its sign, so that the least number of all can be written.
    Integer(u64),
    Text(String),
    Word(String),
    Symbol(&'static str),
}

/// Two characters before one, so that `<=` is not `<`.
const SYMBOLS: &[&str] = &["==", "!=", "<=", ">=", "<", ">", "+", "-", "(", ")", "[", "]", ",", "."];

/// Habits of other languages, and how it is written here.
const HABITS: &[(&str, &str)] = &[("&&", "and"), ("||", "or"), ("<>", "!="), ("=", "=="), ("!", "not")];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, BadExpression> {
    let chars: Vec<char> = text.chars().take(LONGEST + 1).collect();
    if chars.len() > LONGEST {
        return Err(BadExpression { at: LONGEST, what: Wrong::TooLong(text.chars().count()) });
    }
    let mut tokens = Vec::new();
    let mut rest = chars.as_slice();
    while let Some(&c) = rest.first() {
        let at = chars.len() - rest.len();
        let wrong = |what| BadExpression { at, what };
        let begins = |with: &str| with.chars().eq(rest.iter().copied().take(with.len()));
        let (token, length) = if c.is_whitespace() {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        } else if begins_word(c) {
            let word: String = rest.iter().copied().take_while(|c| goes_on(*c)).collect();
            let length = word.len();
            (Token::Word(word), length)
        } else if c.is_ascii_digit() {
            let digits: String = rest.iter().copied().take_while(|c| goes_on(*c)).collect();
            let length = digits.len();
            let number = digits.parse().map_err(|_| wrong(Wrong::Number(digits.clone())))?;
            (Token::Integer(number), length)
        } else if c == '\'' || c == '"' {
            let (text, length) = quoted(rest, c).ok_or_else(|| wrong(Wrong::Unclosed(c)))?;
            (Token::Text(text), length)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| begins(symbol) && !begins("<>")) {
            (Token::Symbol(symbol), symbol.len())
        } else if let Some((habit, right)) = HABITS.iter().find(|(habit, _)| begins(habit)) {
            return Err(wrong(Wrong::Spelling(habit, right)));
        } else {
            return Err(wrong(Wrong::Character(c)));
        };
        tokens.push((at, token));
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// The text between quotes, and how many characters it takes with them.
fn quoted(rest: &[char], quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut chars = rest.iter().copied().enumerate().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?.1),
            c if c == quote => return Some((text, i + 1)),
            c => text.push(c),
        }
    }
    None
}

/// A part that was read, and where it began.
struct Part {
    at: usize,
    kind: Kind,
    node: Node,
}

impl Part {
    fn must_be(self, wanted: Kind) -> Result<Node, BadExpression> {
        if self.kind == wanted {
            return Ok(self.node);
        }
        Err(BadExpression { at: self.at, what: Wrong::Kind { wanted, found: self.kind } })
    }
}

struct Reader<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Characters of the whole.
    end: usize,
    depth: usize,
    names: &'a dyn Names,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn wrong(&self, what: Wrong) -> BadExpression {
        BadExpression { at: self.at(), what }
    }

    fn expected(&self, wanted: &'static str) -> BadExpression {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Integer(n)) => format!("`{n}`"),
            Some(Token::Text(_)) => "a text".to_owned(),
            Some(Token::Word(word)) => format!("`{word}`"),
            Some(Token::Symbol(symbol)) => format!("`{symbol}`"),
        };
        self.wrong(Wrong::Expected { wanted, found })
    }

    /// Takes the symbol, if it is the next.
    fn symbol(&mut self, symbol: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.next += usize::from(there);
        there
    }

    /// Takes the word, if it is the next.
    fn word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.next += usize::from(there);
        there
    }

    fn must(&mut self, symbol: &'static str) -> Result<(), BadExpression> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.expected(symbol)) }
    }

    /// Reads something that stands within something else.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, BadExpression>) -> Result<T, BadExpression> {
        if self.depth >= DEEPEST {
            return Err(self.wrong(Wrong::TooDeep));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    fn either(&mut self) -> Result<Part, BadExpression> {
        self.chain("or", Node::Or, Self::both)
    }

    fn both(&mut self) -> Result<Part, BadExpression> {
        self.chain("and", Node::And, Self::not)
    }

    fn chain(
        &mut self,
        word: &str,
        of: fn(Vec<Node>) -> Node,
        one: fn(&mut Self) -> Result<Part, BadExpression>,
    ) -> Result<Part, BadExpression> {
        let first = one(self)?;
        if !matches!(self.peek(), Some(Token::Word(w)) if w == word) {
            return Ok(first);
        }
        let at = first.at;
        let mut nodes = vec![first.must_be(Kind::Truth)?];
        while self.word(word) {
            nodes.push(one(self)?.must_be(Kind::Truth)?);
        }
        Ok(Part { at, kind: Kind::Truth, node: of(nodes) })
    }

    fn not(&mut self) -> Result<Part, BadExpression> {
        let at = self.at();
        if !self.word("not") {
            return self.comparison();
        }
        let node = self.within(Self::not)?.must_be(Kind::Truth)?;
        Ok(Part { at, kind: Kind::Truth, node: Node::Not(Box::new(node)) })
    }

    fn comparison(&mut self) -> Result<Part, BadExpression> {
        let left = self.sum()?;
        let at = left.at;
        let node = if self.word("in") {
            self.contained(left)?
        } else if let Some(comparison) = self.compares() {
            let right = self.sum()?;
            let (left, right) = agree(left, right)?;
            for part in [&left, &right] {
                if part.kind == Kind::Texts {
                    return Err(BadExpression { at: part.at, what: Wrong::NotCompared(part.kind) });
                }
                if part.kind == Kind::Truth && comparison.is_of_order() {
                    return Err(BadExpression { at: part.at, what: Wrong::NoOrder(part.kind) });
                }
            }
            Node::Compare(comparison, Box::new(left.node), Box::new(right.node))
        } else {
            return Ok(left);
        };
        let follows = self.at();
        if self.compares().is_some() || self.word("in") {
            return Err(BadExpression { at: follows, what: Wrong::Chained });
        }
        Ok(Part { at, kind: Kind::Truth, node })
    }

    fn compares(&mut self) -> Option<Comparison> {
        let comparison = match self.peek()? {
            Token::Symbol("==") => Comparison::Equal,
            Token::Symbol("!=") => Comparison::Unequal,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            Token::Integer(_) | Token::Text(_) | Token::Word(_) | Token::Symbol(_) => return None,
        };
        self.next += 1;
        Some(comparison)
    }

    /// After `in`: a list in brackets, or tags.
    fn contained(&mut self, left: Part) -> Result<Node, BadExpression> {
        if !self.symbol("[") {
            let right = self.sum()?;
            let at = right.at;
            let texts = right.must_be(Kind::Texts).map_err(|_| BadExpression {
                at,
                what: Wrong::Expected { wanted: "[a, list] or caller.tags", found: "this".to_owned() },
            })?;
            let text = left.must_be(Kind::Text)?;
            return Ok(Node::Among(Box::new(text), Box::new(texts)));
        }
        let (left, first) = agree(left, self.sum()?)?;
        if left.kind == Kind::Texts {
            return Err(BadExpression { at: left.at, what: Wrong::NotCompared(left.kind) });
        }
        let mut list = vec![first.node];
        while self.symbol(",") {
            list.push(read_as(self.sum()?, left.kind)?.must_be(left.kind)?);
        }
        self.must("]")?;
        Ok(Node::OneOf(Box::new(left.node), list))
    }

    fn sum(&mut self) -> Result<Part, BadExpression> {
        let first = self.signed()?;
        let (at, kind) = (first.at, first.kind);
        if !matches!(self.peek(), Some(Token::Symbol("+" | "-"))) {
            return Ok(first);
        }
        let node = match kind {
            Kind::Integer => {
                let mut more = Vec::new();
                loop {
                    let minus = self.symbol("-");
                    if !minus && !self.symbol("+") {
                        break;
                    }
                    more.push((minus, self.signed()?.must_be(Kind::Integer)?));
                }
                Node::Sum(Box::new(first.node), more)
            }
            Kind::Text => {
                let mut parts = vec![first.node];
                while self.symbol("+") {
                    parts.push(self.signed()?.must_be(Kind::Text)?);
                }
                if matches!(self.peek(), Some(Token::Symbol("-"))) {
                    return Err(self.wrong(Wrong::Kind { wanted: Kind::Integer, found: Kind::Text }));
                }
                Node::Joined(parts)
            }
            Kind::Truth | Kind::Time | Kind::Date | Kind::Texts => {
                return Err(BadExpression { at, what: Wrong::NotAdded(kind) });
            }
        };
        Ok(Part { at, kind, node })
    }

    fn signed(&mut self) -> Result<Part, BadExpression> {
        let at = self.at();
        if !self.symbol("-") {
            return self.whole();
        }
        if let Some(Token::Integer(n)) = self.peek() {
            let n = 0i64.checked_sub_unsigned(*n).ok_or_else(|| self.wrong(Wrong::Number(format!("-{n}"))))?;
            self.next += 1;
            return Ok(Part { at, kind: Kind::Integer, node: Node::Integer(n) });
        }
        let node = self.within(Self::signed)?.must_be(Kind::Integer)?;
        Ok(Part { at, kind: Kind::Integer, node: Node::Negative(Box::new(node)) })
    }

    fn whole(&mut self) -> Result<Part, BadExpression> {
        let at = self.at();
        let part = |kind, node| Part { at, kind, node };
        let token = match self.peek() {
            Some(Token::Symbol("(")) => {
                self.next += 1;
                let inner = self.within(Self::either)?;
                self.must(")")?;
                return Ok(part(inner.kind, inner.node));
            }
            None | Some(Token::Symbol(_)) => return Err(self.expected("a value")),
            Some(token) => token.clone(),
        };
        match token {
            Token::Integer(n) => {
                let n = i64::try_from(n).map_err(|_| self.wrong(Wrong::Number(n.to_string())))?;
                self.next += 1;
                Ok(part(Kind::Integer, Node::Integer(n)))
            }
            Token::Text(text) => {
                self.next += 1;
                Ok(part(Kind::Text, Node::Text(text)))
            }
            Token::Word(word) => match word.as_str() {
                "true" | "false" => {
                    self.next += 1;
                    Ok(part(Kind::Truth, Node::Truth(word == "true")))
                }
                _ if matches!(self.tokens.get(self.next + 1), Some((_, Token::Symbol("(")))) => self.function(&word),
                _ => {
                    let (name, kind) = self.name()?;
                    Ok(part(kind, Node::Name(name, kind)))
                }
            },
            Token::Symbol(_) => Err(self.expected("a value")),
        }
    }

    fn function(&mut self, word: &str) -> Result<Part, BadExpression> {
        let at = self.at();
        if !matches!(word, "starts" | "len" | "number" | "known") {
            return Err(self.wrong(Wrong::NoFunction(word.to_owned())));
        }
        self.next += 2;
        let (kind, node) = match word {
            "known" => {
                let (name, kind) = self.name()?;
                (Kind::Truth, Node::Known(name, kind))
            }
            "starts" => {
                let text = self.within(Self::either)?.must_be(Kind::Text)?;
                self.must(",")?;
                let beginning = self.within(Self::either)?.must_be(Kind::Text)?;
                (Kind::Truth, Node::Starts(Box::new(text), Box::new(beginning)))
            }
            word => {
                let text = Box::new(self.within(Self::either)?.must_be(Kind::Text)?);
                (Kind::Integer, if word == "len" { Node::Len(text) } else { Node::Number(text) })
            }
        };
        self.must(")")?;
        Ok(Part { at, kind, node })
    }

    fn name(&mut self) -> Result<(Name, Kind), BadExpression> {
        let Some(Token::Word(word)) = self.peek().cloned() else { return Err(self.expected("a name")) };
        if matches!(word.as_str(), "and" | "or" | "not" | "in" | "true" | "false" | "starts" | "len" | "number" | "known") {
            return Err(self.expected("a name"));
        }
        let at = self.at();
        self.next += 1;
        match word.as_str() {
            "time" => Ok((Name::Time, Kind::Time)),
            "date" => Ok((Name::Date, Kind::Date)),
            "caller" => {
                self.must(".")?;
                if self.word("number") {
                    Ok((Name::CallerNumber, Kind::Text))
                } else if self.word("tags") {
                    Ok((Name::CallerTags, Kind::Texts))
                } else {
                    Err(self.expected("number or tags"))
                }
            }
            "called" => Ok((Name::Called, Kind::Text)),
            "trunk" => Ok((Name::Trunk, Kind::Text)),
            "queue" => self.queue(),
            _ => match self.names.variable(&word) {
                Some(kind) => Ok((Name::Variable(word), kind)),
                None => Err(BadExpression { at, what: Wrong::NothingStored(word) }),
            },
        }
    }

    fn queue(&mut self) -> Result<(Name, Kind), BadExpression> {
        self.must(".")?;
        let name = match self.peek() {
            Some(Token::Word(name) | Token::Text(name)) => name.clone(),
            Some(Token::Integer(_) | Token::Symbol(_)) | None => {
                return Err(self.expected("a queue's name (in quotes, if it is more than letters, digits and _)"));
            }
        };
        if !self.names.has_queue(&name) {
            return Err(self.wrong(Wrong::NoQueue(name)));
        }
        self.next += 1;
        self.must(".")?;
        let figure = Figure::ALL.into_iter().find(|figure| self.word(figure.word()));
        let figure = figure.ok_or_else(|| self.expected("waiting, ready or expected"))?;
        Ok((Name::Queue { name, figure }, Kind::Integer))
    }
}

/// Both of one kind: a text beside a time or a date is read as one.
fn agree(left: Part, right: Part) -> Result<(Part, Part), BadExpression> {
    let left = read_as(left, right.kind)?;
    let right = read_as(right, left.kind)?;
    if left.kind == right.kind {
        return Ok((left, right));
    }
    Err(BadExpression { at: right.at, what: Wrong::Differ { left: left.kind, right: right.kind } })
}

fn read_as(part: Part, kind: Kind) -> Result<Part, BadExpression> {
    let at = part.at;
    let node = match (part.node, kind) {
        (Node::Text(text), Kind::Time) => Node::Time(time(&text).ok_or(BadExpression { at, what: Wrong::BadTime(text) })?),
        (Node::Text(text), Kind::Date) => Node::Date(date(&text).ok_or(BadExpression { at, what: Wrong::BadDate(text) })?),
        (node, _) => return Ok(Part { node, ..part }),
    };
    Ok(Part { at, kind, node })
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(two_digits(hour)?, two_digits(minute)?, 0, 0).ok()
}

fn date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let four = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    Date::new(four.then(|| year.parse().ok())??, two_digits(month)?, two_digits(day)?).ok()
}

fn two_digits(text: &str) -> Option<i8> {
    let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
