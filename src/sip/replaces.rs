//! Replaces (RFC 3891): the dialog that an INVITE takes the place of, in a header or in the URI of a Refer-To (RFC 3515, RFC 5589 §7).

use bytes::Bytes;

use super::error::Syntax;
use super::params::Params;
use super::sip_uri::SipUri;
use super::text;

/// The dialog in the view of the one who receives it: `to_tag` is the receiver's own tag, `from_tag` that of its peer (§3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: Bytes,
    /// As written, as [`NameAddr::tag`](super::NameAddr::tag) gives tags.
    pub to_tag: Bytes,
    pub from_tag: Bytes,
    /// Only while the dialog is not answered; else 486 (§3).
    pub early_only: bool,
}

impl Replaces {
    pub fn new(call_id: Bytes, to_tag: &[u8], from_tag: &[u8]) -> Replaces {
        let tag = |tag: &[u8]| Bytes::copy_from_slice(tag);
        Replaces { call_id, to_tag: tag(to_tag), from_tag: tag(from_tag), early_only: false }
    }

    /// A header's value (§6.1). Parameters that it does not know are left out.
    pub fn parse(value: &Bytes) -> Result<Replaces, Syntax> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let call_id = text::trim(&value[..end]);
        if call_id.is_empty() {
            return Err(Syntax::Empty);
        }
        // An escaped value may hold anything.
        if call_id.iter().any(|&b| b <= b' ' || b == 0x7f) {
            return Err(Syntax::Token);
        }
        let params = Params::parse_header(value, &value[end..])?;
        let tag = |name: &str| params.get(name).map(|tag| value.slice_ref(tag)).ok_or(Syntax::Parameter);
        Ok(Replaces {
            call_id: value.slice_ref(call_id),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.has("early-only"),
        })
    }

    /// The escaped `?Replaces=` of a Refer-To's URI: attended transfer. `None` where the URI has none.
    pub fn of_refer_to(uri: &SipUri) -> Result<Option<Replaces>, Syntax> {
        let headers = uri.headers().unwrap_or_default().split('&').filter_map(|header| header.split_once('='));
        let mut found = headers.filter(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Replaces::parse(&text::unescape(value.as_bytes()).into_owned().into()).map(Some),
            (None, _) => Ok(None),
            // There is one dialog to replace (§4).
            (Some(_), Some(_)) => Err(Syntax::UriHeaders),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.call_id);
        let mut params = Params::default();
        params.set_as_written("to-tag", &self.to_tag);
        params.set_as_written("from-tag", &self.from_tag);
        if self.early_only {
            params.set_flag("early-only");
        }
        params.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{NameAddr, Uri};

    fn read(text: &'static str) -> Result<Replaces, Syntax> {
        Replaces::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn replaces_needs_both_tags() {
        let r = read("98732@sip.example.com ;from-tag=r33th4x0r;to-tag=ff87ff;early-only").expect("parses");
        assert_eq!((&r.to_tag[..], &r.from_tag[..], r.early_only), (&b"ff87ff"[..], &b"r33th4x0r"[..], true));
        let mut printed = Vec::new();
        r.write(&mut printed);
        assert_eq!(printed, b"98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only");
        assert_eq!(Replaces::parse(&printed.into()), Ok(r));
        for bad in ["98732@sip.example.com;to-tag=ff87ff", "9;from-tag=a", ";to-tag=a;from-tag=b", "", "a b;to-tag=a;from-tag=b"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refer_to_carries_it_escaped() {
        let of = |text: &str| {
            let to = NameAddr::parse(text.to_owned()).expect("address");
            let Uri::Sip(uri) = to.uri else { panic!("sip") };
            Replaces::of_refer_to(&uri)
        };
        let r = of("<sip:202@10.0.0.1?replaces=12%40192.168.1.2%3Bto-tag%3D7%3Bfrom-tag%3D8&Subject=x>").expect("reads");
        let r = r.expect("there is one");
        assert_eq!((&r.call_id[..], &r.to_tag[..], &r.from_tag[..]), (&b"12@192.168.1.2"[..], &b"7"[..], &b"8"[..]));
        assert!(!r.early_only);
        assert_eq!(of("<sip:202@10.0.0.1>"), Ok(None));
        assert_eq!(of("<sip:202@10.0.0.1?Subject=replaces>"), Ok(None));
        assert!(of("<sip:202@10.0.0.1?Replaces=1%3Bto-tag%3D7>").is_err());
        assert!(of("<sip:202@10.0.0.1?Replaces=1%0D%0AVia:x%3Bto-tag%3D7%3Bfrom-tag%3D8>").is_err());
        let twice = "Replaces=1%3Bto-tag%3D7%3Bfrom-tag%3D8";
        assert!(of(&format!("<sip:202@10.0.0.1?{twice}&{twice}>")).is_err());
    }
}
