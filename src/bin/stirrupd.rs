//! The `stirrupd` command.

fn main() {}
