//! An address as its text, in the journal.

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::model::ServerAddr;

pub(super) fn serialize<S: Serializer>(
    addr: &ServerAddr,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(addr)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ServerAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    ServerAddr::parse(&text).map_err(de::Error::custom)
}
