//! The `stirrup` command: a client of the control socket.
