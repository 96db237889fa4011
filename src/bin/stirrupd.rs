//! The `stirrupd` command.

use std::process::ExitCode;

use clap::Parser;
use stirrup::config::args::DaemonArgs;

fn main() -> ExitCode {
    stirrup::daemon::main(DaemonArgs::parse().into_command())
}
