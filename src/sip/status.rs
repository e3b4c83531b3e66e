//! Status codes (RFC 3261 §21 and its extensions), with the reason phrases that we print.
//!
//! The vocabulary is `rsip::StatusCode`: its names give the constants their numbers, and the match over all of them that gives each its
//! phrase must stay whole. The type is ours because a peer may send any of 100 to 699, and because rsip prints `BusyHere`.

use std::fmt;

use rsip::StatusCode;
use serde::{Deserialize, Serialize};

/// 100 to 699.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Status(u16);

/// The first digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Provisional,
    Success,
    Redirection,
    RequestFailure,
    ServerFailure,
    GlobalFailure,
}

/// Not 100 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a SIP status")]
pub struct BadStatus(pub u16);

macro_rules! statuses {
    ($($name:ident = $code:literal, $rsip:ident, $reason:literal;)*) => {
        impl Status {
            $(pub const $name: Status = Status($code);)*

            /// The phrase of the registry; for a code that has none, one for its class.
            pub fn reason(self) -> &'static str {
                match self {
                    Status::ACCEPTED => return "Accepted",
                    Status::FLOW_FAILED => return "Flow Failed",
                    _ => {}
                }
                match StatusCode::from(self.0) {
                    $(StatusCode::$rsip => $reason,)*
                    StatusCode::Other(..) => match self.class() {
                        Class::Provisional => "Session Progress",
                        Class::Success => "OK",
                        Class::Redirection => "Redirection",
                        Class::RequestFailure => "Request Failure",
                        Class::ServerFailure => "Server Failure",
                        Class::GlobalFailure => "Global Failure",
                    },
                }
            }
        }

        #[cfg(test)]
        const ALL: &[(Status, StatusCode)] = &[$((Status::$name, StatusCode::$rsip),)*];
    };
}

statuses! {
    TRYING = 100, Trying, "Trying";
    RINGING = 180, Ringing, "Ringing";
    CALL_IS_BEING_FORWARDED = 181, CallIsBeingForwarded, "Call Is Being Forwarded";
    QUEUED = 182, Queued, "Queued";
    SESSION_PROGRESS = 183, SessionProgress, "Session Progress";
    EARLY_DIALOG_TERMINATED = 199, EarlyDialogTerminated, "Early Dialog Terminated";
    OK = 200, OK, "OK";
    CREATED = 201, Accepted, "Created";
    NO_NOTIFICATION = 204, NoNotification, "No Notification";
    MULTIPLE_CHOICES = 300, MultipleChoices, "Multiple Choices";
    MOVED_PERMANENTLY = 301, MovedPermanently, "Moved Permanently";
    MOVED_TEMPORARILY = 302, MovedTemporarily, "Moved Temporarily";
    USE_PROXY = 305, UseProxy, "Use Proxy";
    ALTERNATIVE_SERVICE = 380, AlternativeService, "Alternative Service";
    BAD_REQUEST = 400, BadRequest, "Bad Request";
    UNAUTHORIZED = 401, Unauthorized, "Unauthorized";
    PAYMENT_REQUIRED = 402, PaymentRequired, "Payment Required";
    FORBIDDEN = 403, Forbidden, "Forbidden";
    NOT_FOUND = 404, NotFound, "Not Found";
    METHOD_NOT_ALLOWED = 405, MethodNotAllowed, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, NotAcceptable, "Not Acceptable";
    PROXY_AUTHENTICATION_REQUIRED = 407, ProxyAuthenticationRequired, "Proxy Authentication Required";
    REQUEST_TIMEOUT = 408, RequestTimeout, "Request Timeout";
    CONFLICT = 409, Conflict, "Conflict";
    GONE = 410, Gone, "Gone";
    LENGTH_REQUIRED = 411, LengthRequired, "Length Required";
    CONDITIONAL_REQUEST_FAILED = 412, ConditionalRequestFailed, "Conditional Request Failed";
    REQUEST_ENTITY_TOO_LARGE = 413, RequestEntityTooLarge, "Request Entity Too Large";
    REQUEST_URI_TOO_LONG = 414, RequestUriTooLong, "Request-URI Too Long";
    UNSUPPORTED_MEDIA_TYPE = 415, UnsupportedMediaType, "Unsupported Media Type";
    UNSUPPORTED_URI_SCHEME = 416, UnsupportedUriScheme, "Unsupported URI Scheme";
    UNKNOWN_RESOURCE_PRIORITY = 417, UnknownResourcePriority, "Unknown Resource Priority";
    BAD_EXTENSION = 420, BadExtension, "Bad Extension";
    EXTENSION_REQUIRED = 421, ExtensionRequired, "Extension Required";
    SESSION_INTERVAL_TOO_SMALL = 422, SessionIntervalTooSmall, "Session Interval Too Small";
    INTERVAL_TOO_BRIEF = 423, IntervalTooBrief, "Interval Too Brief";
    BAD_LOCATION_INFORMATION = 424, BadLocationInformation, "Bad Location Information";
    USE_IDENTITY_HEADER = 428, UseIdentityHeader, "Use Identity Header";
    PROVIDE_REFERRER_IDENTITY = 429, ProvideReferrerIdentity, "Provide Referrer Identity";
    ANONYMITY_DISALLOWED = 433, AnonymityDisallowed, "Anonymity Disallowed";
    BAD_IDENTITY_INFO = 436, BadIdentityInfo, "Bad Identity Info";
    UNSUPPORTED_CERTIFICATE = 437, UnsupportedCertificate, "Unsupported Certificate";
    INVALID_IDENTITY_HEADER = 438, InvalidIdentityHeader, "Invalid Identity Header";
    FIRST_HOP_LACKS_OUTBOUND_SUPPORT = 439, FirstHopLacksOutboundSupport, "First Hop Lacks Outbound Support";
    MAX_BREADTH_EXCEEDED = 440, MaxBreadthExceeded, "Max Breadth Exceeded";
    BAD_INFO_PACKAGE = 469, BadInfoPackage, "Bad Info Package";
    CONSENT_NEEDED = 470, ConsentNeeded, "Consent Needed";
    TEMPORARILY_UNAVAILABLE = 480, TemporarilyUnavailable, "Temporarily Unavailable";
    CALL_TRANSACTION_DOES_NOT_EXIST = 481, CallTransactionDoesNotExist, "Call/Transaction Does Not Exist";
    LOOP_DETECTED = 482, LoopDetected, "Loop Detected";
    TOO_MANY_HOPS = 483, TooManyHops, "Too Many Hops";
    ADDRESS_INCOMPLETE = 484, AddressIncomplete, "Address Incomplete";
    AMBIGUOUS = 485, Ambiguous, "Ambiguous";
    BUSY_HERE = 486, BusyHere, "Busy Here";
    REQUEST_TERMINATED = 487, RequestTerminated, "Request Terminated";
    NOT_ACCEPTABLE_HERE = 488, NotAcceptableHere, "Not Acceptable Here";
    BAD_EVENT = 489, BadEvent, "Bad Event";
    REQUEST_PENDING = 491, RequestPending, "Request Pending";
    UNDECIPHERABLE = 493, Undecipherable, "Undecipherable";
    SECURITY_AGREEMENT_REQUIRED = 494, SecurityAgreementRequired, "Security Agreement Required";
    SERVER_INTERNAL_ERROR = 500, ServerInternalError, "Server Internal Error";
    NOT_IMPLEMENTED = 501, NotImplemented, "Not Implemented";
    BAD_GATEWAY = 502, BadGateway, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, ServiceUnavailable, "Service Unavailable";
    SERVER_TIME_OUT = 504, ServerTimeOut, "Server Time-out";
    VERSION_NOT_SUPPORTED = 505, VersionNotSupported, "Version Not Supported";
    MESSAGE_TOO_LARGE = 513, MessageTooLarge, "Message Too Large";
    PRECONDITION_FAILURE = 580, PreconditionFailure, "Precondition Failure";
    BUSY_EVERYWHERE = 600, BusyEverywhere, "Busy Everywhere";
    DECLINE = 603, Decline, "Decline";
    DOES_NOT_EXIST_ANYWHERE = 604, DoesNotExistAnywhere, "Does Not Exist Anywhere";
    NOT_ACCEPTABLE_GLOBAL = 606, NotAcceptableGlobal, "Not Acceptable Global";
    UNWANTED = 607, Unwanted, "Unwanted";
}

impl Status {
    /// RFC 3515 §2.4.2: a REFER that is obeyed. rsip gives the name to 201.
    pub const ACCEPTED: Status = Status(202);
    /// RFC 5626 §11.5.
    pub const FLOW_FAILED: Status = Status(430);

    pub fn new(code: u16) -> Option<Status> {
        (100..700).contains(&code).then_some(Status(code))
    }

    pub const fn code(self) -> u16 {
        self.0
    }

    pub const fn class(self) -> Class {
        match self.0 / 100 {
            1 => Class::Provisional,
            2 => Class::Success,
            3 => Class::Redirection,
            4 => Class::RequestFailure,
            5 => Class::ServerFailure,
            _ => Class::GlobalFailure,
        }
    }

    pub const fn is_provisional(self) -> bool {
        matches!(self.class(), Class::Provisional)
    }

    pub const fn is_success(self) -> bool {
        matches!(self.class(), Class::Success)
    }

    /// 200 and above.
    pub const fn is_final(self) -> bool {
        !self.is_provisional()
    }

    /// 300 and above.
    pub const fn is_failure(self) -> bool {
        !self.is_provisional() && !self.is_success()
    }
}

impl TryFrom<u16> for Status {
    type Error = BadStatus;

    fn try_from(code: u16) -> Result<Self, BadStatus> {
        Status::new(code).ok_or(BadStatus(code))
    }
}

impl From<Status> for u16 {
    fn from(status: Status) -> u16 {
        status.0
    }
}

/// `486 Busy Here`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_have_the_numbers_of_rsip() {
        for (ours, theirs) in ALL {
            assert_eq!(ours.code(), theirs.code());
        }
    }

    #[test]
    fn only_100_to_699_are_statuses_and_unknown_ones_get_the_phrase_of_their_class() {
        assert_eq!(Status::new(99), None);
        assert_eq!(Status::new(700), None);
        assert_eq!(Status::new(499).map(Status::reason), Some("Request Failure"));
        assert_eq!(Status::BUSY_HERE.to_string(), "486 Busy Here");
        assert_eq!(Status::ACCEPTED.to_string(), "202 Accepted");
    }
}
