//! What lies on disk.
pub mod conversations;
pub mod database;
pub mod disk;
pub mod log;
pub mod recordings;
pub mod rfc3339;

/// Hears that a part is in trouble (what is wrong), or out of it again (`None`). Called from the part's own thread; must not wait.
pub type Health = std::sync::Arc<dyn Fn(&'static str, Option<&str>) + Send + Sync>;
