//! The event stream.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::client) struct EventsArgs {
    /// Only of this kind: disk.changed, or disk for all that begin so; may be repeated
    #[arg(long = "type", short, value_name = "TYPE")]
    pub(in crate::client) types: Vec<String>,
    /// Only of this project
    #[arg(long, short, value_name = "PROJECT")]
    pub(in crate::client) project: Option<String>,
    /// Only those after the event of this id (--json shows ids) [default: all that are kept]
    #[arg(long, value_name = "ID")]
    pub(in crate::client) since: Option<String>,
    /// Go on: show what happens as it happens
    #[arg(long, short)]
    pub(in crate::client) follow: bool,
}
