//! Jobs.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::client) enum JobCommand {
    /// List jobs, newest first
    #[command(visible_alias = "ls")]
    List,
    /// Show one job
    Show {
        /// Number of the job
        id: u64,
    },
    /// Wait for the end of a job; exit code 1 if it fails
    Wait {
        /// Number of the job
        id: u64,
    },
    /// Cancel a job
    Cancel {
        /// Number of the job
        id: u64,
    },
}
