//! The embedded store: a directory of layered, copy-on-write images.
