//! How long callers wait for how many agents, and how many agents it takes: Erlang B, C and A.
//!
//! Callers come at random (Poisson), handling times are exponential, and whoever came first is served first.
//!
//! | model | where nobody is free, a caller | used for |
//! |---|---|---|
//! | Erlang B, M/M/n/n | is turned away ([`blocked`], [`lines_needed`]) | lines of a trunk |
//! | Erlang C, M/M/n | waits as long as it takes ([`Traffic`] without a patience) | agents; too many where callers give up |
//! | Erlang A, M/M/n+M | waits until an exponential patience ends ([`Traffic::with_patience`]) | agents |
//!
//! Sources: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone exchanges"
//! (1917), for B and C; C. Palm, "Research on telephone traffic carried by full availability groups" (Tele, 1957), and A. Mandelbaum
//! and S. Zeltyn, "Service engineering in action: the Palm/Erlang-A queue" (2007), for A. All sums are of positive terms, so nothing
//! cancels, and a load that agents cannot carry gives an answer like any other: in Erlang C a wait without end, never a NaN.

use std::time::Duration;

/// The most agents or lines that are asked about: far more than one machine serves, and few enough for an answer at once.
pub const MOST_AGENTS: u32 = 100_000;

/// The greatest load, in Erlang. Below [`MOST_AGENTS`] by enough that every goal within reason has an answer.
pub const MOST_ERLANGS: f64 = 90_000.0;

/// The most callers who come within one mean patience: the sums of Erlang A have about so many terms.
pub const MOST_WITHIN_PATIENCE: f64 = 1e6;

/// Why there is no answer. Displayed to who asked.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unanswerable {
    #[error("{0} calls: write a number from 0 up")]
    Calls(f64),
    #[error("an interval without length has no calls")]
    NoInterval,
    #[error("calls that take no time need no agents")]
    NoHandling,
    #[error("{0:.0} Erlang: at most {max:.0} are computed", max = MOST_ERLANGS)]
    TooBusy(f64),
    #[error("a caller without patience does not wait: ask for lines (Erlang B)")]
    NoPatience,
    #[error("{0:.0} calls within one mean patience, at most {max:.0} are computed: leave the patience out", max = MOST_WITHIN_PATIENCE)]
    TooPatient(f64),
    #[error("{0} is no share between 0 and 1 that can be a goal")]
    Share(f64),
    #[error("an average wait of zero takes agents without end")]
    NoWait,
    #[error("more than {max} would be needed", max = MOST_AGENTS)]
    TooMany,
}

/// What comes in, and how long each call keeps an agent: AHT, which is talk, hold and wrap-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Calls a second.
    rate: f64,
    /// Seconds.
    handling: f64,
    /// Mean, seconds; `None` is Erlang C.
    patience: Option<f64>,
}

impl Traffic {
    /// `calls` in each `interval`, on average.
    ///
    /// Errors: calls that are no number or negative, an interval or a handling time of zero, more than [`MOST_ERLANGS`].
    pub fn new(calls: f64, interval: Duration, handling: Duration) -> Result<Traffic, Unanswerable> {
        if !(calls.is_finite() && calls >= 0.0) {
            return Err(Unanswerable::Calls(calls));
        }
        if interval.is_zero() {
            return Err(Unanswerable::NoInterval);
        }
        if handling.is_zero() {
            return Err(Unanswerable::NoHandling);
        }
        let traffic = Traffic { rate: calls / interval.as_secs_f64(), handling: handling.as_secs_f64(), patience: None };
        if traffic.erlangs() > MOST_ERLANGS {
            return Err(Unanswerable::TooBusy(traffic.erlangs()));
        }
        Ok(traffic)
    }

    /// The mean time after which a caller who still waits gives up. Total wait of all callers / abandoned is its usual estimate.
    ///
    /// Errors: no patience at all; more than [`MOST_WITHIN_PATIENCE`] calls within it.
    pub fn with_patience(self, mean: Duration) -> Result<Traffic, Unanswerable> {
        if mean.is_zero() {
            return Err(Unanswerable::NoPatience);
        }
        let patience = mean.as_secs_f64();
        if self.rate * patience > MOST_WITHIN_PATIENCE {
            return Err(Unanswerable::TooPatient(self.rate * patience));
        }
        Ok(Traffic { patience: Some(patience), ..self })
    }

    /// The load offered, A: how many agents would be busy if nobody ever waited.
    pub fn erlangs(&self) -> f64 {
        self.rate * self.handling
    }
}

/// Erlang B: the share of calls, 0 to 1, that find all of `lines` taken and are turned away, at a load of `erlangs`.
///
/// A load that is no number or negative is none. Takes a time that grows with `lines`.
pub fn blocked(erlangs: f64, lines: u32) -> f64 {
    if erlangs.is_nan() || erlangs <= 0.0 {
        return if lines == 0 { 1.0 } else { 0.0 };
    }
    let mut share = 1.0;
    for k in 1..=lines {
        let taken = erlangs * share;
        share = taken / (f64::from(k) + taken);
        if share == 0.0 {
            break; // it only falls
        }
    }
    // An endless load is endless / endless.
    if share.is_nan() { 1.0 } else { share }
}

/// The fewest lines by which at most the share `most` of calls is turned away (Erlang B). The handling time is then that of the line:
/// from the first ring to the end, waiting and menu included, wrap-up not.
///
/// Errors: `most` not above 0 and below 1; more lines than [`MOST_AGENTS`].
pub fn lines_needed(traffic: &Traffic, most: f64) -> Result<u32, Unanswerable> {
    if !(most > 0.0 && most < 1.0) {
        return Err(Unanswerable::Share(most));
    }
    fewest(|lines| blocked(traffic.erlangs(), lines) <= most)
}

/// What is wanted of the waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least this share, above 0 and below 1, of all callers is answered within the time ([`Outlook::service_level`]).
    ServiceLevel(f64, Duration),
    /// At most this long is the average wait of the answered.
    Asa(Duration),
    /// At most this share, above 0 and up to 1, of the agents' time is spent on calls.
    Occupancy(f64),
    /// At most this share, above 0 and up to 1, of the callers gives up.
    Abandoned(f64),
}

impl Goal {
    fn check(self) -> Result<(), Unanswerable> {
        match self {
            Goal::ServiceLevel(share, _) if !(share > 0.0 && share < 1.0) => Err(Unanswerable::Share(share)),
            Goal::Occupancy(share) | Goal::Abandoned(share) if !(share > 0.0 && share <= 1.0) => Err(Unanswerable::Share(share)),
            Goal::Asa(wait) if wait.is_zero() => Err(Unanswerable::NoWait),
            Goal::ServiceLevel(..) | Goal::Occupancy(_) | Goal::Abandoned(_) | Goal::Asa(_) => Ok(()),
        }
    }

    fn is_met(self, outlook: &Outlook) -> bool {
        match self {
            Goal::ServiceLevel(share, within) => outlook.service_level(within) >= share,
            Goal::Asa(wait) => outlook.asa().is_some_and(|asa| asa <= wait),
            Goal::Occupancy(share) => outlook.occupancy() <= share,
            Goal::Abandoned(share) => outlook.abandoned() <= share,
        }
    }
}

/// The fewest agents by whom all `goals` are met; 0 without any goal, or where nobody calls.
///
/// Errors: a goal that no number of agents meets, or only more than [`MOST_AGENTS`].
pub fn agents_needed(traffic: &Traffic, goals: &[Goal]) -> Result<u32, Unanswerable> {
    goals.iter().try_for_each(|goal| goal.check())?;
    fewest(|agents| {
        let outlook = Outlook::of(traffic, agents);
        goals.iter().all(|goal| goal.is_met(&outlook))
    })
}

/// The smallest number that will do, where each above one that will do does too.
fn fewest(mut will_do: impl FnMut(u32) -> bool) -> Result<u32, Unanswerable> {
    if will_do(0) {
        return Ok(0);
    }
    let (mut short, mut enough) = (0, 1);
    while !will_do(enough) {
        if enough == MOST_AGENTS {
            return Err(Unanswerable::TooMany);
        }
        short = enough;
        enough = (enough * 2).min(MOST_AGENTS);
    }
    while enough - short > 1 {
        let middle = short + (enough - short) / 2;
        if will_do(middle) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    Ok(enough)
}

/// How callers fare with so many agents, once all is in balance. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    traffic: Traffic,
    agents: u32,
    waits: f64,
    queue: Queue,
}

/// What is known of those who wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Queue {
    /// Nobody calls.
    Empty,
    /// Erlang C with fewer agents than Erlang, or as many: it grows without end, and nobody who comes is ever served.
    Endless,
    /// Erlang C.
    Stays,
    /// Erlang A.
    Abandons { patience: f64, tail: Tail },
}

impl Outlook {
    /// With a patience by Erlang A, else by Erlang C.
    pub fn of(traffic: &Traffic, agents: u32) -> Outlook {
        let (traffic, erlangs, n) = (*traffic, traffic.erlangs(), f64::from(agents));
        let (waits, queue) = match traffic.patience {
            _ if erlangs == 0.0 => (0.0, Queue::Empty),
            None if n <= erlangs => (1.0, Queue::Endless),
            None => {
                let blocked = blocked(erlangs, agents);
                (n * blocked / (n - erlangs * (1.0 - blocked)), Queue::Stays)
            }
            Some(patience) => {
                let tail = Tail::of(n * patience / traffic.handling, traffic.rate * patience);
                (tail.share(blocked(erlangs, agents)), Queue::Abandons { patience, tail })
            }
        };
        Outlook { traffic, agents, waits, queue }
    }

    pub fn agents(&self) -> u32 {
        self.agents
    }

    /// Share of callers who find no agent free: P(wait).
    pub fn waits(&self) -> f64 {
        self.waits
    }

    /// Share of callers who give up; 0 in Erlang C.
    pub fn abandoned(&self) -> f64 {
        match self.queue {
            Queue::Empty | Queue::Endless | Queue::Stays => 0.0,
            Queue::Abandons { tail, .. } => self.waits * tail.gone / tail.all,
        }
    }

    /// Mean wait of all callers, whether answered or not: E\[W\]. `None` where it has no end.
    pub fn mean_wait(&self) -> Option<Duration> {
        let seconds = match self.queue {
            Queue::Empty => 0.0,
            Queue::Endless => return None,
            Queue::Stays => self.waits * self.traffic.handling / (f64::from(self.agents) - self.traffic.erlangs()),
            // Each who waits gives up at the same rate, so the waits add up to a patience for each who did.
            Queue::Abandons { patience, .. } => self.abandoned() * patience,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Average speed of answer: mean wait of those who are answered. `None` where nobody ever is.
    pub fn asa(&self) -> Option<Duration> {
        match self.queue {
            Queue::Empty | Queue::Endless | Queue::Stays => self.mean_wait(),
            Queue::Abandons { patience, tail } => {
                let waited = self.waits * patience * tail.waited / tail.all;
                Duration::try_from_secs_f64(waited / self.answered()).ok()
            }
        }
    }

    /// Share of all callers who are answered within `within`: F3, answered≤T / (answered + abandoned).
    pub fn service_level(&self, within: Duration) -> f64 {
        let (n, t) = (f64::from(self.agents), within.as_secs_f64());
        let later = match self.queue {
            Queue::Empty => return 1.0,
            Queue::Endless => return 0.0,
            Queue::Stays => self.waits * (-(n - self.traffic.erlangs()) * t / self.traffic.handling).exp(),
            // The wait that a caller with endless patience would have, its density cut off at t, is that of a queue to which only
            // those come who are still patient after t.
            Queue::Abandons { patience, tail } => {
                let staying = (-t / patience).exp();
                let callers = self.traffic.rate * patience;
                let late = Tail::of(n * patience / self.traffic.handling, callers * staying);
                let faded = callers * -(-t / patience).exp_m1() - n * t / self.traffic.handling;
                self.waits * staying * late.served / tail.all * (faded + late.scale - tail.scale).exp()
            }
        };
        (self.answered() - later).clamp(0.0, 1.0)
    }

    /// Share of the agents' time that goes into calls. Of nobody's time it is all, where anybody calls.
    pub fn occupancy(&self) -> f64 {
        match self.queue {
            Queue::Empty => 0.0,
            Queue::Endless => 1.0,
            Queue::Stays => self.traffic.erlangs() / f64::from(self.agents),
            Queue::Abandons { .. } if self.agents == 0 => 1.0,
            Queue::Abandons { .. } => (self.traffic.erlangs() * self.answered() / f64::from(self.agents)).min(1.0),
        }
    }

    fn answered(&self) -> f64 {
        match self.queue {
            Queue::Empty | Queue::Endless | Queue::Stays => 1.0,
            // Not 1 - abandoned: of a great load few are answered.
            Queue::Abandons { tail, .. } => (1.0 - self.waits) + self.waits * tail.served / tail.all,
        }
    }
}

/// Erlang A's states in which all agents are busy, summed over how many callers wait: j = 0, 1, …
///
/// With time in units of the mean patience, `a` is what all agents together finish and `y` what comes in. State j has the weight
/// tⱼ = yʲ / ((a+1)…(a+j)), that of j = 0 being 1. Who comes in state j is served with the probability a / (a+j+1), whatever the time
/// it takes, which is 1/(a+1) + … + 1/(a+j+1) on average for those served and for those who give up alike.
///
/// The four sums are scaled by e⁻ˢᶜᵃˡᵉ, for under a great load they pass what an `f64` can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tail {
    /// Σ tⱼ
    all: f64,
    /// Σ tⱼ · a / (a+j+1): served after a wait.
    served: f64,
    /// Σ tⱼ · (j+1) / (a+j+1): gave up.
    gone: f64,
    /// The waits of the served, in units of the mean patience.
    waited: f64,
    scale: f64,
}

/// What is left out of the sums, as a share: below the rounding of an `f64`.
const LEFT_OUT: f64 = 1e-17;

/// Sums that pass this are scaled down by it.
const GREAT: f64 = 1e200;

impl Tail {
    fn of(a: f64, y: f64) -> Tail {
        let mut tail = Tail { all: 0.0, served: 0.0, gone: 0.0, waited: 0.0, scale: 0.0 };
        let (mut weight, mut wait, mut j) = (1.0, 0.0, 0.0);
        loop {
            let rate = a + j + 1.0;
            wait += 1.0 / rate;
            tail.all += weight;
            tail.served += weight * a / rate;
            tail.gone += weight * (j + 1.0) / rate;
            tail.waited += weight * a / rate * wait;
            // From here on each weight is at most `next` of the one before, and j of its sums grow no faster than j does.
            let next = y / rate;
            if next < 1.0 && weight * next * (j + 2.0) <= LEFT_OUT * tail.all * (1.0 - next) * (1.0 - next) {
                return tail;
            }
            weight *= next;
            j += 1.0;
            if weight > GREAT {
                weight /= GREAT;
                tail = Tail {
                    all: tail.all / GREAT,
                    served: tail.served / GREAT,
                    gone: tail.gone / GREAT,
                    waited: tail.waited / GREAT,
                    scale: tail.scale + GREAT.ln(),
                };
            }
        }
    }

    /// P(wait): these states against all, where `blocked` is the weight of j = 0 against those with nobody waiting.
    fn share(&self, blocked: f64) -> f64 {
        if blocked == 0.0 {
            return 0.0;
        }
        let some_free = (1.0 / blocked - 1.0) * (-self.scale).exp();
        self.all / (some_free + self.all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found}, not {expected}");
    }

    fn seconds(time: Option<Duration>) -> f64 {
        time.expect("an end").as_secs_f64()
    }

    // By the formula of the sum, at 40 digits.
    #[test]
    fn erlang_b_is_that_of_the_sum() {
        near(blocked(10.0, 15), 0.0364969454724, 1e-13);
        near(blocked(48.0, 55), 0.0383742806878, 1e-13);
        near(blocked(1.0, 2), 0.2, 1e-15);
        near(blocked(1_900.0, 2_000), 0.000678969296499, 1e-14);
        assert_eq!((blocked(3.0, 0), blocked(0.0, 0), blocked(0.0, 1), blocked(f64::INFINITY, 9)), (1.0, 1.0, 0.0, 1.0));
    }

    // The product's table of Erlang C: calls, interval, AHT, N, T, A, P(wait), ASA, SL, occupancy.
    #[test]
    fn erlang_c_gives_the_products_table() {
        for (calls, minutes, handling, agents, within, erlangs, waits, asa, level, occupancy) in [
            (360.0, 30, 240, 55, 15, 48.0, 0.238701, 8.1840, 0.845883, 0.872727),
            (100.0, 30, 180, 14, 20, 10.0, 0.174132, 7.8359, 0.888350, 0.714286),
            (100.0, 30, 180, 12, 20, 10.0, 0.449388, 40.4449, 0.640158, 0.833333),
            (60.0, 60, 240, 6, 20, 4.0, 0.284761, 34.1713, 0.758955, 0.666667),
        ] {
            let traffic = Traffic::new(calls, s(60 * minutes), s(handling)).unwrap();
            near(traffic.erlangs(), erlangs, 1e-12);
            let outlook = Outlook::of(&traffic, agents);
            near(outlook.waits(), waits, 5e-7);
            near(seconds(outlook.asa()), asa, 5e-5);
            near(outlook.service_level(s(within)), level, 5e-7);
            near(outlook.occupancy(), occupancy, 5e-7);
            assert_eq!((outlook.abandoned(), outlook.mean_wait()), (0.0, outlook.asa()));
        }
    }

    #[test]
    fn two_thousand_agents_are_counted_as_exactly() {
        let outlook = Outlook::of(&Traffic::new(1_900.0, s(240), s(240)).unwrap(), 2_000);
        near(outlook.waits(), 0.0134064373032, 1e-12);
        near(seconds(outlook.asa()), 0.0321754495277, 2e-9);
        near(outlook.service_level(s(20)), 0.999996777502, 1e-12);
    }

    // The product's two rows of Erlang A, and a load above what the agents can carry. P(wait), P(abandon), E[W] and occupancy by the
    // sums over all states; service level and ASA by integrals over the density of the offered wait (Mandelbaum and Zeltyn): 40 digits.
    #[test]
    fn erlang_a_gives_the_products_rows() {
        for (calls, interval, handling, patience, agents, within, expected) in [
            (
                2_880.0,
                3_600,
                60,
                120,
                50,
                20,
                [0.467774068554, 0.0309122491622, 3.70946989946, 0.930324240804, 0.943018954747, 3.61590023955],
            ),
            (
                100.0,
                1_800,
                180,
                300,
                13,
                20,
                [0.225797084047, 0.0249633036336, 7.48899109007, 0.750028227974, 0.858177700031, 6.91396830607],
            ),
            (
                360.0,
                1_800,
                240,
                60,
                40,
                15,
                [0.676449674782, 0.190747149607, 11.4448289764, 0.971103420472, 0.559478578906, 10.9261201037],
            ),
        ] {
            let traffic = Traffic::new(calls, s(interval), s(handling)).unwrap().with_patience(s(patience)).unwrap();
            let outlook = Outlook::of(&traffic, agents);
            let [waits, abandoned, mean_wait, occupancy, level, asa] = expected;
            near(outlook.waits(), waits, 1e-11);
            near(outlook.abandoned(), abandoned, 1e-11);
            near(seconds(outlook.mean_wait()), mean_wait, 2e-9);
            near(outlook.occupancy(), occupancy, 1e-11);
            near(outlook.service_level(s(within)), level, 1e-11);
            near(seconds(outlook.asa()), asa, 2e-9);
        }
    }

    #[test]
    fn erlang_c_with_too_few_agents_waits_without_end() {
        let traffic = Traffic::new(100.0, s(1_800), s(180)).unwrap();
        for agents in [0, 1, 9, 10] {
            let outlook = Outlook::of(&traffic, agents);
            assert_eq!((outlook.waits(), outlook.asa(), outlook.mean_wait()), (1.0, None, None));
            assert_eq!((outlook.service_level(s(3_600)), outlook.occupancy()), (0.0, 1.0));
        }
    }

    #[test]
    fn nobody_answers_where_nobody_works_and_nobody_waits_where_nobody_calls() {
        let traffic = Traffic::new(100.0, s(1_800), s(180)).unwrap().with_patience(s(60)).unwrap();
        let outlook = Outlook::of(&traffic, 0);
        assert_eq!((outlook.waits(), outlook.abandoned(), outlook.occupancy()), (1.0, 1.0, 1.0));
        assert_eq!((outlook.mean_wait(), outlook.asa(), outlook.service_level(s(20))), (Some(s(60)), None, 0.0));
        let silent = Traffic::new(0.0, s(1_800), s(180)).unwrap();
        for traffic in [silent, silent.with_patience(s(60)).unwrap()] {
            for agents in [0, 3] {
                let outlook = Outlook::of(&traffic, agents);
                assert_eq!((outlook.waits(), outlook.abandoned(), outlook.occupancy()), (0.0, 0.0, 0.0));
                assert_eq!((outlook.asa(), outlook.service_level(s(0))), (Some(s(0)), 1.0));
            }
            assert_eq!(agents_needed(&traffic, &[Goal::ServiceLevel(0.8, s(20)), Goal::Occupancy(0.5)]), Ok(0));
        }
    }

    #[test]
    fn a_load_far_beyond_the_agents_is_carried_as_far_as_they_go() {
        // 1,000 Erlang on 10 agents: they are always busy, 99 % give up, and who is answered has waited for about ln 100 patiences.
        let traffic = Traffic::new(1_000.0, s(60), s(60)).unwrap().with_patience(s(600)).unwrap();
        let outlook = Outlook::of(&traffic, 10);
        near(outlook.waits(), 1.0, 1e-12);
        near(outlook.abandoned(), 0.99, 1e-9);
        near(outlook.occupancy(), 1.0, 1e-12);
        near(seconds(outlook.asa()) / 600.0, 100f64.ln(), 0.01);
        near(outlook.service_level(s(2_000)), 0.0, 1e-9);
        near(outlook.service_level(s(3_600)), 0.01, 1e-6);
    }

    #[test]
    fn the_products_rows_are_found_from_their_goals() {
        let traffic = Traffic::new(360.0, s(1_800), s(240)).unwrap();
        assert_eq!(agents_needed(&traffic, &[Goal::ServiceLevel(0.8, s(15))]), Ok(55));
        assert_eq!(agents_needed(&traffic, &[Goal::Asa(s(10))]), Ok(55));
        assert_eq!(agents_needed(&traffic, &[Goal::Occupancy(0.85)]), Ok(57));
        assert_eq!(agents_needed(&traffic, &[Goal::Asa(s(10)), Goal::Occupancy(0.85), Goal::ServiceLevel(0.8, s(15))]), Ok(57));
        assert_eq!(agents_needed(&traffic, &[]), Ok(0));
        let impatient = traffic.with_patience(s(120)).unwrap();
        let needed = agents_needed(&impatient, &[Goal::Abandoned(0.02)]).unwrap();
        assert!(Outlook::of(&impatient, needed).abandoned() <= 0.02 && Outlook::of(&impatient, needed - 1).abandoned() > 0.02);
        assert_eq!(lines_needed(&Traffic::new(10.0, s(180), s(180)).unwrap(), 0.05), Ok(15));
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        use Unanswerable::*;
        let refused = |calls, interval, handling| Traffic::new(calls, s(interval), s(handling)).unwrap_err();
        assert_eq!(refused(-1.0, 1, 1), Calls(-1.0));
        assert!(matches!(refused(f64::NAN, 1, 1), Calls(_)));
        assert_eq!((refused(1.0, 0, 1), refused(1.0, 1, 0)), (NoInterval, NoHandling));
        assert_eq!(refused(100_000.0, 1, 1), TooBusy(100_000.0));
        let traffic = Traffic::new(1.0, s(1), s(1)).unwrap();
        assert_eq!(traffic.with_patience(s(0)), Err(NoPatience));
        assert_eq!(traffic.with_patience(s(2_000_000)), Err(TooPatient(2e6)));
        for share in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(matches!(agents_needed(&traffic, &[Goal::ServiceLevel(share, s(20))]), Err(Share(_))));
            assert!(matches!(lines_needed(&traffic, share), Err(Share(_))));
        }
        assert_eq!(agents_needed(&traffic, &[Goal::Occupancy(1.5)]), Err(Share(1.5)));
        assert_eq!(agents_needed(&traffic, &[Goal::Asa(s(0))]), Err(NoWait));
        assert_eq!(agents_needed(&traffic, &[Goal::Occupancy(1e-9)]), Err(TooMany));
        assert_eq!(TooBusy(1e5).to_string(), "100000 Erlang: at most 90000 are computed");
    }

    /// With a patience in half of the cases, from a thousandth of a call to 100,000 calls long.
    fn traffic() -> impl Strategy<Value = Traffic> {
        (0.001..2_500.0f64, 1..7_200u64, prop::option::of(-3.0..5.0f64)).prop_map(|(erlangs, handling, calls)| {
            let traffic = Traffic::new(erlangs, s(handling), s(handling)).unwrap();
            match calls {
                Some(power) => traffic.with_patience(Duration::from_secs_f64(10f64.powf(power) / traffic.rate)).unwrap(),
                None => traffic,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn nothing_is_ever_no_number_or_no_share(traffic in traffic(), agents in 0..2_000u32, within in 0..100_000u64) {
            let outlook = Outlook::of(&traffic, agents);
            let shares = [outlook.waits(), outlook.abandoned(), outlook.occupancy(), outlook.service_level(s(within))];
            prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-12).contains(share)), "{shares:?}");
            prop_assert!(traffic.patience.is_none() || outlook.mean_wait().is_some());
        }

        #[test]
        fn one_more_agent_never_makes_it_worse(traffic in traffic(), agents in 0..2_000u32, within in 0..600u64) {
            let (few, more) = (Outlook::of(&traffic, agents), Outlook::of(&traffic, agents + 1));
            let slack = 1e-9;
            prop_assert!(more.waits() <= few.waits() + slack);
            prop_assert!(more.abandoned() <= few.abandoned() + slack);
            prop_assert!(more.occupancy() <= few.occupancy() + slack);
            prop_assert!(more.service_level(s(within)) >= few.service_level(s(within)) - slack);
            if let Some(asa) = few.asa() {
                prop_assert!(seconds(more.asa()) <= asa.as_secs_f64() * (1.0 + slack) + slack);
            }
        }

        #[test]
        fn a_longer_threshold_never_lowers_the_service_level(traffic in traffic(), agents in 0..2_000u32, within in 0..600u64) {
            let outlook = Outlook::of(&traffic, agents);
            prop_assert!(outlook.service_level(s(within + 1)) >= outlook.service_level(s(within)) - 1e-9);
            prop_assert!((outlook.service_level(s(0)) - (1.0 - outlook.waits())).abs() < 1e-9);
        }

        #[test]
        fn who_is_not_answered_gave_up(traffic in traffic(), agents in 0..2_000u32) {
            let outlook = Outlook::of(&traffic, agents);
            prop_assert!((outlook.answered() + outlook.abandoned() - 1.0).abs() < 1e-9);
        }

        #[test]
        fn endless_patience_is_erlang_c(calls in 1.0..500.0f64, handling in 30..600u64, spare in 1..20u32) {
            let stays = Traffic::new(calls, s(1_800), s(handling)).unwrap();
            let patient = stays.with_patience(Duration::from_secs_f64(9e5 / calls * 1_800.0)).unwrap();
            let agents = stays.erlangs().ceil() as u32 + spare;
            let (c, a) = (Outlook::of(&stays, agents), Outlook::of(&patient, agents));
            // They differ by what gives up: as the wait is to the patience, the more the less the agents have to spare.
            let slack = 10.0 * seconds(c.asa()).max(handling as f64) / patient.patience.unwrap() / (1.0 - c.occupancy());
            prop_assert!((c.waits() - a.waits()).abs() <= slack, "{} {}", c.waits(), a.waits());
            prop_assert!((c.service_level(s(20)) - a.service_level(s(20))).abs() <= slack);
        }

        #[test]
        fn the_number_that_is_needed_is_the_first_that_will_do(
            traffic in traffic(), level in 0.01..0.99f64, within in 0..120u64, occupancy in 0.5..1.0f64,
        ) {
            let goals = [Goal::ServiceLevel(level, s(within)), Goal::Occupancy(occupancy)];
            let needed = agents_needed(&traffic, &goals).unwrap();
            let met = |agents| goals.iter().all(|goal| goal.is_met(&Outlook::of(&traffic, agents)));
            prop_assert!(met(needed));
            prop_assert!(needed == 0 || !met(needed - 1));
        }
    }
}
