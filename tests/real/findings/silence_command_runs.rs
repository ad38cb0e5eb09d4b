//! The silence command of a message runs when it is pasted, and silences that alert and no other.

use std::process::Command;

use redis_cross_dc_exporter::lab::eventually;

use super::messages::Scene;
use crate::exporter::program;
use crate::reload::reload;
use crate::stage::LIMIT;

#[tokio::test]
async fn silence_the_command_in_a_message_runs_unchanged() {
    let mut scene = Scene::set().await;
    reload(&scene.exporter, &scene.configuration_with_url()).await;
    scene.replica.kill();
    scene.chat_says(&["[WARNING]", "replica", "has "]).await;
    let command = scene
        .chat
        .requests()
        .iter()
        .filter_map(|request| command_in(&request.text()))
        .find(|command| command.contains("RedisCrossDcServerUnreachable"))
        .expect("a command");
    let pasted = command.replacen("redis-cross-dc-exporter", &program().to_string_lossy(), 1);
    let output = tokio::task::spawn_blocking(move || {
        // As in a container: there is no user name.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &pasted])
            .env_remove("USER")
            .env_remove("LOGNAME");
        shell.output()
    });
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{command}\n{output:?}");
    let silenced = || async {
        let alerts = scene.exporter.alerts().await.alerts;
        let quiet: Vec<_> = alerts
            .iter()
            .filter(|alert| alert.silenced_by.is_some())
            .collect();
        match quiet.as_slice() {
            [only] if only.alertname == "RedisCrossDcServerUnreachable" => Ok(()),
            others => Err(format!("{others:?}")),
        }
    };
    eventually("that alert alone to be silenced", LIMIT, silenced)
        .await
        .unwrap();
    let form = scene.chat.requests().iter().any(|request| {
        let text = request.text();
        text.contains("/?silence=") && text.contains("#silences|Silence>")
    });
    assert!(form, "a link to the form");
}

/// The first command between backticks.
fn command_in(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let text = body.to_string();
    let (_, rest) = text.split_once('`')?;
    let (command, _) = rest.split_once('`')?;
    let command = command
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    command
        .starts_with("redis-cross-dc-exporter silence add")
        .then_some(command)
}
