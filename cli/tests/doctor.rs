//! `docket doctor` as a user runs it: every line with the fault that it finds.

mod support;

use aws_sdk_lambda::types::{EventSourceMappingConfiguration, ScalingConfig};
use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

use crate::support::{ChangedOutputs, Run, run_docket, serve};

const MODEL: &str = "us.amazon.nova-2-lite-v1:0";

/// Runs `docket doctor --local --json` with further arguments and variables.
async fn examine(arguments: &[&str], environment: &[(&str, &str)]) -> (Run, Vec<Value>) {
    let run = run_docket(&[&["doctor", "--local", "--json"], arguments].concat(), environment).await;
    let lines = run.json().as_array().expect("an array").clone();
    (run, lines)
}

fn line<'a>(lines: &'a [Value], check: &str, subject: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["check"] == check && line["subject"] == subject);
    found.unwrap_or_else(|| panic!("no line {check} {subject} in {lines:#?}"))
}

fn status<'a>(lines: &'a [Value], check: &str, subject: &str) -> &'a str {
    line(lines, check, subject)["status"].as_str().expect("a status")
}

/// The event source mapping of the jobs queue.
async fn jobs_mapping(stack: &Stack, lambda: &aws_sdk_lambda::Client) -> EventSourceMappingConfiguration {
    let queue = stack.outputs["JobsQueueUrl"].rsplit('/').next().expect("a name").to_owned();
    let function = &stack.outputs["ConsumerFunctionName"];
    let mappings = lambda.list_event_source_mappings().function_name(function).send().await.expect("the mappings");
    let mappings = mappings.event_source_mappings.unwrap_or_default().into_iter();
    let is_of_queue = |mapping: &EventSourceMappingConfiguration| {
        mapping.event_source_arn().is_some_and(|arn| arn.ends_with(&format!(":{queue}")))
    };
    mappings.into_iter().find(is_of_queue).expect("the mapping of the jobs queue")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn healthy_stack_has_no_error() {
    let _stack = Stack::new().await;
    let (run, lines) = examine(&[], &[]).await;
    assert_eq!(run.code, Some(0), "{lines:#?}");
    for (check, subject) in [
        ("stack", "docket"),
        ("function", "ConsumerFunction"),
        ("function", "ProducerFunction"),
        ("function", "NotifierFunction"),
        ("mapping", "JobsQueue"),
        ("mapping", "HighPriorityQueue"),
        ("mapping", "JobsTable stream"),
        ("concurrency", "Lambda"),
        ("API", "ApiUrl"),
    ] {
        assert_eq!(status(&lines, check, subject), "ok", "{check} {subject}");
    }
    // The local AWS has no Service Quotas.
    let quota = line(&lines, "model quota", "ModelTokensPerMinute");
    assert_eq!(quota["status"], "warning");
    assert!(quota["remedy"].as_str().is_some_and(|remedy| remedy.contains("servicequotas:ListServiceQuotas")));
    let text = run_docket(&["doctor", "--local"], &[]).await;
    assert!(text.stdout.starts_with("ok       stack"), "{}", text.stdout);
    assert!(text.stdout.ends_with("errors 0\n"), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn disabled_mapping_is_an_error() {
    let stack = Stack::new().await;
    let lambda = aws_sdk_lambda::Client::new(&stack.sdk);
    let uuid = jobs_mapping(&stack, &lambda).await.uuid.expect("an id");
    lambda.update_event_source_mapping().uuid(&uuid).enabled(false).send().await.expect("it is disabled");
    let (run, lines) = examine(&[], &[]).await;
    lambda.update_event_source_mapping().uuid(&uuid).enabled(true).send().await.expect("it is enabled");
    eventually("the mapping", async || (jobs_mapping(&stack, &lambda).await.state() == Some("Enabled")).then_some(()))
        .await;
    assert_eq!(run.code, Some(1));
    let found = line(&lines, "mapping", "JobsQueue");
    assert_eq!(found["status"], "error");
    assert!(found["remedy"].as_str().is_some_and(|remedy| remedy.contains(&uuid)), "{found}");
    assert_eq!(status(&examine(&[], &[]).await.1, "mapping", "JobsQueue"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn concurrency_above_the_account_is_an_error() {
    let stack = Stack::new().await;
    let lambda = aws_sdk_lambda::Client::new(&stack.sdk);
    let mapping = jobs_mapping(&stack, &lambda).await;
    let (uuid, scaling) = (mapping.uuid.expect("an id"), mapping.scaling_config);
    let set = async |scaling: Option<ScalingConfig>| {
        let request = lambda.update_event_source_mapping().uuid(&uuid).set_scaling_config(scaling);
        request.send().await.expect("the mapping is updated");
    };
    set(Some(ScalingConfig::builder().maximum_concurrency(1_000).build())).await;
    let (run, lines) = examine(&[], &[]).await;
    set(scaling).await;
    assert_eq!(run.code, Some(1));
    assert_eq!(status(&lines, "concurrency", "Lambda"), "error", "{lines:#?}");
    assert_eq!(status(&examine(&[], &[]).await.1, "concurrency", "Lambda"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn dead_letter_is_a_warning() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    assert_eq!(status(&examine(&[], &[]).await.1, "dead letters", "DeadLetterQueue"), "ok");
    let sqs = aws_sdk_sqs::Client::new(&stack.sdk);
    let url = &stack.outputs["DeadLetterQueueUrl"];
    sqs.send_message().queue_url(url).message_body("{}").send().await.expect("the message is sent");
    let (run, lines) = examine(&[], &[]).await;
    assert_eq!(stack.drain_dead_letters().await, 1);
    assert_eq!((run.code, status(&lines, "dead letters", "DeadLetterQueue")), (Some(0), "warning"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn setting_above_the_quota_is_an_error() {
    let stack = Stack::new().await;
    let lambda = aws_sdk_lambda::Client::new(&stack.sdk);
    let function = &stack.outputs["ConsumerFunctionName"];
    let consumer = lambda.get_function_configuration().function_name(function).send().await.expect("the function");
    let environment = consumer.environment.and_then(|environment| environment.variables).unwrap_or_default();
    let setting: f64 = environment["MODEL_TOKENS_PER_MINUTE"].parse().expect("a number");
    assert!(setting > 0.0, "make test deploys a quota");
    for (value, expected) in [(setting - 1.0, "error"), (setting, "ok"), (0.0, "error")] {
        let name = "Cross-region model inference tokens per minute for Amazon Nova 2 Lite";
        let quotas = json!({"Quotas": [{"QuotaName": name, "Value": value, "ServiceCode": "bedrock"}]}).to_string();
        let url = serve(move |_, headers| {
            assert!(headers["x-amz-target"].ends_with(".ListServiceQuotas"));
            (200, "", quotas.clone())
        });
        let (run, lines) = examine(&[], &[("AWS_ENDPOINT_URL_SERVICE_QUOTAS", &url.await)]).await;
        assert_eq!(status(&lines, "model quota", "ModelTokensPerMinute"), expected, "{value}");
        assert_eq!(run.code, Some(i32::from(expected == "error")));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn missing_model_access_is_an_error() {
    let _stack = Stack::new().await;
    for (agreement, lifecycle, expected) in
        [("AVAILABLE", "ACTIVE", "ok"), ("NOT_AVAILABLE", "ACTIVE", "error"), ("AVAILABLE", "LEGACY", "warning")]
    {
        let url = serve(move |path, _| (200, "", describe_model(path, agreement, lifecycle).to_string()));
        let (run, lines) = examine(&[], &[("AWS_ENDPOINT_URL_BEDROCK", &url.await)]).await;
        assert_eq!(status(&lines, "model", MODEL), expected, "{agreement}, {lifecycle}: {lines:#?}");
        assert_eq!(run.code, Some(i32::from(expected == "error")));
    }
}

/// The answers of Bedrock's control plane.
fn describe_model(path: &str, agreement: &str, lifecycle: &str) -> Value {
    let model = "amazon.nova-2-lite-v1:0";
    let arn = format!("arn:aws:bedrock:us-east-1::foundation-model/{model}");
    if path.starts_with("/inference-profiles/") {
        return json!({
            "inferenceProfileId": MODEL, "inferenceProfileArn": "arn", "inferenceProfileName": "US Nova 2 Lite",
            "models": [{"modelArn": arn}], "status": "ACTIVE", "type": "SYSTEM_DEFINED",
        });
    }
    if path.starts_with("/foundation-model-availability/") {
        return json!({
            "modelId": model, "agreementAvailability": {"status": agreement}, "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE",
        });
    }
    assert!(path.starts_with("/foundation-models/"), "{path}");
    json!({"modelDetails": {"modelArn": arn, "modelId": model, "modelLifecycle": {"status": lifecycle}}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn paid_call_shows_each_refusal() {
    let stack = Stack::new().await;
    let model = &stack.outputs["ModelEndpointUrl"];
    for (fault, expected) in [(None, "ok"), (Some("access_denied"), "error"), (Some("validation"), "error")] {
        let faults: Vec<Value> = fault.iter().map(|kind| json!({"kind": kind})).collect();
        stand_in::put(model, json!({"faults": faults}));
        let (run, lines) = examine(&["--call"], &[]).await;
        assert_eq!(status(&lines, "model call", MODEL), expected, "{fault:?}: {lines:#?}");
        assert_eq!(run.code, Some(i32::from(expected == "error")));
    }
    stand_in::reset(model);
    assert_eq!(examine(&[], &[]).await.1.iter().find(|line| line["check"] == "model call"), None);
    assert_eq!(stack.calls()["total"], 0, "without --call there is no call");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn denied_line_names_the_missing_permission() {
    let _stack = Stack::new().await;
    let denied = || (403, "AccessDeniedException", json!({"Message": "not authorized"}).to_string());
    let url = serve(move |_, _| denied()).await;
    let (run, lines) = examine(&[], &[("AWS_ENDPOINT_URL_LAMBDA", &url)]).await;
    assert_eq!(run.code, Some(0), "{lines:#?}");
    for (check, subject, action) in [
        ("function", "ConsumerFunction", "lambda:GetFunctionConfiguration"),
        ("mapping", "JobsQueue", "lambda:ListEventSourceMappings"),
    ] {
        let found = line(&lines, check, subject);
        assert_eq!(found["status"], "warning");
        assert!(found["remedy"].as_str().is_some_and(|remedy| remedy.contains(action)), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn topic_needs_a_confirmed_subscriber() {
    let stack = Stack::new().await;
    let sns = aws_sdk_sns::Client::new(&stack.sdk);
    let arn = sns.create_topic().name(unique("topic")).send().await.expect("a topic").topic_arn.expect("an ARN");
    let outputs = ChangedOutputs::new(&[("NotificationTopicArn", &arn)]);
    let environment = [("DOCKET_OUTPUTS", outputs.path())];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, path)| (*name, path.as_str())).collect();
    assert_eq!(status(&examine(&[], &environment).await.1, "topic", "NotificationTopic"), "warning");
    let queue = "arn:aws:sqs:us-east-1:000000000000:subscriber";
    sns.subscribe().topic_arn(&arn).protocol("sqs").endpoint(queue).send().await.expect("a subscription");
    assert_eq!(status(&examine(&[], &environment).await.1, "topic", "NotificationTopic"), "ok");
    sns.delete_topic().topic_arn(&arn).send().await.expect("the topic is deleted");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn wrong_outputs_are_found_line_by_line() {
    let _stack = Stack::new().await;
    for (name, value, check, subject, expected) in [
        ("TemplateVersion", env!("CARGO_PKG_VERSION"), "version", "template", "ok"),
        ("TemplateVersion", "99.0.0", "version", "template", "warning"),
        ("ConsumerFunctionName", "no-such-function", "function", "ConsumerFunction", "error"),
        ("JobsQueueUrl", "http://127.0.0.1:1/000000000000/other", "mapping", "JobsQueue", "error"),
        ("ApiUrl", "http://127.0.0.1:1", "API", "ApiUrl", "error"),
    ] {
        let outputs = ChangedOutputs::new(&[(name, value)]);
        let (run, lines) = examine(&[], &[("DOCKET_OUTPUTS", &outputs.path())]).await;
        assert_eq!(status(&lines, check, subject), expected, "{name}={value}: {lines:#?}");
        assert_eq!(run.code, Some(i32::from(expected == "error")), "{name}={value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn stack_is_found_by_its_name() {
    let stack = Stack::new().await;
    let account = [
        ("AWS_ENDPOINT_URL", stack.outputs["AwsEndpointUrl"].as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let named = async |name: &str| {
        let arguments = ["doctor", "--json", "--region", "us-east-1", "--stack", name];
        run_docket(&arguments, &account).await
    };
    let found = named("docket-local").await.json();
    let lines = found.as_array().expect("an array");
    assert_eq!(status(lines, "stack", "docket-local"), "ok");
    assert_eq!(status(lines, "mapping", "JobsQueue"), "ok");
    let missing = named("no-such-stack").await;
    assert_eq!(missing.code, Some(1));
    assert_eq!(status(missing.json().as_array().expect("an array"), "stack", "no-such-stack"), "error");
}
