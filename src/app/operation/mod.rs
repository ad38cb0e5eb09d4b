//! Operations at work: asks servers, gives the orders that `operation` decides on, and keeps the
//! journal. Nothing is decided here.

mod announce;
mod drills;
mod execute;
mod folder;
mod hand;
mod list;
mod model;
mod operator;
mod prepare;
mod rights;
mod saved;
mod sentinels;
mod time_text;
mod vantage;
mod world;

pub use announce::ExporterDoor;
pub use drills::DrillsFolder;
pub use execute::{Narrator, Run, execute, resume};
pub use folder::{OperationsFolder, StoredOperation};
pub use model::{PairModel, pair_model};
pub use prepare::{OperationRequest, PrepareError, Prepared, prepare, prepare_return};
pub use vantage::ExporterView;
