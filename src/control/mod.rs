//! HTTP and JSON on the control socket.

pub mod api;
