//! Who is where: bindings of phones (RFC 3261 §10), and the digest authentication that guards them and every INVITE (RFC 8760, RFC 7616).

mod binding;
mod contract;

pub use binding::Binding;
pub use contract::{Change, Outward, Registrar, Step, Verdict, answer_challenge};
