//! The `stirrup` command: a client of the control API, on this machine or another.
//!
//! [`args`] says what can be asked for, `api` knows the calls, `commands` joins the two, `http` gets
//! to where stirrupd is (`place`), and `output` shows answers to people. `--json` passes the API's own JSON through.

mod api;
pub mod args;
mod commands;
mod console;
mod download;
mod environment;
mod error;
mod events;
mod http;
mod import;
mod output;
mod place;
mod runs;
mod ssh;
mod upload;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use console::Console;
use environment::Environment;
use error::ClientError;

/// Runs the command with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ClientError::Output)
        .and_then(|runtime| {
            let mut console = Console::of_process();
            runtime.block_on(commands::run(cli, &Environment::of_process(), &mut console))
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stirrup: {}", output::plain(&error.to_string()));
            for line in error.advice() {
                eprintln!("  {}", output::plain(&line));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
