//! The hooks of the configuration at work: programs and webhooks that are told of an operation.

use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use crate::config::{HookAction, HookSetting, HookSettings, SecretSource};
use crate::http_client::{HttpClient, HttpTimeouts};
use crate::model::ServerAddr;
use crate::operation::{HookNames, HookStage, Intent};
use crate::report::visible_line;

/// How much of what a program says on its standard error is shown when it fails: the end of it.
const MAX_SAID: usize = 400;

/// Of these its last lines.
const LAST_LINES: usize = 3;

/// How much of it is read at once.
const CHUNK: usize = 4096;

/// What a hook is told. A program has the same in its environment.
#[derive(Serialize)]
struct HookNews<'a> {
    stage: HookStage,
    operation: &'a str,
    kind: &'static str,
    pair: &'a str,
    /// The master before the operation, `host:port`.
    old_master: String,
    old_dc: &'a str,
    /// The server that becomes the master.
    new_master: String,
    new_dc: &'a str,
    /// Who is the master at this moment; `null` before the operation.
    master: Option<String>,
}

/// The names of the hooks.
pub(super) fn names(hooks: &HookSettings) -> HookNames {
    let names = |hooks: &[HookSetting]| hooks.iter().map(|hook| hook.name.clone()).collect();
    HookNames {
        before: names(&hooks.before),
        after: names(&hooks.after),
    }
}

/// The hooks of `stage`.
pub(super) fn of_stage(hooks: &HookSettings, stage: HookStage) -> &[HookSetting] {
    match stage {
        HookStage::Before => &hooks.before,
        HookStage::After => &hooks.after,
    }
}

/// Runs one hook, within its time.
///
/// # Errors
/// Why it has failed, as a sentence without a full stop.
pub(super) async fn run(
    hook: &HookSetting,
    stage: HookStage,
    intent: &Intent,
    master: Option<&ServerAddr>,
) -> Result<(), String> {
    let news = HookNews {
        stage,
        operation: &intent.id,
        kind: intent.kind.label(),
        pair: &intent.pair,
        old_master: intent.old.addr.to_string(),
        old_dc: &intent.old.dc,
        new_master: intent.target.addr.to_string(),
        new_dc: &intent.target.dc,
        master: master.map(ServerAddr::to_string),
    };
    let limit = hook.timeout.to_duration();
    let work = async {
        match &hook.action {
            HookAction::Command(words) => run_program(words, &news).await,
            HookAction::Webhook(url) => post(url, &news, limit).await,
        }
    };
    let result = match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(format!("it took longer than {}", hook.timeout)),
    };
    result.map_err(|why| format!("the hook {:?} {stage} it failed: {why}", hook.name))
}

async fn run_program(words: &[String], news: &HookNews<'_>) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("it has no program".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(news.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // One that takes too long is ended with the future that waits for it.
        .kill_on_drop(true);
    let started = command.spawn();
    let mut child = started.map_err(|error| format!("{program} cannot be started: {error}"))?;
    let said = match child.stderr.take() {
        Some(stderr) => last_words(stderr).await,
        None => String::new(),
    };
    let ended = child.wait().await;
    let status = ended.map_err(|error| format!("{program} cannot be waited for: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let said = if said.is_empty() {
        said
    } else {
        format!(": {said}")
    };
    Err(format!("{program} ended with {status}{said}"))
}

/// The end of what a program says, on one line. Everything is read, so that it never has to wait.
async fn last_words(mut stderr: ChildStderr) -> String {
    let mut said: Vec<u8> = Vec::new();
    let mut chunk = vec![0; CHUNK];
    while let Ok(count) = stderr.read(&mut chunk).await {
        let Some(part) = chunk.get(..count).filter(|part| !part.is_empty()) else {
            break;
        };
        said.extend_from_slice(part);
        let excess = said.len().saturating_sub(MAX_SAID);
        said.drain(..excess);
    }
    let text = String::from_utf8_lossy(&said).into_owned();
    let mut lines: Vec<&str> = text.lines().rev().take(LAST_LINES).map(str::trim).collect();
    lines.retain(|line| !line.is_empty());
    lines.reverse();
    visible_line(&lines.join(" / "))
}

async fn post(url: &SecretSource, news: &HookNews<'_>, limit: Duration) -> Result<(), String> {
    let url = url.read().map_err(|error| error.to_string())?;
    let timeouts = HttpTimeouts {
        connect: limit,
        total: limit,
    };
    let client = HttpClient::for_receivers(timeouts).map_err(|error| error.to_string())?;
    let body = serde_json::to_vec(news).map_err(|error| error.to_string())?;
    let answer = client.post_json(url.reveal(), &[], body).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(format!("it was answered with status {}", answer.status))
}

impl HookNews<'_> {
    /// The same for a program.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("REDIS_CROSS_DC_STAGE", self.stage.label().to_owned()),
            ("REDIS_CROSS_DC_OPERATION", self.operation.to_owned()),
            ("REDIS_CROSS_DC_KIND", self.kind.to_owned()),
            ("REDIS_CROSS_DC_PAIR", self.pair.to_owned()),
            ("REDIS_CROSS_DC_OLD_MASTER", self.old_master.clone()),
            ("REDIS_CROSS_DC_OLD_DC", self.old_dc.to_owned()),
            ("REDIS_CROSS_DC_NEW_MASTER", self.new_master.clone()),
            ("REDIS_CROSS_DC_NEW_DC", self.new_dc.to_owned()),
        ];
        if let Some(master) = &self.master {
            variables.push(("REDIS_CROSS_DC_MASTER", master.clone()));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::testing::{Reply, TestServer};
    use crate::model::{Secret, Span};
    use crate::operation::{Limits, OperationKind, Party};

    fn intent() -> Intent {
        let party = |port, dc: &str| Party {
            addr: ServerAddr::new("10.0.0.1", port),
            dc: dc.to_owned(),
            run_id: None,
            replid: None,
        };
        Intent {
            id: "x".to_owned(),
            kind: OperationKind::Disaster,
            pair: "orders".to_owned(),
            old: party(1, "dc1"),
            target: party(2, "dc2"),
            old_for_target: ServerAddr::new("10.0.0.1", 1),
            followers: Vec::new(),
            limits: Limits::default(),
            can_pause: true,
            discard: None,
            saved_in: None,
            copied: None,
            hooks: HookNames::default(),
            sentinel: None,
            token: None,
            fingerprint: String::new(),
            overridden: Vec::new(),
            stated_loss: None,
        }
    }

    fn hook(action: HookAction, seconds: i64) -> HookSetting {
        HookSetting {
            name: "DNS".to_owned(),
            action,
            timeout: Span::from_secs(seconds),
        }
    }

    fn shell(script: &str, seconds: i64) -> HookSetting {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        hook(HookAction::Command(words.to_vec()), seconds)
    }

    #[tokio::test]
    async fn a_program_is_told_what_happens_and_succeeds_with_0() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = format!(
            "echo $REDIS_CROSS_DC_STAGE $REDIS_CROSS_DC_KIND $REDIS_CROSS_DC_PAIR \
             $REDIS_CROSS_DC_OLD_MASTER $REDIS_CROSS_DC_MASTER > {}",
            seen.display()
        );
        let master = ServerAddr::new("10.0.0.1", 2);
        let ended = run(
            &shell(&script, 20),
            HookStage::After,
            &intent(),
            Some(&master),
        )
        .await;
        ended.unwrap();
        assert_eq!(
            std::fs::read_to_string(seen).unwrap(),
            "after disaster orders 10.0.0.1:1 10.0.0.1:2\n"
        );
    }

    #[tokio::test]
    async fn a_program_that_fails_is_named_with_the_end_of_what_it_said() {
        let long =
            "for i in $(seq 20000); do echo line $i >&2; done; echo no such zone >&2; exit 3";
        let failed = run(&shell(long, 20), HookStage::Before, &intent(), None).await;
        let why = failed.unwrap_err();
        assert!(
            why.starts_with("the hook \"DNS\" before it failed: "),
            "{why}"
        );
        assert!(
            why.contains("exit status: 3") && why.ends_with("no such zone"),
            "{why}"
        );
        assert!(why.len() < 600, "{why}");
        let missing = hook(HookAction::Command(vec!["/no/such/program".to_owned()]), 20);
        let why = run(&missing, HookStage::Before, &intent(), None)
            .await
            .unwrap_err();
        assert!(why.contains("/no/such/program cannot be started"), "{why}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let number = folder.path().join("number");
        let script = format!("echo $$ > {}; exec sleep 600", number.display());
        let failed = run(&shell(&script, 1), HookStage::Before, &intent(), None).await;
        assert!(failed.unwrap_err().contains("took longer than 1"));
        let process = std::fs::read_to_string(number).unwrap();
        let process = std::path::Path::new("/proc").join(process.trim());
        let is_gone = || {
            let status = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "it is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_webhook_gets_json_and_succeeds_with_2xx() {
        let replies = vec![Reply::status(204), Reply::status(500)];
        let server = TestServer::replying(replies).await;
        let url = SecretSource::Inline(Secret::new(&server.url));
        let hook = hook(HookAction::Webhook(url), 20);
        run(&hook, HookStage::Before, &intent(), None)
            .await
            .unwrap();
        let why = run(&hook, HookStage::Before, &intent(), None)
            .await
            .unwrap_err();
        assert!(
            why.ends_with("status 500") && !why.contains(&server.url),
            "{why}"
        );
        let json = server.requests()[0].json();
        assert_eq!(json["stage"], "before");
        assert_eq!(json["new_master"], "10.0.0.1:2");
        assert!(json["master"].is_null());
    }
}
