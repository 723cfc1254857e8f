//! The report as text and as JSON.

use std::fmt::Write;

use super::line::{Line, Status};
use crate::terminal::printable;

/// Each line, its remedy below it, and the counts at the end.
pub(super) fn as_text(lines: &[Line]) -> String {
    let width = |cell: fn(&Line) -> &str| lines.iter().map(|line| cell(line).chars().count()).max().unwrap_or(0);
    let (checks, subjects) = (width(|line| line.check), width(|line| &line.subject));
    let mut text = String::new();
    for Line { check, subject, status, detail, remedy } in lines {
        let start = format!("{:<7}  {check:<checks$}  {subject:<subjects$}  ", status.as_str());
        let _ = writeln!(text, "{}{}", printable(&start), printable(detail));
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "{:9}→ {}", "", printable(remedy));
        }
    }
    let count = |status: Status| lines.iter().filter(|line| line.status == status).count();
    let counts = [(Status::Ok, "ok"), (Status::Warning, "warnings"), (Status::Error, "errors")];
    let counts = counts.map(|(status, name)| format!("{name} {}", count(status)));
    let _ = writeln!(text, "\n{}", counts.join(", "));
    text
}

/// An array of the lines.
pub(super) fn as_json(lines: &[Line]) -> String {
    serde_json::to_string_pretty(lines).expect("lines have text alone") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_aligns_lines_and_counts_them() {
        let lines = [
            Line::ok("stack", "docket", "UPDATE_COMPLETE"),
            Line::error("mapping", "JobsQueue", "Disabled", "Enable it."),
        ];
        let expected = "ok       stack    docket     UPDATE_COMPLETE\n\
                        error    mapping  JobsQueue  Disabled\n         → Enable it.\n\n\
                        ok 1, warnings 0, errors 1\n";
        assert_eq!(as_text(&lines), expected);
        let json: serde_json::Value = serde_json::from_str(&as_json(&lines)).unwrap();
        assert_eq!(json[1]["status"], "error");
        assert_eq!(json[0].get("remedy"), None);
    }
}
