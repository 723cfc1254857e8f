//! The holds: whether a fault of the account keeps jobs waiting.

use docket::domain::hold::Hold;

use super::line::Line;

pub(super) const CHECK: &str = "hold";

/// The lines of all holds, or one line that says that there is none.
pub(super) fn judge_holds(holds: &[Hold]) -> Vec<Line> {
    if holds.is_empty() {
        return vec![Line::ok(CHECK, "all models", "no hold")];
    }
    let line = |hold: &Hold| {
        let since = hold.since.strftime("%F %T UTC");
        let detail = format!("jobs wait since {since}: {}: {}", hold.reason.code, hold.reason.message);
        let next = hold.next_probe_at.strftime("%T UTC");
        let remedy =
            format!("Mend the cause. Docket probes it next at {next}, or run `docket hold lift {}`.", hold.target);
        Line::error(CHECK, &hold.target.to_string(), detail, remedy)
    };
    holds.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use docket::domain::failure::Failure;
    use docket::domain::hold::{HoldKind, HoldTarget};

    use super::super::line::Status;
    use super::*;

    #[test]
    fn hold_is_an_error_with_its_reason() {
        assert_eq!(judge_holds(&[])[0].status, Status::Ok);
        let reason = Failure::new("access_denied_exception", "no access");
        let hold = Hold::new(
            HoldTarget::Model("a-model".into()),
            HoldKind::AccountFault,
            reason,
            "2026-01-01T10:00:00Z".parse().unwrap(),
        );
        let lines = judge_holds(&[hold]);
        assert_eq!((lines.len(), lines[0].status, lines[0].subject.as_str()), (1, Status::Error, "a-model"));
        assert!(lines[0].detail.contains("access_denied_exception: no access"), "{}", lines[0].detail);
        assert!(lines[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("10:00:30 UTC")));
    }
}
