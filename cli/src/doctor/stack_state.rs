//! The stack: its status, its outputs, and the version of its template.

use super::line::Line;
use crate::aws::stack::Stack;

const CHECK: &str = "stack";
const VERSION_CHECK: &str = "version";
/// The output with the version of the template.
const VERSION_OUTPUT: &str = "TemplateVersion";
/// The version of this command line.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Outputs that every stack has.
const OUTPUTS: [&str; 10] = [
    "ApiUrl",
    "JobsQueueUrl",
    "HighPriorityQueueUrl",
    "DeadLetterQueueUrl",
    "JobsTableName",
    "DocumentsBucketName",
    "ConsumerFunctionName",
    "ProducerFunctionName",
    "NotifierFunctionName",
    "NotifierFailureQueueUrl",
];

/// The line of a stack that the account does not have.
pub(super) fn missing_stack(name: &str, region: &str) -> Line {
    let detail = format!("there is no stack {name} in {region}");
    Line::error(CHECK, name, detail, "Name the stack with --stack, or another account with --region and --profile.")
}

/// The line of a stack that exists.
pub(super) fn judge_stack(name: &str, stack: &Stack) -> Line {
    let missing: Vec<&str> = OUTPUTS.into_iter().filter(|name| stack.output(name).is_none()).collect();
    if !missing.is_empty() {
        let detail = format!("the stack has no output {}", missing.join(", "));
        return Line::error(CHECK, name, detail, "Deploy Docket's template to this stack, or use --stack.");
    }
    let count = stack.count_outputs();
    let Some(status) = &stack.status else { return Line::ok(CHECK, name, format!("local, with {count} outputs")) };
    let detail = format!("{status}, with {count} outputs");
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Line::ok(CHECK, name, detail),
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
            let detail = format!("{detail}: the last deployment failed, and the stack is as before");
            Line::warning(CHECK, name, detail, "Read the stack's events in CloudFormation, and deploy again.")
        }
        _ if status.ends_with("IN_PROGRESS") => {
            Line::warning(CHECK, name, detail, "Wait for the end of the deployment, and run the command again.")
        }
        _ => Line::error(CHECK, name, detail, "Read the stack's events in CloudFormation, and deploy again."),
    }
}

/// The version of the template, compared with that of this command line.
pub(super) fn judge_version(stack: &Stack) -> Line {
    match stack.output(VERSION_OUTPUT) {
        None => Line::warning(
            VERSION_CHECK,
            "template",
            format!("the stack has no output {VERSION_OUTPUT}"),
            format!("Deploy the template of version {VERSION}."),
        ),
        Some(VERSION) => Line::ok(VERSION_CHECK, "template", format!("{VERSION}, as this command line")),
        Some(version) => Line::warning(
            VERSION_CHECK,
            "template",
            format!("the template has version {version}, this command line {VERSION}"),
            format!("Use the command line of version {version}, or deploy the template of version {VERSION}."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn stack(status: Option<&str>, more: &[(&str, &str)]) -> Stack {
        let all = OUTPUTS.iter().map(|name| (*name, "x")).chain(more.iter().copied());
        let outputs = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Stack::new(status.map(str::to_owned), outputs)
    }

    #[test]
    fn status_of_the_stack_decides_its_line() {
        for (status, expected) in [
            (None, Status::Ok),
            (Some("CREATE_COMPLETE"), Status::Ok),
            (Some("UPDATE_IN_PROGRESS"), Status::Warning),
            (Some("UPDATE_ROLLBACK_COMPLETE"), Status::Warning),
            (Some("ROLLBACK_COMPLETE"), Status::Error),
            (Some("UPDATE_ROLLBACK_FAILED"), Status::Error),
        ] {
            assert_eq!(judge_stack("docket", &stack(status, &[])).status, expected, "{status:?}");
        }
        let foreign = Stack::new(Some("CREATE_COMPLETE".to_owned()), [("ApiUrl".to_owned(), "x".to_owned())].into());
        let line = judge_stack("docket", &foreign);
        assert_eq!(line.status, Status::Error);
        assert!(line.detail.contains("JobsQueueUrl") && !line.detail.contains("ApiUrl"), "{}", line.detail);
    }

    #[test]
    fn other_template_version_is_a_warning() {
        assert_eq!(judge_version(&stack(None, &[(VERSION_OUTPUT, VERSION)])).status, Status::Ok);
        assert_eq!(judge_version(&stack(None, &[(VERSION_OUTPUT, "99.0.0")])).status, Status::Warning);
        assert_eq!(judge_version(&stack(None, &[])).status, Status::Warning);
    }
}
