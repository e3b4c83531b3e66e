//! Messages go to their owners by mail, through a mail server of somebody else's: with TLS and a password, later when it is not there, once.

use std::net::TcpListener;
use std::time::Duration;

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
