//! Threads that are missed when they are gone.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{Builder, JoinHandle};

/// What is told of a part whose thread has panicked. It does not come back by itself.
pub const PANICKED: &str = "its thread has panicked; restart the switch";

/// A named thread; should it panic, `panicked` is called on it as the last thing.
pub fn watched(
    name: &str,
    run: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            panicked();
            // Whoever joins it hears of it too.
            resume_unwind(panic);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::watched;

    #[test]
    fn a_panic_is_told_and_an_end_is_not() {
        let (told, tells) = sync_channel(2);
        let tell = told.clone();
        let thread = watched("falls", || panic!("a panic that the test wants"), move || tell.send("falls").unwrap()).unwrap();
        assert!(thread.join().is_err());
        let thread = watched("ends", || (), move || told.send("ends").unwrap()).unwrap();
        assert!(thread.join().is_ok());
        assert_eq!(tells.iter().collect::<Vec<_>>(), ["falls"]);
    }
}
