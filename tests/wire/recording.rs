//! Recordings of a customer's call, by real clients: paused, drawn, refused, over a moment in which the switch stood still; and a prompt
//! that a phone records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;
use super::support::stream::EventStream;
use super::support::tones::Audio;

const SOON: Duration = Duration::from_secs(30);
const TONES: [f64; 2] = [440.0, 1_000.0];
const NUMBER: &str = "+4930601";

fn site(name: &str) -> Site {
    Site::new(name)
        .phone("201")
        .trunk("carrier", TRUNK)
        .inbound("carrier", NUMBER, "phone:201")
        .prompt_of_tone("en", "recorded", 600.0, 1)
        .prompt_of_tone("en", "beep", 600.0, 1)
}

fn phone(site: &Site, switch: &Cordboard) -> Baresip {
    let phone = Baresip::phone(site.folder(), "201").tone(TONES[1]).answers();
    let phone = phone.registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    phone
}

/// A customer talks to 201; the conversation's id.
fn talk(site: &Site, switch: &Cordboard, story: &EventStream) -> (Caller, String) {
    let caller = Caller::call(site.folder().path(), "customer", switch, CUSTOMER, NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let bridged = story.wait_for("call.bridged", SOON, |_| true);
    (caller, bridged.subject)
}

/// So much more of the call has been heard by the customer.
fn wait_to_hear(caller: &Caller, audio: Duration) {
    let until = caller.heard().samples.len() + audio.as_millis() as usize * 8;
    wait_until("the customer hears on", SOON, || caller.heard().samples.len() >= until);
}

fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| if path.is_dir() { file(&path, name) } else { path.ends_with(name).then_some(path) })
}

#[test]
fn a_pause_is_silence_of_its_length_on_both_sides_and_the_waveform_shows_it() {
    let site = site("recording-pause");
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let (caller, id) = talk(&site, &switch, &story);
    wait_to_hear(&caller, Duration::from_secs(3));
    let path = format!("/api/v1/conversations/{id}/recording");
    assert_eq!(switch.post(&path, &json!({"action": "start"})).status, 204, "it runs");
    assert_eq!(switch.post(&path, &json!({"action": "pause"})).status, 204);
    story.wait_for("recording.paused", SOON, |_| true);
    wait_to_hear(&caller, Duration::from_secs(3));
    // By the phone's own keys.
    phone.press("*73");
    let resumed = story.wait_for("recording.resumed", SOON, |_| true);
    wait_to_hear(&caller, Duration::from_secs(3));
    phone.hang_up();
    let finished = story.wait_for("recording.finished", SOON, |_| true);
    drop(caller);

    let recording = finished.data()["recording"].as_str().expect("an id").to_owned();
    let row = switch.json(&format!("/api/v1/recordings/{recording}"));
    let paused_ms = resumed.data()["paused_ms"].as_u64().expect("a length");
    assert_eq!((row["paused_ms"].as_u64(), row["state"].as_str()), (Some(paused_ms), Some("finished")));
    let audio = Audio::read(&file(&site.recordings(), &format!("{recording}.wav")).expect("a file"));
    // Silent to the last sample: half seconds that are not are the call's two ends, and what is around the pause.
    let [said, heard] = [0, 1].map(|channel| audio.halves(channel, &TONES));
    let silent = said.iter().zip(&heard).filter(|(said, heard)| said.is_silent() && heard.is_silent()).count() as u64;
    assert!(
        silent >= paused_ms / 500 - 1 && silent <= paused_ms / 500 + 3,
        "{silent} of {paused_ms} ms\n{}",
        audio.picture(&TONES)
    );
    assert!(said.iter().filter(|half| half.is_only(0)).count() >= 8, "{}", audio.picture(&TONES));
    assert!(heard.iter().filter(|half| half.is_only(1)).count() >= 8, "{}", audio.picture(&TONES));
    let drawn = switch.json(&format!("/api/v1/recordings/{recording}/peaks?values=20000"));
    let (length, data) = (drawn["length"].as_u64().expect("a length"), drawn["data"].as_array().expect("values"));
    assert_eq!(length, finished.data()["duration_ms"].as_u64().expect("a length").div_ceil(10));
    let flat = data.chunks(4).filter(|value| value.iter().all(|peak| *peak == 0)).count() as u64;
    assert!(flat >= paused_ms / 10 - 2, "{flat} of {length} are flat");
    let conversation = switch.json(&format!("/api/v1/conversations/{id}"));
    let spans = conversation["intervals"].as_array().expect("intervals");
    assert!(spans.iter().any(|span| span["kind"] == "recording_paused" && span["to"].is_string()), "{spans:?}");
}

/// What is sent meanwhile waits in sockets, and whichever thread wakes first, it is in its place. Unheard of that moment would be all but the
/// 0.2 s by which a recording is written behind.
#[test]
fn a_moment_in_which_the_switch_stands_still_is_in_the_recording() {
    let site = site("recording-stopped");
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let (caller, _) = talk(&site, &switch, &story);
    for _ in 0..3 {
        wait_to_hear(&caller, Duration::from_secs(1));
        switch.stand_still(Duration::from_millis(700));
    }
    wait_to_hear(&caller, Duration::from_secs(1));
    phone.hang_up();
    let finished = story.wait_for("recording.finished", SOON, |_| true);
    drop(caller);
    let recording = finished.data()["recording"].as_str().expect("an id").to_owned();
    let row = switch.json(&format!("/api/v1/recordings/{recording}"));
    let audio = Audio::read(&file(&site.recordings(), &format!("{recording}.wav")).expect("a file"));
    for (side, lost) in row["lost_ms"].as_array().expect("of both sides").iter().enumerate() {
        assert!(lost.as_u64().is_some_and(|ms| ms < 300), "side {side} lost {lost} ms\n{}", audio.picture(&TONES));
        let halves = audio.halves(side, &TONES);
        let other = halves.iter().filter(|half| !half.is_only(side)).count();
        assert!(other <= 3, "{other} of {}\n{}", halves.len(), audio.picture(&TONES));
    }
}

#[test]
fn what_the_customer_refuses_is_nowhere() {
    let site = site("recording-refused").recording_key("announcement = \"recorded\"").recording_key("refuse = \"9\"");
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let (caller, id) = talk(&site, &switch, &story);
    let started = story.wait_for("recording.started", SOON, |_| true);
    wait_to_hear(&caller, Duration::from_secs(2));
    caller.press("9");
    story.wait_for("recording.discarded", SOON, |_| true);
    wait_to_hear(&caller, Duration::from_secs(2));
    phone.hang_up();
    story.wait_for("call.ended", SOON, |_| true);
    let recording = started.data()["recording"].as_str().expect("an id").to_owned();
    for name in ["wav", "json", "peaks"] {
        assert_eq!(file(&site.recordings(), &format!("{recording}.{name}")), None);
    }
    assert_eq!(switch.get(&format!("/api/v1/recordings/{recording}")).status, 404);
    let conversation = switch.json(&format!("/api/v1/conversations/{id}"));
    assert_eq!(
        (&conversation["recorded"]["record"], &conversation["recordings"][0]["state"]),
        (&json!(false), &json!("refused"))
    );
}

#[test]
fn a_prompt_that_a_phone_records_is_what_callers_hear_from_then_on() {
    let mut site = site("recording-prompt")
        .with("[[prompt]]\nnumber = \"10\"\nprompt = \"en/hello\"\nphones = [\"201\"]\n")
        .inbound("carrier", "+4930602", "menu:hello")
        .menu("hello", "name = \"hello\"\nlanguage = \"en\"\nstart = \"top\"\n[node.top]\nkind = \"play\"\nprompt = \"hello\"\nnext = \"hangup\"\n")
        .prompt_of_tone("en", "hello", 600.0, 1);
    for prompt in ["prompt-record", "prompt-options", "prompt-saved", "goodbye", "error"] {
        site = site.prompt_of_tone("en", prompt, 700.0, 1);
    }
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let story = switch.events("since=0");
    // The API has the phone called for it.
    assert!(switch.post("/api/v1/conversations", &json!({"from": "201", "to": "*7510"})).status < 300);
    let take = story.wait_for("recording.started", SOON, |_| true).data()["recording"].as_str().expect("an id").to_owned();
    let take = file(&site.recordings(), &format!("{take}.wav")).expect("a file");
    wait_until("three seconds are spoken", SOON, || std::fs::metadata(&take).is_ok_and(|file| file.len() > 3 * 32_000));
    phone.press("#");
    story.wait_for("recording.finished", SOON, |_| true);
    // What to do and the tone, and then more than a second of itself.
    phone.wait_to_hear(Duration::from_millis(3_200), SOON);
    // What is being edited waits for a reload.
    let config = site.folder().path().join("config/cordboard.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, format!("{text}\n[nonsense]\n")).expect("written");
    phone.press("1");
    story.wait_for("prompt.recorded", SOON, |e| e.data()["prompt"] == "en/hello");
    story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(switch.items("/api/v1/recordings?kind=all").len(), 0, "the take is gone");

    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, "+4930602", TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let (_, heard) = caller.finish(SOON);
    let audio = heard.audio();
    let halves = audio.halves(0, &[TONES[1], 600.0]);
    assert!(halves.iter().filter(|half| half.is_only(0)).count() >= 2, "{}", audio.picture(&[TONES[1], 600.0]));
    assert!(halves.iter().all(|half| !half.is_only(1)), "{}", audio.picture(&[TONES[1], 600.0]));
}
