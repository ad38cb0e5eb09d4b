//! Operations at work: asks servers, gives the orders that `operation` decides on, and keeps the
//! journal. Nothing is decided here.

mod announce;
mod execute;
mod folder;
mod hand;
mod list;
mod operator;
mod prepare;
mod rights;
mod saved;
mod sentinels;
mod time_text;
mod vantage;
mod world;

pub use announce::ExporterDoor;
pub use execute::{Narrator, Run, execute, resume};
pub use folder::{OperationsFolder, StoredOperation};
pub use prepare::{OperationRequest, PrepareError, Prepared, prepare, prepare_return};
pub use vantage::ExporterView;
