//! Mutated input for every parser, in process and on the stable toolchain.
//!
//! A target is a line in the table below: seeds, and a `run` that panics when an oracle fails. Each draws from its own seeded generator,
//! so a failure repeats: the message names seed and execution, and shows the input. `FUZZ_EXECUTIONS` is how many are spread over all
//! targets (a tenth of a million if not set), `FUZZ_EACH` how many each gets, `FUZZ_SEED` another seed. `scripts/fuzz` runs a million each.
//! A target that says that it costs more gets fewer.

mod browser;
mod config;
mod expression;
mod heap;
mod media;
mod mutate;
mod sip;
#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../support/tab.rs"]
mod tab;
mod worker;

// As `tab` names them.
use cordboard::{codec, sdp};

use std::fmt::Write;

use mutate::Mutator;

#[global_allocator]
static HEAP: heap::Counted = heap::Counted;

/// A parser with what must hold for any input.
pub trait Target: Sync {
    /// Well-formed inputs and known traps. Never empty.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Parses, and panics where an oracle fails. Says whether the input was taken: such inputs are mutated further. `chance` is for what
    /// the target itself wants to vary.
    fn run(&self, input: &[u8], chance: u64) -> bool;

    /// As many executions of others take the time of one of this.
    fn cost(&self) -> u64 {
        1
    }
}

macro_rules! targets {
    ($($name:ident: $target:expr;)*) => {
        const COUNT: u64 = [$(stringify!($name)),*].len() as u64;
        $(#[test]
        fn $name() {
            fuzz(stringify!($name), &$target);
        })*
    };
}

targets! {
    config_main: config::Main;
    config_secrets: config::Secrets;
    config_menu: config::Menu;
    expression: expression::Condition;
    sip_datagram: sip::Datagram;
    sip_stream: sip::Stream;
    sip_values: sip::Values;
    sdp: media::Sdp;
    rtp: media::Rtp;
    rtcp: media::Reports;
    srtp: media::Secured;
    worker: worker::Garbage::new();
    browser: browser::Datagrams::new();
}

/// Inputs longer than this are cut: everything that is read has its own bound far below.
const LONGEST: usize = 96 * 1024;
/// Taken inputs that are kept beside the seeds.
const KEPT: usize = 256;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn fuzz(name: &'static str, target: &dyn Target) {
    let seed = variable("FUZZ_SEED").unwrap_or(1);
    let executions = variable("FUZZ_EACH").unwrap_or_else(|| variable("FUZZ_EXECUTIONS").unwrap_or(100_000).div_ceil(COUNT));
    let executions = executions.div_ceil(target.cost());
    let mut corpus = target.seeds();
    let seeds = corpus.len();
    for input in corpus.clone() {
        watched(name, seed, 0, &input, || target.run(&input, 0));
    }
    let mut mutator = Mutator::new(seed, name);
    let mut taken = 0u64;
    for execution in 1..=executions {
        let mut input = mutator.mutate(&corpus);
        input.truncate(LONGEST);
        let chance = mutator.chance();
        if watched(name, seed, execution, &input, || target.run(&input, chance)) {
            taken += 1;
            if input.len() > 8 * 1024 {
                continue;
            }
            if corpus.len() < seeds + KEPT {
                corpus.push(input);
            } else if mutator.below(8) == 0 {
                let at = seeds + mutator.below(KEPT);
                corpus[at] = input;
            }
        }
    }
    println!("{name}: {executions} executions, {taken} of them well formed");
    assert!(
        executions < 1_000 || taken > executions / 100,
        "{name}: nearly nothing was well formed ({taken}): the oracles saw nothing"
    );
}

/// Shows the input when `run` panics.
fn watched(name: &str, seed: u64, execution: u64, input: &[u8], run: impl FnOnce() -> bool) -> bool {
    struct Watch<'a>(&'a str, u64, u64, &'a [u8]);
    impl Drop for Watch<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let mut shown = String::new();
                for chunk in self.3.split_inclusive(|&b| b == b'\n') {
                    let _ = writeln!(shown, "    {}", chunk.escape_ascii());
                }
                eprintln!("{}: FUZZ_SEED={} execution {}, input of {} octets:\n{shown}", self.0, self.1, self.2, self.3.len());
            }
        }
    }
    let _watch = Watch(name, seed, execution, input);
    run()
}
