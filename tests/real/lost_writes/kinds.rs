//! Commands of every kind: what is in the file is what they did, and it can be replayed.

use redis_cross_dc_exporter::lab::{RedisServer, Reply};

use super::{Run, TwoMasters, commands, plain, replay};

/// What clients do on the old master. The first is for database 5, as was the last one before the
/// promotion: the stream has no SELECT for it.
const WRITES: [&[&str]; 14] = [
    &["SET", "in-five", "1"],
    &["SELECT", "0"],
    &["SET", "text", "a b\r\nc"],
    &["SETEX", "expires", "5000", "v"],
    &["MULTI"],
    &["INCRBY", "counter", "7"],
    &["RPUSH", "list", "a", "b", "c"],
    &["EXEC"],
    &[
        "EVAL",
        "redis.call('SET', KEYS[1], 'x'); return redis.call('APPEND', KEYS[1], 'y')",
        "1",
        "scripted",
    ],
    &["SADD", "set", "a", "b", "c", "d"],
    &["SPOP", "set", "2"],
    &["XADD", "stream", "*", "field", "value"],
    &["LPOP", "list"],
    &["PUBLISH", "news", "x"],
];

/// Questions whose answers must be the same after a replay.
const QUESTIONS: [&[&str]; 8] = [
    &["GET", "text"],
    &["GET", "expires"],
    &["GET", "counter"],
    &["LRANGE", "list", "0", "-1"],
    &["GET", "scripted"],
    &["SORT", "set", "ALPHA"],
    &["XRANGE", "stream", "-", "+"],
    &["DBSIZE"],
];

async fn answers(server: &RedisServer) -> Vec<Reply> {
    let mut connection = server.connect().await.unwrap();
    let mut answers = Vec::new();
    for question in QUESTIONS {
        answers.push(connection.command(question).await.unwrap());
    }
    connection.command(&["SELECT", "5"]).await.unwrap();
    answers.push(connection.command(&["GET", "in-five"]).await.unwrap());
    answers
}

#[tokio::test]
async fn every_kind_of_command_is_replayed_to_the_same_data_in_its_database() {
    let servers = TwoMasters::in_sync(plain(), plain()).await;
    let TwoMasters { old, new } = &servers;
    let mut connection = old.connect().await.unwrap();
    connection.command(&["SELECT", "5"]).await.unwrap();
    connection.command(&["SET", "before", "1"]).await.unwrap();
    let applied = || async {
        let keys = new.info_field("keyspace", "db5").await.ok().flatten();
        keys.ok_or("no key in database 5")
    };
    redis_cross_dc_exporter::lab::eventually("the write before", crate::stage::LIMIT, applied)
        .await
        .unwrap();
    servers.promote().await;
    for words in WRITES {
        connection.command(words).await.unwrap();
    }
    let found = Run::with(&servers.configuration(), &[]).await;
    let header = found.header();
    assert_eq!(header.database, Some(5), "found before the cut");
    assert_eq!(header.databases.get(&5), Some(&1));
    assert!(
        header.transactions >= 1 && header.unknown_keys.is_empty(),
        "{header:#?}"
    );
    for sent in ["EVAL", "SPOP"] {
        assert!(
            !header.commands.contains_key(sent),
            "effects, not commands: {header:#?}"
        );
    }
    let file = found.file();
    let captured = commands(&file).await;
    assert_eq!(captured[0], ["SELECT", "5"]);
    assert!(captured.iter().any(|words| words[0] == "PUBLISH"));
    replay(new, &file).await;
    assert_eq!(answers(new).await, answers(old).await);
}

#[tokio::test]
async fn a_stream_without_a_select_in_reach_begins_in_an_unknown_database() {
    // Two databases are in use, and more than the look-back was written since the last SELECT.
    let large = || plain().config("repl-backlog-size 64mb");
    let servers = TwoMasters::in_sync(large(), large()).await;
    let mut connection = servers.old.connect().await.unwrap();
    connection.command(&["SELECT", "3"]).await.unwrap();
    let filler = "x".repeat(1024 * 1024);
    for number in 0..8 {
        let key = format!("filler:{number}");
        connection.command(&["SET", &key, &filler]).await.unwrap();
    }
    let applied = || async {
        let keys = servers
            .new
            .info_field("keyspace", "db3")
            .await
            .ok()
            .flatten();
        match keys {
            Some(keys) if keys.starts_with("keys=8,") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    redis_cross_dc_exporter::lab::eventually("the filler", crate::stage::LIMIT, applied)
        .await
        .unwrap();
    servers.promote().await;
    connection.command(&["SET", "a", "1"]).await.unwrap();
    let found = Run::with(&servers.configuration(), &[]).await;
    let header = found.header();
    assert_eq!(
        (header.database, header.commands_total, header.keys),
        (None, 1, 0)
    );
    assert_eq!(header.conflicts.count, None, "{:?}", header.conflicts);
    assert_eq!(commands(&found.file()).await[0], ["SET", "a", "1"]);
}

#[tokio::test]
async fn only_so_much_is_read_and_no_command_is_cut() {
    let large = || plain().config("repl-backlog-size 64mb");
    let servers = TwoMasters::start(large(), large()).await;
    let value = "x".repeat(100_000);
    let mut connection = servers.old.connect().await.unwrap();
    for number in 0..30 {
        let key = format!("id:{number}");
        connection.command(&["SET", &key, &value]).await.unwrap();
    }
    let yaml = format!("recover: {{max_bytes: 1MiB}}\n{}", servers.configuration());
    let found = Run::with(&yaml, &[]).await;
    let header = found.header();
    assert!(
        !header.is_complete && header.commands_total < 30,
        "{header:#?}"
    );
    assert!(header.missing.unwrap().contains("recover.max_bytes"));
    let captured = super::ids(&commands(&found.file()).await);
    assert_eq!(captured.len() as u64, header.commands_total);
    assert!(captured.len() >= 10);
}
