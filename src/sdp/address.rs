//! Addresses of c= and a=rtcp.
