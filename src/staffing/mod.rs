//! How many agents it takes: calculators that know nothing of the switch and that nothing in it depends on.

pub mod command_line;
pub mod erlang;
