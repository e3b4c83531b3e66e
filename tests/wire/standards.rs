//! Service standards by a real phone: a hold and silences that are planted in a call, and what the API says of it.

#![allow(clippy::disallowed_methods, reason = "a real phone speaks on the real clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);
const SECOND: usize = 8_000;
/// Between the phrases that the agent says.
const SILENT: usize = 6;
/// Of the agent's words, until the hold: two phrases and the silence between them.
const SPEAKS: Duration = Duration::from_secs(14);
const HOLDS: Duration = Duration::from_secs(4);

/// Two minutes of an agent who says a phrase, and nothing for long, again and again.
fn words() -> Vec<i16> {
    let phrase = |name: &str| -> Vec<i16> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/prompts/en/{name}.wav"));
        let wav = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        wav.into_samples::<i16>().map(Result::unwrap).collect()
    };
    let (one, other) = (phrase("recorded"), phrase("extension"));
    let mut words = vec![0; SECOND];
    while words.len() < 120 * SECOND {
        for phrase in [&one, &other] {
            words.extend(phrase);
            words.extend(std::iter::repeat_n(0, SILENT * SECOND));
        }
    }
    words
}

#[test]
fn a_hold_that_was_too_long_and_silences_are_found_where_they_were() {
    let site = Site::new("standards")
        .phone("201")
        .agent("1024", "Olena", "201")
        .with("[standards]\nhold = \"3s\"\nsilence = \"5s\"\n")
        .with("[[queue]]\nname = \"support\"\nagents = [\"1024\"]\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support");
    let switch = site.start();
    let story = switch.events("since=0");
    let olena = Baresip::phone(site.folder(), "201").says(words());
    let mut olena = olena.registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, 440.0, Stays::UntilHungUp);
    olena.wait_for("CALL_INCOMING", SOON);
    olena.accept();
    story.wait_for("call.bridged", SOON, |_| true);
    let talks = Instant::now();
    wait_until("the agent has said two things", SOON, || talks.elapsed() > SPEAKS);
    olena.hold();
    story.wait_for("call.held", SOON, |_| true);
    let held = Instant::now();
    wait_until("the hold has lasted", SOON, || held.elapsed() > HOLDS);
    olena.resume();
    story.wait_for("call.resumed", SOON, |_| true);
    olena.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let measured = story.wait_for("recording.measured", SOON, |_| true);
    let finished = story.wait_for("recording.finished", SOON, |_| true);
    assert_eq!(measured.data()["recording"], finished.data()["recording"]);

    let conversation = switch.items("/api/v1/conversations").remove(0);
    let judged = switch.json(&format!("/api/v1/conversations/{}/standards", conversation["id"].as_str().unwrap_or_default()));
    let of = |rule: &str| -> Vec<Value> {
        let all = judged["verdicts"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|verdict| verdict["rule"] == rule).collect()
    };
    let outcomes = |rule: &str| of(rule).into_iter().map(|verdict| verdict["outcome"].clone()).collect::<Vec<_>>();
    assert_eq!(outcomes("answer"), ["kept"], "{judged:#}");
    assert_eq!(outcomes("hold"), ["violated"], "{judged:#}");
    assert_eq!(outcomes("hang_up"), ["violated"], "{judged:#}");
    assert_eq!(outcomes("level"), ["kept"], "{judged:#}");
    let hold = of("hold")[0]["value"].as_f64().unwrap_or(0.0);
    assert!((4_000.0..9_000.0).contains(&hold), "{judged:#}");
    // Between the first phrase and the second; what the first has at its edges is silence, too.
    let silence = of("silence").remove(0);
    let length = silence["value"].as_f64().unwrap_or(0.0);
    assert_eq!(silence["outcome"], "violated", "{judged:#}");
    assert!((SILENT as f64 * 1_000.0 - 150.0..7_500.0).contains(&length), "{judged:#}");
    let at = silence["evidence"]["at_ms"][0].as_u64().unwrap_or(0);
    let first = of("greeting")[0]["evidence"]["at_ms"][0].as_u64().unwrap_or(0);
    assert!((2_500..4_500).contains(&(at - first)), "the phrase has 3 s: {judged:#}");
    let page = switch.json("/api/v1/standards?outcome=violated&agent=1024&queue=support");
    assert_eq!(page["conversations"], json!(1));
    assert!(page["items"].as_array().is_some_and(|items| items.iter().any(|item| item["rule"] == "hold")), "{page:#}");
    let row = switch.items("/api/v1/recordings").remove(0);
    assert_eq!(row["sound"], measured.data()["sound"], "the row has it, too");
}
