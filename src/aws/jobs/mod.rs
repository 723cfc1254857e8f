//! The jobs table: the claim, the fenced writes that end it, and the reads and changes
//! of callers.
//!
//! Each change is one conditional UpdateItem. If the condition fails, DynamoDB returns
//! the stored item in the same response (`ReturnValuesOnConditionCheckFailure`).
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>

mod batch_list;
mod batches;
mod claim;
mod create;
mod endings;
mod finished;
mod holds;
mod index;
mod keys;
mod many;
mod purge;
mod stranded;
mod table;
mod waiting;
mod withdraw;
mod work;

pub use self::batches::CreatedBatch;
pub use self::claim::ClaimAnswer;
pub use self::create::{Created, NewJob};
pub use self::endings::{CompleteError, Fenced};
pub use self::holds::Parked;
pub use self::keys::{BATCH_INDEX, BATCH_LIST_INDEX, FINGERPRINT_INDEX, STATUS_INDEX, UNFINISHED_INDEX, WAITING_INDEX};
pub use self::table::Jobs;
pub use self::withdraw::ChangeOutcome;
