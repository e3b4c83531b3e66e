//! Configuration: as given, and as resolved.
