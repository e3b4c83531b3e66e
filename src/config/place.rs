//! Where a call can be sent by configuration: `queue:support`, `menu:main`, `number:004930123`, `hangup` …

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{MenuName, Number, QueueName};

/// A destination. `node:x` is a menu's inner affair and not among these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Menu(MenuName),
    Queue(QueueName),
    Phone(Number),
    Voicemail(Number),
    /// Asks to be called back by this queue: a place in it is kept, and the caller need not wait at the phone.
    Callback(QueueName),
    /// Dialled as if by the one who is sent there: a number inside, a queue's or menu's number, or one outside by the outbound rules.
    Number(String),
    Hangup,
}

/// Not a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a place to go: write menu:, queue:, phone:, voicemail:, callback:, number: and a name, or hangup")]
pub struct BadPlace(pub String);

impl std::str::FromStr for Place {
    type Err = BadPlace;

    fn from_str(s: &str) -> Result<Self, BadPlace> {
        if s == "hangup" {
            return Ok(Place::Hangup);
        }
        match s.split_once(':') {
            Some((_, "")) | None => Err(BadPlace(s.to_owned())),
            Some(("menu", x)) => Ok(Place::Menu(x.into())),
            Some(("queue", x)) => Ok(Place::Queue(x.into())),
            Some(("phone", x)) => Ok(Place::Phone(x.into())),
            Some(("voicemail", x)) => Ok(Place::Voicemail(x.into())),
            Some(("callback", x)) => Ok(Place::Callback(x.into())),
            Some(("number", x)) => Ok(Place::Number(x.to_owned())),
            Some(_) => Err(BadPlace(s.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Menu(x) => write!(f, "menu:{x}"),
            Place::Queue(x) => write!(f, "queue:{x}"),
            Place::Phone(x) => write!(f, "phone:{x}"),
            Place::Voicemail(x) => write!(f, "voicemail:{x}"),
            Place::Callback(x) => write!(f, "callback:{x}"),
            Place::Number(x) => write!(f, "number:{x}"),
            Place::Hangup => f.write_str("hangup"),
        }
    }
}
