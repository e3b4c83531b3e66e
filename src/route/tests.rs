//! Numbers in and out of a small centre.

use std::net::SocketAddr;

use super::*;
use crate::config::{Carrier, Config, Pattern, Phone, Place, Source, Trunk};

const CENTRE: &str = r#"
[site]
name = "Example support"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[recording]
folder = "../recordings"

[codes]
ready = "*21"
pause = "*22"
offline = "*23"
pause_reasons = ["lunch", "training"]

[[phone]]
number = "201"
secret = "secret-of-201"
outside = true
caller = "+4930555201"

[[phone]]
number = "202"
secret = "secret-of-202"
outside = false

[[phone]]
number = "203"
secret = "secret-of-203"
outside = true

[[agent]]
staff_number = "1024"
name = "Olena"
phone = "201"

[[queue]]
name = "support"
agents = ["1024"]
number = "700"

[[extension]]
number = "800"
to = "queue:support"

[[extension]]
number = "801"
to = "number:0030999"

[[trunk]]
name = "carrier"
peer = "198.51.100.10:5060"

[[trunk]]
name = "backup"
peer = "198.51.100.10:5062"
user = "4930555"
secret = "secret-of-backup"
max_calls = 2

[[trunk]]
name = "partner"
peer = "sip.partner.example"
caller = "+4930555000"
transit = true
transport = "tcp"

[[inbound]]
trunk = "carrier"
number = "+4930*"
to = "queue:support"

[[inbound]]
trunk = "carrier"
number = "+49305550"
to = "phone:201"
record = false

[[inbound]]
trunk = "carrier"
number = "+4930555*"
to = "phone:202"

[[inbound]]
trunk = "partner"
number = "*"
to = "number:0030777"

[[outbound]]
pattern = "0*"
strip = 1
trunk = ["carrier", "backup"]

[[outbound]]
pattern = "000*"
strip = 3
prepend = "+"
trunk = ["partner"]
record = false
"#;

fn centre() -> Config {
    Config::resolve(&Source::of(CENTRE)).unwrap()
}

fn phone<'a>(config: &'a Config, number: &str) -> &'a Phone {
    &config.phones[number]
}

fn trunk<'a>(config: &'a Config, name: &str) -> &'a Trunk {
    &config.trunks[name]
}

fn from(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn outside(target: Result<Target, Refusal>) -> Vec<(String, String, Option<String>)> {
    match target {
        Ok(Target::Outside(o)) => o.attempts.into_iter().map(|a| (a.trunk.to_string(), a.number, a.caller)).collect(),
        other => panic!("not outside: {other:?}"),
    }
}

#[test]
fn a_trunk_is_known_by_its_address_and_by_its_port_only_where_it_has_one() {
    let mut c = centre();
    c.trunks.get_mut("backup").unwrap().peer.port = None;
    let hosts = Hosts::from([("partner".into(), vec!["203.0.113.5".parse().unwrap()])]);
    let name = |source: &str, tcp: bool| identify(&c, from(source), tcp, &hosts).map(|t| t.name.to_string());
    assert_eq!(name("198.51.100.10:5060", false).as_deref(), Some("carrier"));
    assert_eq!(name("198.51.100.10:5099", false).as_deref(), Some("backup"));
    assert_eq!(name("[::ffff:198.51.100.10]:5060", false).as_deref(), Some("carrier"), "IPv4 on a dual-stack socket");
    assert_eq!(name("203.0.113.5:40000", true).as_deref(), Some("partner"));
    assert_eq!(name("198.51.100.11:5060", false), None);
    assert_eq!(identify(&c, from("203.0.113.5:5060"), false, &Hosts::new()), None, "a name that is not resolved is nobody");
}

#[test]
fn a_port_binds_a_peer_only_by_udp_unless_udp_is_all_it_has() {
    let mut c = centre();
    c.trunks.remove("backup");
    for transport in [Carrier::Tcp, Carrier::Tls, Carrier::Auto] {
        c.trunks.get_mut("carrier").unwrap().peer.transport = transport;
        let known = |tcp| identify(&c, from("198.51.100.10:49152"), tcp, &Hosts::new()).is_some();
        assert!(known(true) && !known(false), "{transport:?}");
    }
    c.trunks.get_mut("carrier").unwrap().peer.transport = Carrier::Udp;
    assert_eq!(identify(&c, from("198.51.100.10:49152"), true, &Hosts::new()), None);
}

#[test]
fn the_longest_inbound_match_wins_however_the_carrier_writes_the_number() {
    let c = centre();
    let carrier = trunk(&c, "carrier");
    let to = |number: &str| inbound(&c, carrier, number).map(|r| r.to.to_string());
    for number in ["+49305550", "0049305550", "030 5550", "49305550", "+49 (30) 555-0"] {
        assert_eq!(to(number).as_deref(), Some("phone:201"), "{number}");
    }
    assert_eq!(to("+49305551").as_deref(), Some("phone:202"));
    assert_eq!(to("+493012").as_deref(), Some("queue:support"));
    assert_eq!(to("+4940123"), None);
    assert_eq!(to(""), None);
    assert_eq!(to("<script>"), None);
    assert_eq!(inbound(&c, trunk(&c, "backup"), "+49305550"), None, "another trunk's number");
}

#[test]
fn inside_comes_before_outside() {
    let mut c = centre();
    c.outbound[0].pattern = Pattern::Prefix(String::new());
    let who = Caller::Phone(phone(&c, "202"));
    assert_eq!(dial(&c, who, "201"), Ok(Target::Phone("201".into())));
    assert_eq!(dial(&c, who, "2 0-1"), Ok(Target::Phone("201".into())));
    assert_eq!(dial(&c, who, "700"), Ok(Target::Queue("support".into())));
    assert_eq!(dial(&c, who, "800"), Ok(Target::Queue("support".into())));
    assert_eq!(dial(&c, who, "*21"), Ok(Target::Code(Code::Ready)));
    assert_eq!(dial(&c, who, "204"), Err(Refusal::NoRightOutside));
}

#[test]
fn a_pause_code_takes_a_reason_by_its_number() {
    let c = centre();
    let who = Caller::Phone(phone(&c, "201"));
    let pause = |reason: Option<&str>| Ok(Target::Code(Code::Pause { reason: reason.map(str::to_owned) }));
    assert_eq!(dial(&c, who, "*22"), pause(None));
    assert_eq!(dial(&c, who, "*222"), pause(Some("training")));
    assert_eq!(dial(&c, who, "*23"), Ok(Target::Code(Code::Offline)));
    for wrong in ["*220", "*223", "*22#", "*2299999999999999999999"] {
        assert_eq!(dial(&c, who, wrong), Err(Refusal::Unknown), "{wrong}");
    }
    let customer = Caller::Trunk { trunk: trunk(&c, "partner"), number: None };
    assert_eq!(dial(&c, customer, "*21"), Err(Refusal::Unknown), "a customer sets no agent");
}

#[test]
fn outside_the_rule_rewrites_the_number_and_names_the_trunks_in_turn() {
    let c = centre();
    let olena = Caller::Phone(phone(&c, "201"));
    let own = Some("+4930555201".to_owned());
    assert_eq!(
        outside(dial(&c, olena, "0 030/123")),
        [("carrier".into(), "030123".into(), own.clone()), ("backup".into(), "030123".into(), own)]
    );
    let partner = ("partner".to_owned(), "+44123".to_owned(), Some("+4930555000".to_owned()));
    assert_eq!(outside(dial(&c, olena, "00044123")), [partner], "the trunk's caller comes before the phone's");
    assert_eq!(dial(&c, olena, "0"), Err(Refusal::Unknown), "nothing is left to dial");
    assert_eq!(dial(&c, olena, "+4930123"), Err(Refusal::Unknown), "no rule says what a plus means here");
    assert_eq!(dial(&c, olena, ""), Err(Refusal::Unknown));
}

#[test]
fn who_has_no_number_of_its_own_shows_the_trunks_account_or_none() {
    let c = centre();
    let callers: Vec<_> = outside(dial(&c, Caller::Phone(phone(&c, "203")), "0123")).into_iter().map(|a| a.2).collect();
    assert_eq!(callers, [None, Some("4930555".to_owned())]);
}

#[test]
fn outside_is_a_right_of_a_phone_and_of_a_trunk() {
    let c = centre();
    let dials = |who| dial(&c, who, "0123").map(|_| ());
    assert_eq!(dials(Caller::Phone(phone(&c, "201"))), Ok(()));
    assert_eq!(dials(Caller::Phone(phone(&c, "202"))), Err(Refusal::NoRightOutside));
    assert_eq!(dials(Caller::Trunk { trunk: trunk(&c, "carrier"), number: None }), Err(Refusal::NoTransit));
    assert_eq!(dials(Caller::Trunk { trunk: trunk(&c, "partner"), number: None }), Ok(()));
    assert_eq!(dial(&c, Caller::Phone(phone(&c, "202")), "9123"), Err(Refusal::Unknown), "what leads nowhere needs no right");
    assert_eq!(dial(&c, Caller::Phone(phone(&c, "202")), "801"), Err(Refusal::NoRightOutside), "an extension lends no right");
    assert_eq!((Refusal::NoTransit.cause().to_status(), Refusal::Unknown.cause().to_status()), (403, 404));
}

#[test]
fn a_place_is_dialled_on_the_right_of_who_is_sent_there() {
    let c = centre();
    let rule = inbound(&c, trunk(&c, "partner"), "123").unwrap();
    let shown = Some("+44700");
    let sent = |name: &str, to: &Place| go(&c, Caller::Trunk { trunk: trunk(&c, name), number: shown }, to);
    assert_eq!(outside(sent("partner", &rule.to))[0], ("carrier".into(), "030777".into(), Some("+44700".into())));
    assert_eq!(sent("carrier", &rule.to), Err(Refusal::NoTransit));
    assert_eq!(sent("carrier", &"phone:201".parse().unwrap()), Ok(Target::Phone("201".into())));
    assert_eq!(sent("carrier", &"phone:999".parse().unwrap()), Err(Refusal::Unknown), "gone by a reload");
    assert_eq!(sent("carrier", &"menu:main".parse().unwrap()), Err(Refusal::Unknown));
    assert_eq!(sent("carrier", &"hangup".parse().unwrap()), Ok(Target::Hangup));
}

#[test]
fn extensions_that_lead_in_a_circle_end() {
    // The configuration refuses such a circle; dialling does not rely on it.
    let mut c = centre();
    c.extensions.insert("802".into(), "number:803".parse().unwrap());
    c.extensions.insert("803".into(), "number:802".parse().unwrap());
    let ends = |number: &str| dial(&c, Caller::Phone(phone(&c, "201")), number);
    assert_eq!(ends("802"), Err(Refusal::Circle));
    assert_eq!(Refusal::Circle.cause().to_status(), 482);
}

#[test]
fn a_trunk_has_room_up_to_its_limit() {
    let c = centre();
    assert!(has_room(trunk(&c, "backup"), 1) && !has_room(trunk(&c, "backup"), 2));
    assert!(has_room(trunk(&c, "carrier"), u32::MAX));
}

#[test]
fn the_recording_decision_names_its_rule() {
    let c = centre();
    let says = |rule| {
        let d = recording(&c, rule);
        (d.record, d.rule)
    };
    assert_eq!(says(Rule::Inbound(&c.inbound[0])), (true, "inbound default".into()));
    assert_eq!(says(Rule::Inbound(&c.inbound[1])), (false, "inbound +49305550 record=false".into()));
    assert_eq!(says(Rule::Outbound(&c.outbound[0])), (true, "outbound default".into()));
    assert_eq!(says(Rule::Outbound(&c.outbound[1])), (false, "outbound 000* record=false".into()));
    assert_eq!(says(Rule::Internal), (false, "internal default".into()));
}

#[test]
fn the_direction_is_the_centres() {
    let c = centre();
    let olena = Caller::Phone(phone(&c, "201"));
    let customer = Caller::Trunk { trunk: trunk(&c, "partner"), number: None };
    let direction = |who: Caller<'_>, number: &str| dial(&c, who, number).unwrap().direction(who);
    assert_eq!(direction(olena, "202"), Direction::Internal);
    assert_eq!(direction(olena, "0123"), Direction::Outbound);
    assert_eq!(direction(customer, "202"), Direction::Inbound);
    assert_eq!(direction(customer, "0123"), Direction::Inbound);
}

/// A centre without an outside prefix: whoever dials a number, in whatever form, dials one.
const PLAIN: &str = "[[outbound]]\npattern = \"+49*\"\ntrunk = [\"carrier\"]\n\n[[outbound]]\npattern = \"+4930555*\"\nstrip = 3\nprepend = \"0\"\n\
                     trunk = [\"backup\"]\n\n[[outbound]]\npattern = \"00*\"\ntrunk = [\"partner\"]\n";

fn plain(more: &str) -> Config {
    let (head, _) = CENTRE.split_once("[[outbound]]").unwrap();
    // Its places lead to numbers that this plan does not have.
    let head = head.replace("number:0030999", "queue:support").replace("number:0030777", "queue:support");
    let head = head.replace("peer = \"198.51.100.10:5060\"\n", &format!("peer = \"198.51.100.10:5060\"\n{more}"));
    Config::resolve(&Source::of(format!("{head}{PLAIN}"))).unwrap()
}

#[test]
fn a_pattern_with_a_plus_takes_a_number_in_every_form_that_no_rule_takes_as_dialled() {
    let c = plain("");
    let goes = |dialled: &str| {
        let (trunk, number, _) = outside(dial(&c, Caller::Phone(phone(&c, "201")), dialled)).remove(0);
        (trunk, number)
    };
    let to = |trunk: &str, number: &str| (trunk.to_owned(), number.to_owned());
    for dialled in ["+4940123456", "040123456", "040 / 12 34 56"] {
        assert_eq!(goes(dialled), to("carrier", "+4940123456"), "{dialled}");
    }
    // The longest pattern of the normal form, and what it strips is taken off that.
    assert_eq!(goes("030555201"), to("backup", "030555201"));
    // As dialled comes first.
    assert_eq!(goes("004940123456"), to("partner", "004940123456"));
    let none = |dialled: &str| dial(&c, Caller::Phone(phone(&c, "201")), dialled);
    for dialled in ["4940123456", "299", "+3906123456"] {
        assert_eq!(none(dialled), Err(Refusal::Unknown), "{dialled}");
    }
}

#[test]
fn a_trunk_shows_the_numbers_that_it_may_in_its_own_writing() {
    for (more, shown) in [
        ("", Some("+4930555201")),
        ("caller_format = \"e164\"\n", Some("+4930555201")),
        ("caller_format = \"national\"\n", Some("030555201")),
        ("callers = [\"+4930555*\"]\n", Some("+4930555201")),
        ("callers = [\"030555201\", \"+4930555201\"]\n", Some("+4930555201")),
        ("callers = [\"+4940*\"]\n", None),
    ] {
        let c = plain(more);
        let attempts = outside(dial(&c, Caller::Phone(phone(&c, "201")), "040123456"));
        assert_eq!(attempts[0].2.as_deref(), shown, "{more}");
    }
    // A transit caller that came as the carrier writes it.
    let mut c = plain("caller_format = \"e164\"\n");
    let partner = Trunk { caller: None, ..trunk(&c, "partner").clone() };
    let who = Caller::Trunk { trunk: &partner, number: Some("004930999888") };
    assert_eq!(outside(dial(&c, who, "040123456"))[0].2.as_deref(), Some("+4930999888"));
    c.phones.clear();
    // Nobody's number is no number.
    let who = Caller::Trunk { trunk: &partner, number: Some("") };
    assert_eq!(outside(dial(&c, who, "040123456"))[0].2, None);
}

#[test]
fn an_emergency_number_is_one_in_whatever_way_the_outside_is_reached() {
    let c = centre();
    for dialled in ["112", "110", "0112", "11-2"] {
        let target = dial(&c, Caller::Phone(phone(&c, "202")), dialled);
        let Ok(Target::Outside(out)) = target else { panic!("{dialled}: {target:?}") };
        let trunks: Vec<&str> = out.attempts.iter().map(|a| a.trunk.as_str()).collect();
        assert_eq!((out.rule, trunks), (None, vec!["carrier", "backup", "partner"]), "{dialled}");
        assert!(out.attempts.iter().all(|a| a.emergency && a.number.len() == 3));
    }
    assert_eq!(dial(&c, Caller::Phone(phone(&c, "202")), "1120"), Err(Refusal::Unknown));
    assert_eq!(recording(&c, Rule::Emergency).rule, "emergency");
}

#[test]
fn a_trunk_that_is_given_by_name_is_at_all_addresses_of_that_name() {
    let config = centre();
    let trunk = config.trunks.values().find(|t| t.peer.host.parse::<std::net::IpAddr>().is_err());
    let trunk = trunk.expect("a trunk given by name");
    let two: [std::net::IpAddr; 2] = [[203, 0, 113, 7].into(), [203, 0, 113, 8].into()];
    let hosts = Hosts::from([(trunk.name.clone(), two.to_vec())]);
    let all: Vec<_> = addresses(&config, &hosts).collect();
    assert!(two.iter().all(|ip| all.contains(ip)), "{all:?}");
    assert!(two.iter().all(|ip| has_address(trunk, *ip, &hosts)) && !has_address(trunk, [203, 0, 113, 9].into(), &hosts));
}
