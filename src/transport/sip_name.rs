//! Whether a certificate is for a SIP domain: by a DNS name, as for every TLS server, or by a URI `sip:domain` (RFC 5922 §7.1), which
//! carriers' certificates may have alone and rustls does not read.

use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::sip::Uri;

/// Vouched for as rustls judges it, and for the name in either way.
#[derive(Debug)]
pub struct SipVerifier(pub Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for SipVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match &judged {
            // The last thing that is judged: whoever vouches for it, and its time, were found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if is_for(end_entity, &server_name.to_str()) => Ok(ServerCertVerified::assertion()),
            Ok(_) | Err(_) => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether one of its URIs is `sip:` and this domain. One with a user is a person's, not a domain's; `sips:` is none (RFC 5922 §7.1).
fn is_for(certificate: &CertificateDer<'_>, domain: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match name {
        GeneralName::URI(uri) => is_domain(uri, domain),
        _ => false,
    })
}

fn is_domain(uri: &str, domain: &str) -> bool {
    let has_scheme = uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sip"));
    match Uri::parse(bytes::Bytes::copy_from_slice(uri.as_bytes())) {
        Ok(Uri::Sip(sip)) => has_scheme && sip.user().is_none() && sip.host_port().host.to_string().eq_ignore_ascii_case(domain),
        Ok(Uri::Tel(_) | Uri::Other(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sip_uri_of_the_domain_alone_is_its_name() {
        for (uri, is) in [
            ("sip:carrier.example", true),
            ("SIP:Carrier.Example", true),
            ("sip:carrier.example:5061", true),
            ("sip:carrier.example;transport=tls", true),
            ("sip:alice@carrier.example", false),
            ("sips:carrier.example", false),
            ("sip:other.example", false),
            ("sip:x.carrier.example", false),
            ("https://carrier.example", false),
            ("carrier.example", false),
            ("sip:", false),
            ("", false),
        ] {
            assert_eq!(is_domain(uri, "carrier.example"), is, "{uri}");
        }
    }

    #[test]
    fn a_certificate_is_read_for_its_uris() {
        let mut parameters = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        parameters.subject_alt_names.push(rcgen::SanType::URI("sip:carrier.example".try_into().unwrap()));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        assert!(is_for(certificate.der(), "carrier.example"));
        assert!(!is_for(certificate.der(), "other.example"));
        assert!(!is_for(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]), "carrier.example"));
    }
}
