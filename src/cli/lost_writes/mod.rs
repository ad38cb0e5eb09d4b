//! `lost-writes`: the writes that only a deposed master has, as a file that can be replayed.

mod table;

use std::path::Path;

use serde::Serialize;

use super::args::{Global, LostWritesArgs, OutputFormat};
use super::exit::Exit;
use super::output::{complain, say};
use super::silence::author;
use super::{block_on, load_settings};
use crate::app::{self, EntryTails};
use crate::capture::{CaptureOptions, Captured, CapturedTail, capture, mark_done};
use crate::clock;
use crate::config::Settings;
use crate::info::Role;
use crate::lost_writes::{
    AskedServer, CannotBeHad, DeposedServer, DoneMark, LostWritesHeader, TailState,
};
use crate::model::{Bytes, PairName, Span};

pub(super) fn lost_writes(global: &Global, args: &LostWritesArgs) -> Exit {
    if let Some(file) = &args.done {
        return done(file, &args.comment);
    }
    let Some(pair) = &args.pair else {
        return Exit::Usage; // clap has asked for it
    };
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let report = match block_on(find(&settings, &PairName::new(pair), args)) {
        Ok(Some(report)) => report,
        Ok(None) => {
            let unless = if settings.has_sources() {
                ", or no discovery source that knows it answers"
            } else {
                ""
            };
            complain(&format!(
                "There is no pair called {pair:?}{unless}. Run check without --pair to see all of them."
            ));
            return Exit::Usage;
        }
        Err(exit) => return exit,
    };
    match args.output {
        OutputFormat::Table => say(table::table(&report).trim_end()),
        OutputFormat::Json => match serde_json::to_string_pretty(&report) {
            Ok(text) => say(&text),
            Err(error) => complain(&format!(
                "The report cannot be written as JSON: {error}. Please report it."
            )),
        },
    }
    match report.result {
        Verdict::None => Exit::Ok,
        Verdict::Found => Exit::FoundWarnings,
        Verdict::CannotBeHad => Exit::FoundCritical,
    }
}

fn done(file: &Path, comment: &str) -> Exit {
    let mark = DoneMark {
        timestamp: clock::wall_now().as_secs_f64(),
        by: author(None),
        comment: comment.to_owned(),
    };
    match block_on(mark_done(file, mark)) {
        Ok(Ok(stored)) => {
            say(&format!(
                "{} is marked as dealt with.",
                stored.path.display()
            ));
            Exit::Ok
        }
        Ok(Err(error)) => {
            let file = file.display();
            complain(&format!(
                "{file} cannot be marked: {error}. Give the .aof file that lost-writes has printed."
            ));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// What was found of a pair.
#[derive(Debug, Serialize)]
struct Report {
    /// The pair.
    pair: String,
    /// The worst of all its servers.
    result: Verdict,
    /// Every server that was deposed, or may have been.
    servers: Vec<ServerReport>,
    /// Servers that did not answer and need not matter, and why.
    silent: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    None,
    Found,
    CannotBeHad,
}

/// What was found of one server.
#[derive(Debug, Serialize)]
struct ServerReport {
    /// `host:port`.
    server: String,
    /// The server that was promoted instead.
    promoted: String,
    result: Verdict,
    /// Why they cannot be had, as a word for programs.
    reason: Option<&'static str>,
    /// The same as a sentence without its end; or what is missing where not all was read.
    detail: Option<String>,
    /// The file; `null` where nothing was saved.
    file: Option<String>,
    /// Whether an earlier run has saved it.
    was_there: bool,
    /// What the writes are.
    writes: Option<LostWritesHeader>,
    /// Bytes that the server has written since they were read.
    grown_bytes: Option<u64>,
    /// For how long its backlog holds them at the present rate.
    held_for_seconds: Option<f64>,
}

impl ServerReport {
    fn new(deposed: &DeposedServer, result: Verdict) -> Self {
        Self {
            server: deposed.addr.to_string(),
            promoted: deposed.promoted.addr.to_string(),
            result,
            reason: None,
            detail: None,
            file: None,
            was_there: false,
            writes: None,
            grown_bytes: None,
            held_for_seconds: None,
        }
    }

    fn gone(deposed: &DeposedServer, why: &CannotBeHad) -> Self {
        Self {
            reason: Some(why.label()),
            detail: Some(why.to_string()),
            ..Self::new(deposed, Verdict::CannotBeHad)
        }
    }

    fn found(deposed: &DeposedServer, tail: CapturedTail) -> Self {
        let result = if tail.header.is_complete {
            Verdict::Found
        } else {
            Verdict::CannotBeHad
        };
        Self {
            detail: tail.header.missing.clone(),
            file: tail.file.map(|file| file.display().to_string()),
            was_there: tail.was_there,
            writes: Some(tail.header),
            grown_bytes: tail.grown.map(Bytes::get),
            held_for_seconds: tail.held_for.map(Span::as_secs_f64),
            ..Self::new(deposed, result)
        }
    }
}

/// Asks the servers of `pair` and reads those that were deposed; `None` where there is no such
/// pair.
async fn find(settings: &Settings, pair: &PairName, args: &LostWritesArgs) -> Option<Report> {
    let entry = app::find_deposed(settings, pair).await?;
    let mut servers = Vec::new();
    let mut silent = Vec::new();
    for deposed in &entry.deposed {
        match &deposed.state {
            TailState::Nothing => {}
            TailState::Unreadable(CannotBeHad::Silent { why }) if knows_deposed(&entry) => {
                silent.push(format!("{}: {why}", deposed.addr));
            }
            TailState::Unreadable(why) => servers.push(ServerReport::gone(deposed, why)),
            TailState::Readable(_) => servers.push(read(settings, &entry, deposed, args).await),
        }
    }
    if entry.deposed.is_empty() {
        silent = entry.asked.iter().filter_map(silent_server).collect();
    }
    let worst = servers.iter().map(|server| server.result).max();
    Some(Report {
        pair: pair.to_string(),
        result: match worst {
            _ if may_hide_promotion(&entry) => Verdict::CannotBeHad,
            Some(worst) => worst,
            None => Verdict::None,
        },
        servers,
        silent,
    })
}

fn silent_server(server: &AskedServer) -> Option<String> {
    let why = server.answer.as_ref().err()?;
    Some(format!("{}: {why}", server.addr))
}

/// Whether a server may have been promoted although no answer shows one: a silent server, or one of
/// two masters that was restarted since.
fn may_hide_promotion(entry: &EntryTails) -> bool {
    if !entry.deposed.is_empty() {
        return false;
    }
    let mut masters = 0;
    for server in &entry.asked {
        match &server.answer {
            Ok(answer) if answer.replication.role.value() == Some(Role::Master) => masters += 1,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    masters > 1
}

/// Whether some server still shows the history that was deposed: then a silent one is another
/// replica.
fn knows_deposed(entry: &EntryTails) -> bool {
    let shows_old_history = |deposed: &DeposedServer| {
        matches!(
            deposed.state,
            TailState::Readable(_)
                | TailState::Unreadable(
                    CannotBeHad::Demoted { .. }
                        | CannotBeHad::NoBacklog { .. }
                        | CannotBeHad::RunOver { .. }
                        | CannotBeHad::Restarted { .. }
                )
        )
    };
    entry.deposed.iter().any(shows_old_history)
}

async fn read(
    settings: &Settings,
    entry: &EntryTails,
    deposed: &DeposedServer,
    args: &LostWritesArgs,
) -> ServerReport {
    let Some(target) = entry.target(deposed) else {
        return ServerReport::new(deposed, Verdict::None); // it was asked, so it is there
    };
    let folder = args.save.as_ref().unwrap_or(&settings.recover.dir);
    let options = CaptureOptions {
        folder: (!args.summary).then(|| folder.clone()),
        max_bytes: settings.recover.max_bytes,
        timeout: entry.timeout(settings),
        follow: None,
        unfenced: args.unfenced,
    };
    match capture(&target, &options, |_, _| {}).await {
        Ok(Captured::Nothing) => ServerReport::new(deposed, Verdict::None),
        Ok(Captured::Tail(tail)) => ServerReport::found(deposed, *tail),
        Err(why) => ServerReport::gone(deposed, &why),
    }
}
