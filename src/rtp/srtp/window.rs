//! Which packets of a stream have been: its newest index, and those right before it (RFC 3711 §3.3.1, §3.3.2).

/// How far behind the newest a packet may be: twice what the RFC asks for at least, 2.5 s of speech.
const WIDTH: u64 = 128;

#[derive(Clone, Copy, Debug)]
pub struct Window {
    newest: u64,
    /// The newest is the lowest bit.
    seen: u128,
}

impl Window {
    /// The first packet has this index.
    pub fn starting(index: u64) -> Window {
        Window { newest: index, seen: 1 }
    }

    /// The index of a packet: the one with this sequence number that is nearest to the newest. Before the first rollover there is
    /// nothing to go back to.
    pub fn guess(&self, sequence: u16) -> u64 {
        let ahead = sequence.wrapping_sub(self.newest as u16) as i16;
        self.newest.checked_add_signed(i64::from(ahead)).unwrap_or(u64::from(sequence))
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Nothing of this index has been.
    pub fn is_new(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WIDTH && self.seen >> behind & 1 == 0,
        }
    }

    pub fn take(&mut self, index: u64) {
        match self.newest.checked_sub(index) {
            None => {
                let ahead = index - self.newest;
                self.seen = if ahead < WIDTH { self.seen << ahead | 1 } else { 1 };
                self.newest = index;
            }
            Some(behind) if behind < WIDTH => self.seen |= 1 << behind,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_guessed_across_the_rollover_in_both_directions() {
        let mut w = Window::starting(65_533);
        assert_eq!(w.guess(65_535), 65_535);
        assert_eq!(w.guess(2), 65_538);
        w.take(65_538);
        assert_eq!((w.guess(65_534), w.guess(3)), (65_534, 65_539));
        // Nothing was before the first.
        assert_eq!(Window::starting(3).guess(65_535), 65_535);
    }

    #[test]
    fn what_has_been_or_is_too_old_is_not_new() {
        let mut w = Window::starting(1_000);
        for index in [1_003, 1_001, 1_002 + WIDTH] {
            assert!(w.is_new(index));
            w.take(index);
            assert!(!w.is_new(index));
        }
        // 1003 is the oldest that is looked at.
        assert!(!w.is_new(1_002) && !w.is_new(1_003) && w.is_new(1_004));
        w.take(w.newest() + 500);
        assert!(w.is_new(w.newest() - 1) && !w.is_new(w.newest()));
    }
}
