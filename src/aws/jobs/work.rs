//! The condition that a message has the work of the stored job, as
//! [`compare_work`](crate::domain::job::work_id::compare_work) decides it.

use crate::aws::update::{Update, text};
use crate::domain::job::Work;
use crate::domain::job::work_id::WorkIds;

const WORK_ID: &str = "work_id";

/// Stores the id of a message's work, and returns the condition that the stored job has no
/// other work.
pub(super) fn require_work(update: &mut Update, work: &Work) -> String {
    let ids = WorkIds::from_work(work);
    update.assign(WORK_ID, text(ids.own), ids.replaces);
    let name = update.name(WORK_ID);
    let mut condition = format!("(attribute_not_exists({name})");
    for (place, id) in ids.fits.into_iter().enumerate() {
        let value = update.value(&format!("work_{place}"), text(id));
        condition.push_str(&format!(" OR {name} = {value}"));
    }
    condition.push(')');
    condition
}
