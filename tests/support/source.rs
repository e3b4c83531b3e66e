//! Reads Rust source just well enough to say which paths it names: comments, strings and character literals are skipped, use trees
//! and `super` chains are expanded. It knows no macros and no scopes beyond `mod name { … }`, and needs none.

/// A path as written in the source, expanded: `use crate::{sip::Uri, sdp}` gives `crate::sip::Uri` and `crate::sdp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    pub line: usize,
    /// `super` chains that reach the crate's root start with `crate` here.
    pub segments: Vec<String>,
    /// In an item under `#[cfg(test)]`.
    pub in_test: bool,
    /// In a `use` declaration.
    pub in_use: bool,
}

impl NamedPath {
    pub fn text(&self) -> String {
        self.segments.join("::")
    }

    pub fn starts_with(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        prefix.split("::").all(|want| own.next().is_some_and(|s| s == want))
    }
}

/// What one file says.
pub struct Source {
    pub paths: Vec<NamedPath>,
    /// Lines of `static` items whose type can change after start, and of `thread_local!`.
    pub changing_statics: Vec<usize>,
    /// Names of modules declared `#[cfg(test)] mod name;`: their files are test code.
    pub test_modules: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Mark(char),
    /// `::`
    Colons,
}

/// Reads a file whose module lies `depth` below the crate's root (`src/sip/uri.rs`: 2).
pub fn read(text: &str, depth: usize) -> Source {
    let tokens = tokens(text);
    let test = test_ranges(&tokens);
    let mut source = Source { paths: Vec::new(), changing_statics: Vec::new(), test_modules: Vec::new() };
    let mut modules: Vec<usize> = Vec::new(); // brace depth at which each inline module ends
    let mut braces = 0usize;
    let mut use_ends_at = None;
    let mut i = 0;
    while i < tokens.len() {
        let in_test = test.iter().any(|(from, to)| (*from..*to).contains(&i));
        match &tokens[i].0 {
            Token::Mark('{') => braces += 1,
            Token::Mark('}') => {
                braces = braces.saturating_sub(1);
                if modules.last() == Some(&braces) {
                    modules.pop();
                }
            }
            Token::Word(word) if word == "mod" => match (word_at(&tokens, i + 1), mark_at(&tokens, i + 2)) {
                (Some(_), Some('{')) => {
                    modules.push(braces);
                    braces += 1;
                    i += 3;
                    continue;
                }
                (Some(name), Some(';')) if in_test => source.test_modules.push(name.to_owned()),
                _ => {}
            },
            Token::Word(word) if word == "use" => {
                use_ends_at = (i..tokens.len()).find(|at| mark_at(&tokens, *at) == Some(';'));
                if let (Some(_), Some(';')) = (word_at(&tokens, i + 1), mark_at(&tokens, i + 2)) {
                    let at = &tokens[i + 1];
                    push(&mut source.paths, at.1, vec![word_at(&tokens, i + 1).unwrap_or_default().to_owned()], in_test, true);
                }
            }
            Token::Word(word) if word == "static" && !in_test => {
                let item = tokens[i..].iter().take_while(|(t, _)| *t != Token::Mark(';') && *t != Token::Mark('='));
                let is_item = word_at(&tokens, i + 1) == Some("mut") || mark_at(&tokens, i + 2) == Some(':'); // not a `'static`
                let changing = |w: &str| {
                    w.starts_with("Atomic") || matches!(w, "mut" | "Mutex" | "RwLock" | "Cell" | "RefCell" | "UnsafeCell")
                };
                if is_item && item.into_iter().any(|(t, _)| matches!(t, Token::Word(w) if changing(w))) {
                    source.changing_statics.push(tokens[i].1);
                }
            }
            Token::Word(word) if word == "thread_local" && !in_test => source.changing_statics.push(tokens[i].1),
            _ => {}
        }
        let starts_path = matches!(&tokens[i].0, Token::Word(_) | Token::Mark('{'))
            && tokens.get(i + 1).is_some_and(|(t, _)| *t == Token::Colons)
            && i.checked_sub(1).is_none_or(|before| tokens[before].0 != Token::Colons);
        let in_use = use_ends_at.is_some_and(|end| i < end);
        let grouped_use = i > 0 && word_at(&tokens, i - 1) == Some("use") && mark_at(&tokens, i) == Some('{');
        if (starts_path && word_at(&tokens, i).is_some()) || grouped_use {
            let mut found = Vec::new();
            i = expand(&tokens, i, &mut Vec::new(), &mut found);
            for (line, segments) in found {
                let segments = from_root(segments, depth + modules.len());
                push(&mut source.paths, line, segments, in_test, in_use);
            }
            continue;
        }
        i += 1;
    }
    source
}

fn push(paths: &mut Vec<NamedPath>, line: usize, segments: Vec<String>, in_test: bool, in_use: bool) {
    paths.push(NamedPath { line, segments, in_test, in_use });
}

/// `super::super::x` from two modules below the root is `crate::x`; a shorter chain stays what it is.
fn from_root(segments: Vec<String>, depth: usize) -> Vec<String> {
    let skip_self = usize::from(segments.first().is_some_and(|s| s == "self"));
    let supers = segments[skip_self..].iter().take_while(|s| *s == "super").count();
    if supers > 0 && supers >= depth {
        std::iter::once("crate".to_owned()).chain(segments.into_iter().skip(skip_self + supers)).collect()
    } else {
        segments
    }
}

/// Follows one path or use tree from token `i`; gives the index after it.
fn expand(tokens: &[(Token, usize)], mut i: usize, prefix: &mut Vec<String>, found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let kept = prefix.len();
    let mut line = tokens.get(i).map_or(0, |t| t.1);
    loop {
        match tokens.get(i).map(|t| &t.0) {
            Some(Token::Word(word)) => {
                line = tokens[i].1;
                prefix.push(word.clone());
                i += 1;
            }
            Some(Token::Mark('*')) if prefix.len() > kept => {
                prefix.push("*".to_owned());
                i += 1;
            }
            Some(Token::Mark('{')) => {
                i += 1;
                while i < tokens.len() && mark_at(tokens, i) != Some('}') {
                    let before = i;
                    i = expand(tokens, i, prefix, found);
                    while mark_at(tokens, i) == Some(',') || word_at(tokens, i) == Some("as") {
                        i += if mark_at(tokens, i) == Some(',') { 1 } else { 2 };
                    }
                    if i == before {
                        i += 1; // not a use tree after all; stay bounded
                    }
                }
                prefix.truncate(kept);
                return i + 1;
            }
            _ => break,
        }
        match tokens.get(i).map(|t| &t.0) {
            Some(Token::Colons) if !matches!(tokens.get(i + 1).map(|t| &t.0), Some(Token::Mark('<'))) => i += 1,
            _ => break,
        }
    }
    if prefix.len() > kept {
        found.push((line, prefix.clone()));
    }
    prefix.truncate(kept);
    i
}

/// Token ranges of the items that stand under `#[cfg(test)]` (or `#[cfg(all(test, …))]`).
fn test_ranges(tokens: &[(Token, usize)]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let cfg = mark_at(tokens, i) == Some('#') && mark_at(tokens, i + 1) == Some('[') && word_at(tokens, i + 2) == Some("cfg");
        if !cfg {
            i += 1;
            continue;
        }
        let end = closing(tokens, i + 1, '[', ']');
        let names_test = (i..end).any(|at| word_at(tokens, at) == Some("test"));
        let negated = (i..end).any(|at| word_at(tokens, at) == Some("not"));
        if !names_test || negated {
            i = end;
            continue;
        }
        let mut at = end;
        while at < tokens.len() && !matches!(mark_at(tokens, at), Some(';' | '{')) {
            at = if mark_at(tokens, at) == Some('[') { closing(tokens, at, '[', ']') } else { at + 1 };
        }
        // `use a::{b, c};` has its braces before the semicolon, a function or module ends with them.
        let is_use = (end..at).any(|k| word_at(tokens, k) == Some("use"));
        let mut stop = if mark_at(tokens, at) == Some('{') { closing(tokens, at, '{', '}') } else { at + 1 };
        if is_use && mark_at(tokens, stop) == Some(';') {
            stop += 1;
        }
        ranges.push((i, stop));
        i = stop;
    }
    ranges
}

/// The index after the bracket that closes the one at `open_at`.
fn closing(tokens: &[(Token, usize)], open_at: usize, open: char, close: char) -> usize {
    let mut depth = 0usize;
    for at in open_at..tokens.len() {
        match mark_at(tokens, at) {
            Some(c) if c == open => depth += 1,
            Some(c) if c == close => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

fn word_at(tokens: &[(Token, usize)], i: usize) -> Option<&str> {
    match tokens.get(i) {
        Some((Token::Word(word), _)) => Some(word),
        _ => None,
    }
}

fn mark_at(tokens: &[(Token, usize)], i: usize) -> Option<char> {
    match tokens.get(i) {
        Some((Token::Mark(c), _)) => Some(*c),
        _ => None,
    }
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < bytes.len() {
        let c = bytes[i];
        let next = bytes.get(i + 1).copied().unwrap_or('\0');
        match c {
            '\n' => {
                line += 1;
                i += 1;
            }
            '/' if next == '/' => i = (i..bytes.len()).find(|k| bytes[*k] == '\n').unwrap_or(bytes.len()),
            '/' if next == '*' => {
                let mut depth = 0;
                while i < bytes.len() {
                    match (bytes[i], bytes.get(i + 1)) {
                        ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
                        ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
                        (c, _) => (line, i) = (line + usize::from(c == '\n'), i + 1),
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => i = quoted(&bytes, i + 1, &mut line),
            '\'' => {
                let is_char = next == '\\' || bytes.get(i + 2) == Some(&'\'');
                if is_char {
                    i += if next == '\\' { 3 } else { 2 };
                    while i < bytes.len() && bytes[i] != '\'' {
                        i += 1;
                    }
                }
                i += 1; // a lifetime loses its tick and stays a word, which is harmless
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = (i..bytes.len()).find(|k| !bytes[*k].is_alphanumeric() && bytes[*k] != '_').unwrap_or(bytes.len());
                let word: String = bytes[i..end].iter().collect();
                i = end;
                let hashes = bytes[i..].iter().take_while(|c| **c == '#').count();
                let opens = bytes.get(i + hashes) == Some(&'"');
                match word.as_str() {
                    "r" | "br" | "cr" if opens => i = raw(&bytes, i + hashes + 1, hashes, &mut line),
                    "b" | "c" if hashes == 0 && opens => i = quoted(&bytes, i + 1, &mut line),
                    "r" if hashes == 1 => i += 1, // r#type
                    _ => out.push((Token::Word(word), line)),
                }
            }
            ':' if next == ':' => {
                out.push((Token::Colons, line));
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    out.push((Token::Mark(c), line));
                }
                i += 1;
            }
        }
    }
    out
}

/// The index after a string whose first character is at `i`.
fn quoted(bytes: &[char], mut i: usize, line: &mut usize) -> usize {
    while i < bytes.len() && bytes[i] != '"' {
        *line += usize::from(bytes[i] == '\n');
        if bytes[i] == '\\' {
            i += 1;
            *line += usize::from(bytes.get(i) == Some(&'\n'));
        }
        i += 1;
    }
    i + 1
}

fn raw(bytes: &[char], mut i: usize, hashes: usize, line: &mut usize) -> usize {
    while i < bytes.len() {
        if bytes[i] == '"' && bytes[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes {
            return i + 1 + hashes;
        }
        *line += usize::from(bytes[i] == '\n');
        i += 1;
    }
    i
}
