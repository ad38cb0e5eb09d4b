//! What the simulated servers answer: a captured INFO with other identities and offsets in it.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::Side;

/// The size of each backlog, in bytes: what the benches have written in 45 minutes. With the 1 MiB
/// of the captured server every pair would have an alert, because a full resync is near.
const BACKLOG: u64 = 256 * 1024 * 1024;

/// The sections of a reply in the order of the file, without those nobody asks for.
pub(crate) struct Templates {
    master: Vec<Section>,
    replica: Vec<Section>,
}

struct Section {
    /// In lower case.
    name: String,
    /// Text, and the value that follows it.
    pieces: Vec<(String, Option<Slot>)>,
}

/// A value that differs between servers or over time.
#[derive(Clone, Copy)]
enum Slot {
    RunId,
    ReplicationId,
    Offset,
    Partner,
    MasterHost,
    MasterPort,
}

/// What a server's answer has in place of the slots.
pub(crate) struct Values {
    pub(crate) pair: usize,
    pub(crate) side: Side,
    pub(crate) offset: u64,
    /// The other server of the pair.
    pub(crate) partner: (Ipv4Addr, u16),
}

impl Templates {
    /// Reads the captured replies.
    pub(crate) fn read() -> io::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/info/redis-7.4");
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        Ok(Self {
            master: sections(&read("master_info_all.txt")?),
            replica: sections(&read("replica_info_all.txt")?),
        })
    }

    /// Appends the reply to `INFO wanted...` as a bulk string.
    pub(crate) fn write(&self, values: &Values, wanted: &[&str], reply: &mut Vec<u8>) {
        let sections = match values.side {
            Side::Master => &self.master,
            Side::Replica => &self.replica,
        };
        let mut text = String::with_capacity(4096);
        for section in sections {
            if wanted
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&section.name))
            {
                section.write(values, &mut text);
            }
        }
        reply.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
        reply.extend_from_slice(text.as_bytes());
        reply.extend_from_slice(b"\r\n");
    }
}

impl Section {
    fn write(&self, values: &Values, text: &mut String) {
        for (literal, slot) in &self.pieces {
            text.push_str(literal);
            if let Some(slot) = slot {
                slot.write(values, text);
            }
        }
    }
}

impl Slot {
    /// The field whose value this is, in a line of INFO.
    fn of_field(field: &str) -> Option<Self> {
        match field {
            "run_id" => Some(Self::RunId),
            "master_replid" => Some(Self::ReplicationId),
            "master_repl_offset"
            | "slave_repl_offset"
            | "slave_read_repl_offset"
            | "repl_backlog_histlen" => Some(Self::Offset),
            "slave0" => Some(Self::Partner),
            "master_host" => Some(Self::MasterHost),
            "master_port" => Some(Self::MasterPort),
            _ => None,
        }
    }

    fn write(self, values: &Values, text: &mut String) {
        let (ip, port) = values.partner;
        let side = match values.side {
            Side::Master => 1,
            Side::Replica => 2,
        };
        let written = match self {
            Self::RunId => write!(text, "{side:08x}{:032x}", values.pair),
            Self::ReplicationId => write!(text, "{:040x}", values.pair + 1),
            Self::Offset => write!(text, "{}", values.offset),
            Self::Partner => {
                let offset = values.offset;
                write!(
                    text,
                    "ip={ip},port={port},state=online,offset={offset},lag=0"
                )
            }
            Self::MasterHost => write!(text, "{ip}"),
            Self::MasterPort => write!(text, "{port}"),
        };
        written.expect("a string takes everything");
    }
}

/// Cuts a captured reply into its sections, and those into what changes and what does not.
fn sections(captured: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut literal = String::new();
    for line in captured.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            finish(&mut sections, &mut literal);
            sections.push(Section {
                name: name.to_lowercase(),
                pieces: Vec::new(),
            });
        }
        let field = line.split(':').next().unwrap_or_default();
        if field == "repl_backlog_size" {
            literal += &format!("{field}:{BACKLOG}\r\n");
            continue;
        }
        match (Slot::of_field(field), sections.last_mut()) {
            (Some(slot), Some(section)) => {
                literal += &format!("{field}:");
                section
                    .pieces
                    .push((std::mem::take(&mut literal), Some(slot)));
                literal += "\r\n";
            }
            _ => literal += &format!("{line}\r\n"),
        }
    }
    finish(&mut sections, &mut literal);
    sections
}

/// Appends the text that is left to the last section.
fn finish(sections: &mut [Section], literal: &mut String) {
    if let Some(section) = sections.last_mut() {
        section.pieces.push((std::mem::take(literal), None));
    }
}

/// The commands in `request`, each with its arguments.
pub(crate) fn commands(request: &[u8]) -> Vec<Vec<&str>> {
    let text = std::str::from_utf8(request).unwrap_or_default();
    let mut commands: Vec<Vec<&str>> = Vec::new();
    let mut lines = text.split("\r\n");
    while let Some(line) = lines.next() {
        if line.starts_with('*') {
            commands.push(Vec::new());
        } else if line.starts_with('$')
            && let Some(argument) = lines.next()
            && let Some(command) = commands.last_mut()
        {
            command.push(argument);
        }
    }
    commands
}
