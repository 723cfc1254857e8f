//! The plan of a run: the settings that meet a deadline, the bound that limits the
//! speed, and the cost. Pure arithmetic: no AWS, no files, no clock.
//!
//! `planner` makes the plan: `quota` and `ramp` calculate durations, `choice` chooses the settings, `cost`
//! adds up the prices, `remedy` finds the missing quota, and `report` writes the
//! text.

mod bound;
mod choice;
mod cost;
mod planner;
pub mod prices;
mod quota;
mod ramp;
mod remedy;
mod report;
mod settings;
#[cfg(test)]
mod tests;
mod workload;

pub use self::bound::{Bound, BoundTime};
pub use self::cost::{Cost, Way};
pub use self::planner::{DEFAULT_MODEL, Impossible, Plan, TIMEOUTS, plan};
pub use self::ramp::Ramp;
pub use self::remedy::Remedy;
pub use self::report::{format_duration, report};
pub use self::settings::{
    BATCH_SIZE_CHOSEN_MAX, BATCH_SIZE_MAX, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Settings,
};
pub use self::workload::{Intake, Limits, Workload};
