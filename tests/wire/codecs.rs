//! Phones that have no codec in common hear each other.

use super::talk::two_hear_each_other;

const ALL: &str = "codecs = [\"PCMA\", \"PCMU\", \"G722\", \"opus\"]";

/// Each pair of codecs, and one that both have.
#[test]
fn baresips_without_a_codec_in_common_hear_each_other() {
    for (alice, bob) in [("pcma", "g722"), ("opus", "pcmu"), ("g722", "opus"), ("g722", "g722,pcma"), ("opus", "opus")] {
        let name = format!("codecs-{alice}-{}", bob.replace(',', "-"));
        for quality in two_hear_each_other(&name, ALL, [&|phone| phone.codecs(alice), &|phone| phone.codecs(bob)]) {
            assert_eq!(quality["packets_lost"], 0, "{name}: {quality}");
        }
    }
}
