//! Which events a reader wants: `types=call.*,queue.entered`, `conversation=ID`.

use crate::config::{EventPattern, NoType};
use crate::ids::ConversationId;
use crate::store::log::{Stored, type_of};

/// Most patterns in one request; there are some 50 types.
const MOST_PATTERNS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// None: all.
    types: Vec<EventPattern>,
    conversation: Option<ConversationId>,
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error(transparent)]
    Type(#[from] NoType),
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
            patterns.push(text.parse()?);
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

#[cfg(test)]
mod tests {
    use super::*;

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
