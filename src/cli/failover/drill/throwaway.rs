//! The drill on throwaway servers: there and back, a lost site, its capture and its return.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::stage::{DrillStage, PAIR, one_way};
use super::writer::{DrillWriter, numbers, numbers_in};
use super::{begun, refusals};
use crate::app::find_deposed;
use crate::app::operation::{
    Narrator, OperationRequest, OperationsFolder, PairModel, PrepareError, Prepared, execute,
    pair_model, prepare, prepare_return,
};
use crate::capture::{CaptureOptions, Captured, capture};
use crate::clock;
use crate::config::Settings;
use crate::lab::{Direction, RedisServer};
use crate::model::{Bytes, PairName, ServerAddr};
use crate::operation::{DrillKind, DrillPart, DrillReport, Limits, Outcome, Overrides, Wanted};
use crate::report::utc_text;

/// For how long clients write before and after each part.
const WRITE_FOR: Duration = Duration::from_secs(1);

/// How far the replica is behind when its site is cut off.
const BEHIND_FOR: Duration = Duration::from_millis(500);

/// Bytes of the stream for one write of a drill.
const BYTES_PER_WRITE: f64 = 60.0;

/// Writes a second of a drill, whatever the pair writes.
const WRITES: std::ops::RangeInclusive<f64> = 20.0..=1000.0;

/// A drill under way.
struct Drill<'a> {
    stage: DrillStage,
    writer: DrillWriter,
    folder: OperationsFolder,
    report: DrillReport,
    /// The acknowledged writes that the disaster cost.
    forgiven: BTreeSet<u64>,
    narrator: &'a mut dyn Narrator,
}

/// Copies the pair of `request` and practises on the copy.
///
/// # Errors
/// There is no such pair, or it does not answer.
pub(super) async fn drill(
    settings: &Settings,
    request: &OperationRequest,
    narrator: &mut dyn Narrator,
) -> Result<DrillReport, PrepareError> {
    narrator.line("asking the pair for its versions, settings, write rate and round trip");
    let model = pair_model(settings, &request.pair).await?;
    let mut report = begun(request.pair.as_str(), DrillKind::Throwaway);
    narrator.line("starting throwaway servers: it takes a redis-server (REDIS_SERVER, or in PATH)");
    let stage = match DrillStage::set(&model).await {
        Ok(stage) => stage,
        Err(why) => {
            report.fail(why);
            report.ended = clock::wall_now().as_secs_f64();
            return Ok(report);
        }
    };
    note_likeness(&mut report, &model, &stage).await;
    let addrs = vec![stage.master.addr().clone(), stage.replica.addr().clone()];
    let writer = DrillWriter::start(addrs, writes_per_second(&model));
    let mut drill = Drill {
        folder: OperationsFolder::beside(&stage.settings.state.path),
        stage,
        writer,
        report,
        forgiven: BTreeSet::new(),
        narrator,
    };
    // Boxed: several operations in one future are large.
    Box::pin(drill.practise(request.limits)).await;
    let Drill {
        stage, mut report, ..
    } = drill;
    stage.end().await;
    report.ended = clock::wall_now().as_secs_f64();
    Ok(report)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 20 and 1000"
)]
fn writes_per_second(model: &PairModel) -> u32 {
    let wanted = model.bytes_per_second / BYTES_PER_WRITE;
    wanted.clamp(*WRITES.start(), *WRITES.end()) as u32
}

/// What the copy has in common with the pair, and what not.
async fn note_likeness(report: &mut DrillReport, model: &PairModel, stage: &DrillStage) {
    let own = stage.master.info_field("server", "redis_version").await;
    let own = own.ok().flatten().unwrap_or_else(|| "unknown".to_owned());
    let master = &model.version;
    let replica = &model.replica_version;
    report.notes.push(if own == *master && own == *replica {
        format!("redis-server {own}, as the pair")
    } else {
        format!("redis-server {own}; the pair's master runs {master}, its replica {replica}")
    });
    report.notes.push(match &model.without_directives {
        None => format!(
            "{} settings as on the pair's master",
            model.directives.len()
        ),
        Some(why) => format!("none of the pair's settings: CONFIG GET is refused ({why})"),
    });
    let delay = one_way(model).as_secs_f64() * 2000.0;
    report.notes.push(format!(
        "{delay:.1} ms round trip between everything and each server, as measured to the replica"
    ));
    report.notes.push(format!(
        "{} writes a second at most, all into one list; the pair's stream grew by {:.0} bytes a second",
        writes_per_second(model),
        model.bytes_per_second
    ));
}

impl Drill<'_> {
    /// Everything, up to the first part that does not go as it should.
    async fn practise(&mut self, limits: Limits) {
        let [old, new] = {
            let entry = self.stage.settings.pairs.first();
            let replica = entry.and_then(|entry| entry.replicas.first());
            match (entry, replica) {
                (Some(entry), Some(replica)) => [entry.master.addr.clone(), replica.addr.clone()],
                _ => return self.report.fail("the copy has no pair"),
            }
        };
        sleep(WRITE_FOR).await;
        let there = request(limits, Some(&new));
        if !self.switch_over("switch-over", &there).await {
            return;
        }
        let back = request(limits, Some(&old));
        if !self.switch_over("the way back", &back).await {
            return;
        }
        if !Box::pin(self.lose_the_site(limits)).await {
            return;
        }
        if self.capture().await
            && Box::pin(self.rejoin(limits)).await
            && self.switch_over("failback: take over", &back).await
        {
            self.check_the_end().await;
        }
    }

    /// A planned switch-over; whether it went as it should.
    async fn switch_over(&mut self, name: &str, request: &OperationRequest) -> bool {
        self.narrator.line(&format!("drill: {name}"));
        self.writer.take_pause();
        let prepared = prepare(&self.stage.settings, &self.folder, request).await;
        let Some(mut part) = self.operate(name, prepared).await else {
            return false;
        };
        let is_done = part.outcome == Some(Outcome::Done);
        sleep(WRITE_FOR).await;
        part.write_pause_seconds = Some(self.writer.take_pause().as_secs_f64());
        let lost = self.lost_from_master().await;
        part.lost_writes = lost.as_ref().map(|lost| lost.len() as u64);
        let has_lost = lost.is_some_and(|lost| !lost.is_empty());
        self.report.parts.push(part);
        if has_lost {
            self.report
                .fail(format!("{name}: acknowledged writes are lost"));
        }
        is_done && !has_lost
    }

    /// Carries a prepared operation out; `None` where it was refused.
    async fn operate(
        &mut self,
        name: &str,
        prepared: Result<Prepared, PrepareError>,
    ) -> Option<DrillPart> {
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(PrepareError::Usage(sentence)) => {
                self.report.fail(format!("{name}: {sentence}"));
                return None;
            }
        };
        if let Some(why) = refusals(&prepared) {
            self.report.fail(format!("{name} is refused: {why}"));
            return None;
        }
        let stated = prepared
            .loss
            .map(|loss| loss.certified(utc_text).join("; "));
        let began = clock::now();
        let door = self.stage.door.clone();
        let work = execute(prepared, &self.folder, Some(&door), self.narrator);
        // Boxed: an operation's future is large.
        let run = Box::pin(work).await;
        let outcome = run.ending.outcome;
        if outcome != Outcome::Done {
            self.report
                .fail(format!("{name}: {}", run.ending.last_line()));
        }
        Some(DrillPart {
            name: name.to_owned(),
            outcome: Some(outcome),
            sentence: run.ending.last_line(),
            seconds: (clock::now() - began).as_secs_f64(),
            rpo_stated: stated,
            ..DrillPart::default()
        })
    }

    /// The master's site is cut off while its clients write on, and then falls silent.
    async fn lose_the_site(&mut self, limits: Limits) -> bool {
        self.narrator.line("drill: the master's site is cut off");
        self.stage.to_master.stall(Direction::Both);
        sleep(BEHIND_FOR).await;
        self.writer.take_pause();
        if let Err(error) = self.stage.master.stop() {
            self.report.fail(error.to_string());
            return false;
        }
        self.stage.to_master.cut().await;
        let disaster = OperationRequest {
            wanted: Wanted::Disaster,
            ..request(limits, None)
        };
        let began = clock::now();
        let mut prepared = self.prepare_disaster(&disaster).await;
        // The exporter and the replica need a moment to notice.
        while clock::now() - began < disaster.max_loss
            && prepared
                .as_ref()
                .is_ok_and(|found| refusals(found).is_some())
        {
            sleep(Duration::from_millis(200)).await;
            prepared = self.prepare_disaster(&disaster).await;
        }
        let Some(mut part) = self.operate("disaster", prepared).await else {
            return false;
        };
        sleep(WRITE_FOR).await;
        part.seconds = (clock::now() - began).as_secs_f64();
        part.rto_seconds = Some(self.writer.take_pause().as_secs_f64());
        let lost = self.lost_from(&self.stage.replica).await;
        part.lost_writes = lost.map(|lost| lost.len() as u64);
        let is_done = part.outcome == Some(Outcome::Done);
        self.report.parts.push(part);
        is_done
    }

    async fn prepare_disaster(
        &self,
        disaster: &OperationRequest,
    ) -> Result<Prepared, PrepareError> {
        let request = OperationRequest {
            exporters: vec![self.stage.view().await],
            ..disaster.clone()
        };
        prepare(&self.stage.settings, &self.folder, &request).await
    }

    /// The old master comes back, and what only it has is saved: every write that was lost, and
    /// none that was not. Whether that is so.
    async fn capture(&mut self) -> bool {
        self.narrator
            .line("drill: the old master is back; what only it has is saved");
        let began = clock::now();
        let Some(lost) = self.lost_from(&self.stage.replica).await else {
            self.report.fail("the new master does not answer");
            return false;
        };
        let in_doubt = self.writer.written().in_doubt;
        if let Err(error) = self.stage.master.cont() {
            self.report.fail(error.to_string());
            return false;
        }
        if let Err(error) = self.stage.to_master.heal().await {
            self.report.fail(error.to_string());
            return false;
        }
        let saved = match self.save().await {
            Ok(saved) => saved,
            Err(why) => {
                self.report.fail(format!("capture: {why}"));
                return false;
            }
        };
        // What the client does not know of may have arrived.
        let is_exact = lost.is_subset(&saved)
            && saved
                .difference(&lost)
                .all(|number| in_doubt.contains(number));
        self.report.parts.push(DrillPart {
            name: "capture".to_owned(),
            sentence: format!(
                "{} commands are saved, {} of them without an answer to the client",
                saved.len(),
                saved.difference(&lost).count()
            ),
            seconds: (clock::now() - began).as_secs_f64(),
            lost_writes: Some(lost.len() as u64),
            captured_writes: Some(saved.intersection(&lost).count() as u64),
            ..DrillPart::default()
        });
        if !is_exact {
            self.report.fail(
                "the file of lost writes does not hold exactly the acknowledged writes that were lost",
            );
            return false;
        }
        self.forgiven = lost;
        true
    }

    /// Saves what only the old master has: the numbers in the file.
    async fn save(&self) -> Result<BTreeSet<u64>, String> {
        let settings = &self.stage.settings;
        let entry = find_deposed(settings, &PairName::new(PAIR)).await;
        let entry = entry.ok_or("the copy has no pair")?;
        let deposed = entry.deposed.first().ok_or("no server was deposed")?;
        let target = entry.target(deposed).ok_or("no server was deposed")?;
        let options = CaptureOptions {
            folder: Some(settings.recover.dir.clone()),
            max_bytes: settings.recover.max_bytes,
            timeout: entry.timeout(settings),
            follow: None,
            unfenced: false,
        };
        let captured = capture(&target, &options, |_, _| {}).await;
        let file = match captured.map_err(|why| why.to_string())? {
            Captured::Nothing => return Ok(BTreeSet::new()),
            Captured::Tail(tail) => tail.file.ok_or("nothing was saved")?,
        };
        let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
        let content = read.map_err(|error| error.to_string())?;
        let content = content.map_err(|error| error.to_string())?;
        Ok(numbers_in(&content))
    }

    /// The old master becomes a replica: what is in the file may be overwritten.
    async fn rejoin(&mut self, limits: Limits) -> bool {
        let name = "failback: rejoin";
        self.narrator.line(&format!("drill: {name}"));
        let request = OperationRequest {
            saved_in: vec![self.stage.settings.recover.dir.clone()],
            ..request(limits, None)
        };
        let prepared = prepare_return(&self.stage.settings, &self.folder, &request).await;
        let prepared = match prepared {
            Ok(Some(prepared)) => Ok(prepared),
            Ok(None) => Err(PrepareError::Usage("it is a replica already".to_owned())),
            Err(error) => Err(error),
        };
        let Some(part) = self.operate(name, prepared).await else {
            return false;
        };
        let is_done = part.outcome == Some(Outcome::Done);
        self.report.parts.push(part);
        is_done
    }

    /// At the end the master has every acknowledged write but those that the disaster cost, and
    /// none twice.
    async fn check_the_end(&mut self) {
        let written = self.writer.written();
        let found = match numbers(&self.stage.master).await {
            Ok(found) => found,
            Err(error) => return self.report.fail(error.to_string()),
        };
        let distinct: BTreeSet<u64> = found.iter().copied().collect();
        if distinct.len() != found.len() {
            self.report.fail("writes are there twice");
        }
        if written.missing_from(&found) != self.forgiven {
            self.report
                .fail("other writes are missing at the end than the disaster cost");
        }
    }

    /// The acknowledged writes that the present master lacks, beyond those that the disaster cost.
    async fn lost_from_master(&self) -> Option<BTreeSet<u64>> {
        let role = self.stage.master.info_field("replication", "role").await;
        let server = match role.ok().flatten().as_deref() {
            Some("master") => &self.stage.master,
            _ => &self.stage.replica,
        };
        let lost = self.lost_from(server).await?;
        Some(lost.difference(&self.forgiven).copied().collect())
    }

    async fn lost_from(&self, server: &RedisServer) -> Option<BTreeSet<u64>> {
        let written = self.writer.written();
        let found = numbers(server).await.ok()?;
        Some(written.missing_from(&found))
    }
}

/// A request for the copy.
pub(super) fn request(limits: Limits, to: Option<&ServerAddr>) -> OperationRequest {
    OperationRequest {
        pair: PairName::new(PAIR),
        to: to.cloned(),
        wanted: Wanted::SwitchOver,
        limits,
        max_loss: crate::model::Span::from_secs(30),
        max_loss_bytes: Bytes::new(30_000_000),
        overrides: Overrides::default(),
        plan: None,
        exporters: Vec::new(),
        saved_in: Vec::new(),
    }
}
