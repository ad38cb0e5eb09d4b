//! What a hand-over leaves for the other site: the place where the old master's stream has ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::ReplicationId;

/// The end of a demoted master's stream, written `replid:offset`. Whoever has exactly that has
/// every write that the old master ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The history.
    pub replid: ReplicationId,
    /// The offset, in bytes.
    pub offset: u64,
}

impl Token {
    /// The token in `text`; `None` where that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (replid, offset) = text.split_once(':')?;
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return None;
        }
        Some(Self {
            replid: ReplicationId::parse(replid)?,
            offset: offset.parse().ok()?,
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replid, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let text = format!("{}:{}", "a1".repeat(20), u64::MAX);
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.to_string(), text);
        let id = "a1".repeat(20);
        for wrong in [
            String::new(),
            id.clone(),
            format!("{id}:"),
            format!("{id}:+1"),
            format!("{id}:-1"),
            format!("{id}: 1"),
            format!("{id}:18446744073709551616"),
            format!("{}:1", "0".repeat(40)),
            format!("{}:1", "a".repeat(39)),
            format!("{id}:1:2"),
        ] {
            assert_eq!(Token::parse(&wrong), None, "{wrong:?}");
        }
    }
}
