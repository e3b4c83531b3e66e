//! Child processes, their folder and their output; waiting on conditions.
//!
//! A child is killed by its own pid when its [`Process`] is dropped, also when the test panics. A test's [`Folder`] is removed at its
//! end, except after a panic: then it is kept and its path printed, with all that the clients wrote.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a condition is looked at that nobody can announce (a file's content, a port's owner).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `condition` gives a value; panics with `what` after `within`.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    look_for(within, &mut condition).unwrap_or_else(|| panic!("waited {within:?} in vain: {what}"))
}

/// As [`wait_for`], for who can go on without.
pub fn look_for<T>(within: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until `condition` holds; panics with `what` after `within`.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, within, || condition().then_some(()));
}

/// A test's own folder, under cargo's target folder.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(test: &str) -> Folder {
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{test}-"))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap_or_else(|e| panic!("no folder for {test}: {e}"));
        Folder { path: temporary.keep() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside, made if it is not there.
    pub fn inside(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap_or_else(|e| panic!("{}: {e}", parent.display()));
        }
        fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the clients wrote is kept in {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A running child whose output goes to `NAME.out` and `NAME.err` in a folder (appended to, so that a restart keeps the story).
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    #[track_caller]
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Process {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let open = |path: &Path| {
            File::options().create(true).append(true).open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let mut child = command.stdin(Stdio::piped()).stdout(open(&out)).stderr(open(&err)).spawn().unwrap_or_else(|e| {
            panic!("{:?} does not start ({e}); scripts/setup test installs what the tests need", command.get_program())
        });
        let stdin = child.stdin.take();
        Process { name: name.to_owned(), child, stdin, out, err }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line on the child's standard input.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("{} has no standard input any more", self.name));
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).unwrap_or_else(|e| panic!("{} does not listen: {e}", self.name));
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Exit code; -1 where a signal ended it.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }

    /// Sends a signal by name: `TERM`, `HUP`, `KILL`, `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(sent.is_ok_and(|s| s.success()), "{} (pid {}) takes no signal {name}", self.name, self.pid());
    }

    /// Waits for the end by itself.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("{name} ends"), within, || self.child.try_wait().ok().flatten())
    }

    /// `kill -9`, and the wait for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn stdout(&self) -> String {
        read_lossy(&self.out)
    }

    pub fn stderr(&self) -> String {
        read_lossy(&self.err)
    }

    /// Both, for a message.
    pub fn output(&self) -> String {
        format!("--- {} stdout\n{}\n--- {} stderr\n{}", self.name, self.stdout(), self.name, self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.output();
            let from = text.len().saturating_sub(4_000);
            let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("{}", &text[from..]);
        }
    }
}

/// A file's text, empty while it is not there.
pub fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
