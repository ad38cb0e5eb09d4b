//! Which keys a command of the replication stream changes.
//!
//! The stream has what a command did rather than what a client sent: SPOP arrives as SREM, a script
//! as the commands that it called (since Redis 5 by default), EXPIRE as PEXPIREAT. So a table of
//! the commands that change data is enough, and one that it does not have is named as unknown.

use super::command::StreamCommand;

/// What a command changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changed<'a> {
    /// No key.
    Nothing,
    /// These keys.
    Keys(Vec<&'a [u8]>),
    /// Every key of a database, or of all.
    Everything,
    /// It is not known which keys.
    Unknown,
}

/// Where the keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In no argument.
    Nowhere,
    /// In this argument alone; 1 is the first after the name.
    At(usize),
    /// In the first two.
    FirstTwo,
    /// In every argument.
    Each,
    /// In every other argument, from the first on.
    EachOther,
    /// As many as the argument at this index says, in those that follow.
    Counted(usize),
    /// Everywhere.
    Everything,
}

/// The place of the keys of each command that changes data or is a part of the stream itself.
fn place(name: &str) -> Option<Place> {
    Some(match name {
        "PING" | "SELECT" | "MULTI" | "EXEC" | "REPLCONF" | "PUBLISH" | "SPUBLISH" | "SCRIPT"
        | "FUNCTION" => Place::Nowhere,
        "SET" | "SETEX" | "PSETEX" | "SETNX" | "GETSET" | "GETDEL" | "GETEX" | "APPEND"
        | "INCR" | "DECR" | "INCRBY" | "DECRBY" | "INCRBYFLOAT" | "SETRANGE" | "SETBIT"
        | "BITFIELD" | "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" | "PERSIST" | "LPUSH"
        | "RPUSH" | "LPUSHX" | "RPUSHX" | "LPOP" | "RPOP" | "LINSERT" | "LSET" | "LREM"
        | "LTRIM" | "HSET" | "HSETNX" | "HMSET" | "HDEL" | "HINCRBY" | "HINCRBYFLOAT"
        | "HEXPIRE" | "HPEXPIRE" | "HEXPIREAT" | "HPEXPIREAT" | "HPERSIST" | "HGETDEL"
        | "HGETEX" | "HSETEX" | "SADD" | "SREM" | "SPOP" | "SINTERSTORE" | "SUNIONSTORE"
        | "SDIFFSTORE" | "ZADD" | "ZINCRBY" | "ZREM" | "ZREMRANGEBYRANK" | "ZREMRANGEBYSCORE"
        | "ZREMRANGEBYLEX" | "ZPOPMIN" | "ZPOPMAX" | "ZUNIONSTORE" | "ZINTERSTORE"
        | "ZDIFFSTORE" | "ZRANGESTORE" | "GEOADD" | "GEOSEARCHSTORE" | "PFADD" | "PFMERGE"
        | "XADD" | "XDEL" | "XDELEX" | "XTRIM" | "XACK" | "XACKDEL" | "XCLAIM" | "XAUTOCLAIM"
        | "XSETID" | "RESTORE" | "RESTORE-ASKING" | "MOVE" => Place::At(1),
        "COPY" | "BITOP" | "XGROUP" => Place::At(2),
        "RENAME" | "RENAMENX" | "RPOPLPUSH" | "LMOVE" | "SMOVE" => Place::FirstTwo,
        "DEL" | "UNLINK" => Place::Each,
        "MSET" | "MSETNX" => Place::EachOther,
        "EVAL" | "EVALSHA" | "FCALL" => Place::Counted(2),
        "FLUSHALL" | "FLUSHDB" | "SWAPDB" => Place::Everything,
        _ => return None,
    })
}

/// What `command`, called `name`, changes.
pub(super) fn changed<'a>(name: &str, command: &StreamCommand<'a>) -> Changed<'a> {
    let Some(place) = place(name) else {
        return Changed::Unknown;
    };
    let arguments = |indices: &mut dyn Iterator<Item = usize>| {
        let keys: Option<Vec<_>> = indices.map(|index| command.argument(index)).collect();
        match keys {
            Some(keys) => Changed::Keys(keys),
            None => Changed::Unknown,
        }
    };
    match place {
        Place::Nowhere => Changed::Nothing,
        Place::Everything => Changed::Everything,
        Place::At(index) => arguments(&mut std::iter::once(index)),
        Place::FirstTwo => arguments(&mut (1..=2)),
        Place::Each => arguments(&mut (1..command.len())),
        Place::EachOther => arguments(&mut (1..command.len()).step_by(2)),
        Place::Counted(index) => match count(command, index) {
            Some(count) => arguments(&mut (index + 1..=index + count)),
            None => Changed::Unknown,
        },
    }
}

/// The number in the argument at `index`, if that many arguments follow.
fn count(command: &StreamCommand<'_>, index: usize) -> Option<usize> {
    let text = std::str::from_utf8(command.argument(index)?).ok()?;
    let count: usize = text.parse().ok()?;
    (count < command.len().saturating_sub(index)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_command;
    use super::*;

    /// What a command of these words changes: keys joined by a space, `-` for nothing, `*` for
    /// everything, `?` for what is not known.
    fn keys(words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        with_command(&words, |command| match changed(&command.name(), &command) {
            Changed::Nothing => "-".to_owned(),
            Changed::Everything => "*".to_owned(),
            Changed::Unknown => "?".to_owned(),
            Changed::Keys(keys) => {
                let texts = keys.into_iter().map(String::from_utf8_lossy);
                texts.collect::<Vec<_>>().join(" ")
            }
        })
    }

    #[test]
    fn the_keys_of_a_command_are_where_its_kind_has_them() {
        let cases = [
            ("SET k v", "k"),
            ("set k v PXAT 1795", "k"),
            ("DEL a b c", "a b c"),
            ("MSET a 1 b 2", "a b"),
            ("RENAME a b", "a b"),
            ("XGROUP CREATE s g $", "s"),
            ("EVAL script 2 a b c", "a b"),
            ("FLUSHALL", "*"),
            ("SELECT 5", "-"),
            ("PUBLISH c m", "-"),
            ("JSON.SET k . 1", "?"),
            ("EVAL script 3 a b", "?"),
            ("EVAL script x a b", "?"),
            ("EVAL script", "?"),
            ("SET", "?"),
            ("RENAME a", "?"),
        ];
        for (words, expected) in cases {
            assert_eq!(keys(words), expected, "{words}");
        }
    }
}
