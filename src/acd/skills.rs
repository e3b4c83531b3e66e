//! What a waiting caller asks of an agent, and how that grows less while it waits.
//!
//! A required skill is one that the agent must have, at its level at least; a preferred one only draws the caller to agents that have
//! it (`matching`). Steps of relaxing can only loosen: who fits now fits at any later time, whatever the configuration says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Mono;
use crate::config;
use crate::ids::{Skill, StaffNumber};

/// Skill → level, 1..=5.
pub type Levels = BTreeMap<Skill, u8>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub required: Levels,
    pub preferred: Levels,
    /// In any order.
    pub relax: Vec<Relax>,
    /// -9..=9; each step is worth a minute of waiting (`matching`).
    pub priority: i8,
    pub pinned: Option<Pin>,
}

/// From then on no more is required than `skills`: of a skill that both name the lower level, and nothing of one that is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relax {
    /// Of the whole wait, with that of stays before.
    pub after: Duration,
    pub skills: Levels,
}

/// For this agent alone, whatever the skills; for everybody who fits from `until` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub agent: StaffNumber,
    pub until: Mono,
}

impl Wants {
    /// What a queue asks for all its callers.
    pub(super) fn of(rules: &config::Queue) -> Wants {
        let relax = rules.relax.iter().map(|step| Relax { after: step.after, skills: levels(&step.skills) });
        Wants {
            required: levels(&rules.skills),
            preferred: levels(&rules.prefer),
            relax: relax.collect(),
            priority: rules.priority,
            pinned: None,
        }
    }

    /// Of both: of a skill that both name the higher level, and the sum of the priorities within its bounds. Steps of relaxing are of
    /// all that is required, whoever asked for it.
    pub(super) fn and(mut self, other: Wants) -> Wants {
        higher(&mut self.required, other.required);
        higher(&mut self.preferred, other.preferred);
        self.relax.extend(other.relax);
        let priority = self.priority.saturating_add(other.priority).clamp(-9, 9);
        Wants { priority, pinned: other.pinned.or(self.pinned), ..self }
    }

    /// Whether the caller may be offered to this agent, who is of its queue.
    pub(super) fn are_met_by(&self, agent: &StaffNumber, has: &Levels, waited: Duration, now: Mono) -> bool {
        match self.pin_at(now) {
            Some(pin) => pin.agent == *agent,
            None => self.required_after(waited).all(|(skill, level)| has.get(skill).is_some_and(|has| *has >= level)),
        }
    }

    /// What is required of who has waited so long.
    fn required_after(&self, waited: Duration) -> impl Iterator<Item = (&Skill, u8)> {
        self.required.iter().filter_map(move |(skill, level)| {
            let steps = self.relax.iter().filter(|step| step.after <= waited);
            let least = steps.map(|step| step.skills.get(skill).copied().unwrap_or(0)).min();
            let level = least.map_or(*level, |least| least.min(*level));
            (level > 0).then_some((skill, level))
        })
    }

    /// How many of the preferred skills an agent has, at their levels.
    pub(super) fn preferred_of(&self, has: &Levels) -> u32 {
        let met = self.preferred.iter().filter(|(skill, level)| has.get(*skill).is_some_and(|has| *has >= **level));
        u32::try_from(met.count()).unwrap_or(u32::MAX)
    }

    /// The wait at which the next step of relaxing is due.
    pub(super) fn relaxes_after(&self, waited: Duration) -> Option<Duration> {
        self.relax.iter().map(|step| step.after).filter(|after| *after > waited).min()
    }

    /// The pin, while it holds.
    pub(super) fn pin_at(&self, now: Mono) -> Option<&Pin> {
        self.pinned.as_ref().filter(|pin| pin.until > now)
    }
}

/// As the configuration has them.
pub(super) fn levels(given: &BTreeMap<String, u8>) -> Levels {
    given.iter().map(|(skill, level)| (Skill::from(skill.as_str()), *level)).collect()
}

fn higher(levels: &mut Levels, others: Levels) {
    for (skill, level) in others {
        let known = levels.entry(skill).or_insert(level);
        *known = level.max(*known);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const SKILLS: [&str; 3] = ["de", "uk", "vip"];

    pub fn levels(given: &[(&str, u8)]) -> Levels {
        given.iter().map(|(skill, level)| ((*skill).into(), *level)).collect()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn met(wants: &Wants, has: &[(&str, u8)], waited: u64) -> bool {
        wants.are_met_by(&"1".into(), &levels(has), s(waited), Mono::ZERO)
    }

    #[test]
    fn a_required_skill_counts_from_its_level_on() {
        let wants = Wants { required: levels(&[("de", 2)]), ..Wants::default() };
        assert!(met(&wants, &[("de", 2)], 0) && met(&wants, &[("de", 5), ("uk", 1)], 0));
        assert!(!met(&wants, &[("de", 1)], 0) && !met(&wants, &[("uk", 5)], 0) && !met(&wants, &[], 9_999));
        assert!(met(&Wants::default(), &[], 0));
    }

    #[test]
    fn steps_loosen_when_they_are_due() {
        let relax = vec![Relax { after: s(30), skills: levels(&[("de", 1)]) }, Relax { after: s(120), skills: Levels::new() }];
        let wants = Wants { required: levels(&[("de", 3), ("vip", 1)]), relax, ..Wants::default() };
        assert!(!met(&wants, &[("de", 1)], 29) && met(&wants, &[("de", 1)], 30));
        assert!(!met(&wants, &[], 119) && met(&wants, &[], 120));
        assert_eq!([0, 30, 120].map(|at| wants.relaxes_after(s(at))), [Some(s(30)), Some(s(120)), None]);
    }

    #[test]
    fn a_step_that_asks_for_more_changes_nothing() {
        let relax = vec![Relax { after: s(30), skills: levels(&[("de", 5), ("uk", 1)]) }];
        let wants = Wants { required: levels(&[("de", 2)]), relax, ..Wants::default() };
        assert!(met(&wants, &[("de", 2)], 60));
    }

    #[test]
    fn a_pin_holds_for_its_time_and_asks_for_no_skill() {
        let pin = Pin { agent: "1".into(), until: Mono::from_millis(5_000) };
        let wants = Wants { required: levels(&[("de", 2)]), pinned: Some(pin), ..Wants::default() };
        let fits = |agent: &str, has: &[(&str, u8)], ms| {
            wants.are_met_by(&agent.into(), &levels(has), Duration::ZERO, Mono::from_millis(ms))
        };
        assert!(fits("1", &[], 4_999) && !fits("2", &[("de", 5)], 4_999));
        assert!(!fits("1", &[], 5_000) && fits("2", &[("de", 5)], 5_000));
    }

    #[test]
    fn preferred_skills_are_counted_and_never_required() {
        let wants = Wants { preferred: levels(&[("vip", 1), ("uk", 3)]), ..Wants::default() };
        let of = |has: &[(&str, u8)]| wants.preferred_of(&levels(has));
        assert_eq!((of(&[]), of(&[("uk", 2)]), of(&[("vip", 1)]), of(&[("vip", 4), ("uk", 3)])), (0, 0, 1, 2));
        assert!(met(&wants, &[], 0));
    }

    fn some_levels() -> impl Strategy<Value = Levels> {
        prop::collection::btree_map((0..3usize).prop_map(|n| Skill::from(SKILLS[n])), 1..6u8, 0..4)
    }

    /// Also used by the properties of `matching`.
    pub fn some_wants() -> impl Strategy<Value = Wants> {
        let relax = (0..60u64, some_levels()).prop_map(|(after, skills)| Relax { after: s(after), skills });
        (some_levels(), some_levels(), prop::collection::vec(relax, 0..3), -9..=9i8)
            .prop_map(|(required, preferred, relax, priority)| Wants { required, preferred, relax, priority, pinned: None })
    }

    proptest! {
        #[test]
        fn who_fits_fits_at_any_later_time(wants in some_wants(), has in some_levels(), at in 0..90u64, later in 0..90u64) {
            let fits = |waited| wants.are_met_by(&"1".into(), &has, s(waited), Mono::ZERO);
            prop_assert!(!fits(at) || fits(at + later));
        }

        #[test]
        fn more_skill_never_fits_less(wants in some_wants(), has in some_levels(), more in some_levels(), at in 0..90u64) {
            let mut better = has.clone();
            higher(&mut better, more);
            let fits = |has| wants.are_met_by(&"1".into(), has, s(at), Mono::ZERO);
            prop_assert!(!fits(&has) || fits(&better));
            prop_assert!(wants.preferred_of(&has) <= wants.preferred_of(&better));
        }

        /// While nothing is relaxed: who fits two wants together is who fits each.
        #[test]
        fn two_wants_together_ask_for_what_each_asks(one in some_wants(), two in some_wants(), has in some_levels()) {
            let plain = |wants: &Wants| Wants { relax: vec![], ..wants.clone() };
            let fits = |wants: &Wants| wants.are_met_by(&"1".into(), &has, Duration::ZERO, Mono::ZERO);
            let both = plain(&one).and(plain(&two));
            prop_assert_eq!(fits(&both), fits(&plain(&one)) && fits(&plain(&two)));
            prop_assert!((-9..=9).contains(&both.priority));
        }

        #[test]
        fn between_two_steps_nothing_changes(wants in some_wants(), has in some_levels(), at in 0..90u64, later in 0..90u64) {
            let fits = |waited| wants.are_met_by(&"1".into(), &has, waited, Mono::ZERO);
            let end = wants.relaxes_after(s(at)).map_or(Duration::MAX, |next| next - Duration::from_nanos(1));
            prop_assert_eq!(fits(s(at)), fits(s(at + later).min(end)));
        }
    }
}
