//! The Slack bot: one message for each group, edited in place, and its thread.

use super::*;
use crate::config::{SlackBotSettings, SlackMention};

#[tokio::test]
async fn people_are_mentioned_in_what_is_posted_and_not_in_what_is_changed() {
    let server = TestServer::replying(vec![posted("1.1")]).await;
    let mut settings = bot(&server.url, "#redis");
    let ReceiverKind::Group(GroupReceiver::SlackBot(bot)) = &mut settings.kind else {
        panic!("a bot")
    };
    bot.mention = vec![SlackMention::Here, SlackMention::User("U1".to_owned())];
    let mut rig = Rig::new(vec![settings], quick());
    for reason in [
        NotifyReason::First,
        NotifyReason::Escalated,
        NotifyReason::Resolved,
    ] {
        rig.dispatcher.send(group_notification("a", reason));
        rig.failures_before_delivery(0).await;
    }
    let mentioned: Vec<_> = server
        .requests()
        .iter()
        .map(|request| (in_brief(request), request.body.contains("<!here> <@U1>")))
        .collect();
    let expected = [
        ("postMessage #redis", true),
        ("update C1 1.1", false),
        ("reply C1 1.1", true),
        ("update C1 1.1", false),
        ("reply C1 1.1", false),
    ];
    assert_eq!(mentioned, expected.map(|(call, is)| (call.to_owned(), is)));
}

fn bot(url: &str, channel: &str) -> ReceiverSettings {
    let kind = ReceiverKind::from(SlackBotSettings {
        token: inline("xoxb-1"),
        channel: channel.to_owned(),
        api_url: url.to_owned(),
        mention: Vec::new(),
    });
    receiver("chat", kind)
}

/// Slack's answer to a message that it has posted.
fn posted(ts: &str) -> Reply {
    Reply::body(200, &format!(r#"{{"ok":true,"channel":"C1","ts":"{ts}"}}"#))
}

fn refused(error: &str) -> Reply {
    Reply::body(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#))
}

/// A request of the bot in brief: `postMessage #redis`, `update C1 1.1`, `reply C1 1.1`.
fn in_brief(request: &Request) -> String {
    let method = request
        .line
        .split(' ')
        .nth(1)
        .unwrap()
        .rsplit_once("/chat.")
        .unwrap()
        .1
        .to_owned();
    let body = request.json();
    assert_eq!(request.headers["authorization"], "Bearer xoxb-1");
    assert_eq!(
        request.headers["content-type"],
        "application/json; charset=utf-8"
    );
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    match (method.as_str(), body.get("thread_ts")) {
        ("update", _) => format!("update {} {}", text("channel"), text("ts")),
        (_, Some(_)) => format!("reply {} {}", text("channel"), text("thread_ts")),
        (method, None) => format!("{method} {}", text("channel")),
    }
}

/// Sends a notification for each of `reasons` to a bot whose Slack answers with `replies`, and
/// checks the requests.
async fn check_bot(replies: Vec<Reply>, reasons: &[NotifyReason], expected: &[&str]) {
    let server = TestServer::replying(replies).await;
    let mut rig = Rig::new(vec![bot(&server.url, "#redis")], quick());
    for reason in reasons {
        rig.dispatcher.send(group_notification("a", *reason));
        // Each is delivered, or given up, before the next.
        while !matches!(
            rig.kinds(1).await[0],
            DeliveryEventKind::Delivered { .. } | DeliveryEventKind::Failed { dead: true, .. }
        ) {}
    }
    let requests: Vec<_> = server.requests().iter().map(in_brief).collect();
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn a_bots_message_is_edited_in_place_and_its_resolve_is_posted_in_its_thread() {
    use NotifyReason as N;
    check_bot(
        vec![posted("1.1")],
        &[N::First, N::Escalated, N::PartlyResolved, N::Resolved],
        &[
            "postMessage #redis",
            "update C1 1.1",
            "reply C1 1.1",
            "update C1 1.1",
            "update C1 1.1",
            "reply C1 1.1",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_group_that_fires_again_after_its_resolve_gets_a_new_message() {
    use NotifyReason as N;
    let replies = vec![posted("1.1"), posted("1.1"), posted("1.2"), posted("2.2")];
    let expected = [
        "postMessage #redis",
        "update C1 1.1",
        "reply C1 1.1",
        "postMessage #redis",
        "update C1 2.2",
    ];
    check_bot(
        replies,
        &[N::First, N::Resolved, N::First, N::Deescalated],
        &expected,
    )
    .await;
}

#[tokio::test]
async fn a_deleted_message_is_posted_again() {
    use NotifyReason as N;
    let replies = vec![posted("1.1"), refused("message_not_found"), posted("2.2")];
    let expected = [
        "postMessage #redis",
        "update C1 1.1",
        "postMessage #redis",
        "update C1 2.2",
        "reply C1 2.2",
    ];
    check_bot(replies, &[N::First, N::Escalated, N::Resolved], &expected).await;
}

#[tokio::test]
async fn each_error_of_slack_is_retried_sent_as_plain_text_or_final() {
    use NotifyReason as N;
    let twice = ["postMessage #redis"; 2];
    check_bot(
        vec![refused("ratelimited"), posted("1.1")],
        &[N::First],
        &twice,
    )
    .await;
    check_bot(
        vec![refused("internal_error"), posted("1.1")],
        &[N::First],
        &twice,
    )
    .await;
    check_bot(
        vec![refused("invalid_blocks"), posted("1.1")],
        &[N::First],
        &twice,
    )
    .await;
    check_bot(vec![refused("channel_not_found")], &[N::First], &twice[..1]).await;
    check_bot(vec![refused("invalid_auth")], &[N::First], &twice[..1]).await;
}

#[tokio::test]
async fn a_message_that_may_have_been_posted_is_resolved() {
    // The first answer is lost, the second post is known: one message to change.
    let server = TestServer::replying(vec![Reply::Close, posted("2.2")]).await;
    let mut rig = Rig::new(vec![bot(&server.url, "#redis")], quick());
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(1).await;
    rig.dispatcher.send(resolving("a"));
    rig.kinds(1).await;
    let requests: Vec<_> = server.requests().iter().map(in_brief).collect();
    assert_eq!(
        requests,
        [
            "postMessage #redis",
            "postMessage #redis",
            "update C1 2.2",
            "reply C1 2.2"
        ]
    );
}

#[tokio::test]
async fn after_a_change_of_channel_both_messages_are_resolved() {
    let server = TestServer::replying(vec![posted("1.1"), posted("2.2")]).await;
    let mut rig = Rig::new(vec![bot(&server.url, "#redis")], quick());
    rig.dispatcher.send(firing("a"));
    rig.kinds(1).await;
    rig.dispatcher
        .reload(&settings(vec![bot(&server.url, "#other")]));
    rig.dispatcher
        .send(group_notification("a", NotifyReason::Escalated));
    rig.kinds(1).await;
    rig.dispatcher.send(resolving("a"));
    rig.kinds(1).await;
    let requests: Vec<_> = server.requests().iter().map(in_brief).collect();
    let ends = [
        "update C1 2.2",
        "reply C1 2.2",
        "update C1 1.1",
        "reply C1 1.1",
    ];
    assert_eq!(
        requests,
        [&["postMessage #redis", "postMessage #other"], &ends[..]].concat()
    );
}
