//! Operations at work: asks servers, gives the orders that `operation` decides on, and keeps the
//! journal. Nothing is decided here.

mod announce;
mod copy;
mod drills;
mod execute;
mod folder;
mod hand;
mod hooks;
mod list;
mod model;
mod narrator;
mod opening;
mod operator;
mod prepare;
mod proposal;
mod request;
mod rights;
mod saved;
mod scene;
mod sentinels;
mod time_text;
mod vantage;
mod world;

pub use announce::ExporterDoor;
pub use copy::copy_returning;
pub use drills::DrillsFolder;
pub use execute::{Run, execute, resume};
pub use folder::{OperationsFolder, StoredOperation};
pub use model::{PairModel, pair_model};
pub use narrator::Narrator;
pub use prepare::{prepare, prepare_return};
pub use request::{OperationRequest, PrepareError, Prepared};
pub use vantage::ExporterView;
