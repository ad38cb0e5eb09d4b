//! `active-active`: compares and repairs sites that applications write to side by side.

mod brake;
mod drain;
mod report;
mod table;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::args::{
    ActiveActiveArgs, Global, Missing, OutputFormat, SitesArgs, SyncArgs, VerifyArgs,
};
use super::exit::Exit;
use super::output::{complain, say};
use super::{block_on, load_settings};
use crate::active_active::{ApplyLimits, Request, Site, SiteError, overflow_key, rejected_list};
use crate::client::ServerSite;
use crate::config::{ActiveActiveSettings, Settings, parse_duration};
use crate::model::Span;
use crate::multi_site::{Comparison, ComparisonReport, Pace, Repairs};
use crate::topology::Topology;
use brake::Eta;
use drain::QueueDrain;
use report::{Drained, EntryReport, PairReport, QueueReport, Report};

/// The times that a difference can be asked to last.
const SETTLE: (Span, Span) = (Span::from_secs(1), Span::from_secs(3600));

/// How long a site may take to answer at least: a page of large values comes over a WAN.
const SHORTEST_TIMEOUT: Span = Span::from_secs(10);

pub(super) fn active_active(global: &Global, args: &ActiveActiveArgs) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let sync = match args {
        ActiveActiveArgs::Verify(_) => None,
        ActiveActiveArgs::Sync(args) => Some(args),
    };
    let sample = match args {
        ActiveActiveArgs::Verify(args) => args.sample,
        ActiveActiveArgs::Sync(_) => None,
    };
    let (ActiveActiveArgs::Verify(VerifyArgs { sites, .. })
    | ActiveActiveArgs::Sync(SyncArgs { sites, .. })) = args;
    let chosen = match Chosen::new(&settings, sites, sample) {
        Ok(chosen) => chosen,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    let work = chosen.work(sync);
    match block_on(work) {
        Ok(Ok(report)) => print(&report, sites.output),
        Ok(Err(sentence)) => {
            complain(&sentence);
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// The arguments, checked.
struct Chosen<'a> {
    settings: &'a Settings,
    entries: Vec<&'a ActiveActiveSettings>,
    pace: Pace,
    sample: Option<u64>,
}

impl<'a> Chosen<'a> {
    fn new(settings: &'a Settings, args: &SitesArgs, sample: Option<u64>) -> Result<Self, String> {
        let all = settings.active_active.iter();
        let named = |entry: &&ActiveActiveSettings| {
            args.name
                .as_deref()
                .is_none_or(|name| entry.name.as_str() == name)
        };
        let entries: Vec<_> = all.filter(named).collect();
        if entries.is_empty() {
            return Err(match &args.name {
                Some(name) => format!("active_active has no entry called {name:?}."),
                None => "The configuration has no active_active: there are no sites to compare."
                    .to_owned(),
            });
        }
        Ok(Self {
            settings,
            entries,
            pace: Pace {
                keys_per_second: Some(args.keys_per_second),
                settle: settle(&args.settle)?,
            },
            sample,
        })
    }

    /// Verifies, or syncs with `sync`.
    async fn work(&self, sync: Option<&SyncArgs>) -> Result<Report, String> {
        let mut entries = Vec::new();
        for entry in &self.entries {
            let run = EntryRun::new(self, entry);
            entries.push(run.work(sync).await?);
        }
        let executed = sync.is_some_and(|sync| sync.execute);
        Ok(Report {
            converged: entries
                .iter()
                .all(|entry| is_converged(entry, sync.is_some())),
            executed,
            entries,
        })
    }
}

/// Whether every key was compared and the sites agree; for `sync`, also whether nothing waits.
fn is_converged(entry: &EntryReport, is_sync: bool) -> bool {
    let waits = entry.queues.iter().any(|queue| queue.length > 0);
    let mut pairs = entry.pairs.iter();
    // A sample says nothing certain about the other keys.
    pairs.all(|pair| pair.complete && pair.divergent == 0) && !(is_sync && waits)
}

fn settle(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text).map_err(|error| format!("--settle: {text:?} {error}"))?;
    if span < SETTLE.0 || span > SETTLE.1 {
        return Err(format!(
            "--settle: {text:?} is out of range; allowed: {} to {}",
            SETTLE.0, SETTLE.1
        ));
    }
    Ok(span.to_duration())
}

/// The work on one entry.
struct EntryRun<'a> {
    chosen: &'a Chosen<'a>,
    entry: &'a ActiveActiveSettings,
    sites: Vec<ServerSite>,
}

impl<'a> EntryRun<'a> {
    fn new(chosen: &'a Chosen<'a>, entry: &'a ActiveActiveSettings) -> Self {
        let settings = chosen.settings;
        let within = settings.poll.timeout_remote.max(SHORTEST_TIMEOUT);
        let servers = entry.sites.iter();
        let servers = servers.map(|site| Topology::server(site, &settings.datacenters));
        Self {
            chosen,
            entry,
            sites: servers
                .map(|server| ServerSite::new(server, within))
                .collect(),
        }
    }

    async fn work(&self, sync: Option<&SyncArgs>) -> Result<EntryReport, String> {
        let execute = sync.filter(|sync| sync.execute);
        let before = self.lengths().await?;
        let mut drained = Vec::new();
        if let Some(sync) = execute {
            drained = self.drain(sync.items_per_second).await;
        }
        let mut repairs = Vec::new();
        if let Some(sync) = execute {
            let copy_missing = sync.missing == Missing::Copy;
            repairs = self.compare_all(Some(Repairs { copy_missing })).await?;
        }
        let found = self.compare_all(None).await?;
        let mut pairs = Vec::new();
        for (place, (dcs, report)) in found.iter().enumerate() {
            let mut pair = PairReport::new([&dcs[0], &dcs[1]], report);
            if let Some((_, repairing)) = repairs.get(place) {
                pair = pair.with_repairs(repairing);
            }
            pairs.push(pair);
        }
        Ok(EntryReport {
            name: self.entry.name.to_string(),
            queues: self.queues(drained, before, sync).await?,
            pairs,
        })
    }

    /// The key of the queue and its two sites, each once as its source.
    fn queue_directions(&self) -> Vec<(&str, &ServerSite, &ServerSite)> {
        match (self.sites.as_slice(), self.entry.sync_queue.as_deref()) {
            ([first, second], Some(queue)) => vec![(queue, first, second), (queue, second, first)],
            _ => Vec::new(),
        }
    }

    async fn drain(&self, items_per_second: u32) -> Vec<Drained> {
        let mut reports = Vec::new();
        for (queue, source, target) in self.queue_directions() {
            let drain = QueueDrain {
                source,
                target,
                queue,
                items_per_second,
            };
            reports.push(drain.run().await);
        }
        clear_progress();
        reports
    }

    /// How long each queue is, and when that was read.
    async fn lengths(&self) -> Result<Vec<(u64, Duration)>, String> {
        let mut lengths = Vec::new();
        for (queue, source, _) in self.queue_directions() {
            let state = self.queue_state(source, queue).await?;
            lengths.push((state.length, source.elapsed()));
        }
        Ok(lengths)
    }

    /// What waits at a site.
    async fn queue_state(&self, source: &ServerSite, queue: &str) -> Result<QueueState, String> {
        let read = QueueState::read(source, queue).await;
        read.map_err(|error| match source.trouble() {
            Some(_) => self.sentence(&error),
            // The site answers, but one of these keys is not what it should be.
            None => format!(
                "{}: at {} the queue {queue}, its list {} or its key {} cannot be read: {error}. \
                 TYPE and GET show what they hold.",
                self.entry.name,
                source.server().dc,
                rejected_list(queue),
                overflow_key(queue)
            ),
        })
    }

    /// The queues as they are at the end. `before`: as they were at the beginning.
    async fn queues(
        &self,
        drained: Vec<Drained>,
        before: Vec<(u64, Duration)>,
        sync: Option<&SyncArgs>,
    ) -> Result<Vec<QueueReport>, String> {
        let mut drained = drained.into_iter();
        let mut before = before.into_iter();
        let mut reports = Vec::new();
        for (queue, source, target) in self.queue_directions() {
            let state = self.queue_state(source, queue).await?;
            // Of a dry run: a drain takes so many a second, and as many are added as the queue has
            // grown by.
            let dry = sync.filter(|sync| !sync.execute).zip(before.next());
            let eta = dry.map(|(sync, (length, read))| {
                let passed = source.elapsed().saturating_sub(read).as_secs_f64();
                let grown = (state.length as f64 - length as f64) / passed.max(f64::EPSILON);
                Eta::new(state.length, f64::from(sync.items_per_second) - grown)
            });
            reports.push(QueueReport {
                source_dc: source.server().dc.to_string(),
                target_dc: target.server().dc.to_string(),
                length: state.length,
                rejected: state.rejected,
                overflow_since: state.overflow_since,
                drain_seconds: eta.and_then(Eta::seconds),
                drain_ends: eta.map(|eta| eta != Eta::Never),
                drained: drained.next(),
            });
        }
        Ok(reports)
    }

    /// Compares every two sites; with more than two, and repairs, as often as there are sites,
    /// since what one pair has learned has to go on to the next one.
    async fn compare_all(
        &self,
        repairs: Option<Repairs>,
    ) -> Result<Vec<([String; 2], ComparisonReport)>, String> {
        let rounds = if repairs.is_some() {
            self.sites.len() - 1
        } else {
            1
        };
        let mut reports = Vec::new();
        for _ in 0..rounds.max(1) {
            reports.clear();
            for (place, first) in self.sites.iter().enumerate() {
                for second in self.sites.iter().skip(place + 1) {
                    let dcs = [first, second].map(|site| site.server().dc.to_string());
                    let report = self.compare(first, second, &dcs, repairs).await?;
                    reports.push((dcs, report));
                }
            }
        }
        clear_progress();
        Ok(reports)
    }

    async fn compare(
        &self,
        first: &ServerSite,
        second: &ServerSite,
        dcs: &[String; 2],
        repairs: Option<Repairs>,
    ) -> Result<ComparisonReport, String> {
        let [first_dc, second_dc] = dcs;
        let comparison = Comparison {
            first,
            first_dc,
            second,
            second_dc,
            keys: &self.entry.keys,
            counters: &self.entry.counters,
            pace: self.chosen.pace,
            limits: ApplyLimits::default(),
            sample: self.chosen.sample,
            repairs,
        };
        let compared = comparison.run(|report| {
            let keys = report.keys + report.counters;
            progress(&format!(
                "{keys} keys of {first_dc} and {second_dc} compared"
            ));
        });
        compared.await.map_err(|error| self.sentence(&error))
    }

    /// What is wrong, and with which site.
    fn sentence(&self, error: &SiteError) -> String {
        clear_progress();
        let trouble = self.sites.iter().find_map(ServerSite::trouble);
        let what = trouble.unwrap_or_else(|| error.to_string());
        format!(
            "{} was not finished: {what}. Nothing is lost: run the command again.",
            self.entry.name
        )
    }
}

/// What stands at a site.
struct QueueState {
    length: u64,
    rejected: u64,
    /// Since when writes were not queued, in seconds since the epoch.
    overflow_since: Option<u64>,
}

impl QueueState {
    async fn read(site: &ServerSite, queue: &str) -> Result<Self, SiteError> {
        let length = Request::length(queue.as_bytes());
        let rejected = Request::length(rejected_list(queue).as_bytes());
        let overflow = Request::get(overflow_key(queue).as_bytes());
        let since = site.request(overflow).await?.bytes()?;
        let since = since.map(|text| {
            let seconds = String::from_utf8_lossy(&text).parse::<u64>();
            seconds.map_err(|_| SiteError::unexpected("the time of the overflow is no number"))
        });
        Ok(Self {
            length: site.request(length).await?.number()?,
            rejected: site.request(rejected).await?.number()?,
            overflow_since: since.transpose()?,
        })
    }
}

/// Shows on a terminal how far the work is. Standard output has the result alone.
fn progress(text: &str) {
    if io::stderr().is_terminal() {
        // A terminal that is gone needs no progress.
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }
}

fn clear_progress() {
    progress("");
}

fn print(report: &Report, format: OutputFormat) -> Exit {
    match format {
        OutputFormat::Table => say(&table::table(report)),
        OutputFormat::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => say(&text),
            Err(error) => {
                complain(&format!(
                    "The report cannot be written as JSON: {error}. Please report it."
                ));
                return Exit::Failed;
            }
        },
    }
    if report.converged {
        Exit::Ok
    } else {
        Exit::NotConverged
    }
}
