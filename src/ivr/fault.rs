//! What can be wrong with a menu.

use super::expression::{BadExpression, Kind, RESERVED};
use crate::config::fault::There;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("this menu is called `{name}`, but its file `{file}`; give both the same name")]
    OtherName { name: String, file: String },
    #[error("there is no node; write [node.{0}]")]
    NoNodes(String),
    #[error("{nodes} nodes are too many for one menu (at most {most}); lead some of its exits to a menu of their own")]
    TooManyNodes { nodes: usize, most: usize },
    #[error("node `{0}` has no kind; write kind = \"play\", menu, collect, hours, language, go, callback, voicemail or hangup")]
    NoKind(String),
    #[error(
        "`{0}` is no kind of node: write play, menu, collect, hours, language, go, if, set, say, lookup, callback, voicemail or hangup"
    )]
    UnknownKind(String),
    #[error("`{0}` is no name for a node: write letters, digits, and . _ - between them")]
    NodeName(String),
    #[error("node `{node}`: {what}")]
    InNode { node: String, what: Box<Fault> },
    #[error("there is no {what} `{name}`{there}")]
    Dangling { what: &'static str, name: String, there: There },
    #[error("`{0}` cannot be dialled: it is no number inside, and no outbound rule takes it")]
    NotDialled(String),
    #[error("nothing stores `{{{0}}}` before a caller gets here; a collect node stores digits, and what its `store` names")]
    NothingStored(String),
    #[error("prompt `{prompt}` is missing in `{language}`: put it at prompts/{language}/{prompt}.wav")]
    NoPrompt { prompt: String, language: String },
    #[error("nobody gets to this node; lead an exit to it or take it out")]
    Unreachable,
    #[error("callers would go round without being asked: {0}; put a menu or a collect node into the circle, or lead it out")]
    Loop(String),
    #[error("there are no prompts in `{0}`; put them into prompts/{0}/")]
    NoLanguage(String),
    #[error("{key} is {given}; it must be from {least} to {most}")]
    Range { key: &'static str, given: u64, least: u64, most: u64 },
    #[error("{0} must be longer than nothing and at most 10m")]
    Wait(&'static str),
    #[error("digits leads nowhere; name at least one key and its place")]
    NoDigits,
    #[error("`{0}` is no key: write one of 0-9, *, # or A-D")]
    NotAKey(String),
    #[error("min is {min}, but max is {max}")]
    MinMax { min: usize, max: usize },
    #[error("`{0}` can never be keyed: it must be of min to max digits")]
    NeverKeyed(String),
    #[error("`{0}` is no name to store under: write at most 32 letters, digits or _")]
    StoreName(String),
    #[error("`{0}` cannot end digits: write *, #, A-D, or \"\" for none")]
    NotATerminator(String),
    #[error("digits lead nowhere: give goto, exact or both")]
    LeadsNowhere,
    #[error("{0}")]
    Expression(BadExpression),
    #[error(
        "`{0}` is a secret, for it is keyed at a masked node: it can go into a lookup or a number, but not be asked for or said"
    )]
    Secret(String),
    #[error("callers have no tags here")]
    NoTags,
    #[error("`{name}` is {here} here and {elsewhere} elsewhere; callers take it along, so give one of them another name")]
    TwoKinds { name: String, here: Kind, elsewhere: Kind },
    #[error("`{0}` is stored as different things by the menus before this one; give one of them another name")]
    Torn(String),
    #[error("`{0}` is no name for a value: write at most 32 letters, digits or _, not a digit first, and none of {words}", words = RESERVED.join(", "))]
    VariableName(String),
    #[error("a condition is true or false, and this is {0}")]
    NoCondition(Kind),
    #[error("{given} values; write 1 to {most}")]
    Values { given: usize, most: usize },
    #[error("this is {found}; what is said so must be {wanted}")]
    NotSaid { wanted: Kind, found: Kind },
    #[error("money needs its currency: EUR, USD, GBP, UAH, SEK or CNY")]
    NoCurrency,
    #[error("`{0}` is no currency that has a name here: write EUR, USD, GBP, UAH, SEK or CNY")]
    UnknownCurrency(String),
    #[error("nobody knows here how values are said in `{0}`; lead its callers another way")]
    CannotSay(String),
    #[error(
        "{clips} of the clips that values are said with are missing in `{language}`, the first of them prompts/{language}/{first}.wav"
    )]
    NoClips { language: String, first: String, clips: usize },
    #[error(
        "`{0}` is no address to look up: write http:// or https://, a host without a password, and values in braces only behind it"
    )]
    Url(String),
    #[error("an expression in braces has no closing brace; write {{{{ for a brace itself")]
    Unclosed,
    #[error("a GET has no body; write method = \"POST\" or \"PUT\"")]
    BodyOfGet,
    #[error("header `{0}` cannot be sent: its name is a word, its value printable ASCII")]
    Header(String),
    #[error("timeout must be at most 10s: the caller waits")]
    LookupTimeout,
    #[error("`{0}` is no JSON pointer; write \"/account/balance\"")]
    Pointer(String),
    #[error("`{0}` is no day: write mon, tue, wed, thu, fri, sat, sun or two of them as mon-fri")]
    NotADay(String),
    #[error("`{0}` is given twice; write its hours as a list")]
    DayTwice(&'static str),
}
