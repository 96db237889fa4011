//! Targets and sessions.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::client) enum TargetCommand {
    /// List targets
    #[command(visible_alias = "ls")]
    List,
    /// Show one target
    Show {
        /// Name of the target
        target: String,
    },
    /// Ask all initiators of a target to log out, and end the sessions that are left then
    Drain {
        /// Name of the target
        target: String,
        /// Time they have
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        seconds: u16,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::client) enum SessionCommand {
    /// List sessions
    #[command(visible_alias = "ls")]
    List {
        /// Those of one target
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
    /// Ask an initiator to log out, and end its session if it has not in time
    Logout {
        /// Number of the session
        id: u64,
        /// Time it has
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        seconds: u16,
    },
    /// End a session at once; its initiator may log in again
    Kill {
        /// Number of the session
        id: u64,
    },
}
