//! Messages go to their owners by mail, through a mail server of somebody else's: with TLS and a password, later when it is not there, once.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use super::support::caller::{Caller, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::wait_until;
use super::support::smtp::{MailServer, PASSWORD, Secured, USER};
use super::support::tones::Audio;

const SOON: Duration = Duration::from_secs(30);
const TONES: [f64; 2] = [1_000.0, 440.0];

const MENU: &str = r#"
name = "main"
language = "en"
start = "top"

[node.top]
kind = "menu"
prompt = "welcome"
timeout = "8s"
digits = { "1" = "node:message" }

[node.message]
kind = "voicemail"
mailbox = "queue:support"
"#;

/// Phone 201 and the queue 601 have mailboxes that are mailed; `mail` is the table [mail].
fn site(test: &str, to: &str, mail: &str) -> Site {
    let phone = format!(
        "[[phone]]\nnumber = \"201\"\nsecret = \"{}\"\nvoicemail = true\npin = \"4719\"\nmail = \"{to}\"\n",
        secret("201")
    );
    let mut site = Site::new(test)
        .with(&format!("[mail]\n{mail}from = \"pbx@cordboard.example\"\n"))
        .with(&phone)
        .with("[[queue]]\nname = \"support\"\nagents = []\nnumber = \"601\"\nvoicemail = true\npin = \"0815\"\nlanguage = \"de\"\nmail = \"support@example.com\"\nmail_delete = true\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", "+4930201", "voicemail:201")
        .inbound("carrier", "+4930600", "menu:main")
        .menu("main", MENU);
    for (language, prompt) in
        [("en", "welcome"), ("en", "voicemail-greeting"), ("en", "beep"), ("en", "goodbye"), ("de", "goodbye")]
    {
        site = site.prompt_of_tone(language, prompt, TONES[1], 1);
    }
    site
}

fn leaves_a_message(site: &Site, switch: &Cordboard, name: &str, number: &str, keys: &str) {
    let story = switch.events("");
    let caller =
        Caller::call(site.folder().path(), name, switch, "+4930123456", number, TONES[0], Stays::For(Duration::from_secs(7)));
    caller.wait_for_answer(SOON);
    if !keys.is_empty() {
        story.wait_for("menu.entered", SOON, |_| true);
        caller.press(keys);
    }
    story.wait_for("voicemail.left", SOON, |_| true);
    caller.finish(SOON);
}

fn degraded(switch: &Cordboard) -> bool {
    switch.get("/readyz").text().contains("mail")
}

#[test]
fn a_message_from_a_menu_is_mailed_over_starttls_with_its_audio_and_goes() {
    let port = ports::port();
    let mail =
        format!("server = \"localhost\"\nport = {port}\nuser = \"{USER}\"\npassword = \"{PASSWORD}\"\nca = \"../mail.pem\"\n");
    let site = site("mail-starttls", "owner@example.com", &mail);
    let server = MailServer::start(site.folder(), port, Secured::StartTls);
    let switch = site.start();
    let story = switch.events("");
    leaves_a_message(&site, &switch, "caller", "+4930600", "1");
    let mailed = story.wait_for("voicemail.mailed", SOON, |_| true);
    assert_eq!(mailed.data()["to"], "support@example.com");
    story.wait_for("voicemail.deleted", SOON, |_| true);
    assert!(switch.items("/api/v1/voicemail/601").is_empty());

    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.header("To"), "support@example.com");
    assert!(
        mail.header("Subject").contains("Sprachnachricht von +4930123456") || mail.header("Subject").starts_with("=?utf-8?"),
        "{}",
        mail.head()
    );
    assert!(mail.header("Message-ID").contains(mailed.data()["recording"].as_str().unwrap()), "{}", mail.head());
    let wav = site.folder().path().join("attached.wav");
    std::fs::write(&wav, mail.attachment().expect("a file")).unwrap();
    let spec = hound::WavReader::open(&wav).unwrap().spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 8_000, 16));
    let audio = Audio::read(&wav);
    println!("{}", audio.picture(&TONES));
    assert!(
        audio.seconds() > 1.5 && audio.halves(0, &TONES)[1..3].iter().all(|half| half.is_only(0)),
        "{}",
        audio.picture(&TONES)
    );
    assert!(!degraded(&switch));
}

/// Nothing that fails loses a mail, and nothing sends it twice: not a server that is away, nor a kill.
#[test]
fn a_mail_waits_for_its_server_over_a_kill_and_is_sent_once() {
    let port = ports::port();
    let mail = format!(
        "server = \"localhost\"\nport = {port}\ntls = \"required\"\nuser = \"{USER}\"\npassword = \"{PASSWORD}\"\nca = \"../mail.pem\"\n"
    );
    let site = site("mail-kill", "owner@example.com", &mail);
    // Its certificate, and then it is gone.
    MailServer::start(site.folder(), port, Secured::Required).stop();
    let mut switch = site.start();
    let story = switch.events("");
    leaves_a_message(&site, &switch, "caller", "+4930201", "");
    let failed = story.wait_for("voicemail.mail_failed", SOON, |_| true);
    assert_eq!((&failed.data()["attempts"], &failed.data()["gives_up"]), (&1.into(), &false.into()));
    wait_until("the switch says so", SOON, || degraded(&switch));
    switch.kill();
    let server = MailServer::start(site.folder(), port, Secured::Required);
    switch = site.start();
    let story = switch.events("since=0");
    story.wait_for("voicemail.mailed", SOON, |_| true);
    switch.kill();
    switch = site.start();
    let story = switch.events("");
    leaves_a_message(&site, &switch, "second", "+4930201", "");
    story.wait_for("voicemail.mailed", SOON, |_| true);
    assert_eq!(server.mails().len(), 2, "each once");
    assert_eq!(switch.items("/api/v1/voicemail/201").len(), 2, "they stay in the mailbox");
}

#[test]
fn a_server_that_is_silent_or_refuses_holds_nothing_up() {
    // It takes the connection, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mail = format!("server = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\ntimeout = \"1s\"\n");
    let first = site("mail-silent", "owner@example.com", &mail);
    let mut switch = first.start();
    let story = switch.events("");
    leaves_a_message(&first, &switch, "caller", "+4930201", "");
    story.wait_for("voicemail.mail_failed", SOON, |e| e.data()["gives_up"] == false);
    // It waits for a step of it, and the process ends all the same.
    switch.terminate();
    assert!(switch.wait_for_end(SOON).success());

    // The recipient is refused for good; the server is well.
    let port = ports::port();
    let mail = format!("server = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\n");
    let second = site("mail-refused", "nobody@example.com", &mail);
    let server = MailServer::start(second.folder(), port, Secured::Off);
    let switch = second.start();
    let story = switch.events("");
    leaves_a_message(&second, &switch, "caller", "+4930201", "");
    let failed = story.wait_for("voicemail.mail_failed", SOON, |_| true);
    assert_eq!(failed.data()["gives_up"], true, "{:?}", failed.data());
    assert!(failed.data()["reason"].as_str().unwrap().contains("no such mailbox"), "{:?}", failed.data());
    assert!(!degraded(&switch) && server.mails().is_empty());
    assert!(switch.get("/metrics").text().contains("mails_failed_total{given_up=\"true\"} 1"));
}

#[test]
fn a_wrong_password_or_certificate_is_trouble_that_somebody_has_to_mend() {
    let port = ports::port();
    for (test, password, ca, says) in
        [("mail-password", "wrong", "ca = \"../mail.pem\"\n", "535"), ("mail-certificate", PASSWORD, "", "ertificate")]
    {
        let mail = format!("server = \"localhost\"\nport = {port}\nuser = \"{USER}\"\npassword = \"{password}\"\n{ca}");
        let site = site(test, "owner@example.com", &mail);
        let server = MailServer::start(site.folder(), port, Secured::StartTls);
        let switch = site.start();
        let story = switch.events("");
        leaves_a_message(&site, &switch, "caller", "+4930201", "");
        let failed = story.wait_for("voicemail.mail_failed", SOON, |_| true);
        assert_eq!(failed.data()["gives_up"], false);
        assert!(failed.data()["reason"].as_str().unwrap().contains(says), "{test}: {:?}", failed.data());
        wait_until("the switch says so", SOON, || degraded(&switch));
        // Mended: what waits is sent at once.
        std::fs::write(
            site.config_path(),
            site.config()
                .replace("\"wrong\"", &format!("\"{PASSWORD}\""))
                .replace("[mail]\n", if ca.is_empty() { "[mail]\nca = \"../mail.pem\"\n" } else { "[mail]\n" }),
        )
        .unwrap();
        switch.reload();
        story.wait_for("voicemail.mailed", SOON, |_| true);
        wait_until("all is well", SOON, || !degraded(&switch));
        assert_eq!(server.mails().len(), 1);
        server.stop();
    }
}

/// Whenever the kill comes after the server's 250: it is told once and the message goes, though it may be sent twice.
#[test]
fn a_kill_right_after_the_server_has_a_mail_loses_neither_the_event_nor_the_deletion() {
    let port = ports::port();
    let mail = format!("server = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\n");
    let site = site("mail-taken", "owner@example.com", &mail);
    let server = MailServer::start(site.folder(), port, Secured::Off);
    let mut switch = site.start();
    for (round, after_ms) in [0, 2, 8, 30].into_iter().enumerate() {
        server.control(&json!({ "kill": switch.pid(), "after_ms": after_ms }));
        leaves_a_message(&site, &switch, &format!("caller-{round}"), "+4930600", "1");
        wait_until("it is killed", SOON, || !switch.is_running());
        switch = site.start();
        let story = switch.events("since=0");
        let told = |kind: &str| {
            story.wait_in_events(kind, SOON, |all| (all.iter().filter(|e| e.kind == kind).count() > round).then_some(()))
        };
        told("voicemail.deleted");
        told("voicemail.mailed");
        assert!(switch.items("/api/v1/voicemail/601").is_empty());
    }
    // All that would be told twice is told by now.
    let story = switch.events("since=0");
    leaves_a_message(&site, &switch, "last", "+4930600", "1");
    story.wait_in_events("the last one", SOON, |all| {
        (all.iter().filter(|e| e.kind == "voicemail.deleted").count() == 5).then_some(())
    });
    let counts = ["voicemail.mailed", "voicemail.deleted"].map(|kind| story.events().iter().filter(|e| e.kind == kind).count());
    assert_eq!(counts, [5, 5]);
    assert!((5..=9).contains(&server.mails().len()), "{}", server.mails().len());
}

/// RFC 5321 §4.2.1: its 5xx to EHLO or MAIL FROM says nothing of the mail.
#[test]
fn a_server_that_refuses_us_with_5xx_is_trouble_while_a_mail_waits_and_no_mail_is_given_up() {
    let port = ports::port();
    let mail = format!("server = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\n");
    let site = site("mail-5xx", "owner@example.com", &mail);
    let server = MailServer::start(site.folder(), port, Secured::Off);
    let switch = site.start();
    for (at, caller, mended) in [("EHLO", "first", false), ("RCPT", "relayed", false), ("MAIL", "second", true)] {
        let story = switch.events("");
        // To a recipient it is Postfix's word for a domain that it does not relay to.
        server.control(&json!({ at: "550 5.7.1 not today" }));
        leaves_a_message(&site, &switch, caller, "+4930201", "");
        let failed = story.wait_for("voicemail.mail_failed", SOON, |_| true);
        assert_eq!(failed.data()["gives_up"], false, "{at}: {:?}", failed.data());
        assert!(failed.data()["reason"].as_str().unwrap().contains("not today"), "{at}: {:?}", failed.data());
        wait_until("the switch says so", SOON, || degraded(&switch));
        if mended {
            server.control(&json!({}));
            switch.reload();
            story.wait_for("voicemail.mailed", SOON, |_| true);
            assert_eq!(server.mails().len(), 1);
        } else {
            // Heard and deleted by its owner: nobody waits for the server any more.
            let id = switch.items("/api/v1/voicemail/201")[0]["id"].as_str().unwrap().to_owned();
            let gone = switch.request("DELETE", &format!("/api/v1/voicemail/201/{id}"), None, &[]);
            assert_eq!(gone.map(|answer| answer.status), Some(204));
        }
        wait_until("all is well", SOON, || !degraded(&switch));
    }
}
