//! Typed access to the headers of a message, parsed when asked for.
//!
//! `Err` is what a peer got wrong, with its header's name; a header that may be missing gives `Ok(None)` or an empty list. The parser
//! ([`intake`](super::intake)) has already refused messages whose Via, From, To, Call-ID, CSeq, Contact, Route or Record-Route are bad.

use std::net::SocketAddr;

use bytes::Bytes;

use super::authentication::{Challenge, Credentials};
use super::error::{ParseError, Syntax};
use super::header::HeaderName;
use super::headers::Headers;
use super::name_addr::NameAddr;
use super::replaces::Replaces;
use super::text::{self, Token};
use super::values::{CSeq, Event, MediaType, Reason, SessionExpires, SubscriptionState};
use super::via::Via;

/// The Contacts of a message (§20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `Contact: *`: a REGISTER that removes all bindings.
    Star,
    /// May be empty.
    List(Vec<NameAddr>),
}

impl Headers {
    /// The topmost one.
    pub fn via(&self) -> Result<Via, ParseError> {
        let value = self.mandatory(HeaderName::Via)?;
        let end = text::split_offset(value, b',');
        Via::parse_in(value, &value[..end]).map_err(|why| Headers::fault(HeaderName::Via, why))
    }

    pub fn vias(&self) -> Result<Vec<Via>, ParseError> {
        let mut vias = Vec::new();
        for value in self.get_all(&HeaderName::Via) {
            for part in text::split(value, b',') {
                vias.push(Via::parse_in(value, part).map_err(|why| Headers::fault(HeaderName::Via, why))?);
            }
        }
        Ok(vias)
    }

    pub fn push_via(&mut self, via: &Via) {
        self.insert_first(HeaderName::Via, via);
    }

    /// In place of the topmost one.
    pub fn set_top_via(&mut self, via: &Via) {
        self.replace_first_element(&HeaderName::Via, Some(via.into()));
    }

    pub fn remove_top_via(&mut self) {
        self.replace_first_element(&HeaderName::Via, None);
    }

    /// [`Via::stamp`] on the topmost Via, and the address that a response over UDP goes to. Of a Via that cannot be read (only in the
    /// reply to something malformed) nothing is changed, and the response goes to the source.
    pub fn stamp_source(&mut self, source: SocketAddr) -> SocketAddr {
        self.stamped(source).map_or(source, |via| via.reply_address(source))
    }

    /// As [`stamp_source`](Headers::stamp_source); the topmost Via as it is then.
    pub fn stamped(&mut self, source: SocketAddr) -> Option<Via> {
        let mut via = self.via().ok()?;
        via.stamp(source);
        self.set_top_via(&via);
        Some(via)
    }

    pub fn from(&self) -> Result<NameAddr, ParseError> {
        self.party(HeaderName::From)
    }

    pub fn to(&self) -> Result<NameAddr, ParseError> {
        self.party(HeaderName::To)
    }

    /// The tag of From, where there is one. Dearer is only [`from`](Headers::from), which reads the URI too.
    pub fn from_tag(&self) -> Result<Option<Bytes>, ParseError> {
        self.tag_of(HeaderName::From)
    }

    /// The tag of To, where there is one: a request without is outside of any dialog (§12.2.2).
    pub fn to_tag(&self) -> Result<Option<Bytes>, ParseError> {
        self.tag_of(HeaderName::To)
    }

    pub fn call_id(&self) -> Result<&Bytes, ParseError> {
        let value = self.mandatory(HeaderName::CallId)?;
        if value.is_empty() {
            return Err(Headers::fault(HeaderName::CallId, Syntax::Empty));
        }
        Ok(value)
    }

    pub fn cseq(&self) -> Result<CSeq, ParseError> {
        CSeq::parse(self.mandatory(HeaderName::CSeq)?).map_err(|why| Headers::fault(HeaderName::CSeq, why))
    }

    pub fn contacts(&self) -> Result<Contacts, ParseError> {
        let mut values = self.get_all(&HeaderName::Contact);
        if let (Some(value), None) = (values.next(), values.next())
            && value == "*"
        {
            return Ok(Contacts::Star);
        }
        self.addresses(HeaderName::Contact).map(Contacts::List)
    }

    /// The one Contact of a dialog's request or response. `None` if there is none or not exactly one.
    pub fn contact(&self) -> Result<Option<NameAddr>, ParseError> {
        match self.contacts()? {
            Contacts::List(list) => Ok(<[NameAddr; 1]>::try_from(list).ok().map(|[one]| one)),
            Contacts::Star => Ok(None),
        }
    }

    /// Clamped to `u32`.
    pub fn max_forwards(&self) -> Result<Option<u32>, ParseError> {
        self.count_of(HeaderName::MaxForwards)
    }

    /// Seconds, clamped to `u32` (RFC 4475 §3.1.2.4 lets it be).
    pub fn expires(&self) -> Result<Option<u32>, ParseError> {
        self.count_of(HeaderName::Expires)
    }

    /// Seconds.
    pub fn min_expires(&self) -> Result<Option<u32>, ParseError> {
        self.count_of(HeaderName::MinExpires)
    }

    /// Seconds; a comment or parameters after the number are left out.
    pub fn retry_after(&self) -> Result<Option<u32>, ParseError> {
        let Some(value) = self.get(&HeaderName::RetryAfter) else { return Ok(None) };
        let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
        let seconds = text::number_clamped(&value[..end]).ok_or(Headers::fault(HeaderName::RetryAfter, Syntax::Number))?;
        Ok(Some(seconds))
    }

    pub fn record_route(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(HeaderName::RecordRoute)
    }

    pub fn route(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(HeaderName::Route)
    }

    pub fn path(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(HeaderName::Path)
    }

    /// P-Asserted-Identity (RFC 3325): believe it from trunks only.
    pub fn asserted_identity(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(HeaderName::PAssertedIdentity)
    }

    pub fn require(&self) -> Result<Vec<Token>, ParseError> {
        self.tokens(HeaderName::Require)
    }

    pub fn proxy_require(&self) -> Result<Vec<Token>, ParseError> {
        self.tokens(HeaderName::ProxyRequire)
    }

    pub fn supported(&self) -> Result<Vec<Token>, ParseError> {
        self.tokens(HeaderName::Supported)
    }

    pub fn allow(&self) -> Result<Vec<Token>, ParseError> {
        self.tokens(HeaderName::Allow)
    }

    /// Whether the comma list `name` (Supported, Allow …) has `token`, in any case.
    pub fn lists(&self, name: &HeaderName, token: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    pub fn content_type(&self) -> Result<Option<MediaType>, ParseError> {
        self.optional(HeaderName::ContentType, |v| MediaType::parse(v.clone()))
    }

    /// The types of Accept. Without the header it is SDP alone (§20.1), which is not told apart from an empty list here.
    pub fn accept(&self) -> Result<Vec<MediaType>, ParseError> {
        self.elements(&HeaderName::Accept)
            .filter(|e| !e.is_empty())
            .map(|e| MediaType::parse(e).map_err(|why| Headers::fault(HeaderName::Accept, why)))
            .collect()
    }

    pub fn event(&self) -> Result<Option<Event>, ParseError> {
        self.optional(HeaderName::Event, Event::parse)
    }

    pub fn subscription_state(&self) -> Result<Option<SubscriptionState>, ParseError> {
        self.optional(HeaderName::SubscriptionState, SubscriptionState::parse)
    }

    /// The URI may carry `?Replaces=`: [`Replaces::of_refer_to`].
    pub fn refer_to(&self) -> Result<Option<NameAddr>, ParseError> {
        self.optional(HeaderName::ReferTo, |v| NameAddr::parse_in(v, v))
    }

    pub fn referred_by(&self) -> Result<Option<NameAddr>, ParseError> {
        self.optional(HeaderName::ReferredBy, |v| NameAddr::parse_in(v, v))
    }

    pub fn replaces(&self) -> Result<Option<Replaces>, ParseError> {
        self.optional(HeaderName::Replaces, Replaces::parse)
    }

    pub fn session_expires(&self) -> Result<Option<SessionExpires>, ParseError> {
        self.optional(HeaderName::SessionExpires, SessionExpires::parse)
    }

    /// Seconds.
    pub fn min_se(&self) -> Result<Option<u32>, ParseError> {
        self.optional(HeaderName::MinSe, |v| SessionExpires::parse(v).map(|s| s.interval))
    }

    /// Those that can be read: several protocols may give each theirs.
    pub fn reasons(&self) -> Vec<Reason> {
        self.elements(&HeaderName::Reason).filter_map(|e| Reason::parse(&e).ok()).collect()
    }

    /// Digest credentials; other schemes are left out (RFC 4475 §3.3.7). `Err` for digest ones that cannot be read.
    pub fn authorizations(&self) -> Result<Vec<Credentials>, ParseError> {
        self.credentials(HeaderName::Authorization)
    }

    pub fn proxy_authorizations(&self) -> Result<Vec<Credentials>, ParseError> {
        self.credentials(HeaderName::ProxyAuthorization)
    }

    /// Digest challenges of a 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`), in their order. Other schemes, algorithms that we
    /// lack and unreadable ones are left out: there is nothing to answer to them.
    pub fn challenges(&self, name: &HeaderName) -> Vec<Challenge> {
        self.get_all(name).flat_map(Challenge::parse_list).collect()
    }

    fn credentials(&self, name: HeaderName) -> Result<Vec<Credentials>, ParseError> {
        self.get_all(&name)
            .filter_map(|value| Credentials::parse(value).transpose())
            .map(|c| c.map_err(|why| Headers::fault(name.clone(), why)))
            .collect()
    }

    fn mandatory(&self, name: HeaderName) -> Result<&Bytes, ParseError> {
        self.get(&name).ok_or(ParseError::Missing(name))
    }

    /// A tag, where there is one, has a value.
    fn party(&self, name: HeaderName) -> Result<NameAddr, ParseError> {
        let value = self.get(&name).ok_or_else(|| ParseError::Missing(name.clone()))?;
        match NameAddr::parse_in(value, value) {
            Ok(party) if party.params.has("tag") && party.tag().is_none() => Err(Headers::fault(name, Syntax::Parameter)),
            Ok(party) => Ok(party),
            Err(why) => Err(Headers::fault(name, why)),
        }
    }

    fn tag_of(&self, name: HeaderName) -> Result<Option<Bytes>, ParseError> {
        let value = self.get(&name).ok_or_else(|| ParseError::Missing(name.clone()))?;
        match NameAddr::params_in(value) {
            Ok(params) => match params.get("tag") {
                Some(tag) => Ok(Some(Bytes::copy_from_slice(tag))),
                None if params.has("tag") => Err(Headers::fault(name, Syntax::Parameter)),
                None => Ok(None),
            },
            Err(why) => Err(Headers::fault(name, why)),
        }
    }

    fn addresses(&self, name: HeaderName) -> Result<Vec<NameAddr>, ParseError> {
        let mut list = Vec::new();
        for value in self.get_all(&name) {
            for part in text::split(value, b',') {
                list.push(NameAddr::parse_in(value, part).map_err(|why| Headers::fault(name.clone(), why))?);
            }
        }
        Ok(list)
    }

    /// An empty header is an empty list; an empty element is left out, as many phones print a comma too many.
    fn tokens(&self, name: HeaderName) -> Result<Vec<Token>, ParseError> {
        self.elements(&name)
            .filter(|e| !e.is_empty())
            .map(|e| Token::new(e).ok_or_else(|| Headers::fault(name.clone(), Syntax::Token)))
            .collect()
    }

    fn count_of(&self, name: HeaderName) -> Result<Option<u32>, ParseError> {
        self.optional(name, |v| text::number_clamped(v).ok_or(Syntax::Number))
    }

    fn optional<T>(&self, name: HeaderName, parse: impl Fn(&Bytes) -> Result<T, Syntax>) -> Result<Option<T>, ParseError> {
        match self.get(&name) {
            Some(value) => parse(value).map(Some).map_err(|why| Headers::fault(name, why)),
            None => Ok(None),
        }
    }
}
