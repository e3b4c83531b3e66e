//! The way to the core: a question with a place for its answer, over a bounded channel.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::problem::Problem;
use crate::switch::input::Actor;
use crate::switch::{Answer, Command, Refusal};

/// Questions that wait for the core. It takes some thousands a second, so a full channel means that it stands still: more are refused
/// with 503 and nothing piles up.
pub const MOST_ASKED: usize = 256;

/// The core answers in microseconds; what takes longer than this is not answered any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command with who gave it, and where its answer goes. The driver gives it a ticket, and sends the `Output::Reply` back here.
#[derive(Debug)]
pub struct Asked {
    pub by: Actor,
    pub command: Command,
    pub reply: oneshot::Sender<Answer>,
}

/// The API's end.
#[derive(Clone, Debug)]
pub struct Core(mpsc::Sender<Asked>);

impl Core {
    /// Both ends: the API's and the driver's.
    pub fn channel() -> (Core, mpsc::Receiver<Asked>) {
        let (ask, asked) = mpsc::channel(MOST_ASKED);
        (Core(ask), asked)
    }

    /// # Errors
    /// The core's refusal, or 503 where it does not answer.
    pub(super) async fn ask(&self, by: &str, command: Command) -> Result<Answer, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { by: Actor(by.to_owned()), command, reply };
        self.0.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::unavailable("the switch has too much to do"),
            mpsc::error::TrySendError::Closed(_) => Problem::unavailable("the switch has stopped"),
        })?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Answer::Refused(refusal))) => Err(refusal.into()),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Problem::unavailable("the switch let the question go")),
            Err(_) => Err(Problem::unavailable("the switch did not answer in time")),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match &refusal {
            Refusal::NoConversation(_)
            | Refusal::NoAgent(_)
            | Refusal::NoQueue(_)
            | Refusal::NoCallback(_)
            | Refusal::UnknownPhone(_)
            | Refusal::NoParty(_)
            | Refusal::NotBanned(_)
            | Refusal::NotLocked(_)
            | Refusal::NoMailbox(_)
            | Refusal::NoMessage(_) => 404,
            Refusal::NoPhone(_) | Refusal::WrongState(_) | Refusal::TooMany(_) | Refusal::Unreachable(_) => 409,
            Refusal::NotPermitted(..) => 403,
            Refusal::NotDiallable(_)
            | Refusal::NoMember(..)
            | Refusal::NoReason(_)
            | Refusal::NoDisposition(_)
            | Refusal::BadValue(_)
            | Refusal::NoPrompt(_) => 422,
            Refusal::Stopping | Refusal::NoPort => 503,
        };
        Problem::new(status, refusal.to_string())
    }
}
