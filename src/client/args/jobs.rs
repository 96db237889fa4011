//! Jobs.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::client) enum JobCommand {
    /// List jobs, newest first
    List,
    /// Show one job
    Show {
        /// Number of the job
        id: u64,
    },
    /// Cancel a job
    Cancel {
        /// Number of the job
        id: u64,
    },
}
