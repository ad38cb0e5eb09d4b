//! What an operation tells servers to do: a closed set, each order in the journal before it leaves.

use serde::{Deserialize, Serialize};

use super::addr_text;
use super::view::Said;
use crate::model::{ServerAddr, Span, Timestamp};

/// One order for one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// `CLIENT PAUSE ... WRITE`: writes wait; a lease that ends by itself.
    Pause {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
        /// How long, unless it is renewed.
        lease: Span,
    },
    /// `CLIENT UNPAUSE`: writes go on.
    Unpause {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
    },
    /// `MULTI / CLIENT UNPAUSE / REPLICAOF / CONFIG REWRITE / EXEC`: a master becomes a replica, in
    /// one step and over a restart.
    Demote {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
        /// Its new master.
        #[serde(with = "addr_text")]
        master: ServerAddr,
        /// Whether it has a pause that ends with this.
        unpause: bool,
        /// Whether it has a file to keep the role in.
        rewrite: bool,
    },
    /// `REPLICAOF NO ONE`: a replica becomes a master.
    Promote {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
    },
    /// `REPLICAOF` and `CONFIG REWRITE` on a replica: it follows another master.
    Follow {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
        /// Its new master.
        #[serde(with = "addr_text")]
        master: ServerAddr,
        /// Whether it has a file to keep that in.
        rewrite: bool,
    },
    /// `CONFIG REWRITE`: the role is kept over a restart.
    Keep {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
    },
    /// `CONFIG SET replica-priority`: which replica Sentinels choose.
    Priority {
        /// The server.
        #[serde(with = "addr_text")]
        server: ServerAddr,
        /// The priority.
        value: u64,
        /// Whether it is kept over a restart (`CONFIG REWRITE`).
        rewrite: bool,
    },
    /// `SENTINEL FAILOVER`: a Sentinel makes a replica the master.
    SentinelFailover {
        /// The Sentinel.
        #[serde(with = "addr_text")]
        sentinel: ServerAddr,
        /// What it calls the master.
        name: String,
        /// The replica that it has to choose.
        #[serde(with = "addr_text")]
        target: ServerAddr,
    },
}

/// How an order ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderResult {
    /// Just before it left.
    pub sent: Timestamp,
    /// Just after the answer, or when it was given up.
    pub received: Timestamp,
    /// Whether the server carried it out; otherwise why not, or that nothing is known of it.
    pub reply: Result<(), OrderError>,
    /// What the server said right behind it, in the same request.
    pub said: Option<Said>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// The server refused it, in its own words.
    Refused(String),
    /// It was carried out, but a restart of the server undoes it: CONFIG REWRITE failed, in the
    /// server's own words.
    NotKept(String),
    /// There was no answer: it may have been carried out.
    Unknown(String),
}

impl Order {
    /// The server that it is for.
    pub const fn server(&self) -> &ServerAddr {
        match self {
            Self::Pause { server, .. }
            | Self::Unpause { server }
            | Self::Demote { server, .. }
            | Self::Promote { server }
            | Self::Follow { server, .. }
            | Self::Priority { server, .. }
            | Self::Keep { server } => server,
            Self::SentinelFailover { sentinel, .. } => sentinel,
        }
    }

    /// Whether it changes a role or what has to be put back, so that its line has to be on the disk
    /// before it leaves. A pause ends by itself, and the other orders can be repeated.
    pub const fn changes_role(&self) -> bool {
        matches!(
            self,
            Self::Demote { .. }
                | Self::Promote { .. }
                | Self::Follow { .. }
                | Self::Priority { .. }
                | Self::SentinelFailover { .. }
        )
    }

    /// The commands, as a person would type them.
    pub fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        match self {
            Self::Pause { lease, .. } => commands.push(pause(*lease)),
            Self::Unpause { .. } => commands.push("CLIENT UNPAUSE".to_owned()),
            Self::Demote {
                master,
                unpause,
                rewrite,
                ..
            } => {
                commands.push("MULTI".to_owned());
                if *unpause {
                    commands.push("CLIENT UNPAUSE".to_owned());
                }
                commands.push(replicaof(master));
                if *rewrite {
                    commands.push("CONFIG REWRITE".to_owned());
                }
                commands.push("EXEC".to_owned());
            }
            Self::Promote { .. } => commands.push("REPLICAOF NO ONE".to_owned()),
            Self::Follow {
                master, rewrite, ..
            } => {
                commands.push(replicaof(master));
                if *rewrite {
                    commands.push("CONFIG REWRITE".to_owned());
                }
            }
            Self::Keep { .. } => commands.push("CONFIG REWRITE".to_owned()),
            Self::Priority { value, rewrite, .. } => {
                commands.push(format!("CONFIG SET replica-priority {value}"));
                if *rewrite {
                    commands.push("CONFIG REWRITE".to_owned());
                }
            }
            Self::SentinelFailover { name, .. } => {
                commands.push(format!("SENTINEL FAILOVER {name}"));
            }
        }
        commands
    }

    /// What it is, for a line on the terminal.
    pub fn sentence(&self) -> String {
        let server = self.server();
        match self {
            Self::Pause { .. } => format!("writes on {server} wait"),
            Self::Unpause { .. } => format!("{server} takes writes"),
            Self::Demote { master, .. } => format!("{server} is a replica of {master}"),
            Self::Promote { .. } => format!("{server} is a master"),
            Self::Follow { master, .. } => format!("{server} follows {master}"),
            Self::Keep { .. } => format!("{server} keeps its role over a restart"),
            Self::Priority { value, .. } => format!("{server} has the priority {value}"),
            Self::SentinelFailover { target, .. } => {
                format!("the Sentinel {server} makes {target} the master")
            }
        }
    }
}

impl OrderError {
    /// Why, as a sentence without a full stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::Refused(words) => format!("the server refused: {words}"),
            Self::NotKept(words) => format!("CONFIG REWRITE failed: {words}"),
            Self::Unknown(why) => {
                format!("no answer, so it is not known whether it was done: {why}")
            }
        }
    }
}

fn pause(lease: Span) -> String {
    format!("CLIENT PAUSE {} WRITE", lease.as_nanos() / 1_000_000)
}

fn replicaof(master: &ServerAddr) -> String {
    match master.tcp() {
        Some((host, port)) => format!("REPLICAOF {host} {port}"),
        // Preflight refuses servers without a TCP port, which nobody can follow.
        None => format!("REPLICAOF {master}"),
    }
}
