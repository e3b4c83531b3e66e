//! Who may name whom: the layers of `src/lib.rs` as a table that fails the build when somebody reaches up or sideways.
//!
//! The source is read, not compiled, so a path in a macro or under a feature counts like any other. Code under `#[cfg(test)]` keeps to
//! the table too, but may use files, threads, `HashMap` and `hound`.

#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file that is allowed in `src`; beyond it, split along roles or states.
const LINES: usize = 800;

struct Module {
    name: &'static str,
    layer: u8,
    may_name: &'static [&'static str],
}

/// The exact table. A module may always name itself, and from layer 1 up everything in layer 0.
const TABLE: &[Module] = &[
    Module { name: "clock", layer: 0, may_name: &[] },
    Module { name: "ids", layer: 0, may_name: &["clock"] },
    Module { name: "chance", layer: 0, may_name: &["clock", "ids"] },
    Module { name: "config", layer: 0, may_name: &["clock", "ids"] },
    Module { name: "sip", layer: 1, may_name: &[] },
    Module { name: "rtp", layer: 1, may_name: &[] },
    Module { name: "codec", layer: 1, may_name: &["rtp"] },
    Module { name: "sdp", layer: 1, may_name: &["rtp", "codec"] },
    Module { name: "transaction", layer: 2, may_name: &["sip"] },
    Module { name: "dialog", layer: 2, may_name: &["sip", "sdp", "transaction"] },
    Module { name: "registrar", layer: 2, may_name: &["sip"] },
    Module { name: "media", layer: 2, may_name: &["rtp", "codec", "sdp"] },
    Module { name: "route", layer: 3, may_name: &[] },
    Module { name: "ivr", layer: 3, may_name: &["route"] },
    Module { name: "event", layer: 3, may_name: &["media", "route"] },
    Module { name: "report", layer: 3, may_name: &["route", "event"] },
    Module { name: "acd", layer: 3, may_name: &["route", "report", "event"] },
    Module { name: "voicemail", layer: 3, may_name: &[] },
    Module { name: "staffing", layer: 3, may_name: &[] },
    Module { name: "quality", layer: 3, may_name: &["route", "media", "event"] },
    Module {
        name: "conversation",
        layer: 3,
        may_name: &["sip", "sdp", "rtp", "codec", "dialog", "media", "route", "event", "ivr", "acd", "voicemail"],
    },
    Module {
        name: "switch",
        layer: 4,
        may_name: &[
            "sip",
            "sdp",
            "rtp",
            "codec",
            "transaction",
            "dialog",
            "registrar",
            "media",
            "route",
            "event",
            "ivr",
            "acd",
            "voicemail",
            "conversation",
            "report",
        ],
    },
    Module { name: "store", layer: 5, may_name: CORE },
    Module { name: "http_client", layer: 5, may_name: &[] },
    Module { name: "simulation", layer: 5, may_name: CORE },
    Module { name: "transport", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "media_engine", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "recorder", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "events", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "mail", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "lookup", layer: 6, may_name: &["ivr", "switch", "http_client"] },
    Module { name: "webhook", layer: 6, may_name: &["event", "store", "http_client"] },
    Module { name: "api", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "console", layer: 6, may_name: CORE_AND_STORE },
    Module { name: "server", layer: 7, may_name: EVERYTHING },
    Module { name: "main", layer: 7, may_name: EVERYTHING },
    // Declares the modules and re-exports none of their names.
    Module { name: "lib", layer: 7, may_name: &[] },
];

const CORE: &[&str] = &[
    "sip",
    "sdp",
    "rtp",
    "codec",
    "transaction",
    "dialog",
    "registrar",
    "media",
    "route",
    "event",
    "ivr",
    "acd",
    "voicemail",
    "conversation",
    "staffing",
    "quality",
    "report",
    "switch",
];
const CORE_AND_STORE: &[&str] = &[
    "sip",
    "sdp",
    "rtp",
    "codec",
    "transaction",
    "dialog",
    "registrar",
    "media",
    "route",
    "event",
    "ivr",
    "acd",
    "voicemail",
    "conversation",
    "staffing",
    "quality",
    "report",
    "switch",
    "store",
];
const EVERYTHING: &[&str] = &[
    "sip",
    "sdp",
    "rtp",
    "codec",
    "transaction",
    "dialog",
    "registrar",
    "media",
    "route",
    "event",
    "ivr",
    "acd",
    "voicemail",
    "conversation",
    "staffing",
    "quality",
    "report",
    "switch",
    "store",
    "transport",
    "media_engine",
    "recorder",
    "events",
    "mail",
    "http_client",
    "webhook",
    "simulation",
    "lookup",
    "api",
    "console",
    "server",
];

/// A crate that only these modules may name, and why. `in_tests`: code under `#[cfg(test)]` may name it anywhere.
struct OnlyIn {
    package: &'static str,
    modules: &'static [&'static str],
    in_tests: bool,
    why: &'static str,
}

const ONLY_IN: &[OnlyIn] = &[
    OnlyIn { package: "rsip", modules: &["sip"], in_tests: false, why: "it misreads what peers send; sip checks first" },
    OnlyIn { package: "opus", modules: &["codec"], in_tests: false, why: "a codec is chosen by its row" },
    OnlyIn { package: "rubato", modules: &["codec"], in_tests: false, why: "codec::Resampler gives whole frames" },
    OnlyIn { package: "sled", modules: &["store"], in_tests: false, why: "the store is behind traits" },
    OnlyIn {
        package: "ureq",
        modules: &["http_client", "recorder"],
        in_tests: false,
        why: "requests have bounds and threads there",
    },
    OnlyIn { package: "lettre", modules: &["mail"], in_tests: false, why: "what is mailed is the log's to say" },
    OnlyIn { package: "hound", modules: &["recorder", "media_engine", "mail"], in_tests: true, why: "files are the drivers'" },
    OnlyIn { package: "webrtc", modules: &["media_engine"], in_tests: true, why: "a browser leg is one more leg" },
    OnlyIn { package: "rtc", modules: &["media_engine"], in_tests: true, why: "a browser leg is one more leg" },
    OnlyIn { package: "hickory_resolver", modules: &["transport"], in_tests: true, why: "names are resolved by Output::Resolve" },
    OnlyIn { package: "anyhow", modules: &["main"], in_tests: false, why: "each module has its own error enum" },
    OnlyIn { package: "quinn_udp", modules: &["transport"], in_tests: false, why: "datagrams of SIP are transport's" },
];

/// What layers 1 to 4 never name: they are handed values, and give values back.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "no tasks in the core"),
    ("axum", "HTTP is the api's"),
    ("ureq", "HTTP is a driver's"),
    ("socket2", "no sockets in the core"),
    ("libc", "no system calls in the core"),
    ("std::net::UdpSocket", "no sockets in the core"),
    ("std::net::TcpStream", "no sockets in the core"),
    ("std::net::TcpListener", "no sockets in the core"),
    ("std::net::ToSocketAddrs", "names are resolved by Output::Resolve"),
    ("std::net::*", "name what you need of it; sockets are banned"),
    ("std::os", "no system calls in the core"),
    ("std::fs", "no files in the core"),
    ("std::env", "configuration is a value"),
    ("std::process", "the driver decides about the process"),
    ("std::thread", "no threads in the core"),
    ("std::sync::mpsc", "no channels in the core"),
    ("std::sync::Mutex", "one owner of all state"),
    ("std::sync::RwLock", "one owner of all state"),
    ("std::sync::atomic", "one owner of all state"),
    ("std::time::Instant", "time enters as an argument"),
    ("std::time::SystemTime", "time enters as an argument"),
    ("Instant", "time enters as an argument"),
    ("SystemTime", "time enters as an argument"),
    ("crate::clock::System", "time enters as an argument"),
];

#[test]
fn every_module_names_only_what_stands_below_it() {
    let found: Vec<String> = files().iter().flat_map(layering).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_core_knows_no_socket_thread_file_or_clock() {
    let found: Vec<String> = files().iter().flat_map(purity).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn each_borrowed_crate_stays_where_it_is_fenced_in() {
    let found: Vec<String> = files().iter().flat_map(fences).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn no_file_is_longer_than_one_can_read() {
    let long: Vec<String> = files()
        .iter()
        .map(|file| (&file.path, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{}: {lines} lines, at most {LINES}; split along roles or states", path.display()))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn the_table_itself_goes_down_only() {
    let layers: BTreeMap<_, _> = TABLE.iter().map(|m| (m.name, m.layer)).collect();
    for module in TABLE {
        for named in module.may_name {
            let below = layers[named];
            let sideways = below == module.layer && module.layer != 6;
            assert!(below < module.layer || sideways, "{} (layer {}) lists {named} (layer {below})", module.name, module.layer);
            let back = TABLE.iter().find(|m| m.name == *named).is_some_and(|m| m.may_name.contains(&module.name));
            assert!(!back || module.layer == 7, "{} and {named} may name each other", module.name);
        }
    }
}

/// One source file and the module (first segment below the root) that it belongs to.
struct File {
    path: PathBuf,
    module: String,
    text: String,
    source: source::Source,
    /// The whole file is test code.
    is_test: bool,
}

impl File {
    fn new(path: &Path, text: String, is_test: bool) -> File {
        let parts: Vec<String> = path.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
        let depth = match parts.last().map(String::as_str) {
            Some("mod") => parts.len() - 1,
            Some("lib" | "main") if parts.len() == 1 => 0,
            _ => parts.len(),
        };
        let source = source::read(&text, depth);
        File { path: Path::new("src").join(path), module: parts[0].clone(), source, text, is_test }
    }

    fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number - 1).unwrap_or_default().trim()
    }

    fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}\n    {}", self.path.display(), self.line(line))
    }
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let mut files: Vec<File> = paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            File::new(path.strip_prefix(&root).unwrap_or(path), text, false)
        })
        .collect();
    let of_tests: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let folder = match file.path.file_stem().and_then(|s| s.to_str()) {
                Some("mod" | "lib" | "main") => file.path.parent().unwrap_or(Path::new("src")).to_path_buf(),
                _ => file.path.with_extension(""),
            };
            file.source.test_modules.iter().map(move |name| folder.join(name)).collect::<Vec<_>>()
        })
        .collect();
    for file in &mut files {
        file.is_test = of_tests.iter().any(|t| file.path.with_extension("") == *t || file.path.starts_with(t));
    }
    files
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn module(name: &str) -> Option<&'static Module> {
    TABLE.iter().find(|m| m.name == name)
}

fn layering(file: &File) -> Vec<String> {
    let Some(own) = module(&file.module) else {
        return vec![format!(
            "{}: module `{}` is in no layer; give it a row in tests/layers.rs",
            file.path.display(),
            file.module
        )];
    };
    let mut found = Vec::new();
    for path in &file.source.paths {
        let root = path.segments[0].as_str();
        if root != "crate" && root != "cordboard" {
            continue;
        }
        let Some(named) = path.segments.get(1) else { continue };
        let is_value = own.layer > 0 && module(named).is_some_and(|m| m.layer == 0);
        if named == own.name || is_value || own.may_name.contains(&named.as_str()) {
            continue;
        }
        if matches!(own.name, "lib" | "main") && root == "crate" {
            continue; // their own root: the modules that they declare
        }
        let why = match module(named) {
            Some(other) if other.layer > own.layer => {
                format!("layer {} may not name layer {}, which stands above it", own.layer, other.layer)
            }
            Some(other) if other.layer == own.layer && own.layer == 6 => {
                "drivers do not name each other; server.rs joins them, and types that they share live lower".to_owned()
            }
            Some(_) if own.layer > 0 => format!("{} may name only {} and layer 0", own.name, list(own.may_name)),
            Some(_) => format!("{} may name only {}", own.name, list(own.may_name)),
            None if file.line(path.line).contains(&format!("{named}!")) => continue,
            None => "the crate's root has modules only; name the module".to_owned(),
        };
        found.push(file.complaint(path.line, &format!("{} names {}: {why}", own.name, path.text())));
    }
    found
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "itself".to_owned() } else { names.join(", ") }
}

fn purity(file: &File) -> Vec<String> {
    let layer = module(&file.module).map_or(0, |m| m.layer);
    if !(1..=4).contains(&layer) || file.is_test {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in file.source.paths.iter().filter(|p| !p.in_test) {
        if let Some((what, why)) = IMPURE.iter().find(|(what, _)| path.starts_with(what)) {
            found.push(file.complaint(path.line, &format!("{} names {what}: {why}", file.module)));
        }
        for hashed in ["HashMap", "HashSet"] {
            let names = path.segments.iter().any(|s| s == hashed) && path.segments.last().is_some_and(|s| s != hashed);
            if layer >= 2 && names && !path.in_use && !lookup_only(file, path.line) {
                found.push(file.complaint(path.line, &hash_reason(&file.module, hashed)));
            }
        }
    }
    if layer >= 2 {
        found.extend(hashed_types(file));
    }
    for line in &file.source.changing_statics {
        found.push(
            file.complaint(*line, &format!("{}: a static that changes; the switch is the one owner of state", file.module)),
        );
    }
    found
}

fn hash_reason(module: &str, hashed: &str) -> String {
    format!("{module} uses {hashed}, whose order is chance: BTreeMap, an index map, or say `// lookup only` on this line")
}

/// `HashMap<…>` as a type is no path with `::`, so it is looked for by line; imports and constructors say nothing about use.
fn hashed_types(file: &File) -> Vec<String> {
    let tests_from = file.source.paths.iter().filter(|p| p.in_test).map(|p| p.line).min().unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for (index, text) in file.text.lines().enumerate() {
        let code = text.split("//").next().unwrap_or_default();
        for hashed in ["HashMap", "HashSet"] {
            if index + 1 < tests_from && code.contains(&format!("{hashed}<")) && !lookup_only(file, index + 1) {
                found.push(file.complaint(index + 1, &hash_reason(&file.module, hashed)));
            }
        }
    }
    found
}

fn lookup_only(file: &File, line: usize) -> bool {
    file.line(line).contains("// lookup only")
}

fn fences(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for path in &file.source.paths {
        for fence in ONLY_IN {
            let inside = fence.modules.contains(&file.module.as_str());
            let excused = fence.in_tests && (path.in_test || file.is_test);
            if path.segments[0] == fence.package && !inside && !excused {
                let what = format!("{} names {}: only {} may ({})", file.module, fence.package, list(fence.modules), fence.why);
                found.push(file.complaint(path.line, &what));
            }
        }
    }
    found
}

/// The reader and the rules against snippets that break them.
mod rules {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = File::new(Path::new(path), text.to_owned(), false);
        layering(&file).into_iter().chain(purity(&file)).chain(fences(&file)).collect()
    }

    #[track_caller]
    fn refuses(path: &str, text: &str, because: &str) {
        let found = complaints(path, text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].contains(because), "{}", found[0]);
    }

    #[track_caller]
    fn accepts(path: &str, text: &str) {
        assert_eq!(complaints(path, text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn a_complaint_says_file_line_who_whom_and_why() {
        let text = "\n\nuse crate::switch::Switch;\n";
        let found = complaints("acd/queue.rs", text);
        let expected = "src/acd/queue.rs:3: acd names crate::switch::Switch: layer 3 may not name layer 4, which stands above it\n    \
                        use crate::switch::Switch;";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn upward_names_are_found_in_every_spelling() {
        refuses("sip/uri.rs", "use crate::{clock::Mono, dialog};", "crate::dialog");
        refuses("sip/uri.rs", "fn f(d: crate::dialog::Dialog) {}", "crate::dialog");
        refuses("sip/uri.rs", "use super::super::dialog::Dialog;", "crate::dialog");
        refuses("sip/mod.rs", "use super::dialog;", "crate::dialog");
        refuses("sip/mod.rs", "mod inner { fn f() { super::super::dialog::g() } }", "crate::dialog");
        refuses("route/mod.rs", "use crate::{\n  config::{Trunk, Phone as P},\n  sip,\n};", "src/route/mod.rs:3");
        refuses("ivr/node.rs", "use crate::sdp;", "ivr names crate::sdp");
        refuses("sip/mod.rs", "use crate::Thing;", "modules only");
        refuses("events/sse.rs", "use crate::api::Problem;", "drivers do not name each other");
    }

    #[test]
    fn names_that_go_down_or_stay_inside_are_fine() {
        accepts("sip/uri.rs", "use super::super::clock::Mono; use super::header; use crate::sip::Uri; mod a { use super::b; }");
        accepts(
            "conversation/leg.rs",
            "use crate::{acd, dialog::Dialog, ids::{LegId}, ivr, media, route, sdp, sip::Uri as Address};",
        );
        accepts("main.rs", "mod cli; use crate::cli::Arguments; use cordboard::server; use anyhow::Result;");
    }

    #[test]
    fn words_in_comments_and_strings_name_nothing() {
        accepts("sip/mod.rs", "// crate::switch\n/* tokio::spawn /* nested */ */ const A: &str = \"crate::api::\\\"x\";");
        accepts(
            "sip/mod.rs",
            "const A: &str = r#\"std::fs \" sled::open\"#; const B: char = '\"'; const C: &[u8] = b\"rsip::x\";",
        );
    }

    #[test]
    fn the_core_is_refused_sockets_files_threads_and_clocks() {
        refuses("dialog/mod.rs", "fn f() { std::thread::yield_now() }", "no threads");
        refuses("media/latch.rs", "use std::net::{IpAddr, UdpSocket};", "no sockets");
        refuses("switch/core.rs", "use std::{collections::BTreeMap, fs::File};", "no files");
        refuses("rtp/packet.rs", "fn f() { let t = std::time::Instant::now(); }", "time enters");
        refuses("switch/core.rs", "static SEEN: Mutex<u8> = Mutex::new(0);", "one owner of state");
        refuses("codec/mod.rs", "use hound;", "only recorder, media_engine, mail may");
        accepts("media/latch.rs", "use std::net::{IpAddr, SocketAddr}; use std::time::Duration; static T: [u8; 2] = [1, 2];");
        accepts("recorder/wav.rs", "use std::fs::File; use hound::WavReader; use std::thread;");
    }

    #[test]
    fn test_code_may_use_files_and_hound_but_not_reach_up() {
        accepts("media/tap.rs", "#[cfg(test)]\nmod tests { use std::fs; use super::*; fn f() { hound::WavReader::open(1); } }");
        refuses("media/tap.rs", "#[cfg(test)] mod tests { use crate::switch; } fn g() {}", "crate::switch");
        refuses("media/tap.rs", "#[cfg(test)] mod tests { use std::fs; } fn g() { std::fs::read(1); }", "no files");
        refuses("media/tap.rs", "#[cfg(not(test))] fn g() { std::fs::read(1); }", "no files");
    }

    #[test]
    fn hashed_maps_need_a_word_in_the_core_and_none_in_the_parsers() {
        refuses("transaction/table.rs", "use std::collections::HashMap;\nstruct T { by: HashMap<u8, u8> }", "table.rs:2");
        accepts("transaction/table.rs", "use std::collections::HashMap;\nstruct T { by: HashMap<u8, u8> } // lookup only");
        accepts("sip/parse.rs", "struct T { by: HashMap<u8, u8> }");
        accepts(
            "acd/queue.rs",
            "struct T { by: BTreeMap<u8, u8> }\n#[cfg(test)] mod tests { use super::*;\nfn f(h: HashMap<u8, u8>) {} }",
        );
    }

    #[test]
    fn borrowed_crates_stay_fenced() {
        refuses("dialog/mod.rs", "use rsip::StatusCode;", "only sip may");
        refuses("api/mod.rs", "fn f(t: sled::Tree) {}", "only store may");
        refuses("server.rs", "fn f() -> anyhow::Result<()> { Ok(()) }", "only main may");
        refuses("media_engine/loop.rs", "use {quinn_udp::UdpState, libc};", "only transport may");
        accepts("store/index.rs", "use sled::{Db, Tree};");
        accepts("sip/method.rs", "use rsip::Method;");
    }
}
