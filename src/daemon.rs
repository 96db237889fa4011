//! The composition root: builds every room and runs the daemon.
