//! What a reload changes, in words.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::Config;

/// A line for each thing that came, went or changed: `phone 205 added`, `queue support changed`. No values: they may be secrets.
pub fn differences(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    compare("phone", &old.phones, &new.phones, &mut lines);
    compare("agent", &old.agents, &new.agents, &mut lines);
    compare("team", &old.teams, &new.teams, &mut lines);
    compare("queue", &old.queues, &new.queues, &mut lines);
    compare("mailbox", &old.mailboxes, &new.mailboxes, &mut lines);
    compare("extension", &old.extensions, &new.extensions, &mut lines);
    compare("trunk", &old.trunks, &new.trunks, &mut lines);
    compare("webhook", &old.webhooks, &new.webhooks, &mut lines);
    compare("menu", &old.menus, &new.menus, &mut lines);
    for (section, differs) in [
        ("site", old.site != new.site),
        ("sip", old.sip != new.sip),
        ("guard", old.guard != new.guard),
        ("media", old.media != new.media),
        ("turn", old.turn != new.turn),
        ("tls", old.tls != new.tls),
        ("http", old.http != new.http),
        ("recording", old.recording != new.recording),
        ("codes", old.codes != new.codes),
        ("park", old.park != new.park),
        ("mail", old.mail != new.mail),
        ("voicemail", old.voicemail != new.voicemail),
        ("standards", old.standards != new.standards),
        ("class", old.classes != new.classes),
        ("inbound", old.inbound != new.inbound),
        ("outbound", old.outbound != new.outbound),
        ("prompts", old.prompts != new.prompts || old.spoken != new.spoken),
        ("users", old.users != new.users),
    ] {
        if differs {
            lines.push(format!("{section} changed"));
        }
    }
    lines
}

fn compare<K: Ord + Display, V: PartialEq>(what: &str, old: &BTreeMap<K, V>, new: &BTreeMap<K, V>, lines: &mut Vec<String>) {
    for (name, was) in old {
        match new.get(name) {
            Some(is) if is != was => lines.push(format!("{what} {name} changed")),
            Some(_) => {}
            None => lines.push(format!("{what} {name} removed")),
        }
    }
    lines.extend(new.keys().filter(|name| !old.contains_key(*name)).map(|name| format!("{what} {name} added")));
}
