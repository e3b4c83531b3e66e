//! The centre of the floor, as a configuration, and as it is after a reload in the middle of the afternoon.

use std::fmt::Write;

use cordboard::config::{File, Source};
use cordboard::ivr::say::{Language, vocabulary};

pub const AGENTS: usize = 60;
const TEAM: usize = 10;
pub const SUPERVISORS: [&str; 2] = ["401", "402"];
/// The number that leads to the menu.
pub const MENU: &str = "+4930555000";

/// A queue with everything but its agents; the first is entered by key 1 of the menu, and by `+4930555601`.
pub const QUEUES: [(&str, &str); 8] = [
    (
        "support",
        r#"strategy = "longest_idle"
wrap_up = "15s"
disposition = ["solved", "open"]
announce = { first = "10s", every = "30s", position = true, expected = true }
callback = { digit = "1", offer_after = "20s", prefix = "0", confirm = false, retry = ["1m", "3m"] }
hold_reminder = "20s"
hold_limit = "40s""#,
    ),
    (
        "sales",
        r#"strategy = "fewest_calls"
wrap_up = "10s"
max_wait = "90s"
overflow = "queue:support""#,
    ),
    (
        "billing",
        r#"strategy = "least_talk"
max_length = 6
overflow_full = "callback:billing"
callback = { digit = "1", offer_after = "30s", prefix = "0", confirm = false, retry = ["2m"] }
wrap_up = "5s""#,
    ),
    (
        "orders",
        r#"strategy = "round_robin"
wrap_up = "10s"
wrap_up_most = "40s"
disposition = ["ordered", "not"]
disposition_required = true"#,
    ),
    (
        "claims",
        r#"strategy = "progressive"
ring_step = "4s"
wrap_up = "0s"
announce = { first = "5s", every = "20s", position = true }"#,
    ),
    (
        "vip",
        r#"strategy = "ring_all"
priority = 5
wrap_up = "5s""#,
    ),
    (
        "german",
        r#"strategy = "weighted"
skills = { de = 3 }
prefer = { de = 5 }
relax = [{ after = "20s", skills = { de = 1 } }, { after = "40s", skills = {} }]
wrap_up = "10s"
rest_after_unanswered = "10s""#,
    ),
    (
        "spare",
        r#"strategy = "random"
overflow_no_agents = "hangup"
max_wait = "3m"
wrap_up = "20s""#,
    ),
];

/// Which of the two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    First,
    /// Some agents work for other queues and teams, two are gone, one has another phone, a queue picks otherwise and another one has no
    /// wrap-up any more.
    Second,
}

pub fn phone(agent: usize) -> String {
    (301 + agent).to_string()
}

pub fn staff_number(agent: usize) -> String {
    (1_101 + agent).to_string()
}

pub fn number_of(queue: usize) -> String {
    format!("+493055560{}", queue + 1)
}

/// Level of German, where there is any.
fn german(agent: usize) -> usize {
    [5, 0, 3, 1][agent % 4]
}

/// A caller of that queue may be offered to the agent at once, by the skills of either edition.
pub fn fits(staff: &str, queue: &str) -> bool {
    let agent = staff.parse::<usize>().map_or(0, |n| n.saturating_sub(1_101));
    queue != "german" || german(agent) >= 3
}

/// Of an agent: each is in two queues of the line, one in ten for those who matter most.
fn works_for(agent: usize, queue: usize, edition: Edition) -> bool {
    let moved = usize::from(edition == Edition::Second && agent.is_multiple_of(7));
    let is_gone = edition == Edition::Second && GONE.contains(&agent);
    let of_line = (agent + moved) % 8 == queue || (agent + agent / TEAM + 3) % 8 == queue;
    !is_gone && (of_line || QUEUES[queue].0 == "vip" && agent.is_multiple_of(10))
}

const GONE: [usize; 2] = [17, 42];

pub fn source(edition: Edition) -> Source {
    let mut text = String::from(
        r#"[site]
name = "Floor"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[sip]
udp = ["10.0.0.1:5060"]

[media]
listen = "10.0.0.1"
ports = "20000-23999"

[park]
slots = "701-709"
timeout = "30s"

[recording]
folder = "recordings"

[[trunk]]
name = "carrier"
peer = "10.2.0.1"
probe = "off"

[[trunk]]
name = "backup"
peer = "10.2.0.2"
probe = "off"

[[outbound]]
pattern = "0*"
strip = 1
trunk = ["carrier", "backup"]
"#,
    );
    let mut say = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a string takes all");
    for trunk in ["carrier", "backup"] {
        say(format_args!("[[inbound]]\ntrunk = \"{trunk}\"\nnumber = \"{MENU}\"\nto = \"menu:main\"\n"));
        for (queue, (name, _)) in QUEUES.iter().enumerate() {
            let number = number_of(queue);
            say(format_args!("[[inbound]]\ntrunk = \"{trunk}\"\nnumber = \"{number}\"\nto = \"queue:{name}\"\n"));
        }
    }
    for supervisor in SUPERVISORS {
        say(format_args!("[[phone]]\nnumber = \"{supervisor}\"\nsecret = \"secret-{supervisor}\"\n"));
    }
    let agents = || (0..AGENTS).filter(|agent| edition == Edition::First || !GONE.contains(agent));
    for agent in 0..AGENTS {
        let phone = phone(agent);
        say(format_args!("[[phone]]\nnumber = \"{phone}\"\nsecret = \"secret-{phone}\"\n"));
    }
    for agent in agents() {
        let (staff, phone) = (staff_number(agent), phone(agent));
        say(format_args!("[[agent]]\nstaff_number = \"{staff}\"\nname = \"Agent {staff}\"\nphone = \"{phone}\"\n"));
        if german(agent) > 0 {
            say(format_args!("skills = {{ de = {} }}\n", german(agent)));
        }
    }
    for team in 0..AGENTS / TEAM {
        let shift = usize::from(edition == Edition::Second);
        let of_team = agents().filter(|agent| (agent + shift) / TEAM % (AGENTS / TEAM) == team);
        let members: Vec<String> = of_team.map(|agent| format!("\"{}\"", staff_number(agent))).collect();
        say(format_args!("[[team]]\nname = \"team{team}\"\nagents = [{}]\n", members.join(", ")));
    }
    for (queue, (name, keys)) in QUEUES.iter().enumerate() {
        let member = |agent: usize| {
            let rank = 1 + usize::from((agent + agent / TEAM + 3) % 8 == queue);
            let weight = 1 + agent % 3;
            format!("{{ staff_number = \"{}\", rank = {rank}, weight = {weight} }}", staff_number(agent))
        };
        let members: Vec<String> = (0..AGENTS).filter(|agent| works_for(*agent, queue, edition)).map(member).collect();
        let keys = match edition {
            Edition::First => (*keys).to_owned(),
            Edition::Second => {
                keys.replace("\"round_robin\"", "\"fixed\"").replace("wrap_up = \"10s\"\nmax_wait", "wrap_up = \"0s\"\nmax_wait")
            }
        };
        say(format_args!("[[queue]]\nname = \"{name}\"\nnumber = \"60{}\"\ntitle = \"{name}\"\n", queue + 1));
        say(format_args!("agents = [{}]\n{keys}\n", members.join(", ")));
    }
    let mut prompts: Vec<String> = [
        "welcome",
        "invalid",
        "queue-no-agent",
        "queue-position",
        "queue-wait",
        "unavailable",
        "parked",
        "goodbye",
        "error",
        "closed",
        "callback-offer",
        "callback-confirm",
        "callback-options",
        "callback-number",
        "callback-accepted",
        "outage",
    ]
    .map(|prompt| format!("en/{prompt}"))
    .to_vec();
    prompts.extend(vocabulary(Language::English).into_iter().map(|clip| format!("en/{clip}")));
    Source {
        main: File { path: "cordboard.toml".into(), text },
        secrets: None,
        menus: vec![File { path: "menus/main.toml".into(), text: menu() }],
        prompts,
    }
}

/// Each key leads to a queue.
fn menu() -> String {
    let digits: Vec<String> = QUEUES.iter().zip(1..).map(|((name, _), key)| format!("\"{key}\" = \"queue:{name}\"")).collect();
    format!(
        "name = \"main\"\nlanguage = \"en\"\nstart = \"top\"\n\n[node.top]\nkind = \"menu\"\nprompt = \"welcome\"\ntimeout = \"5s\"\n\
         retries = 1\ninvalid_prompt = \"invalid\"\ndigits = {{ {} }}\n",
        digits.join(", ")
    )
}
