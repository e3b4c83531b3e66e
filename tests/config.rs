//! The configuration from outside: the documented example, and every kind of fault with its file and line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cordboard::clock::{Mono, Now, Wall};
use cordboard::config::{Config, DigestAlgorithm, File, Pattern, Place, Source, load};
use cordboard::ivr::expression::{Name, Value, World};
use cordboard::ivr::{Action, Arriving, Event, Session, check_all};
use proptest::prelude::*;

/// The example of the design, with digits where it has dots.
const EXAMPLE: &str = r#"[site]
name = "Example support"
domain = "cordboard.example"          # realm, and the domain of addresses of record
time_zone = "Europe/Berlin"
country = "DE"                         # tones, ring cadence, national number format

[sip]
digest = ["MD5"]                       # offered in this order
udp = ["0.0.0.0:5060"]
tcp = ["0.0.0.0:5060"]

[media]
listen = "0.0.0.0"
advertise = "auto"
ports = "20000-29999"

[http]
listen = "127.0.0.1:8080"

[recording]
folder = "../recordings"

[[phone]]
number = "201"
secret = "…"

[[agent]]
staff_number = "1024"
name = "Olena"
phone = "201"
skills = { uk = 3, en = 2 }

[[queue]]
name = "support"
strategy = "longest_idle"
agents = ["1024"]

[[trunk]]
name = "carrier"
peer = "198.51.100.10:5060"

[[inbound]]
trunk = "carrier"
number = "+4930123456"
to = "menu:main"

[[outbound]]
pattern = "0*"
strip = 1
trunk = ["carrier"]
"#;

const MENU: &str = r#"name = "main"
language = "en"
start = "top"

[node.top]
kind = "menu"                          # play, menu, collect, hours, language, …
prompt = "welcome"
timeout = "5s"
retries = 3
digits = { "1" = "queue:support", "2" = "node:closed" }

[node.closed]
kind = "play"
prompt = "closed"
next = "hangup"
"#;

fn source(main: &str) -> Source {
    Source {
        main: File { path: "config/cordboard.toml".into(), text: main.to_owned() },
        secrets: None,
        menus: vec![File { path: "config/menus/main.toml".into(), text: MENU.to_owned() }],
        prompts: vec!["en/closed".to_owned(), "en/welcome".to_owned()],
    }
}

/// Every fault of the example with `addition` at its end, which begins at line 1 of what the faults say.
fn faults_of(addition: &str) -> Vec<String> {
    faults_in(&format!("{EXAMPLE}{addition}"), EXAMPLE.lines().count())
}

/// Every fault of the example with `old` replaced by `new`.
fn faults_with(old: &str, new: &str) -> Vec<String> {
    assert!(EXAMPLE.contains(old), "{old}");
    faults_in(&EXAMPLE.replacen(old, new, 1), 0)
}

fn faults_in(main: &str, lines_before: usize) -> Vec<String> {
    let problems = Config::resolve(&source(main)).err().unwrap_or_default();
    let line = |p: &cordboard::config::Problem| i64::from(p.line) - lines_before as i64;
    problems.iter().map(|p| format!("{}: {}", line(p), p.what)).collect()
}

#[test]
fn the_documented_example_is_a_whole_configuration() {
    let source = source(EXAMPLE);
    assert_eq!(check_all(&source), []);
    let config = Config::resolve(&source).unwrap();
    assert_eq!(config.sip.digest, [DigestAlgorithm::Md5]);
    assert_eq!(config.recording.folder, PathBuf::from("config/../recordings"));
    assert_eq!(config.agents["1024"].skills["uk"], 3);
    let queue = &config.queues["support"];
    assert_eq!(queue.offer_lasts(), Duration::from_secs(15), "three German rings");
    assert_eq!(queue.title, "support");
    assert_eq!(config.inbound[0].to, Place::Menu("main".into()));
    assert_eq!(config.outbound[0].pattern, Pattern::Prefix("0".into()));
    assert_eq!(config.trunks["carrier"].peer.port, Some(5060));
}

#[test]
fn a_problem_prints_as_file_line_and_what() {
    let problems = Config::resolve(&source(&EXAMPLE.replace("\"DE\"", "\"XX\""))).unwrap_err();
    let text = problems[0].to_string();
    assert!(text.starts_with("config/cordboard.toml:5: country: `XX` is no country"), "{text}");
}

#[test]
fn all_faults_are_reported_not_the_first() {
    let main = "
[site]
name = 'Test'
domain = 'a b'
time_zone = 'Europe/Nowhere'
country = 'XX'
colour = 'red'
[sip]
udp = ['300.0.0.0:5060']
digest = ['MD6']
[[phone]]
number = '20a'
secret = 's'
[[phone]]
number = '202'
secret = 's'
ringtone = 3
[[agent]]
staff_number = '1'
name = 'A'
phone = '20a'
[[agent]]
staff_number = '2'
name = 'B'
phone = '203'
[nonsense]
";
    let faults = faults_in(main, 0);
    let lines: Vec<&str> = faults.iter().map(|f| f.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["4", "5", "6", "7", "9", "10", "12", "17", "21", "25", "26"], "{faults:#?}");
}

#[test]
fn a_fault_in_a_table_makes_no_reference_to_it_dangle() {
    let faults = faults_with("name = \"support\"", "name = \"support\"\nrings = \"three\"");
    assert_eq!(faults.len(), 1, "{faults:#?}");
    let faults = faults_with("peer = \"198.51.100.10:5060\"", "peer = \"198.51.100:5060\"");
    assert_eq!(faults.len(), 1, "{faults:#?}");
}

#[test]
fn grammar_is_reported_with_its_line() {
    let faults = faults_of("[[queue]\nname = 'x'\n");
    assert!(faults[0].starts_with("1: not TOML"), "{faults:#?}");
}

/// What is added to the example, and what is said about it.
const ADDED: &[(&str, &str)] = &[
    ("[[phone]]\nnumber = '201'\nsecret = 's'\n", "2: number `201` is already there in line 24"),
    ("[[phone]]\nnumber = '202'\n", "1: phone `202` has no secret"),
    ("[[phone]]\nnumber = '202'\nsecret = ''\n", "3: secret: must be one line"),
    ("[[phone]]\nsecret = 's'\n", "1: missing field `number`"),
    ("[[phone]]\nnumber = 202\nsecret = 's'\n", "2: number: invalid type: integer `202`, expected a string"),
    ("[[phone]]\nnumber = '202'\nsecrets = 's'\n", "3: unknown field `secrets`, expected one of `number`, `secret`"),
    ("[[queue]]\nname = 'sales'\nnumber = '201'\n", "3: number `201` is already there in line 24"),
    ("[[queue]]\nname = 'support'\n", "2: queue `support` is already there in line 34"),
    ("[[queue]]\nname = 'a b'\n", "2: name: `a b` is no name"),
    ("[[queue]]\nname = 'sales'\nagents = ['1024', '7']\n", "3: there is no agent with staff number `7`; there is 1024"),
    ("[[queue]]\nname = 'sales'\nagents = ['1024', '1024']\n", "3: agent `1024` is already there"),
    (
        "[[queue]]\nname = 'sales'\nagents = [{ staff_number = '7' }]\n",
        "3: there is no agent with staff number `7`; there is 1024",
    ),
    ("[[queue]]\nname = 'sales'\nagents = [{ staff_number = '1024', rank = 0 }]\n", "3: rank is 0; it must be from 1 to 9"),
    (
        "[[queue]]\nname = 'sales'\nagents = [{ staff_number = '1024', weight = 101 }]\n",
        "3: weight is 101; it must be from 1 to 100",
    ),
    ("[[queue]]\nname = 'sales'\nskills = { elvish = 1 }\n", "3: there is no agent with skill `elvish`; there is en, uk"),
    (
        "[[queue]]\nname = 'sales'\nagents = ['1024']\nskills = { en = 5 }\n",
        "4: none of the queue's agents has `en` at level 5: its callers would wait in vain",
    ),
    ("[[queue]]\nname = 'sales'\nprefer = { uk = 6 }\n", "3: skill is 6; it must be from 1 to 5"),
    ("[[queue]]\nname = 'sales'\nrelax = [{ after = '2d', skills = {} }]\n", "3: after is 2d; it must be from 0s to 1d"),
    ("[[queue]]\nname = 'sales'\npriority = 10\n", "3: priority is 10; it must be from -9 to 9"),
    ("[[queue]]\nname = 'sales'\nmax_length = 0\n", "3: max_length is 0; it must be from 1 to 10000"),
    ("[[queue]]\nname = 'sales'\noverflow_full = 'queue:sales'\n", "3: queue `sales` overflows into itself"),
    ("[[queue]]\nname = 'sales'\noverflow_no_agents = 'phone:9'\n", "3: there is no phone `9`; there is 201"),
    ("[[queue]]\nname = 'sales'\nsurvey = 'phone:201'\n", "3: queue `sales` has a survey that is no menu; name one (menu:x)"),
    ("[[queue]]\nname = 'sales'\nannounce = { every = '1s' }\n", "3: every is 1s; it must be from 5s to 1h"),
    ("[[queue]]\nname = 'sales'\nannounce = { comfort = ['nowhere'] }\n", "3: there is no prompt `nowhere`"),
    ("[[queue]]\nname = 'sales'\nring_step = '2m'\n", "3: ring_step is 2m; it must be from 1s to 1m"),
    ("[[queue]]\nname = 'sales'\nrings = 0\n", "3: rings is 0; it must be from 1 to 20"),
    ("[[queue]]\nname = 'sales'\nwrap_up = '2h'\n", "3: wrap_up is 2h; it must be from 0s to 1h"),
    ("[[queue]]\nname = 'sales'\nwrap_up = 15\n", "3: wrap_up: invalid type: integer `15`, expected a string"),
    ("[[queue]]\nname = 'sales'\nwrap_up = '15'\n", "3: wrap_up: `15` is no length of time: write a number and ms, s, m, h or d"),
    ("[[queue]]\nname = 'sales'\noverflow = 'queue:other'\n", "3: there is no queue `other`; there is sales, support"),
    ("[[queue]]\nname = 'sales'\noverflow = 'queue:sales'\n", "3: queue `sales` overflows into itself"),
    ("[[queue]]\nname = 'sales'\noverflow = 'somewhere'\n", "3: overflow: `somewhere` is not a place to go"),
    ("[[queue]]\nname = 'sales'\noverflow = 'callback:x'\n", "3: there is no queue `x`"),
    ("[[queue]]\nname = 'sales'\ncallback = { offer_after = '60s' }\n", "3: callers are to be told of a key to be called back"),
    ("[[queue]]\nname = 'sales'\ncallback = { digit = '1' }\n", "3: there is no prompt `callback-offer` in any language"),
    ("[[queue]]\nname = 'sales'\ncallback = { retry = ['1s'] }\n", "3: retry is 1s; it must be from 10s to 1d"),
    ("[[queue]]\nname = 'sales'\nstrategy = 'best'\n", "3: strategy: `best` is no strategy"),
    ("[[agent]]\nstaff_number = '1024'\nname = 'B'\nphone = '201'\n", "2: staff number `1024` is already there in line 28"),
    ("[[agent]]\nstaff_number = '7'\nname = 'B'\nphone = '201'\n", "4: phone `201` is already agent `1024`'s"),
    ("[[agent]]\nstaff_number = '7'\nname = 'B'\nphone = '202'\n", "4: there is no phone `202`; there is 201"),
    ("[[trunk]]\nname = 'carrier'\npeer = '192.0.2.1'\n", "2: trunk `carrier` is already there in line 39"),
    ("[[trunk]]\nname = 'b'\npeer = '198.51.100.10'\n", "3: a call from 198.51.100.10 could be from trunk `carrier` or `b`"),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\nregister = true\n", "4: trunk `b` is to register but has no user"),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\nuser = 'u'\nregister = true\n", "5: trunk `b` is to register but has no secret"),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\nuser = 'u'\n", "1: trunk `b` has a user but no secret"),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\nsecret = 'u'\n", "1: trunk `b` has a secret but no user"),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\ntransport = 'sctp'\n", "4: transport: `sctp` is no transport: write \"auto\""),
    ("[[trunk]]\nname = 'b'\npeer = 'x.example'\ntransport = 'tls'\n", "3: trunk `b` speaks tls, and [sip] tls has no address"),
    ("[[phone]]\nnumber = '209'\nsecret = 's'\npin = '47'\n", "4: pin: must be 4 to 16 digits"),
    ("[[phone]]\nnumber = '209'\nsecret = 's'\npin = 'abcd'\n", "4: pin: must be 4 to 16 digits"),
    ("[[phone]]\nnumber = '209'\nsecret = 's'\nvoicemail = true\n", "1: mailbox `209` has no pin"),
    ("[[queue]]\nname = 'q'\nvoicemail = true\npin = '4711'\n", "3: queue `q` is to have a mailbox and has no number"),
    (
        "[[queue]]\nname = 'q'\nnumber = '699'\nvoicemail = true\npin = '4711'\nlanguage = 'fr'\n",
        "6: there are no prompts in `fr`",
    ),
    (
        "[[queue]]\nname = 'q'\nnumber = '699'\nvoicemail = true\npin = '4711'\nmail = 'a@b.example'\n",
        "6: messages of mailbox `699` are to be mailed, and there is no mail server",
    ),
    ("[[phone]]\nnumber = '209'\nsecret = 's'\nmail = 'a@b.example'\n", "4: `209` has a mail address and no mailbox"),
    ("[[phone]]\nnumber = '209'\nsecret = 's'\nmail = 'a b@c'\n", "4: mail: `a b@c` is no mail address"),
    (
        "[[phone]]\nnumber = '209'\nsecret = 's'\nvoicemail = true\npin = '4711'\nmail_delete = true\n",
        "6: mailbox `209` would delete what nobody has",
    ),
    ("[mail]\nserver = 'mail.example'\nfrom = 'a@b.example'\nuser = 'u'\n", "4: mail user `u` has no password"),
    (
        "[mail]\nserver = 'mail.example'\nfrom = 'a@b.example'\nuser = 'u'\npassword = 'p'\ntls = 'off'\n",
        "4: the password for `u` would be sent in the clear",
    ),
    ("[mail]\nserver = 'mail.example'\nfrom = 'a@b.example'\ntls = 'maybe'\n", "4: tls: `maybe` says not how mail is secured"),
    ("[mail]\nserver = 'mail.example'\nfrom = 'a@b.example'\ntimeout = '1h'\n", "4: timeout is 1h; it must be from 1s to 5m"),
    ("[voicemail]\nlongest = '1s'\n", "2: longest is 1s; it must be from 10s to 30m"),
    ("[voicemail]\nsilence = '2m'\n", "2: silence is 2m; it must be from 0s to 1m"),
    ("[codes]\nmessage = '*97'\n", "1: code `*97` is already there"),
    ("[[inbound]]\ntrunk = 'x'\nnumber = '1'\nto = 'hangup'\n", "2: there is no trunk `x`; there is carrier"),
    (
        "[[inbound]]\ntrunk = 'carrier'\nnumber = '+4930123456'\nto = 'hangup'\n",
        "3: inbound number `+4930123456 on carrier` is already there in line 44",
    ),
    (
        "[[inbound]]\ntrunk = 'carrier'\nnumber = '+4930…'\nto = 'hangup'\n",
        "3: number: `+4930…` is no number or beginning of one",
    ),
    ("[[inbound]]\ntrunk = 'carrier'\nnumber = '1'\nto = 'menu:mian'\n", "4: there is no menu `mian`; there is main"),
    ("[[inbound]]\ntrunk = 'carrier'\nnumber = '1'\nto = 'phone:299'\n", "4: there is no phone `299`"),
    ("[[inbound]]\ntrunk = 'carrier'\nnumber = '1'\nto = 'voicemail:299'\n", "4: there is no mailbox `299`"),
    ("[[inbound]]\ntrunk = 'carrier'\nnumber = '1'\nto = 'number:49'\n", "4: `49` cannot be dialled"),
    ("[[outbound]]\npattern = '0*'\ntrunk = ['carrier']\n", "2: outbound pattern `0*` is already there in line 48"),
    ("[[outbound]]\npattern = '1*'\ntrunk = []\n", "3: trunk names no trunk"),
    ("[[outbound]]\npattern = '1*'\ntrunk = ['carrier', 'x']\n", "3: there is no trunk `x`"),
    ("[[outbound]]\npattern = '110'\nstrip = 3\ntrunk = ['carrier']\n", "2: strip takes 3 digits off `110`, and nothing is left"),
    ("[[extension]]\nnumber = '201'\nto = 'queue:support'\n", "2: number `201` is already there in line 24"),
    ("[[extension]]\nnumber = '600'\nto = 'number:600'\n", "3: extension `600` leads to itself"),
    (
        "[[extension]]\nnumber = '600'\nto = 'number:601'\n[[extension]]\nnumber = '601'\nto = 'number:600'\n",
        "6: extension `601` leads to itself",
    ),
    ("[[extension]]\nnumber = '*21'\nto = 'queue:support'\n", "2: number: `*21` is no extension"),
    (
        "[[queue]]\nname = 'sales'\ndisposition_required = true\n",
        "3: queue `sales` asks for a disposition and has none to choose from",
    ),
    (
        "[[queue]]\nname = 'sales'\nhold_limit = '30s'\nhold_reminder = '30s'\n",
        "4: queue `sales` would remind of a hold when it is overdue already",
    ),
    ("[[queue]]\nname = 'sales'\ndisposition = ['a', 'a']\n", "3: disposition `a` is already there"),
    ("[[queue]]\nname = 'sales'\nrecord = 'maybe'\n", "3: record: `maybe` says not whether calls are recorded"),
    ("[[queue]]\nname = 'sales'\nrecord = 1\n", "3: record: invalid type: integer `1`, expected true, false or"),
    ("[codes]\nrecord = '*72'\n", "1: code `*72` is already there"),
    ("[codes]\nrecord = '*7'\n", "1: code `*72` begins with the code `*7`"),
    ("[codes]\nready = '21'\n", "2: ready: `21` is no feature code"),
    ("[codes]\nready = '*1'\noffline = '*1'\n", "3: code `*1` is already there"),
    ("[codes]\npause = '*2'\n", "1: code `*21` begins with the pause code `*2`"),
    ("[codes]\nready = '*8'\n", "1: code `*8` is already there"),
    ("[[phone]]\nnumber = '112'\n", "2: number `112` is already there in line 1"),
    (
        "[[inbound]]\ntrunk = 'carrier'\nnumber = '1'\nto = 'hangup'\nanonymous = 'no'\n",
        "5: anonymous: `no` says not what becomes of callers without a number",
    ),
    (
        "[[trunk]]\nname = 'b'\npeer = '192.0.2.1'\ncaller_format = 'E164'\n",
        "4: caller_format: `E164` is no way to write numbers",
    ),
    ("[standards]\nhold = '2h'\n", "2: hold is 2h; it must be from 1s to 1h"),
    ("[standards]\nlevel = [-10, -35]\n", "2: level is [-10, -35]; it must be from -60 to 0"),
    ("[park]\nslots = '709-701'\n", "2: slots: `709-701` is no range of park slots"),
    ("[park]\nslots = '200-205'\n", "2: number `201` is already there in line 24"),
    ("[park]\ntimeout = '5s'\n", "2: timeout is 5s; it must be from 10s to 1h"),
    ("[park]\nring_backs = 0\n", "2: ring_backs is 0; it must be from 1 to 20"),
    ("[park]\noverflow = 'somewhere'\n", "2: overflow: `somewhere` is not a place to go"),
    ("[park]\noverflow = 'queue:other'\n", "2: there is no queue `other`"),
    ("[park]\noverflow = 'voicemail:201'\n", "2: there is no mailbox `201`"),
    ("[park]\noverflow = 'number:999'\n", "2: `999` cannot be dialled"),
    ("[park]\nslots = '701-703'\noverflow = 'number:702'\n", "3: parked calls would overflow into a park slot, `number:702`"),
    (
        "[[extension]]\nnumber = '650'\nto = 'number:703'\n[park]\nslots = '701-703'\noverflow = 'number:650'\n",
        "6: parked calls would overflow into a park slot, `number:650`",
    ),
    ("[codes]\npause_reasons = ['a', 'a']\n", "2: pause reason `a` is already there"),
    ("[[user]]\nname = 'admin'\n", "1: user `admin` has no password"),
    ("[[user]]\nname = 'a'\npassword = 'p'\n[[user]]\nname = 'a'\npassword = 'q'\n", "5: user `a` is already there"),
    (
        "[[user]]\nname = 'a'\npassword = 'p'\nrole = 'boss'\n",
        "4: role: unknown variant `boss`, expected one of `agent`, `supervisor`",
    ),
    ("[[user]]\nname = 'a'\npassword = 'p'\nrole = 'agent'\n", "2: user `a` is an agent, and which one is not said"),
    ("[[user]]\nname = 'a'\npassword = 'p'\nrole = 'agent'\nagent = '9'\n", "5: there is no agent `9`; there is 1024"),
    ("[[user]]\nname = 'a'\npassword = 'p'\nrole = 'supervisor'\n", "2: user `a` is a supervisor of nobody; name teams"),
    ("[[user]]\nname = 'a'\npassword = 'p'\nrole = 'supervisor'\nteams = ['x']\n", "5: there is no team `x`; none is"),
    ("[[team]]\nname = 'a'\n[[user]]\nname = 'a'\npassword = 'p'\nteams = ['a']\n", "4: only a supervisor has teams"),
    ("[[team]]\nname = 'a'\nleader = '9'\n", "3: there is no agent `9`; there is 1024"),
    (
        "[[team]]\nname = 'a'\nagents = ['1024']\n[[team]]\nname = 'b'\nagents = ['1024']\n",
        "6: agent `1024` is already in team `a`",
    ),
    ("[[team]]\nname = 'a'\n[[team]]\nname = 'a'\n", "4: team `a` is already there"),
    ("[user]\nname = 'a'\n", "1: there can be several of these: write [[user]]"),
    ("[tls]\ncertificate = 'x'\n", "1: tls needs certificate and key, both of them"),
    ("[tsl]\nself_signed = true\n", "1: unknown table `tsl`, expected one of site, sip"),
    ("[turn]\nurls = ['http://x']\nsecret = 's'\n", "2: `http://x` is no address of a STUN or TURN server"),
    ("[turn]\nurls = ['turn:x']\nuser = 'u'\n", "1: [turn] needs a secret, or a user and its password"),
    ("[turn]\nurls = []\n", "2: urls names no server"),
    ("[[webhook]]\nname = 'a'\nurl = 'https://x.example'\n", "2: webhook `a` has no secret"),
    ("[[webhook]]\nname = 'a'\nurl = 'https://x.example'\nsecret = 's'\n", "4: the secret of webhook `a` is no key"),
    ("[[webhook]]\nname = 'a'\nurl = 'https://u:p@x.example'\n", "3: url: this is no address of the web"),
    ("[[webhook]]\nname = 'a'\nurl = 'ftp://x.example'\n", "3: url: this is no address of the web"),
    ("[[webhook]]\nname = 'a'\nurl = 'https://x.example'\ntypes = ['call*']\n", "4: types: `call*` is no type of event"),
    ("[[webhook]]\nname = 'a'\nurl = 'https://x.example'\nbatch = 0\n", "4: batch is 0; it must be from 1 to 1000"),
];

#[test]
fn what_is_wrong_in_an_addition_is_said_with_its_line() {
    for (addition, said) in ADDED {
        let faults = faults_of(addition);
        assert!(faults.iter().any(|f| f.starts_with(said)), "{addition}\nexpected {said}\nfound {faults:#?}");
    }
}

/// What is replaced in the example, by what, and what is said about it.
const REPLACED: &[(&str, &str, &str)] = &[
    ("\"Europe/Berlin\"", "\"Europe/Bärlin\"", "4: time_zone: `Europe/Bärlin` is no time zone"),
    ("\"DE\"", "\"de\"", "5: country: `de` is no country"),
    ("\"20000-29999\"", "\"20000-20005\"", "15: ports 20000-20005 are for 1 calls at once; give at least 16"),
    ("\"20000-29999\"", "\"20001-29999\"", "15: ports must begin with an even one"),
    ("\"20000-29999\"", "\"20000-29998\"", "15: ports must begin with an even one"),
    ("\"20000-29999\"", "\"29999-20000\"", "15: ports 29999-20000 are for 0 calls"),
    ("\"20000-29999\"", "\"22-29999\"", "15: ports below 1024 belong to the system"),
    ("\"20000-29999\"", "\"20000\"", "15: ports: `20000` is no range of ports"),
    ("ports = \"20000-29999\"", "ports = \"20000-29999\"\ntones = \"EN\"", "16: tones: `EN` is no country"),
    ("ports = \"20000-29999\"", "ports = \"20000-29999\"\nice = \"half\"", "16: ice: `half` is no implementation of ICE: write"),
    ("ports = \"20000-29999\"", "ports = \"20000-29999\"\ntones = \"AQ\"", "16: the tones of AQ are not known here"),
    ("udp = [\"0.0.0.0:5060\"]", "udp = [\"0.0.0.0:20010\"]", "9: port 20010 of this listener lies among the media ports"),
    ("udp = [\"0.0.0.0:5060\"]", "udp = [\"0.0.0.0\"]", "9: udp: `0.0.0.0` is no address with a port"),
    ("udp = [\"0.0.0.0:5060\"]", "udp = [\"224.0.0.1:5060\"]", "9: udp: `224.0.0.1:5060` cannot be listened on"),
    ("udp = [\"0.0.0.0:5060\"]", "udp = [\"0.0.0.0:5060\", \"0.0.0.0:5060\"]", "9: udp `0.0.0.0:5060` is already there"),
    ("udp = [\"0.0.0.0:5060\"]\ntcp = [\"0.0.0.0:5060\"]", "udp = []\ntcp = []", "7: sip listens nowhere"),
    ("\"../recordings\"", "\"r\"\nsample_rate = 44100", "22: sample_rate: `44100` is no rate of recordings"),
    ("\"../recordings\"", "\"r\"\nlongest_pause = '2h'", "22: longest_pause is 2h; it must be from 10s to 1h"),
    ("\"../recordings\"", "\"r\"\nannouncement = 'nothing'", "22: there is no prompt `nothing` in any language"),
    ("\"../recordings\"", "\"r\"\nrefuse = '9'", "22: nobody is told what `refuse` is for"),
    ("\"../recordings\"", "\"r\"\nrefuse = '99'", "22: refuse: `99` is no key of a phone"),
    ("[\"MD5\"]", "[]", "8: digest names no algorithm"),
    ("[\"MD5\"]", "[\"MD5\", \"MD5\"]", "8: digest `Md5` is already there"),
    ("[\"MD5\"]", "[\"SHA-1\"]", "8: digest: `SHA-1` is no digest algorithm"),
    ("[\"MD5\"]", "[\"MD5\"]\nladder = 1001", "9: ladder is 1001; it must be from 0 to 1000"),
    ("[\"MD5\"]", "[\"MD5\"]\nladder_kept = '1h'", "9: ladder_kept is 1h; it must be from 1d"),
    ("[\"MD5\"]", "[\"MD5\"]\nmin_expires = '30m'\nmax_expires = '20m'", "9: min_expires is longer than max_expires"),
    ("advertise = \"auto\"", "advertise = \"0.0.0.0\"", "14: advertise: `0.0.0.0` is neither \"auto\" nor an address"),
    ("advertise = \"auto\"", "advertise = { \"10.0.0.1/8\" = \"auto\" }", "14: advertise: `10.0.0.1/8` is no network: write"),
    ("advertise = \"auto\"", "advertise = \"auto\"\ndegraded_below = 5", "15: degraded_below is 5; it must be from 1 to 4.5"),
    ("advertise = \"auto\"", "advertise = \"auto\"\nmissing_after = '9s'\ndead_after = '8s'", "12: dead_after must be longer"),
    (
        "udp = [\"0.0.0.0:5060\"]",
        "proxies = ['10.0.0.5', 'edge.example']",
        "9: proxies: `edge.example` is no address and no network",
    ),
    ("udp = [\"0.0.0.0:5060\"]", "proxies = ['10.0.0.5/24']", "9: proxies: `10.0.0.5/24` is no address and no network"),
    ("udp = [\"0.0.0.0:5060\"]", "proxies = ['10.0.0.5', '10.0.0.5/32']", "9: proxy `10.0.0.5`"),
    ("udp = [\"0.0.0.0:5060\"]", "proxies = ['198.51.100.0/24']", "40: trunk `carrier` is at 198.51.100.10"),
    ("udp = [\"0.0.0.0:5060\"]", "nameservers = ['ns.example']", "9: nameservers: `ns.example` is no address with a port"),
    ("udp = [", "tls = [\"0.0.0.0:5061\"]\nudp = [", "1: [sip] tls needs a certificate"),
    ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\nsecure = \"0.0.0.0:8443\"", "1: [http] secure needs a certificate"),
    ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\norigins = ['crm.example']", "19: an origin is scheme and host"),
    ("\"127.0.0.1:8080\"", "\"localhost:8080\"", "18: listen: `localhost:8080` is no address with a port"),
    ("{ uk = 3, en = 2 }", "{ uk = 6 }", "31: skill is 6; it must be from 1 to 5"),
    ("\"198.51.100.10:5060\"", "\"sip:carrier\"", "40: peer: `sip:carrier` is no peer"),
    ("[recording]", "[guard]\nban = '31d'\n\n[recording]", "21: ban is 31d; it must be from 0s"),
    ("[recording]", "[guard]\nbans = '1d'\n\n[recording]", "21: unknown"),
    ("secret = \"…\"", "secret = \"…\"\nclass = \"nobodys\"", "26: there is no class `nobodys`"),
    ("[recording]", "[class.x]\ncalls = 0\n\n[recording]", "21: calls is 0; it must be from 1 to 1000"),
    ("[recording]", "[class.x]\nhours = '8-18'\n\n[recording]", "21: hours: `8-18` are no hours"),
    ("[recording]", "[class.x]\ndays = ['monday']\n\n[recording]", "21: days: `monday` is no day"),
    ("[recording]", "[class.x]\ndays = []\n\n[recording]", "21: days names no day"),
    ("[recording]", "[class.x]\ndeny = ['x*']\n\n[recording]", "21: deny: `x*` is no number"),
    ("[recording]", "[class.x]\nminute = 5\n\n[recording]", "21: unknown field `minute`"),
    ("[site]", "class = 5\n[site]", "1: "),
    ("[site]", "[sites]", "1: unknown table `sites`"),
];

#[test]
fn what_is_wrong_in_the_example_is_said_with_its_line() {
    for (old, new, said) in REPLACED {
        let faults = faults_with(old, new);
        assert!(faults.iter().any(|f| f.starts_with(said)), "{old} -> {new}\nexpected {said}\nfound {faults:#?}");
    }
}

#[test]
fn a_configuration_before_its_first_start_passes_the_check_but_is_not_served() {
    let source = source(&EXAMPLE.replace("secret = \"…\"\n", ""));
    assert_eq!(check_all(&source), []);
    assert!(Config::resolve(&source).is_err());
}

#[test]
fn a_secret_beside_counts_and_one_in_the_main_file_wins() {
    let mut source = source(&EXAMPLE.replace("secret = \"…\"\n", ""));
    source.secrets = Some(File { path: "config/secrets.toml".into(), text: "[phone]\n201 = 'beside'\n".into() });
    assert_eq!(Config::resolve(&source).unwrap().phones["201"].secret.expose(), "beside");
    source.main.text = EXAMPLE.to_owned();
    assert_eq!(Config::resolve(&source).unwrap().phones["201"].secret.expose(), "…");
}

#[test]
fn a_source_survives_the_journal() {
    let source = source(EXAMPLE);
    let text = serde_json::to_string(&source).unwrap();
    assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
}

/// The configuration in this repository, without the secrets of whoever tries it out here.
fn shipped() -> Source {
    let mut source = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/cordboard.toml")).unwrap();
    source.secrets = None;
    source
}

#[test]
fn the_shipped_configuration_and_its_menus_have_no_fault() {
    assert_eq!(check_all(&shipped()), []);
}

/// With stand-ins for the secrets that the first start generates.
fn resolved(main: &str) -> Config {
    let mut source = shipped();
    source.main.text = main.to_owned();
    let secrets = "[phone]\n201 = 'a'\n202 = 'a'\n203 = 'a'\n204 = 'a'\n[password]\nadmin = 'a'\n";
    source.secrets = Some(File { path: "secrets.toml".into(), text: secrets.to_owned() });
    Config::resolve(&source).unwrap_or_else(|p| panic!("{p:#?}"))
}

/// `# key = value`: a key that a reader may put in force.
fn is_commented_key(line: &str) -> bool {
    let key = line.strip_prefix("# ").and_then(|l| l.split_once(" = ")).map(|(key, _)| key);
    key.is_some_and(|k| k.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

fn with_commented_keys(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|l| if is_commented_key(l) { &l[2..] } else { l }).collect();
    lines.join("\n")
}

#[test]
fn the_defaults_that_the_reference_shows_are_the_defaults() {
    let text = shipped().main.text;
    let (text, _users) = text.split_once("# [[user]]").unwrap();
    assert!(text.lines().filter(|l| is_commented_key(l)).count() > 25);
    assert_eq!(resolved(&with_commented_keys(text)), resolved(text));
}

/// The blocks of TOML that the README shows.
fn blocks_of_the_readme() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    readme.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// Where each table of a file begins.
fn tables(lines: &[String]) -> Vec<usize> {
    (0..lines.len()).filter(|i| lines[*i].starts_with('[')).chain([lines.len()]).collect()
}

/// Does with a block of the README what it says: at the end; `# into the [x] that is there:` in that table, over a key that it has;
/// `# instead of the [[x]] with k = v:` in place of that one; `# config/menus/x.toml`, a file of its own.
fn follow(block: &str, source: &mut Source) {
    if let Some(path) = block.lines().next().unwrap().strip_prefix("# ").filter(|path| path.starts_with("config/menus/")) {
        source.menus.push(File { path: source.main.path.with_file_name(&path["config/".len()..]), text: block.to_owned() });
        return;
    }
    let mut lines: Vec<String> = source.main.text.lines().map(str::to_owned).collect();
    let mut into = None;
    for line in block.lines() {
        if let Some(table) = line.strip_prefix("# into the ").and_then(|l| l.strip_suffix(" that is there:")) {
            into = Some(table);
        } else if let Some(which) = line.strip_prefix("# instead of the ").and_then(|l| l.strip_suffix(':')) {
            let (table, key) = which.split_once(" with ").unwrap();
            let all = tables(&lines);
            let is_it = |w: &&[usize]| lines[w[0]].starts_with(table) && lines[w[0]..w[1]].iter().any(|l| l.starts_with(key));
            let found: Vec<&[usize]> = all.windows(2).filter(is_it).collect();
            assert_eq!(found.len(), 1, "{which} is not there, or not once");
            let range = found[0][0]..found[0][1];
            lines.drain(range);
        } else if line.is_empty() {
            into = None;
        } else if let Some(table) = into {
            let key = format!("{} = ", line.split(" = ").next().unwrap());
            let all = tables(&lines);
            let at = all.windows(2).find(|w| lines[w[0]].starts_with(table)).unwrap_or_else(|| panic!("there is no {table}"));
            let (from, to) = (at[0] + 1, at[1]);
            match lines[from..to].iter().position(|l| l.starts_with(&key)) {
                Some(i) => line.clone_into(&mut lines[from + i]),
                None => lines.insert(from, line.to_owned()),
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    source.main.text = lines.join("\n");
}

#[test]
fn every_block_of_the_readme_can_be_put_into_the_shipped_configuration() {
    let blocks = blocks_of_the_readme();
    assert!(blocks.len() >= 6, "{blocks:#?}");
    for block in &blocks {
        let mut source = shipped();
        follow(block, &mut source);
        assert_ne!(source, shipped());
        assert_eq!(check_all(&source), [], "{block}");
    }
    // And all of them, with what stands there as a comment.
    let mut source = shipped();
    for block in &blocks {
        follow(&with_commented_keys(block), &mut source);
    }
    assert_eq!(check_all(&source), [], "{}", source.main.text);
}

#[test]
fn the_examples_that_the_reference_shows_can_be_used() {
    let text = shipped().main.text;
    let shown: Vec<&str> = text.lines().map(|l| l.strip_prefix("# e.g. ").unwrap_or(l)).collect();
    let shown =
        shown.join("\n").replace("# [[user]]", "[[user]]").replace("# name =", "name =").replace("# password =", "password =");
    let config = resolved(&shown.replace("# token =", "token ="));
    assert_eq!(config.trunks["demo"].max_calls, Some(30));
    assert_eq!(config.users[0].name, "admin");
    assert_eq!(config.webhooks["crm"].secrets.len(), 2);
}

/// Keys of a table, as the fault for an unknown one names them.
fn keys_of(table: &str) -> Vec<String> {
    let problems = Config::resolve(&Source::of(format!("{table}\nno_such_key = 1\n"))).unwrap_err();
    let what = problems.iter().map(|p| p.what.as_str()).find(|w| w.starts_with("unknown field")).unwrap();
    let (_, expected) = what.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_reference_shows_every_key() {
    let text = shipped().main.text.replace("# [[user]]", "[[user]]").replace("# e.g. [[prompt]]", "[[prompt]]");
    let text = text.replace("# e.g. [[team]]", "[[team]]").replace("# e.g. [[webhook]]", "[[webhook]]");
    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        if line.starts_with('[') {
            current = line.split(']').next().unwrap();
        }
        *tables.entry(current).or_default() += &format!("{}\n", line.trim_start_matches("# ").trim_start_matches("e.g. "));
    }
    let all = "[site] [sip] [guard] [media] [turn] [http] [recording] [codes] [park] [voicemail] [mail] [standards] [class.limited] [[phone]] [[agent]] [[team]] [[queue]] [[extension]] [[trunk]] [[inbound]] \
               [[outbound]] [[prompt]] [[user]] [[webhook]]";
    for table in all.split(' ') {
        let keys = keys_of(table);
        assert!(!keys.is_empty());
        let shown = &tables[table.split(']').next().unwrap()];
        for key in keys {
            assert!(shown.lines().any(|l| l.starts_with(&format!("{key} = "))), "{table} {key}");
        }
    }
}

/// Every text of the table is there as a recording that the telephone can play; `-` is none. What numbers and dates are put together of is
/// short.
#[test]
fn every_prompt_is_there_in_every_language_as_8_khz_mono() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prompts");
    let table = std::fs::read_to_string(folder.join("texts.tsv")).unwrap();
    let mut rows = table.lines().map(|l| l.split('\t').collect::<Vec<_>>());
    let languages = rows.next().unwrap();
    assert_eq!(languages, ["key", "en", "de", "uk", "it", "sv", "zh"]);
    for row in rows {
        assert_eq!(row.len(), languages.len(), "{row:?}");
        let shortest = if row[0].starts_with("say-") { 1_000 } else { 3_000 };
        for (language, _) in languages[1..].iter().zip(&row[1..]).filter(|(_, text)| **text != "-") {
            let path = folder.join(language).join(row[0]).with_extension("wav");
            let wav = hound::WavReader::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let spec = wav.spec();
            assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (8_000, 1, 16), "{}", path.display());
            assert!((shortest..160_000).contains(&wav.duration()), "{}", path.display());
        }
    }
}

/// The calls that README's `cordboard check --scenarios` walks, and one that goes elsewhere.
#[test]
fn calls_to_the_shipped_menu_come_where_its_scenarios_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/cordboard.toml");
    let source = cordboard::config::load(&path).unwrap();
    let config = Config::resolve_for_check(&source).unwrap();
    // Two languages are enough for these calls.
    let prompts = source.prompts.iter().map(String::as_str).filter(|p| p.starts_with("en/") || p.starts_with("de/"));
    let (clips, _) = cordboard::media_engine::sounds::load(&path.with_file_name("prompts"), prompts, None);
    let files = cordboard::config::scenarios(&path).unwrap();
    assert_eq!(files.len(), 1);
    for file in files {
        let checked = cordboard::simulation::check(&file, &config, &clips);
        assert!(checked.calls >= 4 && checked.problems.is_empty(), "{:#?}", checked.problems);
        let elsewhere = file.text.replacen("\"queue:support\"]", "\"queue:sales\"]", 1).replacen("2@5s 2@20s", "2@soon", 1);
        let file = cordboard::config::File { text: elsewhere, ..file };
        let told: Vec<String> = cordboard::simulation::check(&file, &config, &clips)
            .problems
            .iter()
            .map(|p| format!("{}: {}", p.line, p.what))
            .collect();
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0].starts_with("9: the call does not come to `queue:sales`; it goes menu:main, node:hours, node:language"),
            "{told:#?}"
        );
        assert!(told[1].starts_with("15: `2@soon` are no keys with their time"), "{told:#?}");
    }
}

struct Nowhere;

impl World for Nowhere {
    fn value(&self, _: &Name) -> Option<Value> {
        None
    }
}

#[test]
fn a_caller_of_the_shipped_menu_chooses_a_language_and_gets_to_a_queue() {
    let config = resolved(&shipped().main.text);
    let graphs = cordboard::ivr::graphs(&config).unwrap();
    let now = Now { mono: Mono::ZERO, wall: Wall::parse_rfc3339("2026-11-22T03:00:00Z").unwrap() };
    let mut out = Vec::new();
    let mut session = Session::start(graphs["main"].clone(), Arriving::default(), now, &Nowhere, &mut out);
    session.handle(Event::Digit('3'), now, &Nowhere, &mut out);
    session.handle(Event::PlayEnded, now, &Nowhere, &mut out);
    assert!(out.contains(&Action::Language("uk".to_owned())));
    assert!(out.contains(&Action::Play { prompts: vec!["uk/menu".to_owned()] }));
    session.handle(Event::Digit('1'), now, &Nowhere, &mut out);
    assert_eq!(out.last(), Some(&Action::Go(Place::Queue("support".into()))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Mutated text never panics, and a fault lies within the file.
    #[test]
    fn mutated_configurations_never_panic(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0u8..4), 1..8),
        menu in any::<bool>(),
    ) {
        let mut bytes = if menu { MENU.as_bytes().to_vec() } else { EXAMPLE.as_bytes().to_vec() };
        for (index, byte, how) in &edits {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = *byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, *byte),
                _ => { let tail = bytes.split_off(at); bytes.extend_from_slice(&tail[tail.len() / 2..]); bytes.extend_from_slice(&tail); }
            }
            if bytes.is_empty() { bytes.push(b'\n'); }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().count().max(1) as u32 + 1;
        let mut source = source(EXAMPLE);
        let file = if menu { &mut source.menus[0] } else { &mut source.main };
        file.text = text;
        for problem in check_all(&source) {
            prop_assert!(problem.line >= 1);
            let mutated = if menu { "main.toml" } else { "cordboard.toml" };
            if problem.file.ends_with(mutated) {
                prop_assert!(problem.line <= lines, "{}", problem);
            }
        }
    }
}

#[test]
fn what_a_trunk_is_told_of_probes_is_a_time_or_off() {
    let trunk = |key: &str| format!("[[trunk]]\nname = \"b\"\npeer = \"203.0.113.9\"\n{key}\n");
    let probe = |key: &str| resolved(&format!("{EXAMPLE}{}", trunk(key))).trunks["b"].probe;
    assert_eq!(probe(""), Some(Duration::from_secs(30)));
    assert_eq!(probe("probe = \"1m\""), Some(Duration::from_secs(60)));
    assert_eq!(probe("probe = \"off\""), None);
    assert_eq!(faults_of(&trunk("probe = \"1s\"")), ["4: probe is 1s; it must be from 5s to 1h"]);
    assert_eq!(
        faults_of(&trunk("probe = \"often\"")),
        ["4: probe: `often` is neither \"off\" nor a length of time such as \"30s\""]
    );
}

/// A router's mapping for UDP lives some 30 s without a packet; the probe is what keeps it.
#[test]
fn a_trunk_that_registers_over_udp_without_probes_is_warned_of() {
    let cautions = |keys: &str| -> Vec<String> {
        let trunk = format!("[[trunk]]\nname = \"b\"\npeer = \"203.0.113.9\"\nuser = \"u\"\nsecret = \"s\"\n{keys}\n");
        let source = source(&format!("{EXAMPLE}{trunk}"));
        assert_eq!(check_all(&source), [], "it is no fault: {keys}");
        cordboard::config::cautions(&source).iter().map(ToString::to_string).collect()
    };
    let line = EXAMPLE.lines().count() + 7;
    for keys in ["register = true\nprobe = \"off\"", "transport = \"udp\"\nprobe = \"off\"\nregister = true"] {
        let told = cautions(keys);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("config/cordboard.toml:{line}: trunk `b` registers over UDP")), "{told:?}");
    }
    for keys in ["register = true", "probe = \"off\"", "register = true\nprobe = \"off\"\ntransport = \"tcp\""] {
        assert!(cautions(keys).is_empty(), "{keys}");
    }
}

#[test]
fn trunks_of_an_outbound_rule_stand_in_turn_or_have_a_priority_and_a_weight() {
    let with = |list: &str| EXAMPLE.replace("trunk = [\"carrier\"]", &format!("trunk = {list}"));
    let choices = |list: &str| -> Vec<(String, u16, u16)> {
        let second = "[[trunk]]\nname = \"b\"\npeer = \"203.0.113.9\"\n";
        let config = resolved(&format!("{}{second}", with(list)));
        config.outbound[0].trunks.iter().map(|c| (c.trunk.to_string(), c.priority, c.weight)).collect()
    };
    assert_eq!(choices("[\"carrier\", \"b\"]"), [("carrier".to_owned(), 1, 1), ("b".to_owned(), 2, 1)]);
    assert_eq!(
        choices("[{ name = \"carrier\", priority = 7 }, { name = \"b\", weight = 10 }]"),
        [("carrier".to_owned(), 7, 1), ("b".to_owned(), 2, 10)]
    );
    let fault = |list: &str| faults_with("trunk = [\"carrier\"]", &format!("trunk = {list}"));
    let line = EXAMPLE.lines().position(|l| l.starts_with("trunk = [")).unwrap() + 1;
    assert_eq!(fault("[\"x\"]"), [format!("{line}: there is no trunk `x`; there is carrier")]);
    assert_eq!(fault("[{ name = \"x\" }]"), [format!("{line}: there is no trunk `x`; there is carrier")]);
    assert_eq!(
        fault("[{ name = \"carrier\", weight = 70000 }]"),
        [format!("{line}: weight is 70000; it must be from 0 to 65535")]
    );
    assert!(fault("[{ name = \"carrier\", share = 1 }]")[0].contains("unknown field `share`"));
    assert!(fault("[{ weight = 1 }]")[0].contains("missing field `name`"));
    assert!(fault("[7]")[0].contains("the name of a trunk, or a table such as"));
    let per_second =
        |n: u32| faults_of(&format!("[[trunk]]\nname = \"b\"\npeer = \"203.0.113.9\"\nmax_calls_per_second = {n}\n"));
    assert_eq!(per_second(30), Vec::<String>::new());
    assert_eq!(per_second(0), ["4: max_calls_per_second is 0; it must be from 1 to 1000"]);
}
