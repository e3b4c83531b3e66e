//! Names of headers: known ones with their compact forms (RFC 3261 §7.3.3, §20), any other token as it is, compared in any case.
//!
//! rsip's names are no use here: it has them only as methods of its value types, without the compact forms, and with allocation.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use super::text::Token;

/// A name of a header that is not in the table. Printed as written, equal in any case.
#[derive(Clone)]
pub struct OtherName(Token);

macro_rules! headers {
    ($($name:ident = $text:literal, $lower:literal $(, $compact:literal)?;)*) => {
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub enum HeaderName {
            $($name,)*
            Other(OtherName),
        }

        impl HeaderName {
            /// Any case, long or compact. `None` if it is no token.
            pub fn parse(bytes: impl Into<Bytes>) -> Option<HeaderName> {
                let bytes = bytes.into();
                HeaderName::parse_in(&bytes, &bytes)
            }

            /// `part` lies in `src`, of which only a name that is not in the table keeps a slice.
            pub(super) fn parse_in(src: &Bytes, part: &[u8]) -> Option<HeaderName> {
                let mut lower = [0u8; LONGEST];
                if let Some(lower) = lower.get_mut(..part.len()) {
                    lower.copy_from_slice(part);
                    lower.make_ascii_lowercase();
                    match &lower[..] {
                        $($lower $(| $compact)? => return Some(HeaderName::$name),)*
                        _ => {}
                    }
                }
                Token::new(src.slice_ref(part)).map(|token| HeaderName::Other(OtherName(token)))
            }

            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$name => $text,)*
                    HeaderName::Other(name) => name.0.as_str(),
                }
            }
        }

        #[cfg(test)]
        const ALL: &[HeaderName] = &[$(HeaderName::$name,)*];
    };
}

/// Of the names in the table; a longer one is not looked up.
const LONGEST: usize = 20;

headers! {
    Accept = "Accept", b"accept";
    AcceptContact = "Accept-Contact", b"accept-contact", b"a";
    AcceptEncoding = "Accept-Encoding", b"accept-encoding";
    AcceptLanguage = "Accept-Language", b"accept-language";
    AlertInfo = "Alert-Info", b"alert-info";
    Allow = "Allow", b"allow";
    AllowEvents = "Allow-Events", b"allow-events", b"u";
    AnswerMode = "Answer-Mode", b"answer-mode";
    AuthenticationInfo = "Authentication-Info", b"authentication-info";
    Authorization = "Authorization", b"authorization";
    CallId = "Call-ID", b"call-id", b"i";
    CallInfo = "Call-Info", b"call-info";
    Contact = "Contact", b"contact", b"m";
    ContentDisposition = "Content-Disposition", b"content-disposition";
    ContentEncoding = "Content-Encoding", b"content-encoding", b"e";
    ContentLanguage = "Content-Language", b"content-language";
    ContentLength = "Content-Length", b"content-length", b"l";
    ContentType = "Content-Type", b"content-type", b"c";
    CSeq = "CSeq", b"cseq";
    Date = "Date", b"date";
    Diversion = "Diversion", b"diversion";
    ErrorInfo = "Error-Info", b"error-info";
    Event = "Event", b"event", b"o";
    Expires = "Expires", b"expires";
    FlowTimer = "Flow-Timer", b"flow-timer";
    From = "From", b"from", b"f";
    HistoryInfo = "History-Info", b"history-info";
    Identity = "Identity", b"identity", b"y";
    InReplyTo = "In-Reply-To", b"in-reply-to";
    InfoPackage = "Info-Package", b"info-package";
    Join = "Join", b"join";
    MaxForwards = "Max-Forwards", b"max-forwards";
    MimeVersion = "MIME-Version", b"mime-version";
    MinExpires = "Min-Expires", b"min-expires";
    MinSe = "Min-SE", b"min-se";
    Organization = "Organization", b"organization";
    PAssertedIdentity = "P-Asserted-Identity", b"p-asserted-identity";
    PEarlyMedia = "P-Early-Media", b"p-early-media";
    PPreferredIdentity = "P-Preferred-Identity", b"p-preferred-identity";
    Path = "Path", b"path";
    Priority = "Priority", b"priority";
    Privacy = "Privacy", b"privacy";
    ProxyAuthenticate = "Proxy-Authenticate", b"proxy-authenticate";
    ProxyAuthorization = "Proxy-Authorization", b"proxy-authorization";
    ProxyRequire = "Proxy-Require", b"proxy-require";
    RAck = "RAck", b"rack";
    Reason = "Reason", b"reason";
    RecordRoute = "Record-Route", b"record-route";
    RecvInfo = "Recv-Info", b"recv-info";
    ReferSub = "Refer-Sub", b"refer-sub";
    ReferTo = "Refer-To", b"refer-to", b"r";
    ReferredBy = "Referred-By", b"referred-by", b"b";
    RejectContact = "Reject-Contact", b"reject-contact", b"j";
    RemotePartyId = "Remote-Party-ID", b"remote-party-id";
    Replaces = "Replaces", b"replaces";
    ReplyTo = "Reply-To", b"reply-to";
    RequestDisposition = "Request-Disposition", b"request-disposition", b"d";
    Require = "Require", b"require";
    RetryAfter = "Retry-After", b"retry-after";
    Route = "Route", b"route";
    RSeq = "RSeq", b"rseq";
    Server = "Server", b"server";
    ServiceRoute = "Service-Route", b"service-route";
    SessionExpires = "Session-Expires", b"session-expires", b"x";
    SipEtag = "SIP-ETag", b"sip-etag";
    SipIfMatch = "SIP-If-Match", b"sip-if-match";
    Subject = "Subject", b"subject", b"s";
    SubscriptionState = "Subscription-State", b"subscription-state";
    Supported = "Supported", b"supported", b"k";
    TargetDialog = "Target-Dialog", b"target-dialog";
    Timestamp = "Timestamp", b"timestamp";
    To = "To", b"to", b"t";
    Unsupported = "Unsupported", b"unsupported";
    UserAgent = "User-Agent", b"user-agent";
    Via = "Via", b"via", b"v";
    Warning = "Warning", b"warning";
    WwwAuthenticate = "WWW-Authenticate", b"www-authenticate";
}

impl PartialEq for OtherName {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(other.0.as_bytes())
    }
}

impl Eq for OtherName {}

impl Hash for OtherName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for b in self.0.as_bytes() {
            state.write_u8(b.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_in_any_case_and_print_canonically() {
        for name in ALL {
            assert!(name.as_str().len() <= LONGEST);
            assert_eq!(HeaderName::parse(name.as_str().to_ascii_uppercase()).as_ref(), Some(name));
            assert_eq!(HeaderName::parse(name.as_str().to_owned()).as_ref(), Some(name));
        }
        assert_eq!(HeaderName::parse("I"), Some(HeaderName::CallId));
        assert_eq!(HeaderName::parse("v"), Some(HeaderName::Via));
    }

    #[test]
    fn others_keep_their_case_and_compare_without_it() {
        let a = HeaderName::parse("X-Queue").expect("token");
        assert_eq!(a.as_str(), "X-Queue");
        assert_eq!(HeaderName::parse("x-QUEUE"), Some(a));
        assert_eq!(HeaderName::parse("X Queue"), None);
        assert_eq!(HeaderName::parse("X\r\n"), None);
        assert_eq!(HeaderName::parse(""), None);
    }
}
