//! The `stirrup` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    stirrup::client::main()
}
