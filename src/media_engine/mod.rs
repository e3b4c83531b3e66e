//! Media workers: threads, sockets, ports.
