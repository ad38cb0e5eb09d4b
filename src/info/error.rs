//! Why a text is no INFO reply with a replication state.

/// Why a text gives no [`Observation`](super::Observation) at all. A closed set; single bad fields
/// are not errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// No line has the form `key:value`.
    #[error("the reply has no key:value line, so it is no INFO reply: is this a Redis server?")]
    NotInfo,
    /// It has `key:value` lines, but none of them is `role`.
    #[error(
        "the reply has no role field, so it does not hold the replication section: is this a Redis server, and does a \
         proxy in front of it pass INFO replication on?"
    )]
    NoRole,
    /// It has no role because it is a Sentinel's.
    #[error(
        "a Sentinel answered, which replicates nothing: configure the port of the Redis server instead"
    )]
    Sentinel,
    /// It has no role because the server loads its data set; Kvrocks leaves the replication section
    /// out meanwhile.
    #[error(
        "the server is loading its data set and says nothing about replication until that is done"
    )]
    Loading,
}
