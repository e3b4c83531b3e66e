//! What expressions mean and how they are refused; then random trees and random text.

use std::collections::BTreeMap;

use jiff::civil::{date, time};
use proptest::prelude::*;

use super::*;

struct Shop;

impl Names for Shop {
    fn variable(&self, name: &str) -> Option<Kind> {
        match name {
            "balance" | "tries" => Some(Kind::Integer),
            "digits" | "city" => Some(Kind::Text),
            "vip" => Some(Kind::Truth),
            "opens" => Some(Kind::Time),
            "due" => Some(Kind::Date),
            _ => None,
        }
    }

    fn has_queue(&self, name: &str) -> bool {
        matches!(name, "support" | "sales.de" | "not")
    }
}

/// Wednesday, 2026-11-25, 18:30:59, a caller with a balance of −250 who keyed 4711.
fn evening() -> Answers {
    Answers(BTreeMap::from([
        (variable("balance"), Value::Integer(-250)),
        (variable("digits"), Value::Text("4711".to_owned())),
        (variable("vip"), Value::Truth(true)),
        (variable("due"), Value::Date(date(2026, 12, 1))),
        (Name::CallerNumber, Value::Text("+493012345".to_owned())),
        (Name::CallerTags, Value::Texts(vec!["gold".to_owned(), "de".to_owned()])),
        (Name::Queue { name: "support".to_owned(), figure: Figure::Waiting }, Value::Integer(7)),
        (Name::Queue { name: "support".to_owned(), figure: Figure::Ready }, Value::Integer(0)),
        (Name::Queue { name: "sales.de".to_owned(), figure: Figure::Waiting }, Value::Integer(1)),
        (Name::Time, Value::Time(time(18, 30, 59, 0))),
        (Name::Date, Value::Date(date(2026, 11, 25))),
    ]))
}

#[derive(Debug)]
struct Answers(BTreeMap<Name, Value>);

impl World for Answers {
    fn value(&self, name: &Name) -> Option<Value> {
        self.0.get(name).cloned()
    }
}

fn variable(name: &str) -> Name {
    Name::Variable(name.to_owned())
}

#[track_caller]
fn read(text: &str) -> Expression {
    Expression::parse(text, &Shop).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[track_caller]
fn value(text: &str) -> Option<Value> {
    let expression = read(text);
    let value = expression.evaluate(&evening());
    if let Some(value) = &value {
        assert_eq!(value.kind(), expression.kind(), "{text}");
    }
    value
}

#[track_caller]
fn refused(text: &str) -> String {
    match Expression::parse(text, &Shop) {
        Ok(read) => panic!("{text} is read as {read}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn conditions_hold_or_do_not() {
    for text in [
        "true",
        "not false",
        "queue.support.waiting > 5",
        "queue.support.waiting >= 7 and queue.support.ready == 0",
        "queue.'sales.de'.waiting <= 1",
        "queue.support.waiting - queue.'sales.de'.waiting == 6",
        "'gold' in caller.tags",
        "not 'silver' in caller.tags",
        "'go' + 'ld' in caller.tags",
        "starts(caller.number, '+49')",
        "starts(caller.number, \"+49\") and len(digits) == 4",
        "number(digits) in [4710 + 1, -1]",
        "digits in ['0815', '4711']",
        "digits != '4712'",
        "time == '18:30'",
        "'18:00' <= time and time < '22:00'",
        "time in ['08:00', '18:30']",
        "date < due",
        "date == '2026-11-25'",
        "date in ['2026-11-25', '2026-12-24']",
        "balance < 0",
        "-balance == 250",
        "balance + 300 - 50 == 0",
        "- balance == -(-250)",
        "vip == true",
        "vip and (false or true) and not (vip and false)",
        "false and false or true",
        "not false or true and false",
        "'a' < 'b'",
        "'ä' + 'ö' == 'äö' and len('äö') == 2",
        "len('it\\'s') == 4",
        "'\\\\' == \"\\\\\"",
    ] {
        assert_eq!(value(text), Some(Value::Truth(true)), "{text}");
        assert!(read(text).holds(&evening()), "{text}");
    }
    assert_eq!(value("vip and balance > 0"), Some(Value::Truth(false)));
}

#[test]
fn values_of_each_kind() {
    assert_eq!(value("1 - 2 - 3"), Some(Value::Integer(-4)));
    assert_eq!(value("1 - (2 - 3)"), Some(Value::Integer(2)));
    assert_eq!(value("'number ' + digits"), Some(Value::Text("number 4711".to_owned())));
    assert_eq!(value("time"), Some(Value::Time(time(18, 30, 0, 0))), "no seconds");
    assert_eq!(value("due"), Some(Value::Date(date(2026, 12, 1))));
    assert_eq!(value("caller.tags"), Some(Value::Texts(vec!["gold".to_owned(), "de".to_owned()])));
    assert_eq!(value("-9223372036854775808"), Some(Value::Integer(i64::MIN)));
}

#[test]
fn what_is_missing_is_empty_or_not_there() {
    assert_eq!(value("city"), Some(Value::Text(String::new())));
    assert_eq!(value("city == ''"), Some(Value::Truth(true)));
    assert_eq!(value("len(city)"), Some(Value::Integer(0)));
    for text in ["tries", "tries + 1", "-tries", "number(city)", "number('a1')", "number('')", "opens", "queue.support.expected"]
    {
        assert_eq!(value(text), None, "{text}");
    }
    for text in [
        "tries == 0",
        "tries < 1",
        "tries >= 0",
        "tries == tries",
        "0 in [tries]",
        "tries in [tries]",
        "opens <= time",
        "known(tries)",
        "known(city)",
        "known(queue.support.expected)",
        "queue.support.expected < 60",
    ] {
        assert_eq!(value(text), Some(Value::Truth(false)), "{text}");
    }
    for text in ["tries != 0", "opens != time", "known(balance)", "known(caller.tags)", "not (queue.support.expected < 60)"] {
        assert_eq!(value(text), Some(Value::Truth(true)), "{text}");
    }
    let nothing = Answers(BTreeMap::new());
    assert!(!read("vip").holds(&nothing) && !read("'gold' in caller.tags").holds(&nothing));
    assert!(!read("known(vip)").holds(&nothing) && read("known(vip)").holds(&evening()));
}

#[test]
fn a_value_of_another_kind_than_was_said_is_missing() {
    let world = Answers(BTreeMap::from([
        (variable("balance"), Value::Text("12".to_owned())),
        (variable("digits"), Value::Integer(12)),
        (variable("vip"), Value::Text("true".to_owned())),
        (Name::CallerTags, Value::Text("gold".to_owned())),
    ]));
    assert_eq!(read("balance + 1").evaluate(&world), None);
    assert_eq!(read("digits").evaluate(&world), Some(Value::Text(String::new())));
    for text in ["vip", "known(balance)", "'gold' in caller.tags"] {
        assert!(!read(text).holds(&world), "{text}");
    }
}

#[test]
fn numbers_stop_at_the_ends_and_texts_at_their_bound() {
    assert_eq!(value("9223372036854775807 + 1"), Some(Value::Integer(i64::MAX)));
    assert_eq!(value("-9223372036854775808 - 1"), Some(Value::Integer(i64::MIN)));
    assert_eq!(value("-(-9223372036854775808)"), Some(Value::Integer(i64::MAX)));
    let world = Answers(BTreeMap::from([(variable("city"), Value::Text("ö".repeat(1_000)))]));
    assert_eq!(read("len(city)").evaluate(&world), Some(Value::Integer(256)));
    assert_eq!(read("city + city").evaluate(&world), Some(Value::Text("ö".repeat(LONGEST_TEXT))));
}

#[test]
fn a_fault_says_where_and_what_to_write() {
    for (text, told) in [
        ("", "a value is expected here, not the end (at character 1)"),
        ("1 +", "a value is expected here, not the end (at character 4)"),
        ("(1", ") is expected here, not the end (at character 3)"),
        ("1 2", "the end, or a word that joins is expected here, not `2` (at character 3)"),
        ("1.5", "the end, or a word that joins is expected here, not `.` (at character 2)"),
        ("balance = 1", "write `==` for `=` (at character 9)"),
        ("vip && vip", "write `and` for `&&` (at character 5)"),
        ("vip || vip", "write `or` for `||` (at character 5)"),
        ("!vip", "write `not` for `!` (at character 1)"),
        ("1 <> 2", "write `!=` for `<>` (at character 3)"),
        ("1 * 2", "`*` has no meaning here (at character 3)"),
        ("'abc", "the text has no closing ' (at character 1)"),
        ("'abc\\'", "the text has no closing ' (at character 1)"),
        ("12a", "`12a` is no number that fits into 64 bits (at character 1)"),
        ("9223372036854775808", "`9223372036854775808` is no number that fits into 64 bits (at character 1)"),
        ("-9223372036854775809", "`-9223372036854775809` is no number that fits into 64 bits (at character 2)"),
        ("digits > 5", "text cannot be compared with a number (at character 10)"),
        ("vip < true", "true or false cannot be greater or less (at character 1)"),
        ("caller.tags == 'a'", "tags cannot be compared with text (at character 16)"),
        ("caller.tags == caller.tags", "tags cannot be compared; write 'tag' in caller.tags (at character 1)"),
        ("1 < 2 < 3", "comparisons do not follow one another; put `and` between them (at character 7)"),
        ("time > '9:00'", "`9:00` is no time; write 'HH:MM', 00:00 to 23:59 (at character 8)"),
        ("time > '24:00'", "`24:00` is no time; write 'HH:MM', 00:00 to 23:59 (at character 8)"),
        ("time > '8\n'", "`8\\n` is no time; write 'HH:MM', 00:00 to 23:59 (at character 8)"),
        ("date > '2026-02-29'", "`2026-02-29` is no date; write 'YYYY-MM-DD' (at character 8)"),
        ("time + 1", "a time cannot be added (at character 1)"),
        ("1 + 'a'", "this is text, and must be a number (at character 5)"),
        ("'a' - 'b'", "this is text, and must be a number (at character 5)"),
        ("'a' + 'b' - 'c'", "this is text, and must be a number (at character 11)"),
        ("1 and true", "this is a number, and must be true or false (at character 1)"),
        ("not 1", "this is a number, and must be true or false (at character 5)"),
        ("-digits", "this is text, and must be a number (at character 2)"),
        ("'a' in digits", "[a, list] or caller.tags is expected here, not this (at character 8)"),
        ("1 in caller.tags", "this is a number, and must be text (at character 1)"),
        ("1 in []", "a value is expected here, not `]` (at character 7)"),
        ("1 in [1, 'a']", "this is text, and must be a number (at character 10)"),
        ("nobody == 1", "nothing stores `nobody` (at character 1)"),
        ("queue.sales.waiting", "there is no queue `sales` (at character 7)"),
        ("queue.support.length", "waiting, ready or expected is expected here, not `length` (at character 15)"),
        ("queue", ". is expected here, not the end (at character 6)"),
        ("caller.name", "number or tags is expected here, not `name` (at character 8)"),
        ("sqrt(2)", "`sqrt` is no function; there are starts, len, number and known (at character 1)"),
        ("known(1)", "a name is expected here, not `1` (at character 7)"),
        ("len(1)", "this is a number, and must be text (at character 5)"),
        ("starts('a')", ", is expected here, not `)` (at character 11)"),
        ("a\u{0}", "`\\0` has no meaning here (at character 2)"),
        ("'ö' + ß", "`ß` has no meaning here (at character 7)"),
    ] {
        assert_eq!(refused(text), told, "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded_and_long_chains_are_not_deep() {
    let chain = vec!["vip"; 142].join(" or ");
    assert!(chain.chars().count() <= LONGEST, "{}", chain.len());
    assert!(read(&chain).holds(&evening()));
    assert!(refused(&format!("{chain}{}", " ".repeat(LONGEST))).contains("characters are too many"));
    let nested = |n: usize| format!("{}vip{}", "(".repeat(n), ")".repeat(n));
    assert!(read(&nested(DEEPEST)).holds(&evening()));
    assert!(refused(&nested(DEEPEST + 1)).contains("nested deeper"));
    assert!(refused(&"not ".repeat(200)).contains("nested deeper"));
    assert!(refused(&format!("{}balance", "-".repeat(500))).contains("nested deeper"));
    assert!(refused(&"len(".repeat(200)).contains("nested deeper"));
}

#[test]
fn names_are_told_so_that_what_is_secret_stays_so() {
    let expression = read("starts(digits, city) and balance in [1, tries] or known(vip) and time < opens");
    let names: Vec<String> = expression.names().into_iter().map(Name::to_string).collect();
    assert_eq!(names, ["digits", "city", "balance", "tries", "vip", "time", "opens"]);
    assert!(read("1 + 2 == 3").names().is_empty());
}

#[test]
fn reserved_words_are_no_variables() {
    struct Everything;
    impl Names for Everything {
        fn variable(&self, _: &str) -> Option<Kind> {
            Some(Kind::Integer)
        }
        fn has_queue(&self, _: &str) -> bool {
            true
        }
    }
    for word in RESERVED {
        let read = Expression::parse(word, &Everything);
        assert!(read.is_err() || !read.unwrap().names().contains(&&variable(word)), "{word}");
    }
}

/// A tree that the reader could have made, out of `choices`; those that are used up count as 0, which ends every branch.
struct Grower<'a> {
    choices: std::slice::Iter<'a, u16>,
}

impl Grower<'_> {
    fn choose(&mut self, of: u16) -> u16 {
        self.choices.next().map_or(0, |c| c % of)
    }

    fn several(&mut self, kind: Kind, depth: usize) -> Vec<Node> {
        (0..2 + self.choose(2)).map(|_| self.node(kind, depth)).collect()
    }

    fn boxed(&mut self, kind: Kind, depth: usize) -> Box<Node> {
        Box::new(self.node(kind, depth))
    }

    fn number(&mut self) -> i64 {
        match self.choose(4) {
            0 => i64::from(self.choose(100)),
            1 => -i64::from(self.choose(100)),
            2 => i64::MIN,
            _ => i64::MAX,
        }
    }

    fn words(&mut self) -> String {
        ["", "a", "it's", "\\", "\"'\\", "18:00", "2026-01-02", "ö 中\n"][usize::from(self.choose(8))].to_owned()
    }

    fn comparison(&mut self) -> Comparison {
        match self.choose(6) {
            0 => Comparison::Equal,
            1 => Comparison::Unequal,
            2 => Comparison::Less,
            3 => Comparison::LessOrEqual,
            4 => Comparison::Greater,
            _ => Comparison::GreaterOrEqual,
        }
    }

    /// A leaf of that kind whose name says its kind: beside it a text is read as a time or a date.
    fn name(&mut self, kind: Kind) -> Node {
        let one = self.choose(2) == 0;
        let name = match kind {
            Kind::Integer if one => variable("balance"),
            Kind::Integer => Name::Queue {
                name: ["support", "sales.de", "not"][usize::from(self.choose(3))].to_owned(),
                figure: Figure::ALL[usize::from(self.choose(3))],
            },
            Kind::Text if one => variable("digits"),
            Kind::Text => Name::CallerNumber,
            Kind::Truth => variable("vip"),
            Kind::Time if one => variable("opens"),
            Kind::Time => Name::Time,
            Kind::Date if one => variable("due"),
            Kind::Date => Name::Date,
            Kind::Texts => Name::CallerTags,
        };
        Node::Name(name, kind)
    }

    fn node(&mut self, kind: Kind, depth: usize) -> Node {
        let choice = if depth == 0 { self.choose(2) } else { self.choose(12) };
        let depth = depth.saturating_sub(1);
        match (kind, choice) {
            (Kind::Integer, 1) => Node::Integer(self.number()),
            (Kind::Integer, 2..=4) => {
                let first = self.boxed(Kind::Integer, depth);
                let more = self.several(Kind::Integer, depth).into_iter().map(|n| (self.choose(2) == 1, n)).collect();
                Node::Sum(first, more)
            }
            (Kind::Integer, 5..=7) => Node::Negative(self.boxed(Kind::Integer, depth)),
            (Kind::Integer, 8) => Node::Len(self.boxed(Kind::Text, depth)),
            (Kind::Integer, 9) => Node::Number(self.boxed(Kind::Text, depth)),
            (Kind::Text, 1) => Node::Text(self.words()),
            (Kind::Text, 2..=6) => Node::Joined(self.several(Kind::Text, depth)),
            (Kind::Truth, 1) => Node::Truth(self.choose(2) == 1),
            (Kind::Truth, 2 | 3) => Node::Or(self.several(Kind::Truth, depth)),
            (Kind::Truth, 4 | 5) => Node::And(self.several(Kind::Truth, depth)),
            (Kind::Truth, 6) => Node::Not(self.boxed(Kind::Truth, depth)),
            (Kind::Truth, 7) => {
                let (comparison, kind) = match self.choose(5) {
                    0 => (Comparison::Equal, Kind::Truth),
                    1 => (self.comparison(), Kind::Text),
                    2 => (self.comparison(), Kind::Time),
                    3 => (self.comparison(), Kind::Date),
                    _ => (self.comparison(), Kind::Integer),
                };
                let literal = self.choose(2) == 1;
                let right = match kind {
                    Kind::Time if literal => Node::Time(time(18, 5, 0, 0)),
                    Kind::Date if literal => Node::Date(date(2026, 1, 31)),
                    _ => self.node(kind, depth),
                };
                Node::Compare(comparison, self.boxed(kind, depth), Box::new(right))
            }
            (Kind::Truth, 8) => {
                let kind = [Kind::Integer, Kind::Text, Kind::Truth][usize::from(self.choose(3))];
                Node::OneOf(self.boxed(kind, depth), self.several(kind, depth))
            }
            (Kind::Truth, 9) => Node::Among(self.boxed(Kind::Text, depth), self.boxed(Kind::Texts, depth)),
            (Kind::Truth, 10) => Node::Starts(self.boxed(Kind::Text, depth), self.boxed(Kind::Text, depth)),
            (Kind::Truth, 11) => match self.name(Kind::Integer) {
                Node::Name(name, kind) => Node::Known(name, kind),
                other => other,
            },
            (kind, _) => self.name(kind),
        }
    }
}

fn tree() -> impl Strategy<Value = Expression> {
    let kind = prop_oneof![
        Just(Kind::Truth),
        Just(Kind::Integer),
        Just(Kind::Text),
        Just(Kind::Time),
        Just(Kind::Date),
        Just(Kind::Texts)
    ];
    (proptest::collection::vec(any::<u16>(), 0..80), kind, 0usize..5).prop_map(|(choices, kind, depth)| {
        let mut grower = Grower { choices: choices.iter() };
        Expression { node: grower.node(kind, depth), kind }
    })
}

/// Values of any kind for any name, also of kinds that nobody agreed to.
fn world() -> impl Strategy<Value = Answers> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        any::<String>().prop_map(Value::Text),
        any::<bool>().prop_map(Value::Truth),
        (0i8..24, 0i8..60).prop_map(|(h, m)| Value::Time(time(h, m, 30, 0))),
        (1i16..9999).prop_map(|y| Value::Date(date(y, 2, 28))),
        proptest::collection::vec("[a-c]?", 0..3).prop_map(Value::Texts),
    ];
    let name = prop_oneof![
        prop_oneof!["balance", "tries", "digits", "city", "vip", "opens", "due"].prop_map(Name::Variable),
        Just(Name::CallerNumber),
        Just(Name::CallerTags),
        Just(Name::Called),
        Just(Name::Trunk),
        Just(Name::Time),
        Just(Name::Date),
        Just(Name::Queue { name: "support".to_owned(), figure: Figure::Expected }),
    ];
    proptest::collection::btree_map(name, value, 0..12).prop_map(Answers)
}

/// Words of the language and of its neighbours, in any order.
fn word_salad() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(RESERVED).prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "balance",
                "digits",
                "city",
                "vip",
                "opens",
                "due",
                "support",
                ".",
                ",",
                "(",
                ")",
                "[",
                "]",
                "+",
                "-",
                "==",
                "!=",
                "<",
                "<=",
                ">",
                ">=",
                "=",
                "'",
                "\"",
                "\\",
                "'18:00'",
                "'2026-12-24'",
                "''",
                "0",
                "7",
                "18446744073709551615",
                "waiting",
                "expected",
                "number",
                "tags",
                "caller.tags",
                "queue.support.waiting",
                "&&",
                "ü",
                "\n",
                "\u{200b}",
                "🙂",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    (proptest::collection::vec(word, 0..40), any::<bool>()).prop_map(|(words, spaced)| words.join(if spaced { " " } else { "" }))
}

/// Whatever it is, it is refused with a place within the text or read, and what was read is printed and evaluated without end or panic.
fn survives(text: &str, world: &Answers) {
    match Expression::parse(text, &Shop) {
        Ok(read) => {
            let printed = read.to_string();
            if printed.chars().count() <= LONGEST {
                assert_eq!(Expression::parse(&printed, &Shop).as_ref(), Ok(&read), "{text} is printed as {printed}");
            }
            if let Some(value) = read.evaluate(world) {
                assert_eq!(value.kind(), read.kind(), "{text}");
            }
        }
        Err(e) => {
            assert!(e.at <= text.chars().count().min(LONGEST), "{text}: {e}");
            assert!(!e.to_string().contains(char::is_control), "{text}: {e}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Parsing is the inverse of printing.
    #[test]
    fn what_is_printed_reads_as_the_same(expression in tree()) {
        let printed = expression.to_string();
        prop_assume!(printed.chars().count() <= LONGEST);
        prop_assert_eq!(Expression::parse(&printed, &Shop), Ok(expression), "{}", printed);
    }

    #[test]
    fn evaluation_ends_in_every_world(expression in tree(), world in world()) {
        let value = expression.evaluate(&world);
        if let Some(value) = &value {
            prop_assert_eq!(value.kind(), expression.kind());
            if let Value::Text(text) = value {
                prop_assert!(text.chars().count() <= LONGEST_TEXT);
            }
        } else {
            prop_assert!(matches!(expression.kind(), Kind::Integer | Kind::Time | Kind::Date));
        }
        prop_assert_eq!(expression.holds(&world), value == Some(Value::Truth(true)));
    }

    #[test]
    fn arbitrary_text_is_refused_or_read(text in ".{0,60}", world in world()) {
        survives(&text, &world);
    }

    #[test]
    fn words_in_any_order_are_refused_or_read(text in word_salad(), world in world()) {
        survives(&text, &world);
    }

    #[test]
    fn mutated_expressions_are_refused_or_read(
        expression in tree(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<char>(), 0u8..4), 1..6),
        world in world(),
    ) {
        let mut chars: Vec<char> = expression.to_string().chars().collect();
        for (index, c, how) in edits {
            let at = index.index(chars.len().max(1)).min(chars.len());
            match how {
                0 => chars.insert(at, c),
                1 if at < chars.len() => { chars.remove(at); }
                2 => { let tail = chars.split_off(at); chars.extend_from_slice(&tail); chars.extend_from_slice(&tail); }
                _ => chars.truncate(at.max(1)),
            }
        }
        survives(&chars.into_iter().collect::<String>(), &world);
    }
}
