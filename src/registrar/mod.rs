//! Who is where: bindings of phones (RFC 3261 §10), and the digest authentication that guards them and every INVITE (RFC 8760, RFC 7616).

mod binding;

pub use binding::Binding;
