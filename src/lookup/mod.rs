//! Asks servers what menus want to know of a caller, and brings the core the answer.
//!
//! The core has a deadline of its own for each, so nothing here has to be quick, or to answer at all. What is asked and answered may be a
//! secret: only what a menu stores of it goes further, and nothing is logged.

use std::io;
use std::sync::Arc;

use crate::clock::System;
use crate::http_client::{Bounds, Client, Connections, Failure, Full, Request, Response};
use crate::ids::ConversationId;
use crate::ivr::{self, Outcome};
use crate::switch::Input;

/// By feel: each waits for a server for ten seconds at most, and one that hangs leaves threads and places to others. One lookup more than may
/// wait is told that it is [`Outcome::Busy`], and its caller goes on at once.
const BOUNDS: Bounds = Bounds { threads: 8, waiting: 64, of_one_host: (5, 40) };

/// What is read of an answer.
const MOST_BYTES: u64 = 64 * 1024;

/// Takes an `Input::LookedUp`. May wait.
pub type Answers = Arc<dyn Fn(Input) + Send + Sync>;

pub struct Lookups {
    client: Client,
    answers: Answers,
}

impl Lookups {
    pub fn start(connections: &Connections, clock: System, answers: Answers) -> io::Result<Lookups> {
        Ok(Lookups { client: Client::start("lookup", BOUNDS, connections, clock)?, answers })
    }

    /// Never waits.
    pub fn ask(&self, conversation: ConversationId, nth: u32, request: ivr::Request) -> Result<(), Full> {
        let ivr::Request { method, url, headers, body, timeout, wanted } = request;
        let answers = self.answers.clone();
        let request = Request { method, url, headers, body, timeout, most: MOST_BYTES };
        self.client.send(request, move |response| {
            answers(Input::LookedUp { conversation, nth, outcome: outcome(response, &wanted) });
        })
    }
}

fn outcome(response: Result<Response, Failure>, wanted: &[ivr::Wanted]) -> Outcome {
    match response {
        Ok(Response { status: 200..=299, body }) => ivr::found(&body, wanted).map_or(Outcome::Garbage, Outcome::Found),
        Ok(Response { status, .. }) => Outcome::Status(status),
        Err(Failure::TimedOut) => Outcome::TimedOut,
        Err(Failure::TooLong) => Outcome::Garbage,
        Err(Failure::BadUrl) => Outcome::BadUrl,
        Err(Failure::Unreachable | Failure::Broken) => Outcome::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_name() {
        let of = |status, body: &[u8]| outcome(Ok(Response { status, body: body.to_vec() }), &[]).label();
        assert_eq!([of(200, b"{}"), of(204, b""), of(302, b"{}"), of(500, b"{}")], ["ok", "garbage", "status", "status"]);
        let failed = |failure| outcome(Err(failure), &[]).label();
        assert_eq!(
            [Failure::TimedOut, Failure::TooLong, Failure::BadUrl, Failure::Unreachable, Failure::Broken].map(failed),
            ["timeout", "garbage", "bad_url", "unreachable", "unreachable"]
        );
    }
}
