//! Events for somebody else's program, over real sockets: it fails, hangs and breaks off, the switch is killed, and every event arrives.

use std::time::Duration;

use serde_json::json;

use super::support::cordboard::{Cordboard, Site};
use super::support::process::wait_until;
use super::support::receiver::{Answer, Receiver};

const SOON: Duration = Duration::from_secs(60);

/// Each is an event.
fn reload(switch: &Cordboard, times: usize) {
    for _ in 0..times {
        assert_eq!(switch.post("/api/v1/config/reload", &json!({})).status, 204);
    }
}

#[test]
fn every_event_arrives_over_failures_and_kills_of_the_switch() {
    let receiver = Receiver::start(|nth, _| match nth % 5 {
        1 => Answer::Status(500),
        3 => Answer::Silence,
        4 => Answer::Broken,
        _ => Answer::Status(200),
    });
    let site = Site::new("webhooks").with(&format!(
        "[[webhook]]\nname = \"crm\"\nurl = \"http://{}/events\"\nbatch = 5\ntimeout = \"1s\"\n",
        receiver.address
    ));
    let mut switch = site.start();
    for _ in 0..3 {
        reload(&switch, 20);
        // In the middle of it.
        let before = receiver.taken().len();
        wait_until("some arrive", SOON, || {
            reload(&switch, 1);
            receiver.taken().len() > before + 10
        });
        switch.kill();
        switch = site.start();
    }
    wait_until("all has arrived", SOON, || {
        let one = switch.items("/api/v1/webhooks").remove(0);
        if one["state"] == "waiting" {
            switch.post("/api/v1/webhooks/crm/resume", &json!({}));
        }
        one["behind"] == 0
    });
    let taken = receiver.taken();
    let (first, last) = (taken[0], *taken.last().expect("some"));
    assert!(last >= 60, "{last}");
    let missing: Vec<u64> = (first..=last).filter(|n| !taken.contains(n)).collect();
    assert_eq!(missing, [0; 0]);
    // As the log has them.
    let story = switch.events("since=0&types=config.*");
    let logged = story.wait_for("config.reloaded", SOON, |_| true).data().clone();
    let sent = receiver.posted().into_iter().flat_map(|posted| posted.events());
    let sent: Vec<_> = sent.filter(|event| event["type"] == "cordboard.config.reloaded").collect();
    assert_eq!(sent[0]["data"], logged);
    assert_eq!(sent[0]["specversion"], "1.0");
    let metrics = switch.get("/metrics").text();
    assert!(metrics.contains("cordboard_webhook_requests_total{webhook=\"crm\",outcome=\"taken\"}"), "{metrics}");
    assert!(metrics.contains("cordboard_webhook_behind{webhook=\"crm\"}"), "{metrics}");
}
