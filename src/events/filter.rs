//! Which events a reader wants: `types=call.*,queue.entered`, `conversation=ID`.

use crate::ids::ConversationId;
use crate::store::log::{Stored, TYPE_PREFIX};

/// Most patterns in one request; there are some 50 types.
const MOST_PATTERNS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// None: all.
    types: Vec<Pattern>,
    conversation: Option<ConversationId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    /// `call.*`: all that begins with `call.`
    Under(String),
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error("`{0}` is no type of event, such as call.ended, and no group of them, such as call.*")]
    Type(String),
    #[error("more than {MOST_PATTERNS} types are asked for")]
    TooMany,
    #[error("`{0}` is no conversation's id")]
    Conversation(String),
}

impl Filter {
    /// From the text of the query. Types may be written with `cordboard.` in front; a well-formed type that does not exist matches
    /// nothing, so that a program written for a later version still connects.
    pub fn parse(types: Option<&str>, conversation: Option<&str>) -> Result<Filter, BadFilter> {
        let mut patterns = Vec::new();
        for text in types.unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty()) {
            if patterns.len() == MOST_PATTERNS {
                return Err(BadFilter::TooMany);
            }
            patterns.push(Pattern::parse(text)?);
        }
        let conversation = match conversation.filter(|c| !c.is_empty()) {
            Some(text) => Some(text.parse().map_err(|_| BadFilter::Conversation(text.chars().take(64).collect()))?),
            None => None,
        };
        Ok(Filter { types: patterns, conversation })
    }

    /// `json` is the event as a CloudEvents object, in which its type is found.
    pub(super) fn passes(&self, stored: &Stored, json: &str) -> bool {
        if self.conversation.is_some() && self.conversation != stored.event.conversation {
            return false;
        }
        self.types.is_empty() || type_of(json).is_some_and(|name| self.types.iter().any(|p| p.matches(name)))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, BadFilter> {
        let bare = text.strip_prefix(TYPE_PREFIX).unwrap_or(text);
        let name = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        let bad = || BadFilter::Type(text.chars().take(64).collect());
        match bare.strip_suffix('*') {
            Some(under) if under.is_empty() || (under.ends_with('.') && name(under)) => Ok(Pattern::Under(under.to_owned())),
            Some(_) => Err(bad()),
            None if !bare.is_empty() && name(bare) => Ok(Pattern::Exact(bare.to_owned())),
            None => Err(bad()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(exact) => name == exact,
            Pattern::Under(under) => name.starts_with(under.as_str()),
        }
    }
}

/// The event's type without its prefix, out of the line that is sent anyway. The marker cannot stand inside a JSON string: there its
/// quotes would be escaped.
fn type_of(json: &str) -> Option<&str> {
    const MARKER: &str = "\"type\":\"cordboard.";
    let rest = json.get(json.find(MARKER)? + MARKER.len()..)?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_in_its_line_and_not_in_what_people_wrote() {
        let json =
            r#"{"source":"/x\"type\":\"cordboard.no","type":"cordboard.call.ended","data":{"a":"\"type\":\"cordboard.b"}}"#;
        assert_eq!(type_of(json), Some("call.ended"));
        assert_eq!(type_of("{}"), None);
    }

    #[test]
    fn groups_and_names_match_with_and_without_the_prefix() {
        let matches = |types: &str, name: &str| Pattern::parse(types).unwrap().matches(name);
        assert!(matches("call.*", "call.ended") && !matches("call.*", "queue.entered"));
        assert!(matches("*", "log.lost") && matches("cordboard.call.ended", "call.ended"));
        assert!(!matches("call.end", "call.ended"));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for bad in ["call*", "Call.ended", "call.*.x", "a b", "<script>", "**"] {
            assert!(matches!(Filter::parse(Some(bad), None), Err(BadFilter::Type(_))), "{bad}");
        }
        assert_eq!(Filter::parse(Some(&"call.ended,".repeat(65)), None), Err(BadFilter::TooMany));
        assert!(matches!(Filter::parse(None, Some("x")), Err(BadFilter::Conversation(_))));
        assert_eq!(Filter::parse(Some(" , "), Some("")), Ok(Filter::default()));
    }
}
