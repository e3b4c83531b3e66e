//! The configuration as resolved: every reference checked, every default filled in, every unit a type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Advertised, Country, Network, Place, Queue, Standards, Webhook};
use crate::ids::{MenuName, Number, QueueName, StaffNumber, TeamName, TrunkName};

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub site: Site,
    pub sip: Sip,
    pub guard: Guard,
    pub media: Media,
    /// What browsers are told of STUN and TURN, if anything.
    pub turn: Option<Turn>,
    /// Where there is a listener that needs it.
    pub tls: Option<Tls>,
    pub http: Http,
    pub recording: Recording,
    /// Prompts that can be recorded by phone, by what is dialled behind the code.
    pub spoken: BTreeMap<Number, Spoken>,
    pub codes: FeatureCodes,
    pub park: Park,
    pub voicemail: Voicemail,
    /// Where messages are mailed from.
    pub mail: Option<Mail>,
    /// Who is sent events, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// What is asked of agents in calls that no queue gave them, and where a queue says nothing else.
    pub standards: Standards,
    /// By the number of the phone or queue that they are of.
    pub mailboxes: BTreeMap<Number, Mailbox>,
    /// By name. Phones that name none are in `default`, if there is one.
    pub classes: BTreeMap<String, Class>,
    pub phones: BTreeMap<Number, Phone>,
    pub agents: BTreeMap<StaffNumber, Agent>,
    pub teams: BTreeMap<TeamName, Team>,
    pub queues: BTreeMap<QueueName, Queue>,
    /// Numbers that phones dial inside to get to a place: a menu by its number, say. Phones and queues have their own.
    pub extensions: BTreeMap<Number, Place>,
    pub trunks: BTreeMap<TrunkName, Trunk>,
    /// In the order of the file; the longest match wins, so order decides only between equals, which are refused.
    pub inbound: Vec<Inbound>,
    pub outbound: Vec<Outbound>,
    /// Text of each menu file; `ivr::Graph` reads it.
    pub menus: BTreeMap<MenuName, MenuText>,
    /// Prompts that exist, as `<language>/<prompt>`; what a menu names must be among them.
    pub prompts: Vec<String>,
    pub users: Vec<User>,
}

impl Config {
    /// The team that an agent is in; there is at most one.
    pub fn team_of(&self, agent: &StaffNumber) -> Option<&TeamName> {
        self.teams.iter().find(|(_, team)| team.agents.contains(agent)).map(|(name, _)| name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub name: String,
    /// Realm of digest and domain of addresses of record.
    pub domain: String,
    pub time_zone: jiff::tz::TimeZone,
    /// ISO 3166 alpha-2: tones, ring cadence, national number format.
    pub country: Country,
    /// Numbers that always go out, from any phone, whatever else holds.
    pub emergency: BTreeSet<Number>,
    /// By these trunks, in turn; empty: by all, those of the outbound rules first.
    pub emergency_trunks: Vec<TrunkName>,
}

/// RFC 8760 algorithms that we offer, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    Md5,
    Sha256,
}

/// A codec that may be agreed to, by its name in `a=rtpmap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Pcma,
    Pcmu,
    G722,
    Opus,
    L16,
}

impl Codec {
    /// By what a change to another one costs, since two who have one in common are relayed; without L16, which takes 256 kbit/s.
    pub const DEFAULT: [Codec; 4] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus];
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sip {
    pub digest: Vec<DigestAlgorithm>,
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    /// Needs [`Config::tls`].
    pub tls: Vec<SocketAddr>,
    /// Address that peers are told to send to.
    pub advertise: Advertised,
    pub min_expires: Duration,
    pub max_expires: Duration,
    pub default_expires: Duration,
    pub max_contacts: usize,
    /// Asked instead of the system's.
    pub nameservers: Vec<SocketAddr>,
    /// Edge proxies of our own: what they say of a phone's way (Path, Via) is believed.
    pub proxies: Vec<Network>,
    /// How long SIGTERM waits for live calls.
    pub drain: Duration,
    /// SIP messages that are kept of a conversation; 0 keeps none of any.
    pub ladder: usize,
    /// How long the messages of an ended conversation are found.
    pub ladder_kept: Duration,
}

impl Sip {
    /// An edge proxy of our own is there.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }
}

/// Against strangers.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// How long a source that floods is not listened to; zero bans nobody.
    pub ban: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    pub listen: IpAddr,
    pub advertise: Advertised,
    /// RTP takes the even ports, RTCP the odd one above.
    pub ports: RangeInclusive<u16>,
    /// What is offered and taken, in order of preference.
    pub codecs: Vec<Codec>,
    /// Threads that move audio; default: as many as there are cores, at most 4.
    pub workers: u8,
    pub io: MediaIo,
    /// A `media.missing` event after this long without a packet.
    pub missing_after: Duration,
    /// The leg is ended after this long without a packet, unless it is on hold.
    pub dead_after: Duration,
    /// A leg whose mean opinion score falls below this is told of (`media.degraded`); 1, the lowest score there is, tells of none.
    pub degraded_below: f32,
    /// What a waiting or held customer hears: a WAV file; built-in music where none is given.
    pub hold_music: Option<PathBuf>,
    /// Whose ringback and busy tone are played; the site's country where none is given.
    pub tones: Option<Country>,
    /// Of phones and trunks that say nothing of their own.
    pub srtp: Srtp,
    /// Of browsers' legs.
    pub ice: MediaIce,
}

/// The implementation of ICE (RFC 8445 §2.5) that browsers' legs have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaIce {
    /// It answers checks and sends none.
    #[default]
    Lite,
    Full,
}

/// The system's way in which media workers read and write datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaIo {
    /// io_uring where it is to be had (Linux 6.1, and no sandbox that refuses it), else epoll.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

/// Servers that help browsers out of networks which let no UDP through. The switch uses none itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// `stun:`, `turn:` and `turns:` (RFC 7064, RFC 7065); at least one.
    pub urls: Vec<String>,
    pub credentials: TurnCredentials,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TurnCredentials {
    /// STUN alone asks for none.
    None,
    Fixed {
        user: String,
        password: Secret,
    },
    /// Shared with the server; each browser gets a user name that holds for so long, and its HMAC as the password
    /// (draft-uberti-behave-turn-rest).
    Shared {
        secret: Secret,
        lifetime: Duration,
    },
}

/// What is wanted of encryption of a leg's audio (SRTP with keys in the description, RFC 4568).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    Off,
    /// What the other side asks for; asked for by us of a phone or trunk that is said to have it where its signalling is encrypted, and
    /// done without where it is refused.
    #[default]
    Preferred,
    /// No call without it.
    Required,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub listen: SocketAddr,
    /// The same with TLS. Needs [`Config::tls`].
    pub secure: Option<SocketAddr>,
    /// Pages that may speak SIP over WebSocket, beside those of this host: `https://crm.example`.
    pub origins: Vec<String>,
}

/// Pairs of ports of a worker that are kept for emergency calls: one that is tried by seven trunks, or four by one each.
const MOST_KEPT_FOR_HELP: u32 = 8;

impl Media {
    /// Pairs of ports of each worker that only emergency calls get: eight, and of a small range an eighth of what a worker has, so that
    /// other calls have nearly all. Even, as a call has two legs; so none where a worker has fewer than 16 pairs.
    pub fn kept_for_help(&self, workers: usize) -> usize {
        let ports = u32::from(*self.ports.end()).saturating_sub(u32::from(*self.ports.start())) + 1;
        let of_a_worker = ports / 2 / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        (of_a_worker / 8 / 2 * 2).min(MOST_KEPT_FOR_HELP) as usize
    }
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the switch's own certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both are made where they are missing.
    pub self_signed: bool,
    /// Whose certificates are taken of the trunks that we call by TLS; `None`: the system's roots.
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    pub folder: PathBuf,
    pub inbound: Record,
    pub outbound: Record,
    pub internal: Record,
    /// A pause ends by itself then.
    pub longest_pause: Duration,
    pub sample_rate: RecordingRate,
    /// The prompt that tells an outside party that it is recorded.
    pub announcement: Option<String>,
    /// Pressed by the outside party during it or shortly after: nothing is kept.
    pub refuse: Option<char>,
    /// What supervisors say and hear is recorded apart, where the customer is recorded.
    pub supervisors: bool,
}

/// A prompt that is recorded by phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// `<language>/<name>`; it need not be there yet.
    pub prompt: String,
    /// Who may.
    pub phones: BTreeSet<Number>,
}

/// Samples a second of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordingRate {
    /// 8,000: all that is in a call between networks.
    #[default]
    Narrow,
    /// 16,000.
    Wide,
    /// Wide where the customer's own codec is, when the recording begins.
    Auto,
}

/// Whether calls are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// From the answer on.
    Always,
    /// When somebody asks for it, by key or API.
    OnDemand,
    Never,
}

/// As the configuration has it.
impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Record::Always => "true",
            Record::OnDemand => "on_demand",
            Record::Never => "false",
        })
    }
}

/// Dialled from a phone; the first five are for the agent who works at it, or is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureCodes {
    pub ready: String,
    /// Followed by nothing, or by digits that pick a reason (1 is the first of `pause_reasons`).
    pub pause: String,
    pub offline: String,
    /// Followed by a staff number: that agent works at this phone from here on. Alone: whose phone it is.
    pub login: String,
    /// Who works at this phone works nowhere any more.
    pub logout: String,
    /// Followed by the number that calls go to, or by nothing: not any more. Likewise the next three.
    pub forward_always: String,
    pub forward_busy: String,
    pub forward_no_answer: String,
    pub forward_unregistered: String,
    /// Followed by 1: on; by 0 or nothing: off.
    pub do_not_disturb: String,
    /// Followed by a number, or by nothing: takes the call that rings there, or at any phone of the same group.
    pub pickup: String,
    /// Followed by a phone's number, which is to answer by itself.
    pub intercom: String,
    /// Before a number: a message is left for it. After a forwarding code: the phone's own mailbox.
    pub message: String,
    /// The phone's own mailbox, to listen to.
    pub voicemail: String,
    /// Before a number: the caller's own is not shown.
    pub anonymous: String,
    /// Puts a call that is transferred there into a free park slot, and says into which.
    pub park: String,
    /// Pressed within a call, while the same phone has another one: all of both talk with each other.
    pub conference: String,
    /// Before the number of a prompt: it is recorded.
    pub prompt: String,
    /// Pressed within a call: its recording is silent from there.
    pub record_pause: String,
    /// Likewise: it begins, or goes on.
    pub record: String,
    /// Likewise, with a number and # behind it: that one is consulted; alone with #: no more.
    pub consult: String,
    /// Likewise: from who is consulted to the customer, or back.
    pub swap: String,
    /// Likewise: who is consulted gets the customer.
    pub complete: String,
    /// Likewise: a marker at this moment.
    pub marker: String,
    /// Likewise, with a key behind it, 1 to 9: what came of the call, of the queue's dispositions.
    pub disposition: String,
    pub pause_reasons: Vec<String>,
}

impl Default for FeatureCodes {
    fn default() -> Self {
        FeatureCodes {
            ready: "*21".to_owned(),
            pause: "*22".to_owned(),
            offline: "*23".to_owned(),
            login: "*24".to_owned(),
            logout: "*25".to_owned(),
            forward_always: "*41".to_owned(),
            forward_busy: "*42".to_owned(),
            forward_no_answer: "*43".to_owned(),
            forward_unregistered: "*44".to_owned(),
            do_not_disturb: "*45".to_owned(),
            pickup: "*8".to_owned(),
            intercom: "*80".to_owned(),
            message: "*98".to_owned(),
            voicemail: "*97".to_owned(),
            anonymous: "*31".to_owned(),
            park: "*70".to_owned(),
            conference: "*71".to_owned(),
            prompt: "*75".to_owned(),
            record_pause: "*72".to_owned(),
            record: "*73".to_owned(),
            consult: "*76".to_owned(),
            swap: "*77".to_owned(),
            complete: "*78".to_owned(),
            marker: "*79".to_owned(),
            disposition: "*74".to_owned(),
            pause_reasons: ["break", "training", "paperwork"].map(str::to_owned).to_vec(),
        }
    }
}

/// Where calls are put that somebody else is to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Park {
    /// Numbers inside, each of which holds one call.
    pub slots: BTreeSet<Number>,
    /// Then the one who parked the call is rung.
    pub timeout: Duration,
    /// Rung so often in vain, before the call goes to `overflow`.
    pub ring_backs: u32,
    /// Where a call goes that nobody takes; without, it waits on in its slot.
    pub overflow: Option<Place>,
}

/// What holds for every mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voicemail {
    /// A caller who is silent for so long has said it all; zero: may be silent.
    pub silence: Duration,
    /// What is shorter is no message.
    pub shortest: Duration,
    /// Then it is enough.
    pub longest: Duration,
    /// Wrong PINs that lock a mailbox, or a source; zero: none do.
    pub pin_failures: u32,
    /// For how long.
    pub pin_lock: Duration,
}

impl Default for Voicemail {
    fn default() -> Self {
        let s = Duration::from_secs;
        Voicemail { silence: s(5), shortest: s(1), longest: s(180), pin_failures: 9, pin_lock: s(900) }
    }
}

/// Where messages can be left for a phone or a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Mailbox {
    pub number: Number,
    /// Opens it by phone: digits.
    pub pin: Secret,
    /// What it says to callers who have chosen no language, and to its owner.
    pub language: Option<String>,
    /// Name of the phone or title of the queue; the number, where there is none.
    pub title: String,
    /// Where its messages are mailed to. Needs [`Config::mail`].
    pub mail: Option<MailTo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailTo {
    pub to: String,
    /// With the message as a file.
    pub attach: bool,
    /// The message is deleted when it is mailed.
    pub delete: bool,
}

/// The mail server that takes our mails (RFC 6409).
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub server: String,
    pub port: u16,
    pub tls: MailTls,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub from: String,
    /// For a mail, beside what its length takes.
    pub timeout: Duration,
    /// A PEM file whose certificates are trusted beside the system's.
    pub ca: Option<PathBuf>,
}

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the start (RFC 8314 §3.3).
    Required,
    /// By STARTTLS (RFC 3207), and nothing is sent without.
    #[default]
    StartTls,
    Off,
}

/// A secret in memory. Printed nowhere: `Debug` shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(s: impl Into<Arc<str>>) -> Self {
        Secret(s.into())
    }

    /// The plain text, for a digest. Never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    pub number: Number,
    pub secret: Secret,
    /// Shown to whom it calls inside.
    pub name: Option<String>,
    /// May dial outside numbers.
    pub outside: bool,
    /// The number shown outside when it calls out, if the trunk's rule does not set one.
    pub caller: Option<String>,
    /// Picks up calls of phones with the same one by the code alone; `None`: of all phones.
    pub group: Option<String>,
    /// Answers by itself where it is called by the intercom code.
    pub intercom: bool,
    /// One of [`Config::classes`].
    pub class: Option<String>,
    /// `None`: as [`Media::srtp`] says.
    pub srtp: Option<Srtp>,
}

/// Class of service: limits of what a phone may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Numbers outside, as the trunk gets them. Where there are any, all others are denied.
    pub allow: Vec<Pattern>,
    pub deny: Vec<Pattern>,
    /// That the phone may be in at once.
    pub calls: Option<u32>,
    /// Outside, a day.
    pub minutes: Option<u32>,
    /// When it may call outside.
    pub times: Option<Times>,
    pub transfer_blind: bool,
}

/// Hours of days in the site's time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// From Monday.
    pub days: [bool; 7],
    pub from: jiff::civil::Time,
    /// Not after `from`: of the next day.
    pub until: jiff::civil::Time,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    pub staff_number: StaffNumber,
    pub name: String,
    /// Where the agent works who has logged in nowhere else: all of them ring. There may be none.
    pub phones: Vec<Number>,
    /// Keyed to log in at another phone; without one that can't be done by phone.
    pub pin: Option<Secret>,
    /// Skill → level 1..=5.
    pub skills: BTreeMap<String, u8>,
}

/// Agents under one leader: what a supervisor's rights go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub leader: Option<StaffNumber>,
    pub agents: BTreeSet<StaffNumber>,
    /// Whom the team works for. Recorded only.
    pub client: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    pub name: TrunkName,
    pub peer: Peer,
    pub user: Option<String>,
    pub secret: Option<Secret>,
    /// Registers there every `refresh`, and calls come in by that registration as well as from the peer's address.
    pub register: bool,
    pub refresh: Duration,
    /// Number shown on calls that go out here, whatever the phone says: `None` leaves the phone's `caller`.
    pub caller: Option<String>,
    /// Where the rule that routes a call says nothing of it.
    pub record: Option<Record>,
    /// A caller from this trunk may reach an outside number through a trunk.
    pub transit: bool,
    /// A REFER from this trunk is obeyed.
    pub refer: bool,
    /// Numbers of phones that may be shown here; of none: all.
    pub callers: Vec<Pattern>,
    pub caller_format: CallerFormat,
    /// Its word on who calls is believed, and it is told ours (RFC 3325).
    pub trust: bool,
    /// Calls at once, both directions.
    pub max_calls: Option<u32>,
    /// Calls that begin within any second, both directions.
    pub max_calls_per_second: Option<u32>,
    /// How often it is asked whether it is there (OPTIONS); `None`: never.
    pub probe: Option<Duration>,
    /// `None`: as [`Media::srtp`] says.
    pub srtp: Option<Srtp>,
}

/// How a phone's or transit caller's number is written to a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallerFormat {
    #[default]
    AsIs,
    /// `+4930123456`.
    E164,
    /// `030123456`, and `0039…` to other countries.
    National,
}

/// Host and port as given; a host that is not an address is resolved when it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub host: String,
    /// `None`: calls come from any port, and go where the name's NAPTR and SRV records say, or to the transport's own port.
    pub port: Option<u16>,
    pub transport: Carrier,
}

/// How requests go to a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// As its name's records say (RFC 3263 §4.1); UDP where there are none.
    #[default]
    Auto,
    Udp,
    Tcp,
    Tls,
}

/// A number: all of it, or the start of it (`*` at the end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Exact(String),
    Prefix(String),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(p) => f.write_str(p),
            Pattern::Prefix(p) => write!(f, "{p}*"),
        }
    }
}

impl Pattern {
    /// How many characters matched, an exact match counting one more than any prefix of the same length.
    pub fn matches(&self, number: &str) -> Option<usize> {
        match self {
            Pattern::Exact(p) => (p == number).then_some(p.len() * 2 + 1),
            Pattern::Prefix(p) => number.starts_with(p.as_str()).then_some(p.len() * 2),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    pub trunk: TrunkName,
    pub number: Pattern,
    pub to: Place,
    /// A caller without a number gets 433 (RFC 5079).
    pub rejects_anonymous: bool,
    /// `None`: the trunk's, or the default for inbound. A `Some` is the rule that `recording.decided` names.
    pub record: Option<Record>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    pub pattern: Pattern,
    /// Digits taken off the front, then `prepend` put on.
    pub strip: usize,
    pub prepend: String,
    /// The next one is tried after 408, 5xx or a transport error, never after 404, 486, 603.
    pub trunks: Vec<Choice>,
    /// `None`: that of the trunk that is tried first, or the default for outbound.
    pub record: Option<Record>,
}

/// One of the trunks of an outbound rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub trunk: TrunkName,
    /// Lower is tried first; default: the place in the list, from 1.
    pub priority: u16,
    /// Share among those of the same priority (RFC 2782).
    pub weight: u16,
}

/// A menu file as text, with the path that its faults are reported under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuText {
    pub path: PathBuf,
    pub text: Arc<str>,
}

/// Someone who may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: Secret,
    /// Bearer token for programs.
    pub token: Option<Secret>,
    pub role: Role,
    /// Of a supervisor: whose agents, calls, recordings and queues are seen and controlled.
    pub teams: BTreeSet<TeamName>,
    /// Who the user is among the agents.
    pub agent: Option<StaffNumber>,
}

/// What a user may do, from the least to the most; `api` has the rules, route by route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The own state and the own calls.
    Agent,
    /// The agents of some teams, with their calls, recordings and queues.
    Supervisor,
    /// Everything but the administration of the system.
    Manager,
    /// Everything. What a user is of whom the configuration says nothing.
    #[default]
    Admin,
}

impl Role {
    pub fn label(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Supervisor => "supervisor",
            Role::Manager => "manager",
            Role::Admin => "admin",
        }
    }
}
