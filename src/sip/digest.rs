//! The arithmetic of digest authentication (RFC 3261 §22, RFC 7616, RFC 8760). The headers are in `authentication.rs`.

use std::fmt;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::method::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-256")]
    Sha256,
}

impl Algorithm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// Any case; `None` for those that we lack.
    pub fn parse(name: &[u8]) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256].into_iter().find(|a| a.as_str().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Lower-case hex of the hash of `parts`, joined by colons.
    pub fn hash(self, parts: &[&[u8]]) -> String {
        fn run<D: Digest>(parts: &[&[u8]]) -> String {
            let mut hash = D::new();
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    hash.update(b":");
                }
                hash.update(part);
            }
            let mut text = vec![0; <D as Digest>::output_size() * 2];
            // As long as it has to be; and hex is ASCII. `hex::encode` pushes character by character.
            let _ = hex::encode_to_slice(hash.finalize(), &mut text);
            String::from_utf8(text).unwrap_or_default()
        }
        #[cfg(test)]
        work::add(parts);
        match self {
            Algorithm::Md5 => run::<Md5>(parts),
            Algorithm::Sha256 => run::<Sha256>(parts),
        }
    }
}

/// What was hashed, counted for tests that want two ways to take the same work.
#[cfg(test)]
pub mod work {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
    }

    /// Both algorithms take blocks of 64 octets, and 9 for the end (RFC 1321 §3.1, RFC 6234 §4.1).
    pub(super) fn add(parts: &[&[u8]]) {
        let octets = parts.iter().map(|part| part.len() + 1).sum::<usize>() + 8;
        DONE.with(|done| done.set([done.get()[0] + 1, done.get()[1] + octets.div_ceil(64)]));
    }

    /// Hashes and blocks on this thread since the last time it was asked.
    pub fn done() -> [usize; 2] {
        DONE.with(Cell::take)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Equal, in a time that does not tell where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The hash of `username:realm:password`, as it may be stored instead of the password.
pub fn ha1(algorithm: Algorithm, username: &[u8], realm: &[u8], password: &[u8]) -> String {
    algorithm.hash(&[username, realm, password])
}

/// RFC 7616 §3.4.1. `qop` is its name, the nonce count and the client's nonce.
#[allow(clippy::too_many_arguments, reason = "the operands of the RFC's formula, in its order")]
pub fn response(
    algorithm: Algorithm,
    username: &[u8],
    realm: &[u8],
    password: &[u8],
    method: &Method,
    uri: &[u8],
    nonce: &[u8],
    qop: Option<(&str, u32, &[u8])>,
) -> String {
    response_from_ha1(algorithm, &ha1(algorithm, username, realm, password), method, uri, nonce, qop)
}

pub fn response_from_ha1(
    algorithm: Algorithm,
    ha1: &str,
    method: &Method,
    uri: &[u8],
    nonce: &[u8],
    qop: Option<(&str, u32, &[u8])>,
) -> String {
    let ha2 = algorithm.hash(&[method.as_str().as_bytes(), uri]);
    match qop {
        None => algorithm.hash(&[ha1.as_bytes(), nonce, ha2.as_bytes()]),
        Some((qop, nc, cnonce)) => {
            let nc = format!("{nc:08x}");
            algorithm.hash(&[ha1.as_bytes(), nonce, nc.as_bytes(), cnonce, qop.as_bytes(), ha2.as_bytes()])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 §3.5.
    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let get = Method::parse("GET").expect("a token");
        let r = response(
            Algorithm::Md5,
            b"Mufasa",
            b"testrealm@host.com",
            b"Circle Of Life",
            &get,
            b"/dir/index.html",
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            Some(("auth", 1, b"0a4f113b")),
        );
        assert_eq!(r, "6629fae49393a05397450978507c4ef1");
        // RFC 2069's formula, with the value of its erratum 749.
        let old = response(
            Algorithm::Md5,
            b"Mufasa",
            b"testrealm@host.com",
            b"CircleOfLife",
            &get,
            b"/dir/index.html",
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            None,
        );
        assert_eq!(old, "1949323746fe6a43ef61f9606e7febea");
    }

    /// RFC 7616 §3.9.1, both algorithms.
    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        let get = Method::parse("GET").expect("a token");
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let r = response(
                algorithm,
                b"Mufasa",
                b"http-auth@example.org",
                b"Circle of Life",
                &get,
                b"/dir/index.html",
                b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                Some(("auth", 1, b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            );
            assert_eq!(r, expected);
        }
    }
}
