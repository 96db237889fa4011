//! What an operator may set of the target.

use std::time::Duration;

use crate::iscsi::{login, session};

/// Settings of the data path, from the configuration file or the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that serve connections; 0: one for each core.
    pub shards: usize,
    /// What logins offer.
    pub login: login::Limits,
    /// Bounds of each session.
    pub session: session::Limits,
    /// A login must be finished within this time.
    pub login_timeout: Duration,
    /// Connections that may be logging in at once; more wait to be accepted. Beyond a quarter of
    /// it, those of one address are closed.
    pub half_open_max: usize,
    /// Normal sessions that may be logged in at once; further logins are answered with "out of
    /// resources" (0x0302).
    pub sessions_max: usize,
    /// Discovery sessions that there may be at once beside them, and a quarter of it for one
    /// address; further logins are answered in the same way.
    pub discovery_max: usize,
    /// A discovery session is closed after this time, whatever is said in it.
    pub discovery_lifetime: Duration,
    /// Data memory of each shard, in bytes; commands beyond it wait, or are answered with TASK
    /// SET FULL.
    pub shard_buffer_bytes: usize,
    /// Ping initiators (those that ping us too) that have been silent for so long; `None`: never.
    pub ping_interval: Option<Duration>,
    /// Close the session if a ping is not answered within this time.
    pub ping_timeout: Duration,
    /// How long a command that others wait for (ORDERED, HEAD OF QUEUE, or before one that is
    /// ORDERED) may wait for data that its initiator was asked for. Then it fails.
    pub data_timeout: Duration,
    /// How long the thread of a shard looks for the next command of an initiator that sends one at
    /// a time before it sleeps, at most. Zero: not at all.
    pub look_max: Duration,
    /// How long it sleeps, at most, where an initiator goes on sending commands without looking at
    /// the answers to the first ones, and no other has anything to do. Zero: not at all.
    pub nap_max: Duration,
    /// TCP keepalive: idle time before the first probe. Probes follow each 10 s, and three
    /// unanswered ones end the connection; this clears away what boot firmware leaves behind.
    /// `None`: no probes.
    pub keepalive_idle: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 0,
            login: login::Limits::default(),
            session: session::Limits::default(),
            login_timeout: Duration::from_secs(15),
            half_open_max: 256,
            sessions_max: 8192,
            discovery_max: 256,
            discovery_lifetime: Duration::from_secs(60),
            shard_buffer_bytes: 512 << 20,
            ping_interval: Some(Duration::from_secs(15)),
            ping_timeout: Duration::from_secs(15),
            data_timeout: Duration::from_secs(30),
            look_max: Duration::from_micros(100),
            nap_max: Duration::from_micros(100),
            keepalive_idle: Some(Duration::from_secs(30)),
        }
    }
}
