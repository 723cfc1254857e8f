//! The functions: whether Lambda runs them as they were last deployed.

use super::line::Line;
use crate::aws::functions::Function;

pub(super) const CHECK: &str = "function";

/// The line of a function. `name` is that of its output, such as `ConsumerFunction`.
pub(super) fn judge_function(name: &str, function: &Function) -> Line {
    let (state, update) = (function.state.as_str(), function.last_update.as_str());
    let with_reason = |text: String, reason: &Option<String>| match reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text,
    };
    let detail = with_reason(format!("state {state}"), &function.state_reason);
    match (state, update) {
        ("Failed", _) => Line::error(CHECK, name, detail, "Remove the cause, and deploy the stack again."),
        (_, "Failed") => {
            let detail = with_reason("the last update failed".to_owned(), &function.last_update_reason);
            Line::error(CHECK, name, detail, "Remove the cause, and deploy the stack again.")
        }
        (_, "InProgress") => {
            Line::warning(CHECK, name, "an update is in progress", "Wait a minute, and run the command again.")
        }
        ("Active", _) => Line::ok(CHECK, name, "Active"),
        ("Inactive", _) => {
            let remedy = "Lambda activates the function at its next invocation; the first one may fail.";
            Line::warning(CHECK, name, detail, remedy)
        }
        _ => Line::warning(CHECK, name, detail, "Wait a minute, and run the command again."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn state_and_last_update_decide_the_line() {
        for (state, update, expected) in [
            ("Active", "Successful", Status::Ok),
            ("Active", "", Status::Ok),
            ("Active", "InProgress", Status::Warning),
            ("Active", "Failed", Status::Error),
            ("Failed", "Successful", Status::Error),
            ("Pending", "Successful", Status::Warning),
            ("Inactive", "Successful", Status::Warning),
        ] {
            let function = Function {
                state: state.to_owned(),
                last_update: update.to_owned(),
                last_update_reason: Some("no key".to_owned()),
                ..Function::default()
            };
            let line = judge_function("ConsumerFunction", &function);
            assert_eq!(line.status, expected, "{state}, {update}");
            assert_eq!(line.detail.contains("no key"), update == "Failed");
        }
    }
}
