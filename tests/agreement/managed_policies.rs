//! The managed policies of the template: their routes and their resources.

use std::collections::BTreeSet;

use docket::producer::routes::ROUTES;
use serde_json::Value;

use super::resources;

/// The statements of a managed policy, also those behind a condition.
fn policy_statements(resources: &Value, policy: &str) -> Vec<Value> {
    let statements = resources[policy]["Properties"]["PolicyDocument"]["Statement"].as_array().expect(policy);
    let conditional = |statement: &Value| statement.get(1).unwrap_or(statement).clone();
    statements.iter().map(conditional).collect()
}

/// A value of a policy that is one text or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// The routes that a managed policy allows: method and path, with `*` for a parameter.
fn policy_routes(resources: &Value, policy: &str) -> BTreeSet<String> {
    let statements = policy_statements(resources, policy);
    let calls = statements.iter().filter(|statement| statement["Action"] == "execute-api:Invoke");
    calls
        .flat_map(|statement| texts(&statement["Resource"]))
        .map(|arn| arn.split_once("${Api}/v1/").expect("a route of the stage").1.to_owned())
        .collect()
}

#[test]
fn managed_policies_allow_the_routes_of_the_api() {
    let routes: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| {
            let segments = route.path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
            format!("{}{}", route.method, segments.collect::<Vec<_>>().join("/"))
        })
        .collect();
    let resources = resources();
    let reading: BTreeSet<String> = routes.iter().filter(|route| route.starts_with("GET/")).cloned().collect();
    assert_eq!(policy_routes(&resources, "ReaderPolicy"), reading);
    assert_eq!(policy_routes(&resources, "OperatorPolicy"), routes);
    let submitting = policy_routes(&resources, "SubmitterPolicy");
    assert!(!submitting.is_empty() && submitting.is_subset(&routes), "{submitting:?}");
    assert!(submitting.iter().all(|route| route.starts_with("POST/") && !route.ends_with("/retry")), "{submitting:?}");
}

#[test]
fn managed_policies_name_actions_and_resources() {
    let resources = resources();
    for policy in ["ReaderPolicy", "SubmitterPolicy", "OperatorPolicy"] {
        for statement in policy_statements(&resources, policy) {
            let (actions, targets) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            assert!(!actions.is_empty() && !targets.is_empty(), "{policy}: {statement}");
            assert!(actions.iter().all(|action| !action.contains('*')), "{policy}: {statement}");
            assert!(!targets.contains(&"*"), "{policy}: {statement}");
        }
    }
}
