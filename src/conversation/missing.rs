//! What of a leg's media is missing, with the cause that was found for it when it was told.

use crate::event::MissingCause;
use crate::media::Absence;

/// What is told to be missing of one leg.
#[derive(Debug, Default)]
pub struct Missing(Vec<(Absence, MissingCause)>);

impl Missing {
    /// One that has been told already is there once.
    pub fn put(&mut self, absence: Absence, cause: MissingCause) {
        self.0.retain(|(known, _)| std::mem::discriminant(known) != std::mem::discriminant(&absence));
        self.0.push((absence, cause));
    }

    /// It is there again: with which cause it was told, if it was.
    pub fn take(&mut self, absence: Absence) -> Option<MissingCause> {
        let at = self.0.iter().position(|(known, _)| *known == absence)?;
        Some(self.0.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_back_was_missing_with_the_cause_that_was_told() {
        let mut missing = Missing::default();
        missing.put(Absence::NeverCame, MissingCause::ItsAddressIsPrivate);
        missing.put(Absence::Silence, MissingCause::Silence);
        missing.put(Absence::NeverCame, MissingCause::NeverCame);
        assert_eq!(missing.take(Absence::Stopped), None);
        assert_eq!(missing.take(Absence::NeverCame), Some(MissingCause::NeverCame));
        assert_eq!(missing.take(Absence::NeverCame), None);
        assert_eq!(missing.take(Absence::Silence), Some(MissingCause::Silence));
    }
}
