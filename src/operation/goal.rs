//! Where a run of an operation is going.

use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// Where a run is going.
    pub enum Goal {
        /// To the end of the intent.
        Forward => "forward",
        /// Back to where it began.
        Back => "back",
    }
}

serde_as_label!(Goal);
