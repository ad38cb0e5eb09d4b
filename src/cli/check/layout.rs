//! What the columns of the table of pairs have room for.

/// Which details are in a row; the others are printed below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The lag's certified interval is next to the estimate.
    pub(super) interval: bool,
    /// The replica's address has a column.
    pub(super) replica: bool,
}
