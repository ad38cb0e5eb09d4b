//! F5: since, length and peak of a message are those of the outage, not of the alert, and the last
//! data stands beside the last answer.

use redis_cross_dc_exporter::lab::Direction;

use super::messages::{Scene, apart, pass, time_after, time_of_day};

/// Two clocks, polls and a busy machine.
const TOLERANCE: f64 = 2.5;

#[tokio::test]
async fn f05_a_stall_is_reported_with_its_true_start_length_and_end() {
    let scene = Scene::set().await;
    let writer = scene.writer();
    pass(2).await;
    let began = time_of_day();
    scene.link.stall(Direction::Both);
    let firing = scene
        .chat_says(&["[WARNING]", "stalled for", "since"])
        .await;
    let since = time_after(&firing, "(since ");
    assert!(apart(since, began) < TOLERANCE, "{began}: {firing}");
    pass(5).await;
    let ended = time_of_day();
    scene.link.heal().await.unwrap();
    let over = scene
        .chat_says(&["[RESOLVED]", "orders dc1 → dc2", "at worst"])
        .await;
    let from = over
        .find("talled ")
        .map(|at| &over[at..])
        .unwrap_or_default();
    assert!(
        apart(time_after(from, "talled "), began) < TOLERANCE,
        "{began}: {over}"
    );
    assert!(
        apart(time_after(from, " to "), ended) < TOLERANCE + 2.0,
        "{ended}: {over}"
    );
    // On a busy machine the replica may still be behind; then nobody knows yet.
    let has_caught_up = over.contains("caught up");
    assert!(has_caught_up || over.contains("catching up"), "{over}");
    assert_eq!(over.contains("nothing lost"), has_caught_up, "{over}");
    writer.stop().await;
}

#[tokio::test]
async fn f05_the_last_data_is_shown_next_to_the_last_answer() {
    let scene = Scene::set().await;
    let writer = scene.writer();
    pass(2).await;
    scene.link.stall(Direction::Both);
    let alert = scene.hook_says("RedisCrossDcLinkDown", "firing").await;
    let notes = &alert["annotations"];
    let instant = |key: &str| {
        let text = notes[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}: {notes}"));
        time_after(text, "T")
    };
    let old = apart(instant("last_data"), instant("last_sample"));
    assert!(
        old > 1.5,
        "the replica answers, and has no new data: {notes}"
    );
    assert!(
        apart(instant("last_data"), instant("fault_since")) < TOLERANCE,
        "{notes}"
    );
    writer.stop().await;
}

#[tokio::test]
async fn f05_the_length_of_a_servers_silence_is_exact() {
    let mut scene = Scene::set().await;
    let began = time_of_day();
    scene.master.kill();
    scene.chat_says(&["[CRITICAL]", "master", "since"]).await;
    pass(1).await;
    let ended = time_of_day();
    scene.master.restart().await.unwrap();
    let over = scene.chat_says(&["[RESOLVED]", "No answer"]).await;
    assert!(
        apart(time_after(&over, "No answer "), began) < TOLERANCE,
        "{began}: {over}"
    );
    let until = over.split("No answer").nth(1).unwrap_or_default();
    assert!(
        apart(time_after(until, " to "), ended) < TOLERANCE,
        "{ended}: {over}"
    );
    assert!(over.contains("it was restarted"), "{over}");
}
