//! HTTP and JSON on the control socket.
