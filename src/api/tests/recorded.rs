//! Recordings for tests, and their waveforms.

use super::*;
use crate::store::recordings::Recording;
use crate::store::recordings::peaks::{Peaks, header};
use crate::switch::output::About;

impl Site {
    pub(super) fn row(n: u64) -> Recording {
        let id = RecordingId::from_parts(1_795_338_000_000 + n, 0);
        let mut row = Recording::begun(&About {
            recording: id,
            conversation: ConversationId::from_parts(n, 0),
            started_at: Wall::from_micros(1_795_338_000_000_000 + n as i64 * 1_000),
            direction: if n.is_multiple_of(2) { Direction::Outbound } else { Direction::Inbound },
            customer_number: format!("+49305550{n}"),
            called: "1".into(),
            customer_e164: Some(format!("+49305550{n}")),
            called_e164: None,
            agents: vec!["1024".into()],
            queue: Some("support".into()),
            rule: "inbound default".into(),
            paused_ms: 0,
            sample_rate: 8_000,
            refused: false,
            supervises: false,
            prompt: false,
            mailbox: None,
            greeting: false,
        });
        row.sha256 = Some("ab".repeat(32));
        row.duration_ms = n * 1_000;
        row.state = crate::store::recordings::State::Finished;
        row
    }

    pub(super) fn recording(&self, n: u64, audio: &[u8]) -> RecordingId {
        let row = Recording { bytes: audio.len() as u64, ..Site::row(n) };
        let id = row.id;
        self.recordings.put(&row, true).unwrap();
        let path = Folder::new(self.folder.path()).audio(id);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, audio).unwrap();
        id
    }
}

#[tokio::test]
async fn a_waveform_is_served_in_as_few_values_as_are_asked_for() {
    let site = Site::new();
    let id = site.recording(1, b"RIFF");
    let path = |query: &str| format!("/api/v1/recordings/{id}/peaks{query}");
    site.get(&path("")).await.problem(404);
    let mut peaks = Peaks::new(8_000);
    // A second, half of it loud on the left.
    peaks.push(&[[12_800, -256]; 4_000].concat());
    peaks.push(&[0; 8_000]);
    // As it lies there while it is recorded: its header does not know the length yet.
    let file = [header(8_000, 0).to_vec(), peaks.finish()].concat();
    std::fs::write(Folder::new(site.folder.path()).drawing(id), file).unwrap();
    let all: serde_json::Value = serde_json::from_slice(&site.get(&path("")).await.body).unwrap();
    assert_eq!((all["length"].as_u64(), all["samples_per_pixel"].as_u64()), (Some(100), Some(80)));
    let four: serde_json::Value = serde_json::from_slice(&site.get(&path("?values=4")).await.body).unwrap();
    let quarter = [json!([0, 50, -1, 0]), json!([0, 0, 0, 0])];
    let wanted: Vec<&serde_json::Value> = [&quarter[0], &quarter[0], &quarter[1], &quarter[1]].to_vec();
    let wanted: Vec<serde_json::Value> = wanted.iter().flat_map(|q| q.as_array().unwrap().clone()).collect();
    assert_eq!((four["data"].clone(), four["samples_per_pixel"].as_u64()), (json!(wanted), Some(2_000)));
    for query in ["?values=0", "?values=20001", "?values=x"] {
        site.get(&path(query)).await.problem(400);
    }
    site.get(&format!("/api/v1/recordings/{}/peaks", RecordingId::from_parts(1, 1))).await.problem(404);
}

/// A search stops after 10,000 rows, and the customer's refusal leaves a row for a moment: neither is seen from outside.
#[tokio::test]
async fn a_page_is_full_as_long_as_more_follow() {
    let site = Site::new();
    for n in 1..=10_010 {
        let refused = n == 10_008 || n == 10_009;
        site.recordings.put(&Recording { refused, ..Site::row(n) }, true).unwrap();
    }
    let found = async |query: &str| -> (Vec<u64>, bool) {
        let reply = site.get(&format!("/api/v1/recordings?{query}")).await.json();
        let lengths = reply["items"].as_array().unwrap().iter().map(|row| row["duration_ms"].as_u64().unwrap() / 1_000);
        (lengths.collect(), reply["next"].is_string())
    };
    assert_eq!(found("limit=3").await, (vec![10_010, 10_007, 10_006], true));
    assert_eq!(found("limit=1&max_s=2").await, (vec![2], true));
    assert_eq!(found("limit=3&max_s=2").await, (vec![2, 1], false));
    assert_eq!(found("limit=3&max_s=0").await, (vec![], false));
}
