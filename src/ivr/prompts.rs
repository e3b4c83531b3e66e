//! What a node says: one prompt or several, in the caller's language or in one of its own.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::config::units::is_name;

/// One after another. As given: `"welcome"`, `["sorry", "welcome"]`, and `"de/welcome"` for a prompt that is German whatever the caller
/// chose (as in the question for the language itself).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompts(pub(super) Vec<Prompt>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Spoken(String),
    Pinned { language: String, prompt: String },
}

/// More in a row than anybody listens to.
const MOST_PROMPTS: usize = 16;

impl Prompt {
    /// The name of its clip, for a caller of that language.
    pub(super) fn clip(&self, language: &str) -> String {
        match self {
            Prompt::Spoken(prompt) => format!("{language}/{prompt}"),
            Prompt::Pinned { language, prompt } => format!("{language}/{prompt}"),
        }
    }
}

impl Prompts {
    pub(super) fn clips<'a>(&'a self, language: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |p| p.clip(language))
    }
}

#[derive(Debug, thiserror::Error)]
enum BadPrompt {
    #[error("`{0}` is no prompt: write its name without .wav, or language/name")]
    Name(String),
    #[error("there must be 1 to {MOST_PROMPTS} prompts")]
    Number,
}

fn prompt(text: &str) -> Result<Prompt, BadPrompt> {
    let bad = || BadPrompt::Name(text.to_owned());
    match text.split_once('/') {
        Some((language, prompt)) if is_name(language) && is_name(prompt) => {
            Ok(Prompt::Pinned { language: language.to_owned(), prompt: prompt.to_owned() })
        }
        None if is_name(text) => Ok(Prompt::Spoken(text.to_owned())),
        Some(_) | None => Err(bad()),
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Prompts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prompt or a list of prompts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Prompts, E> {
        prompt(text).map(|p| Prompts(vec![p])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Prompts, A::Error> {
        let mut prompts = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            prompts.push(prompt(&text).map_err(de::Error::custom)?);
            if prompts.len() > MOST_PROMPTS {
                return Err(de::Error::custom(BadPrompt::Number));
            }
        }
        if prompts.is_empty() { Err(de::Error::custom(BadPrompt::Number)) } else { Ok(Prompts(prompts)) }
    }
}
