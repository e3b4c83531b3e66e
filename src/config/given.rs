//! The configuration as given: one struct a table of `cordboard.toml`, its fields the keys that may stand in it.
//!
//! Meaning, unit and default of every key are documented once, in the shipped `config/cordboard.toml`; defaults are filled in by
//! `resolve`. What is not `Option` must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_spanned::Spanned;
use toml::de::DeValue;

use super::text::Reader;
use super::units::{
    Address, Code, Daily, Digest, Domain, Encryption, Every, Extension, Goto, Host, Implements, InCountry, InLanguage, Key,
    Label, Listener, MailAddress, Name, Nameless, Net, NumberPattern, Password, Picks, Pin, Ports, Prepend, ReadBy, Records,
    Samples, Secured, Slots, Speaks, Telephone, Time, WantedEvents, WebAddress, Weekdays, Written, Zone,
};
use super::{Advertised, Role};

/// The whole file. Tables that were not given, or that could not be read, are missing.
#[derive(Default)]
pub(crate) struct Given {
    pub site: Option<Spanned<Site>>,
    pub sip: Option<Spanned<Sip>>,
    pub guard: Option<Spanned<Guard>>,
    pub media: Option<Spanned<Media>>,
    pub turn: Option<Spanned<Turn>>,
    pub tls: Option<Spanned<Tls>>,
    pub http: Option<Spanned<Http>>,
    pub recording: Option<Spanned<Recording>>,
    pub codes: Option<Spanned<Codes>>,
    pub park: Option<Spanned<Park>>,
    pub voicemail: Option<Spanned<Voicemail>>,
    pub mail: Option<Spanned<Mail>>,
    pub standards: Option<Spanned<Standards>>,
    pub classes: BTreeMap<String, Spanned<Class>>,
    pub phones: Vec<Spanned<Phone>>,
    pub agents: Vec<Spanned<Agent>>,
    pub teams: Vec<Spanned<Team>>,
    pub queues: Vec<Spanned<Queue>>,
    pub extensions: Vec<Spanned<Extra>>,
    pub trunks: Vec<Spanned<Trunk>>,
    pub inbound: Vec<Spanned<Inbound>>,
    pub outbound: Vec<Spanned<Outbound>>,
    pub users: Vec<Spanned<User>>,
    pub webhooks: Vec<Spanned<Webhook>>,
    pub prompts: Vec<Spanned<Prompt>>,
    pub named: Named,
}

/// What the tables call themselves, whether they could be read or not: a fault in a table makes no reference to it dangle.
#[derive(Default)]
pub(crate) struct Named {
    pub phones: BTreeSet<String>,
    pub classes: BTreeSet<String>,
    pub agents: BTreeSet<String>,
    pub teams: BTreeSet<String>,
    pub queues: BTreeSet<String>,
    pub extensions: BTreeSet<String>,
    pub trunks: BTreeSet<String>,
    /// Numbers of phones and queues that have a mailbox.
    pub mailboxes: BTreeSet<String>,
    /// There is a table [mail].
    pub mail: bool,
    /// An outbound rule is there but could not be read: which numbers can be dialled is not judged.
    pub outbound_torn: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub name: Label,
    pub domain: Domain,
    pub time_zone: Zone,
    pub country: InCountry,
    pub emergency: Option<Spanned<Vec<Spanned<Extension>>>>,
    pub emergency_trunk: Option<Spanned<Vec<Spanned<Name>>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sip {
    pub digest: Option<Spanned<Vec<Digest>>>,
    pub udp: Option<Spanned<Vec<Listener>>>,
    pub tcp: Option<Spanned<Vec<Listener>>>,
    pub tls: Option<Spanned<Vec<Listener>>>,
    pub advertise: Option<Advertised>,
    pub min_expires: Option<Spanned<Time>>,
    pub max_expires: Option<Spanned<Time>>,
    pub default_expires: Option<Spanned<Time>>,
    pub max_contacts: Option<Spanned<u64>>,
    pub nameservers: Option<Vec<Listener>>,
    pub proxies: Option<Spanned<Vec<Spanned<Net>>>>,
    pub drain: Option<Spanned<Time>>,
    pub ladder: Option<Spanned<u64>>,
    pub ladder_kept: Option<Spanned<Time>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    pub ban: Option<Spanned<Time>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Media {
    pub listen: Option<Address>,
    pub advertise: Option<Advertised>,
    pub ports: Option<Spanned<Ports>>,
    pub codecs: Option<Spanned<Vec<Speaks>>>,
    pub workers: Option<Spanned<u64>>,
    pub io: Option<ReadBy>,
    pub missing_after: Option<Spanned<Time>>,
    pub dead_after: Option<Spanned<Time>>,
    pub degraded_below: Option<Spanned<f64>>,
    pub hold_music: Option<Spanned<Label>>,
    pub tones: Option<Spanned<InCountry>>,
    pub srtp: Option<Encryption>,
    pub ice: Option<Implements>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    pub urls: Option<Spanned<Vec<Label>>>,
    pub secret: Option<Password>,
    pub user: Option<Label>,
    pub password: Option<Password>,
    pub lifetime: Option<Spanned<Time>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub listen: Option<Listener>,
    pub secure: Option<Spanned<Listener>>,
    pub origins: Option<Spanned<Vec<Label>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub certificate: Option<Spanned<Label>>,
    pub key: Option<Spanned<Label>>,
    pub self_signed: Option<bool>,
    pub ca: Option<Spanned<Label>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub folder: Option<Label>,
    pub inbound: Option<Records>,
    pub outbound: Option<Records>,
    pub internal: Option<Records>,
    pub longest_pause: Option<Spanned<Time>>,
    pub sample_rate: Option<Samples>,
    pub announcement: Option<Spanned<Name>>,
    pub refuse: Option<Spanned<Key>>,
    pub supervisors: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Codes {
    pub ready: Option<Spanned<Code>>,
    pub pause: Option<Spanned<Code>>,
    pub offline: Option<Spanned<Code>>,
    pub login: Option<Spanned<Code>>,
    pub logout: Option<Spanned<Code>>,
    pub forward_always: Option<Spanned<Code>>,
    pub forward_busy: Option<Spanned<Code>>,
    pub forward_no_answer: Option<Spanned<Code>>,
    pub forward_unregistered: Option<Spanned<Code>>,
    pub do_not_disturb: Option<Spanned<Code>>,
    pub pickup: Option<Spanned<Code>>,
    pub intercom: Option<Spanned<Code>>,
    pub message: Option<Spanned<Code>>,
    pub voicemail: Option<Spanned<Code>>,
    pub anonymous: Option<Spanned<Code>>,
    pub park: Option<Spanned<Code>>,
    pub conference: Option<Spanned<Code>>,
    pub prompt: Option<Spanned<Code>>,
    pub record_pause: Option<Spanned<Code>>,
    pub record: Option<Spanned<Code>>,
    pub consult: Option<Spanned<Code>>,
    pub swap: Option<Spanned<Code>>,
    pub complete: Option<Spanned<Code>>,
    pub marker: Option<Spanned<Code>>,
    pub disposition: Option<Spanned<Code>>,
    pub pause_reasons: Option<Spanned<Vec<Label>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Park {
    pub slots: Option<Spanned<Slots>>,
    pub timeout: Option<Spanned<Time>>,
    pub ring_backs: Option<Spanned<u64>>,
    pub overflow: Option<Spanned<Goto>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Voicemail {
    pub silence: Option<Spanned<Time>>,
    pub shortest: Option<Spanned<Time>>,
    pub longest: Option<Spanned<Time>>,
    pub pin_failures: Option<Spanned<u64>>,
    pub pin_lock: Option<Spanned<Time>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    pub server: Spanned<Domain>,
    pub port: Option<Spanned<u64>>,
    pub tls: Option<Secured>,
    pub user: Option<Spanned<Label>>,
    pub password: Option<Password>,
    pub from: MailAddress,
    pub timeout: Option<Spanned<Time>>,
    pub ca: Option<Spanned<Label>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phone {
    pub number: Spanned<Extension>,
    pub secret: Option<Password>,
    pub name: Option<Label>,
    pub outside: Option<bool>,
    pub caller: Option<Telephone>,
    pub group: Option<Label>,
    pub intercom: Option<bool>,
    pub class: Option<Spanned<Name>>,
    pub voicemail: Option<bool>,
    pub pin: Option<Spanned<Pin>>,
    pub language: Option<Spanned<Name>>,
    pub mail: Option<Spanned<MailAddress>>,
    pub mail_attach: Option<bool>,
    pub mail_delete: Option<Spanned<bool>>,
    pub srtp: Option<Encryption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    pub allow: Option<Vec<NumberPattern>>,
    pub deny: Option<Vec<NumberPattern>>,
    pub calls: Option<Spanned<u64>>,
    pub minutes: Option<Spanned<u64>>,
    pub hours: Option<Daily>,
    pub days: Option<Spanned<Vec<Weekdays>>>,
    pub transfer_blind: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agent {
    pub staff_number: Spanned<Name>,
    pub name: Label,
    pub phone: Option<Spanned<Extension>>,
    pub phones: Option<Vec<Spanned<Extension>>>,
    pub pin: Option<Pin>,
    pub skills: Option<BTreeMap<String, Spanned<u64>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Team {
    pub name: Spanned<Name>,
    pub leader: Option<Spanned<Name>>,
    pub agents: Option<Vec<Spanned<Name>>>,
    pub client: Option<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Queue {
    pub name: Spanned<Name>,
    pub strategy: Option<Picks>,
    pub agents: Option<Vec<Spanned<Member>>>,
    pub skills: Option<BTreeMap<String, Spanned<u64>>>,
    pub prefer: Option<BTreeMap<String, Spanned<u64>>>,
    pub relax: Option<Vec<Relax>>,
    pub priority: Option<Spanned<i64>>,
    pub max_length: Option<Spanned<u64>>,
    pub overflow_full: Option<Spanned<Goto>>,
    pub overflow_no_agents: Option<Spanned<Goto>>,
    pub music: Option<Spanned<Name>>,
    pub announce: Option<Announce>,
    pub callback: Option<CallBack>,
    pub number: Option<Spanned<Extension>>,
    pub title: Option<Label>,
    pub rings: Option<Spanned<u64>>,
    pub ring_cycle: Option<Spanned<Time>>,
    pub ring_step: Option<Spanned<Time>>,
    pub wrap_up: Option<Spanned<Time>>,
    pub wrap_up_most: Option<Spanned<Time>>,
    pub disposition: Option<Vec<Spanned<Label>>>,
    pub disposition_required: Option<Spanned<bool>>,
    pub notes_required: Option<bool>,
    pub survey: Option<Spanned<Goto>>,
    pub survey_recorded: Option<bool>,
    pub hold_reminder: Option<Spanned<Time>>,
    pub hold_limit: Option<Spanned<Time>>,
    pub rest_after_unanswered: Option<Spanned<Time>>,
    pub max_wait: Option<Spanned<Time>>,
    pub overflow: Option<Spanned<Goto>>,
    pub service_level: Option<Spanned<Time>>,
    pub short_abandon: Option<Spanned<Time>>,
    pub standards: Option<Standards>,
    pub record: Option<Records>,
    pub voicemail: Option<Spanned<bool>>,
    pub pin: Option<Spanned<Pin>>,
    pub language: Option<Spanned<Name>>,
    pub mail: Option<Spanned<MailAddress>>,
    pub mail_attach: Option<bool>,
    pub mail_delete: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extra {
    pub number: Spanned<Extension>,
    pub to: Spanned<Goto>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trunk {
    pub name: Spanned<Name>,
    pub peer: Spanned<Host>,
    pub transport: Option<super::units::Carried>,
    pub user: Option<Label>,
    pub secret: Option<Password>,
    pub register: Option<Spanned<bool>>,
    pub refresh: Option<Spanned<Time>>,
    pub caller: Option<Telephone>,
    pub transit: Option<bool>,
    pub refer: Option<bool>,
    pub trust: Option<bool>,
    pub callers: Option<Vec<Spanned<NumberPattern>>>,
    pub caller_format: Option<Written>,
    pub max_calls: Option<Spanned<u64>>,
    pub max_calls_per_second: Option<Spanned<u64>>,
    pub probe: Option<Spanned<Every>>,
    pub srtp: Option<Encryption>,
    pub record: Option<Records>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inbound {
    pub trunk: Spanned<Name>,
    pub number: Spanned<NumberPattern>,
    pub to: Spanned<Goto>,
    pub record: Option<Records>,
    pub anonymous: Option<Nameless>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outbound {
    pub pattern: Spanned<NumberPattern>,
    pub strip: Option<Spanned<u64>>,
    pub prepend: Option<Prepend>,
    pub trunk: Spanned<Vec<Spanned<Pick>>>,
    pub record: Option<Records>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relax {
    pub after: Spanned<Time>,
    pub skills: BTreeMap<String, Spanned<u64>>,
}

/// Of the site, and what a queue has otherwise.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standards {
    pub rings: Option<Spanned<u64>>,
    pub hold: Option<Spanned<Time>>,
    pub mute: Option<Spanned<Time>>,
    pub silence: Option<Spanned<Time>>,
    pub overtalk: Option<Spanned<Time>>,
    pub level: Option<Spanned<[f64; 2]>>,
    pub talk_share: Option<Spanned<[f64; 2]>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announce {
    pub first: Option<Spanned<Time>>,
    pub every: Option<Spanned<Time>>,
    pub position: Option<Spanned<bool>>,
    pub expected: Option<Spanned<bool>>,
    pub comfort: Option<Vec<Spanned<Name>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallBack {
    pub digit: Option<Spanned<Key>>,
    pub offer_after: Option<Spanned<Time>>,
    pub attempts: Option<Spanned<u64>>,
    pub retry: Option<Vec<Spanned<Time>>>,
    pub keep: Option<Spanned<Time>>,
    pub confirm: Option<bool>,
    pub abroad: Option<bool>,
    pub prefix: Option<Prepend>,
    pub caller: Option<Telephone>,
}

/// An agent of a queue: the staff number, or a table with rank and share.
pub(crate) struct Member {
    pub staff_number: Name,
    pub rank: Option<Spanned<u64>>,
    pub weight: Option<Spanned<u64>>,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            staff_number: Name,
            rank: Option<Spanned<u64>>,
            weight: Option<Spanned<u64>>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a staff number, or a table such as { staff_number = \"1024\", rank = 1, weight = 1 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Member, E> {
                let staff_number = Name::deserialize(text.into_deserializer())?;
                Ok(Member { staff_number, rank: None, weight: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Member, A::Error> {
                let Table { staff_number, rank, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Member { staff_number, rank, weight })
            }
        }
        d.deserialize_any(Either)
    }
}

/// A trunk of an outbound rule: its name, or a table with its share.
pub(crate) struct Pick {
    pub name: Name,
    pub priority: Option<Spanned<u64>>,
    pub weight: Option<Spanned<u64>>,
}

impl<'de> Deserialize<'de> for Pick {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: Name,
            priority: Option<Spanned<u64>>,
            weight: Option<Spanned<u64>>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Pick;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a trunk, or a table such as { name = \"carrier\", priority = 1, weight = 10 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pick, E> {
                let name = Name::deserialize(text.into_deserializer())?;
                Ok(Pick { name, priority: None, weight: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pick, A::Error> {
                let Table { name, priority, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Pick { name, priority, weight })
            }
        }
        d.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prompt {
    pub number: Spanned<Extension>,
    pub prompt: Spanned<InLanguage>,
    pub phones: Vec<Spanned<Extension>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub name: Spanned<Name>,
    pub password: Option<Password>,
    pub token: Option<Password>,
    pub role: Option<Spanned<Role>>,
    pub teams: Option<Spanned<Vec<Spanned<Name>>>>,
    pub agent: Option<Spanned<Name>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    pub name: Spanned<Name>,
    pub url: Spanned<WebAddress>,
    pub secret: Option<Spanned<Password>>,
    pub secret_before: Option<Spanned<Password>>,
    pub types: Option<Spanned<Vec<WantedEvents>>>,
    pub batch: Option<Spanned<u64>>,
    pub timeout: Option<Spanned<Time>>,
}

/// `secrets.toml`: one table a kind of secret, in it whose secret it is.
#[derive(Default)]
pub(crate) struct Secrets {
    /// By number.
    pub phone: BTreeMap<String, Password>,
    /// By the trunk's name.
    pub trunk: BTreeMap<String, Password>,
    /// By the user's name.
    pub password: BTreeMap<String, Password>,
    /// By the user's name.
    pub token: BTreeMap<String, Password>,
    /// Of a mailbox, by number.
    pub pin: BTreeMap<String, Password>,
    /// Of the mail server, by our user there.
    pub mail: BTreeMap<String, Password>,
    /// That a webhook's requests are signed with, by its name.
    pub webhook: BTreeMap<String, Password>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "unknown table `{0}`, expected one of site, sip, guard, media, turn, http, recording, codes, park, voicemail, mail, standards, class, phone, agent, team, queue, extension, \
     trunk, inbound, \
     outbound, prompt, user, webhook"
)]
struct UnknownTable<'a>(&'a str);

impl Given {
    /// Reads every table by itself, so that a fault in one hides none in another. `None` where the file is no TOML.
    pub(crate) fn read(reader: &mut Reader, text: &str) -> Option<Given> {
        let root = reader.parse(text)?;
        let mut given = Given::default();
        for (key, value) in root {
            let count = value.get_ref().as_array().map_or(0, |a| a.len());
            match key.get_ref().as_ref() {
                "site" => given.site = reader.read(value),
                "sip" => given.sip = reader.read(value),
                "guard" => given.guard = reader.read(value),
                "media" => given.media = reader.read(value),
                "turn" => given.turn = reader.read(value),
                "tls" => given.tls = reader.read(value),
                "http" => given.http = reader.read(value),
                "recording" => given.recording = reader.read(value),
                "codes" => given.codes = reader.read(value),
                "park" => given.park = reader.read(value),
                "standards" => given.standards = reader.read(value),
                "voicemail" => given.voicemail = reader.read(value),
                "mail" => {
                    given.named.mail = true;
                    given.mail = reader.read(value);
                }
                "class" => {
                    let at = value.span();
                    match value.into_inner() {
                        DeValue::Table(tables) => {
                            for (name, table) in tables {
                                let name = name.into_inner().into_owned();
                                given.named.classes.insert(name.clone());
                                given.classes.extend(reader.read(table).map(|class| (name, class)));
                            }
                        }
                        other => drop(reader.read::<BTreeMap<String, Class>>(Spanned::new(at, other))),
                    }
                }
                "phone" => {
                    given.named.phones = names(&value, "number");
                    given.named.mailboxes.extend(mailboxes(&value));
                    given.phones = reader.read_all("phone", value);
                }
                "agent" => {
                    given.named.agents = names(&value, "staff_number");
                    given.agents = reader.read_all("agent", value);
                }
                "team" => {
                    given.named.teams = names(&value, "name");
                    given.teams = reader.read_all("team", value);
                }
                "queue" => {
                    given.named.queues = names(&value, "name");
                    given.named.mailboxes.extend(mailboxes(&value));
                    given.queues = reader.read_all("queue", value);
                }
                "extension" => {
                    given.named.extensions = names(&value, "number");
                    given.extensions = reader.read_all("extension", value);
                }
                "trunk" => {
                    given.named.trunks = names(&value, "name");
                    given.trunks = reader.read_all("trunk", value);
                }
                "inbound" => given.inbound = reader.read_all("inbound", value),
                "outbound" => {
                    given.outbound = reader.read_all("outbound", value);
                    given.named.outbound_torn = given.outbound.len() != count;
                }
                "prompt" => given.prompts = reader.read_all("prompt", value),
                "user" => given.users = reader.read_all("user", value),
                "webhook" => given.webhooks = reader.read_all("webhook", value),
                other => reader.fault(key.span().start, UnknownTable(other)),
            }
        }
        Some(given)
    }
}

fn names(tables: &Spanned<DeValue<'_>>, key: &str) -> BTreeSet<String> {
    let tables = tables.get_ref().as_array().into_iter().flatten();
    tables.filter_map(|t| t.get_ref().as_table()?.get(key)?.get_ref().as_str().map(str::to_owned)).collect()
}

/// Numbers of those with `voicemail = true`.
fn mailboxes(tables: &Spanned<DeValue<'_>>) -> BTreeSet<String> {
    let tables = tables.get_ref().as_array().into_iter().flatten().filter_map(|t| t.get_ref().as_table());
    let with = tables.filter(|t| t.get("voicemail").is_some_and(|v| matches!(v.get_ref(), DeValue::Boolean(true))));
    with.filter_map(|t| t.get("number")?.get_ref().as_str().map(str::to_owned)).collect()
}

impl Secrets {
    pub(crate) fn read(reader: &mut Reader, text: &str) -> Option<Secrets> {
        let root = reader.parse(text)?;
        let mut secrets = Secrets::default();
        for (key, value) in root {
            let at = key.span().start;
            let map = match key.get_ref().as_ref() {
                "phone" => &mut secrets.phone,
                "trunk" => &mut secrets.trunk,
                "password" => &mut secrets.password,
                "token" => &mut secrets.token,
                "pin" => &mut secrets.pin,
                "mail" => &mut secrets.mail,
                "webhook" => &mut secrets.webhook,
                other => {
                    reader.fault(at, UnknownSecrets(other));
                    continue;
                }
            };
            if let Some(read) = reader.read::<BTreeMap<String, Password>>(value) {
                *map = read.into_inner();
            }
        }
        Some(secrets)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown table `{0}`, expected one of phone, trunk, password, token, pin, mail, webhook")]
struct UnknownSecrets<'a>(&'a str);
