//! Whose a 5xx is: the server's, which somebody has to mend, or the mail's, which no later attempt mends.
//!
//! 5xx says that the same command will fail again (RFC 5321 §4.2.1), not why. Why is in the enhanced code, `5.subject.detail` (RFC 3463,
//! RFC 2034, and the registry of RFC 5248), at the beginning of the text, or as qmail writes it: `(#5.7.1)`. Where there is none, the
//! reply code and the words that common servers use are all there is.
//!
//! | refused | is the server's | is the mail's |
//! |---|---|---|
//! | the recipient | policy (5.7.x: "relay access denied"), our own address (5.1.7, 5.1.8), the system (5.3.x), the order of commands (5.5.1) | no such mailbox, none for this, full (5.1.x, 5.2.x, 5.4.x), 5.7.2, 5.7.17, 5.7.18 |
//! | the content | who we are (5.7.8 to 5.7.14, and SPF, DKIM and the like, 5.7.20 to 5.7.30), likewise the system | what it is (5.6.x, 5.7.1), too long (5.3.4) |
//! | either, without an enhanced code | 521 (RFC 7504), 53x (RFC 4954 §6), 500 to 504 but 501, 555; words about relaying, authentication, block lists to a recipient | all else |

use super::smtp::Step;

/// The words of servers without enhanced codes (Exim, qmail, old ones), in small letters.
const WORDS: [&str; 7] = ["relay", "rcpthosts", "authenticat", "administrative", "blocked", "blocklist", "blacklist"];

/// Whether a permanent refusal of a recipient or of a content is about the server and us.
pub(super) fn is_the_servers(step: Step, code: u16, text: &str) -> bool {
    if matches!(code, 521 | 530..=538) {
        return true;
    }
    match (enhanced(text), step) {
        (Some((1, 7 | 8)), _) => true,
        (Some((3, detail)), _) => detail != 4,
        (Some((5, 1)), _) => true,
        (Some((7, detail)), Step::Server | Step::Recipient) => !matches!(detail, 2 | 17 | 18),
        (Some((7, detail)), Step::Content) => matches!(detail, 8..=14 | 20..=30),
        (Some((1..=9, _)), _) => false,
        // 5.0.0 says nothing either.
        (Some(_) | None, _) => {
            let text = text.to_ascii_lowercase();
            let is_about_us = step != Step::Content && WORDS.iter().any(|word| text.contains(word));
            is_about_us || matches!(code, 500 | 502..=504 | 555)
        }
    }
}

/// Subject and detail of `5.7.1`, where the text has it.
fn enhanced(text: &str) -> Option<(u16, u16)> {
    let first = text.split_whitespace().next().and_then(parts);
    let marked = || text.split("(#").skip(1).find_map(|rest| parts(rest.split(')').next()?));
    first.or_else(marked)
}

fn parts(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split('.');
    let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
    if class != "5" || numbers.next().is_some() {
        return None;
    }
    // No sign, and three digits at most (RFC 3463 §2).
    let number =
        |text: &str| text.parse().ok().filter(|_| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()));
    Some((number(subject)?, number(detail)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As servers say it: Postfix, Exchange, Exim, qmail, Sendmail, Gmail.
    #[test]
    fn policies_of_the_server_are_told_from_mailboxes_that_are_not_there() {
        for (text, servers) in [
            ("554 5.7.1 <a@b>: Relay access denied", true),
            ("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", true),
            ("550 5.7.1 Relaying denied. Proper authentication required.", true),
            ("550 relay not permitted", true),
            ("550 Administrative prohibition", true),
            ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", true),
            ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example", true),
            ("550 5.7.23 SPF validation failed", true),
            ("553 5.1.8 <pbx@nowhere>: Sender address rejected: Domain not found", true),
            ("554 5.3.5 Local configuration error", true),
            ("503 5.5.1 Error: need MAIL command", true),
            ("521 not here", true),
            ("502 unimplemented", true),
            ("550 5.0.0 we do not relay", true),
            ("550 5.1.1 <a@b>: Recipient address rejected: User unknown in relay recipient table", false),
            ("550 5.4.1 Recipient address rejected: Access denied", false),
            ("552 5.2.2 Mailbox full", false),
            ("550 5.2.1 The email account is disabled", false),
            ("556 5.1.10 the domain takes no mail", false),
            ("550 5.7.17 the mailbox has another owner", false),
            ("501 5.1.3 Bad recipient address syntax", false),
            ("550 sorry, no mailbox here by that name", false),
            ("550 5.5.0 Requested action not taken: mailbox unavailable", false),
            ("550 5.7 broken code", false),
            ("551 User not local", false),
        ] {
            let (code, said) = text.split_once(' ').expect("a code");
            assert_eq!(is_the_servers(Step::Recipient, code.parse().expect("a code"), said), servers, "{text}");
        }
    }

    #[test]
    fn a_content_that_is_not_wanted_is_refused_for_good_and_not_who_sends_it() {
        for (text, servers) in [
            ("554 5.6.0 not such content", false),
            ("550 5.7.1 Message contains spam or virus", false),
            ("554 blocked: looks like spam", false),
            ("552 5.3.4 Message size exceeds fixed limit", false),
            ("550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", true),
            ("554 5.3.0 queue file write error", true),
            ("538 encryption required", true),
        ] {
            let (code, said) = text.split_once(' ').expect("a code");
            assert_eq!(is_the_servers(Step::Content, code.parse().expect("a code"), said), servers, "{text}");
        }
    }
}
