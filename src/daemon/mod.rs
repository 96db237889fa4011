//! The composition root: builds every room out of the configuration, joins them, and runs them
//! until a signal ends the process.

mod exports;
mod quick;
mod run;
mod scheduling;
mod settings;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::args::DaemonCommand;
use crate::config::{self, Config};
use crate::target::Server;

/// Threads of the runtime that accepts connections and answers the control socket. The data path
/// has threads of its own.
const CONTROL_THREADS: usize = 2;
/// How long the sessions may take to end after a signal.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// Before any thread is started. The daemon does as well without, only more slowly.
fn schedule() {
    if let Err(error) = scheduling::batch() {
        tracing::warn!("threads stay SCHED_OTHER: {error}");
    }
}

/// Why the daemon ended: one line that says what is wrong and what to do.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Something failed while starting or running.
    pub(crate) fn runtime(error: impl fmt::Display) -> Self {
        Self { message: error.to_string(), code: 1 }
    }

    /// The arguments or the configuration are wrong.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self { message: error.to_string(), code: 2 }
    }
}

/// Does what the command line asks for.
#[must_use]
pub fn main(command: DaemonCommand) -> ExitCode {
    let result = match command {
        DaemonCommand::CheckConfig(args) => check_config(&args.config),
        DaemonCommand::SampleConfig => {
            // A reader that has seen enough is no failure.
            let _closed = std::io::stdout().write_all(config::sample().as_bytes());
            Ok(())
        }
        DaemonCommand::Run(args) => run::run(&args),
        DaemonCommand::Quick(args) => quick::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stirrupd: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn check_config(path: &std::path::Path) -> Result<(), Failure> {
    let loaded = Config::load(path).map_err(Failure::usage)?;
    settings::boot_templates(&loaded.config).map_err(Failure::usage)?;
    for warning in loaded.warnings {
        eprintln!("warning: {warning}");
    }
    println!("{}: ok", path.display());
    Ok(())
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}

/// Ends the target. A store that hangs does not keep the daemon for ever: what was not acknowledged
/// by then may or may not be written.
async fn stop(target: Server) -> Result<(), Failure> {
    if target.stop(STOP_WAIT).await {
        return Ok(());
    }
    let reason = "sessions have commands in a store that do not end; stopped without them";
    Err(Failure::runtime(reason))
}

/// The signals that end the daemon. Made before anything is announced, so that none is missed.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; the name of what came.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
