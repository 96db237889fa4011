//! The `stirrup` command.

fn main() {}
