//! The power fails: `kill -9` in the middle of calls, and what the next start makes of what lies on disk.

#![allow(clippy::disallowed_methods, reason = "what a kill cost is measured on the real clock")]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::baresip::Baresip;
use support::caller::{Caller, Stays, TRUNK};
use support::cordboard::{Site, secret};
use support::stream::assert_gapless;
use support::tones::Audio;

const SOON: Duration = Duration::from_secs(30);
/// `scripts/crash` does ten with 200 calls in each, which takes longer than a test of the suite may.
const ROUNDS: usize = 3;
/// In each round.
const CALLS: usize = 25;
/// What a kill may cost of each recording.
const LOST_S: f64 = 0.5;

const MENU: &str = r#"
name = "wait"
language = "en"
start = "top"

[node.top]
kind = "menu"
prompt = "long"
timeout = "60s"
digits = { "1" = "hangup" }
"#;

#[test]
fn killed_with_calls_in_progress_nothing_but_half_a_second_is_lost() {
    let site = Site::new("crash")
        .phone("201")
        .trunk("carrier", TRUNK)
        .inbound("carrier", "+4930600", "menu:wait")
        .menu("wait", MENU)
        .prompt_of_tone("en", "long", 600.0, 120);
    let mut switch = site.start();
    let _phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).register_every(3_600).start();
    switch.wait_for_registration("201", SOON);

    for round in 1..=ROUNDS {
        let registered = switch.items("/api/v1/registrations");
        let story = switch.events("");
        let callers: Vec<(Caller, Instant)> = (0..CALLS)
            .map(|index| {
                let (name, from) = (format!("caller-{round}-{index}"), format!("+49301{index:04}"));
                let caller = Caller::call(
                    site.folder().path(),
                    &name,
                    &switch,
                    &from,
                    "+4930600",
                    440.0,
                    Stays::For(Duration::from_secs(900)),
                );
                caller.wait_for_answer(SOON);
                (caller, Instant::now())
            })
            .collect();
        let conversations = story.wait_in_events("recordings of all calls", SOON, |all| {
            let started: Vec<String> = all.iter().filter(|e| e.kind == "recording.started").map(|e| e.subject.clone()).collect();
            (started.len() == CALLS).then_some(started)
        });
        support::process::wait_until("the last caller hears two seconds", SOON, || {
            callers.last().is_some_and(|(caller, _)| caller.heard().samples.len() > 16_000)
        });
        let killed = Instant::now();
        switch.kill();
        let talked: Vec<f64> = callers.iter().map(|(_, answered)| killed.duration_since(*answered).as_secs_f64()).collect();
        drop(callers);

        switch = site.start();
        // As it was, at once: the phone itself comes back only after an hour.
        assert_eq!(switch.items("/api/v1/registrations"), registered, "round {round}");
        let rows = switch.items("/api/v1/recordings?limit=1000");
        let mut durations = Vec::new();
        for conversation in &conversations {
            let row = rows.iter().find(|row| row["conversation"] == conversation.as_str());
            let row = row.unwrap_or_else(|| panic!("round {round}: no row of {conversation}"));
            assert_eq!(row["state"], "repaired", "round {round}: {row}");
            let id = row["id"].as_str().unwrap_or_default();
            let path = wav(&site.recordings(), id).unwrap_or_else(|| panic!("round {round}: no file of {id}"));
            let seconds = Audio::read(&path).seconds();
            assert!(sox_opens(&path), "round {round}: sox does not open {}", path.display());
            assert!((seconds * 1_000.0 - row["duration_ms"].as_f64().unwrap_or(0.0)).abs() < 1.0, "round {round}: {row}");
            durations.push(seconds);
        }
        // Calls were answered one after the other, so the longest recording is the first call's.
        durations.sort_by(|a, b| b.total_cmp(a));
        let lost = durations.iter().zip(&talked).map(|(recorded, talked)| talked - recorded).fold(f64::MIN, f64::max);
        println!("round {round}: {CALLS} calls of up to {:.1} s, at most {lost:.3} s lost", talked[0]);
        assert!(lost <= LOST_S, "round {round}: {lost} s are lost; recorded {durations:?} of {talked:?}");

        let told = switch.events("since=0");
        let all = told.wait_in_events("an end of every conversation", SOON, |all| {
            let ended = |id: &String| all.iter().any(|e| e.kind == "call.ended" && e.subject == *id);
            conversations.iter().all(ended).then(|| all.to_vec())
        });
        assert_gapless(&all);
        for conversation in &conversations {
            let ends: Vec<_> = all.iter().filter(|e| e.kind == "call.ended" && e.subject == *conversation).collect();
            assert_eq!(ends.len(), 1, "round {round}: {ends:?}");
            assert_eq!(ends[0].data()["cause"], "restart", "round {round}");
        }
    }
}

/// The recording's file, wherever under the folder its day is.
fn wav(folder: &Path, id: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        let is_it = path.file_name().is_some_and(|name| *name == *format!("{id}.wav"));
        if path.is_dir() { wav(&path, id) } else { is_it.then_some(path) }
    })
}

fn sox_opens(path: &Path) -> bool {
    Command::new("sox").arg(path).args(["-n", "stat"]).output().is_ok_and(|said| said.status.success())
}

/// How many messages there are, and of how many of them something is told before each kill.
const MESSAGES: usize = 8;

#[test]
fn what_the_api_has_said_of_messages_outlives_a_kill_that_follows_at_once() {
    let mut site = Site::new("crash-mail")
        .trunk("carrier", TRUNK)
        .inbound("carrier", "+4930600", "voicemail:201")
        .with(&format!("[[phone]]\nnumber = \"201\"\nsecret = \"{}\"\nvoicemail = true\npin = \"4719\"\n", secret("201")));
    for prompt in ["voicemail-greeting", "beep", "goodbye"] {
        site = site.prompt_of_tone("en", prompt, 440.0, 1);
    }
    let mut switch = site.start();
    let story = switch.events("");
    let callers: Vec<Caller> = (0..MESSAGES)
        .map(|n| {
            let (name, from) = (format!("caller-{n}"), format!("+493012{n:04}"));
            let stays = Stays::For(Duration::from_secs(6));
            let caller = Caller::call(site.folder().path(), &name, &switch, &from, "+4930600", 440.0, stays);
            caller.wait_for_answer(SOON);
            caller
        })
        .collect();
    story.wait_in_events("all messages", SOON, |all| {
        (all.iter().filter(|e| e.kind == "voicemail.left").count() == MESSAGES).then_some(())
    });
    drop(callers);
    let ids: Vec<String> =
        switch.items("/api/v1/voicemail/201").iter().map(|m| m["id"].as_str().unwrap_or_default().to_owned()).collect();
    // Two a round: one is heard, one goes.
    for (round, pair) in ids.chunks(2).enumerate() {
        for (method, path) in [("POST", format!("{}/heard", pair[0])), ("DELETE", pair[1].clone())] {
            let answer = switch.request(method, &format!("/api/v1/voicemail/201/{path}"), None, &[]);
            assert_eq!(answer.map(|a| a.status), Some(204), "round {round}: {method} {path}");
            switch.kill();
            switch = site.start();
        }
        let left = switch.items("/api/v1/voicemail/201");
        let of = |id: &str| left.iter().find(|m| m["id"] == id);
        assert_eq!(of(&pair[0]).map(|m| m["heard"] == true), Some(true), "round {round}");
        assert!(of(&pair[1]).is_none(), "round {round}: {left:?}");
        assert!(wav(&site.recordings(), &pair[1]).is_none(), "round {round}: its file is there");
    }
    let told = switch.events("since=0");
    told.wait_in_events("each told once", SOON, |all| {
        let count = |kind: &str| all.iter().filter(|e| e.kind == kind).count();
        (count("voicemail.heard") == MESSAGES / 2 && count("voicemail.deleted") == MESSAGES / 2).then_some(())
    });
}
