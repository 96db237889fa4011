//! The `stirrupd` command.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use stirrup::config::args::{DaemonArgs, DaemonCommand};
use stirrup::config::{self, Config};

/// Exit code of bad arguments (clap's, too) and bad configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match DaemonArgs::parse().into_command() {
        DaemonCommand::CheckConfig(args) => check_config(&args.config),
        DaemonCommand::SampleConfig => {
            print!("{}", config::sample());
            ExitCode::SUCCESS
        }
        DaemonCommand::Run(_) | DaemonCommand::Quick(_) => {
            eprintln!("stirrupd: this build cannot serve yet");
            ExitCode::FAILURE
        }
    }
}

fn check_config(path: &Path) -> ExitCode {
    match Config::load(path) {
        Ok(loaded) => {
            for warning in loaded.warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}: ok", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
