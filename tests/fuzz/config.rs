//! Configuration: the main file, its secrets, menus.
//!
//! Beyond "no panic": every fault lies within the file that was changed or in one that refers to it; a configuration that was taken
//! resolves also when its secrets are replaced by pseudonyms, to the same rules; and none of the secrets is left then.

use std::path::Path;
use std::sync::LazyLock;

use cordboard::config::{Config, File, Redaction, Source, load};
use cordboard::ivr::{check_all, graphs};

use super::Target;

/// The shipped configuration without its comments, which are three quarters of it and no food for a mutator.
fn shipped() -> Source {
    static SHIPPED: LazyLock<Source> = LazyLock::new(read);
    SHIPPED.clone()
}

fn read() -> Source {
    let mut source = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/cordboard.toml")).expect("shipped configuration");
    let secrets =
        "[phone]\n201 = 'hunter-a'\n202 = 'hunter-b'\n203 = 'hunter-c'\n204 = 'hunter-d'\n[password]\nadmin = 'hunter-e'\n";
    source.secrets = Some(File { path: "secrets.toml".into(), text: secrets.to_owned() });
    for file in source.menus.iter_mut().chain([&mut source.main]) {
        let kept = file.text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        file.text = kept.map(|l| format!("{}\n", l.split("  #").next().unwrap_or(l).trim_end())).collect();
    }
    source
}

/// Keys that the shipped configuration leaves at their defaults.
const MORE: &str = "
site = { name = 'Test', domain = 'cordboard.example', time_zone = 'Asia/Shanghai', country = 'CN' }
sip = { udp = ['[::]:5060'], tcp = [], digest = ['SHA-256', 'MD5'], min_expires = '1m30s', max_contacts = 3, drain = '0s', nameservers = ['192.0.2.53:53'] }
media = { ports = '30000-30999', workers = 2, missing_after = '500ms', hold_music = 'x.wav', advertise = { '10.0.0.0/8' = 'auto', default = '203.0.113.7' } }
recording = { folder = '/srv/r', internal = true }
codes = { ready = '#1', pause = '#2', offline = '#3', pause_reasons = ['a', 'b'] }
[[phone]]
number = '201'
secret = 'hunter-f'
caller = '+4930'
outside = false
[[agent]]
staff_number = 'A-1'
name = 'Лідія'
phone = '201'
[[queue]]
name = 'q.1'
agents = ['A-1']
rings = 4
ring_cycle = '4500ms'
max_wait = '1h'
overflow = 'number:0049'
[[trunk]]
name = 'c'
peer = '[2001:db8::1]:5070'
transport = 'tcp'
user = 'u'
secret = 'hunter-g'
register = true
max_calls = 9
max_calls_per_second = 3
probe = '45s'
[[inbound]]
trunk = 'c'
number = '*'
to = 'voicemail:201'
record = false
[[outbound]]
pattern = '0*'
strip = 2
prepend = '+'
trunk = [{ name = 'c', priority = 1, weight = 10 }]
[[user]]
name = 'admin'
password = 'hunter-h'
token = 'hunter-i'
";

pub struct Main;

impl Target for Main {
    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![shipped().main.text.into_bytes(), MORE.into()]
    }

    fn run(&self, input: &[u8], _chance: u64) -> bool {
        let mut source = shipped();
        source.main.text = String::from_utf8_lossy(input).into_owned();
        resolves(&source)
    }
}

pub struct Secrets;

impl Target for Secrets {
    fn seeds(&self) -> Vec<Vec<u8>> {
        shipped().secrets.map(|s| s.text.into_bytes()).into_iter().collect()
    }

    fn run(&self, input: &[u8], _chance: u64) -> bool {
        let mut source = shipped();
        source.secrets = Some(File { path: "secrets.toml".into(), text: String::from_utf8_lossy(input).into_owned() });
        resolves(&source)
    }
}

fn resolves(source: &Source) -> bool {
    let redacted = source.redacted(&Redaction::new(*b"salt"));
    // A name or label may be "hunter…" after a mutation; the value of a secret's key may not.
    let kept =
        |text: &str| text.lines().any(|l| l.contains("hunter-") && (l.starts_with("secret =") || l.starts_with("password =")));
    assert!(!kept(&redacted.main.text), "{}", redacted.main.text);
    match Config::resolve(source) {
        Ok(config) => {
            let again = Config::resolve(&redacted).unwrap_or_else(|p| panic!("redacted: {p:?}"));
            assert_eq!(again.phones.len(), config.phones.len());
            assert_eq!((again.inbound, again.outbound), (config.inbound, config.outbound));
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let text = if problem.file == source.main.path {
                    &source.main.text
                } else {
                    source.secrets.as_ref().filter(|s| s.path == problem.file).map(|s| &s.text).expect("a file of ours")
                };
                let lines = text.bytes().filter(|b| *b == b'\n').count() + 1;
                assert!((1..=lines).contains(&(problem.line as usize)), "{problem}");
                assert!(!problem.what.is_empty() && !problem.what.contains('\n'), "{problem}");
            }
            false
        }
    }
}

pub struct Menu;

impl Target for Menu {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let menu = shipped().menus.into_iter().next().expect("shipped menu").text;
        let nodes = "name = 'main'\nlanguage = 'en'\nstart = 'a'\n[node.a]\nkind = 'collect'\nprompt = ['invalid', 'extension']\nmin = 2\nmax = 5\n\
                     terminator = '*'\ninter_digit = '2s'\nmask = true\nstore = 'x'\nexact = { 12 = 'node:b' }\ngoto = 'number:0{x}{digits}'\n\
                     [node.b]\nkind = 'hours'\ntime_zone = 'Europe/Kyiv'\nweek = { sat-mon = ['22:00-06:00', '09:00-12:00'] }\nholidays = ['02-29', '2026-04-12']\n\
                     open = 'node:c'\nclosed = 'hangup'\n[node.c]\nkind = 'go'\nto = 'phone:201'\n";
        vec![menu.into_bytes(), nodes.into()]
    }

    fn run(&self, input: &[u8], _chance: u64) -> bool {
        let mut source = shipped();
        let text = String::from_utf8_lossy(input).into_owned();
        let lines = text.bytes().filter(|b| *b == b'\n').count() + 1;
        let menu = source.menus.first_mut().expect("shipped menu");
        menu.text = text;
        let path = menu.path.clone();
        let config = Config::resolve(&source).expect("the main file has no fault");
        match graphs(&config) {
            Ok(_) => true,
            Err(problems) => {
                for problem in &problems {
                    assert!(problem.file == path && (1..=lines).contains(&(problem.line as usize)), "{problem}");
                }
                assert_eq!(check_all(&source), problems);
                false
            }
        }
    }
}
