//! A message by real phones: left, heard as a file and over the phone, and deleted there.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::{Process, wait_until};
use super::support::tones::{Audio, write_sine};

const SOON: Duration = Duration::from_secs(20);
/// The caller, and what the switch says itself.
const TONES: [f64; 2] = [1_000.0, 440.0];

#[test]
fn baresip_leaves_a_message_and_another_one_listens_to_it_and_deletes_it() {
    let mut site = Site::new("voicemail")
        .phone("202")
        .with(&format!("[[phone]]\nnumber = \"201\"\nsecret = \"{}\"\nvoicemail = true\npin = \"4719\"\n", secret("201")));
    let own =
        ["voicemail-greeting", "beep", "voicemail-pin", "voicemail-new", "digit-1", "voicemail-options", "voicemail-deleted"];
    for prompt in own.into_iter().chain(["voicemail-end"]) {
        site = site.prompt_of_tone("en", prompt, TONES[1], 1);
    }
    let switch = site.start();
    let phone = |number: &str, tone: f64| {
        let phone = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).tone(tone).start();
        switch.wait_for_registration(number, SOON);
        phone
    };
    let (mut owner, mut caller) = (phone("201", 700.0), phone("202", TONES[0]));
    let story = switch.events("since=0");
    let dialled = |number: &str| format!("sip:{number}@{}", switch.sip());

    caller.dial(&dialled("*98201"));
    caller.wait_for("CALL_ESTABLISHED", SOON);
    let recording = story.wait_for("recording.started", SOON, |_| true).data()["recording"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/recordings/{recording}/audio");
    // Four seconds of G.711 in both channels, as they are written.
    wait_until("it is four seconds long", SOON, || switch.get(&path).body.len() > 44 + 4 * 32_000);
    caller.hang_up();
    let left = story.wait_for("voicemail.left", SOON, |_| true);
    assert_eq!((&left.data()["mailbox"], &left.data()["caller"]), (&"201".into(), &"202".into()));
    assert_eq!(left.data()["recording"], recording.as_str());

    assert!(switch.items("/api/v1/recordings").is_empty(), "messages are not among the recordings of conversations");
    assert_eq!(switch.items("/api/v1/recordings?kind=voicemail").len(), 1);
    let messages = switch.items("/api/v1/voicemail/201");
    assert_eq!((messages.len(), &messages[0]["id"], &messages[0]["heard"]), (1, &recording.as_str().into(), &false.into()));
    let file = switch.get(&path);
    assert_eq!((file.status, file.content_type.as_str()), (200, "audio/wav"));
    let wav = site.folder().path().join("message.wav");
    std::fs::write(&wav, file.body).unwrap();
    let audio = Audio::read(&wav);
    println!("{}", audio.picture(&TONES));
    let said = audio.halves(0, &TONES);
    assert!(said[1..7].iter().all(|half| half.is_only(0)), "{}", audio.picture(&TONES));
    assert!(audio.halves(1, &TONES).iter().all(|half| half.is_silent()), "{}", audio.picture(&TONES));

    owner.dial(&dialled("*97"));
    owner.wait_for("CALL_ESTABLISHED", SOON);
    owner.press("4719#");
    story.wait_for("voicemail.heard", SOON, |_| true);
    assert_eq!(switch.items("/api/v1/voicemail/201")[0]["heard"], true);
    owner.press("7");
    story.wait_for("voicemail.deleted", SOON, |_| true);
    owner.wait_for("CALL_CLOSED", SOON);
    let heard = &owner.heard()[0];
    println!("{}", heard.picture(&TONES));
    let message = heard.halves(0, &TONES).iter().filter(|half| half.is_only(0)).count();
    assert!((6..=10).contains(&message), "four seconds of the message: {}", heard.picture(&TONES));
    assert!(switch.items("/api/v1/voicemail/201").is_empty());
    wait_until("its file is gone", SOON, || switch.get(&path).status == 404);
    assert_eq!(switch.get(&format!("/api/v1/recordings/{recording}")).status, 404);
}

#[test]
fn callers_hear_the_greeting_that_was_sent_by_the_api_until_it_is_taken_back() {
    const OWN: f64 = 700.0;
    let mut site = Site::new("greeting")
        .phone("202")
        .with(&format!("[[phone]]\nnumber = \"201\"\nsecret = \"{}\"\nvoicemail = true\npin = \"4719\"\n", secret("201")));
    for prompt in ["voicemail-greeting", "beep"] {
        site = site.prompt_of_tone("en", prompt, TONES[1], 2);
    }
    let mut switch = site.start();
    let wav = site.folder().path().join("own.wav");
    write_sine(&wav, OWN, 3);
    let sent = |switch: &Cordboard, body: &[u8]| switch.put("/api/v1/voicemail/201/greeting", "audio/wav", body);
    assert_eq!(sent(&switch, b"RIFF, they say"), 422);
    write_sine(&site.folder().path().join("long.wav"), OWN, 61);
    assert_eq!(sent(&switch, &std::fs::read(site.folder().path().join("long.wav")).unwrap()), 422);
    assert_eq!(sent(&switch, &std::fs::read(&wav).unwrap()), 204);
    assert_eq!(sent(&switch, &std::fs::read(&wav).unwrap()), 204);
    switch.events("since=0").wait_in_events("the first one went", SOON, |all| {
        (all.iter().filter(|e| e.kind == "voicemail.greeting").count() == 2).then_some(())
    });
    // What was answered outlives a kill.
    switch.kill();
    switch = site.start();
    assert_eq!(switch.items("/api/v1/recordings?kind=greeting").len(), 1);

    let mut phone = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).tone(TONES[0]).start();
    switch.wait_for_registration("202", SOON);
    let mut hears = |call: usize| {
        phone.dial(&format!("sip:*98201@{}", switch.sip()));
        phone.wait_for_nth("CALL_ESTABLISHED", call, SOON);
        phone.wait_to_hear(Duration::from_millis(3_500), SOON);
        phone.hang_up();
        phone.wait_for_nth("CALL_CLOSED", call, SOON);
        let heard = phone.heard().pop().expect("audio");
        println!("{}", heard.picture(&[TONES[1], OWN]));
        heard.halves(0, &[TONES[1], OWN]).iter().filter(|half| half.is_only(1)).count()
    };
    assert!(hears(1) >= 5, "three seconds of it");
    assert_eq!(switch.request("DELETE", "/api/v1/voicemail/201/greeting", None, &[]).map(|a| a.status), Some(204));
    assert_eq!(hears(2), 0);
    assert!(switch.items("/api/v1/recordings?kind=greeting").is_empty());
}

/// Neither SIGTERM nor a kill makes half a greeting the one that callers hear, and no change of the configuration loses one.
#[test]
fn a_greeting_that_the_end_of_the_process_cuts_short_is_none_and_the_old_one_stays() {
    const MAILBOX: &str = "voicemail = true\npin = \"4719\"\n";
    let mut site = Site::new("greeting-cut")
        .sip_key("drain = \"0s\"")
        .with(&format!("[[phone]]\nnumber = \"201\"\nsecret = \"{}\"\n{MAILBOX}", secret("201")));
    for prompt in ["voicemail-pin", "voicemail-none", "voicemail-main", "voicemail-greeting-options", "voicemail-greeting-record"]
    {
        site = site.prompt_of_tone("en", prompt, TONES[1], 1);
    }
    site = site.prompt_of_tone("en", "beep", TONES[1], 1);
    let mut switch = site.start();
    let wav = site.folder().path().join("own.wav");
    write_sine(&wav, 700.0, 2);
    let own = std::fs::read(&wav).unwrap();
    let path = "/api/v1/voicemail/201/greeting";
    assert_eq!(switch.put(path, "audio/wav", &own[..44 + 8_000]), 422, "half a second is none");
    assert_eq!(switch.put(path, "audio/wav", &own), 204);
    let kept = switch.json(path)["recording"].clone();
    let all = |switch: &Cordboard| switch.items("/api/v1/recordings?kind=greeting");
    assert_eq!(all(&switch).len(), 1, "nothing is left of the other");

    for kill in [false, true] {
        let mut owner = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).tone(TONES[0]).start();
        switch.wait_for_registration("201", SOON);
        let story = switch.events("");
        owner.dial(&format!("sip:*97@{}", switch.sip()));
        owner.wait_for("CALL_ESTABLISHED", SOON);
        owner.press("4719#01");
        let take = story.wait_for("recording.started", SOON, |_| true).data()["recording"].as_str().unwrap().to_owned();
        let audio = format!("/api/v1/recordings/{take}/audio");
        wait_until("two seconds are written", SOON, || switch.get(&audio).body.len() > 44 + 2 * 32_000);
        if kill {
            switch.kill();
        } else {
            switch.terminate();
            assert!(switch.wait_for_end(SOON).success());
        }
        owner.kill();
        switch = site.start();
        assert_eq!(switch.json(path)["recording"], kept, "kill: {kill}");
        wait_until("the take is gone", SOON, || all(&switch).len() == 1 && switch.get(&audio).status == 404);
    }

    switch.terminate();
    assert!(switch.wait_for_end(SOON).success());
    std::fs::write(site.config_path(), site.config().replace(MAILBOX, "")).unwrap();
    let mut without = Process::start("cordboard", &mut site.command(&["serve"]), site.folder().path());
    wait_until("it is up", SOON, || without.output().matches("Cordboard is up").count() == 4);
    without.signal("TERM");
    assert!(without.wait(SOON).success());
    let switch = site.start();
    assert_eq!(switch.json(path)["recording"], kept);
    assert_eq!(switch.get(&format!("/api/v1/recordings/{}/audio", kept.as_str().unwrap())).status, 200);
}
