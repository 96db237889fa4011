//! The configuration file of `stirrupd`.
