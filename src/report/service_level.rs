//! The five formulas of the service level, over how callers fared.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What of the waits counts. T is the queue's `service_level`, short its `short_abandon`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Formula {
    /// (answered≤T + abandoned≤T) / (answered + abandoned)
    F1,
    /// answered≤T / answered
    F2,
    /// answered≤T / (answered + abandoned): the default.
    #[default]
    F3,
    /// answered≤T / (answered + abandoned>T)
    F4,
    /// (answered≤T + abandoned≤short) / (answered + abandoned)
    F5,
}

impl Formula {
    pub const ALL: [Formula; 5] = [Formula::F1, Formula::F2, Formula::F3, Formula::F4, Formula::F5];

    /// To print beside every figure, with the thresholds that it was counted by.
    pub fn spelled(self, threshold: Duration, short: Duration) -> String {
        let text = self.text().replace('T', &format!("{}s", threshold.as_secs_f64()));
        text.replace("short", &format!("{}s", short.as_secs_f64()))
    }

    /// With T and short as letters.
    pub fn text(self) -> &'static str {
        match self {
            Formula::F1 => "F1 (answered≤T + abandoned≤T) / (answered + abandoned)",
            Formula::F2 => "F2 answered≤T / answered",
            Formula::F3 => "F3 answered≤T / (answered + abandoned)",
            Formula::F4 => "F4 answered≤T / (answered + abandoned>T)",
            Formula::F5 => "F5 (answered≤T + abandoned≤short) / (answered + abandoned)",
        }
    }

    /// 0.0..=1.0; `None` while there is nothing to divide by.
    pub fn of(self, waits: Waits) -> Option<f64> {
        let both = waits.answered + waits.abandoned;
        let (part, whole) = match self {
            Formula::F1 => (waits.answered_in_time + waits.abandoned_in_time, both),
            Formula::F2 => (waits.answered_in_time, waits.answered),
            Formula::F3 => (waits.answered_in_time, both),
            Formula::F4 => (waits.answered_in_time, both - waits.abandoned_in_time.min(both)),
            Formula::F5 => (waits.answered_in_time + waits.abandoned_short, both),
        };
        (whole > 0).then(|| part as f64 / whole as f64)
    }
}

/// How many callers were answered and gave up; "in time" is within T, or at T.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    pub answered: u64,
    pub answered_in_time: u64,
    pub abandoned: u64,
    pub abandoned_in_time: u64,
    pub abandoned_short: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_formulas_give_the_products_vector() {
        let waits = Waits { answered: 1_000, answered_in_time: 860, abandoned: 60, abandoned_in_time: 20, abandoned_short: 10 };
        let percent: Vec<String> = Formula::ALL.iter().map(|f| format!("{:.2}", f.of(waits).unwrap() * 100.0)).collect();
        assert_eq!(percent, ["83.02", "86.00", "81.13", "82.69", "82.08"]);
    }

    #[test]
    fn a_formula_is_spelled_with_its_thresholds() {
        let (t, short) = (Duration::from_secs(20), Duration::from_millis(2_500));
        assert_eq!(Formula::F3.spelled(t, short), "F3 answered≤20s / (answered + abandoned)");
        assert_eq!(Formula::F5.spelled(t, short), "F5 (answered≤20s + abandoned≤2.5s) / (answered + abandoned)");
    }
}
