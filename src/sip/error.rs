//! Why bytes are not a message. Each error knows the status that a peer gets for it, where it gets one at all.

use super::header::HeaderName;
use super::status::Status;

/// What is wrong inside one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Syntax {
    #[error("bad URI scheme")]
    Scheme,
    #[error("bad user part")]
    User,
    #[error("bad host")]
    Host,
    #[error("bad port")]
    Port,
    #[error("bad parameter")]
    Parameter,
    #[error("bad telephone number")]
    Telephone,
    #[error("headers in a URI that may not have any")]
    UriHeaders,
    #[error("character that may not stand in a URI")]
    UriCharacter,
    #[error("display name is neither tokens nor a quoted string")]
    DisplayName,
    #[error("quoted string is not closed")]
    Quote,
    #[error("angle brackets do not pair")]
    AngleBracket,
    #[error("URI with a comma or question mark outside of angle brackets")]
    Ambiguous,
    #[error("not a number in range")]
    Number,
    #[error("not a token")]
    Token,
    #[error("empty list element or value")]
    Empty,
    #[error("bad protocol of a Via")]
    Protocol,
    #[error("not a credential or challenge")]
    Authentication,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("nothing but line ends: a keep-alive")]
    Empty,
    #[error("no empty line after the headers")]
    NoEndOfHeaders,
    #[error("the first line is neither a request nor a status line")]
    StartLine,
    #[error("the SIP version is not 2.0")]
    Version,
    #[error("the method is not a token")]
    Method,
    #[error("the status is not 100 to 699")]
    StatusCode,
    #[error("request URI: {0}")]
    RequestUri(Syntax),
    #[error("header line {line} has no name and colon, or a stray line end")]
    HeaderLine { line: usize },
    #[error("{name}: {why}")]
    Header { name: HeaderName, why: Syntax },
    #[error("{0} is missing")]
    Missing(HeaderName),
    #[error("{0} stands more than once")]
    Repeated(HeaderName),
    #[error("the method of CSeq is not that of the request")]
    CSeqMismatch { method_known: bool },
    #[error("Content-Length says {says}, {has} octets came")]
    BodyTooShort { says: usize, has: usize },
    #[error("the headers are longer than {limit} octets")]
    HeadersTooLong { limit: usize },
    #[error("more than {limit} headers")]
    TooManyHeaders { limit: usize },
    #[error("the body is longer than {limit} octets")]
    BodyTooLong { limit: usize },
}

impl ParseError {
    /// What a request with this fault is answered.
    pub fn status(&self) -> Status {
        match self {
            ParseError::Version => Status::VERSION_NOT_SUPPORTED,
            ParseError::CSeqMismatch { method_known: false } => Status::NOT_IMPLEMENTED,
            ParseError::HeadersTooLong { .. } | ParseError::TooManyHeaders { .. } => Status::MESSAGE_TOO_LARGE,
            ParseError::BodyTooLong { .. } => Status::REQUEST_ENTITY_TOO_LARGE,
            ParseError::Empty
            | ParseError::NoEndOfHeaders
            | ParseError::StartLine
            | ParseError::Method
            | ParseError::StatusCode
            | ParseError::RequestUri(_)
            | ParseError::HeaderLine { .. }
            | ParseError::Header { .. }
            | ParseError::Missing(_)
            | ParseError::Repeated(_)
            | ParseError::CSeqMismatch { method_known: true }
            | ParseError::BodyTooShort { .. } => Status::BAD_REQUEST,
        }
    }

    /// For the metric of refused messages.
    pub fn label(&self) -> &'static str {
        match self {
            ParseError::Empty => "empty",
            ParseError::NoEndOfHeaders => "no_end_of_headers",
            ParseError::StartLine => "start_line",
            ParseError::Version => "version",
            ParseError::Method => "method",
            ParseError::StatusCode => "status_code",
            ParseError::RequestUri(_) => "request_uri",
            ParseError::HeaderLine { .. } => "header_line",
            ParseError::Header { .. } => "header",
            ParseError::Missing(_) => "missing_header",
            ParseError::Repeated(_) => "repeated_header",
            ParseError::CSeqMismatch { .. } => "cseq_mismatch",
            ParseError::BodyTooShort { .. } => "body_too_short",
            ParseError::HeadersTooLong { .. } => "headers_too_long",
            ParseError::TooManyHeaders { .. } => "too_many_headers",
            ParseError::BodyTooLong { .. } => "body_too_long",
        }
    }
}
