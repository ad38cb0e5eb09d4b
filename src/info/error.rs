//! Why a text is not an INFO reply with a replication section.

/// Why no [`Observation`](super::Observation) can be made of a text. A closed set; a field that
/// cannot be read is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// No line has the form `key:value`.
    #[error("the reply has no key:value line, so it is not an INFO reply: is this a Redis server?")]
    NotInfo,
    /// There are `key:value` lines, but none of them is `role`.
    #[error(
        "the reply has no role field, so it has no replication section: is this a Redis server, \
         and does a proxy in front of it forward INFO replication?"
    )]
    NoRole,
    /// There is no role because a Sentinel answered.
    #[error(
        "a Sentinel answered, which replicates nothing: configure the port of the Redis server \
         instead"
    )]
    Sentinel,
    /// There is no role because the server is loading its data set; Kvrocks omits the replication
    /// section meanwhile.
    #[error(
        "the server is loading its data set and does not report replication until that is done"
    )]
    Loading,
}
