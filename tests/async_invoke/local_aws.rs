//! Tests that need the local AWS: its Bedrock, compared with the stand-in, and its bucket.

use aws_sdk_bedrockruntime::types::AsyncInvokeStatus;
use docket::aws::async_invoke::{AsyncModel, AsyncTimeouts, Start};
use docket::domain::async_invocation::request::{
    AsyncInvoke, Invocation, InvocationArn, client_request_token, output_uri,
};
use docket::domain::job::ending::AttemptError;
use serde_json::{Value, json};

use crate::{model, poll_until_ended, request, sdk};
use test_support::stand_in::StandIn;
use test_support::unique;

/// Describes how a server answers a start, a poll, a list, and two invalid requests.
async fn describe_server(url: &str, bucket: &str, model_id: &str) -> Value {
    let model = AsyncModel::new(&sdk(url).await, AsyncTimeouts::default());
    let job_id = unique("async").parse().unwrap();
    let uri = output_uri(bucket, &job_id);
    let token = client_request_token(bucket, &job_id, 0);
    let request = AsyncInvoke { model_id: model_id.into(), ..request() };
    let arn = model.start(&Start { request: &request, output_uri: &uri, token: &token }).await.unwrap();
    let client = aws_sdk_bedrockruntime::Client::new(&sdk(url).await);
    let Invocation::Completed { output_uri, ended_at } = poll_until_ended(&model, &arn).await else {
        panic!("not completed")
    };
    let shown = client.get_async_invoke().invocation_arn(arn.as_str()).send().await.unwrap();
    let listed = client.list_async_invokes().status_equals(AsyncInvokeStatus::Completed).send().await.unwrap();
    let is_listed = listed.async_invoke_summaries().iter().any(|summary| summary.invocation_arn() == arn.as_str());
    let unknown = InvocationArn::new("arn:aws:bedrock:us-east-1:000000000000:async-invoke/aaaaaaaaaaaa");
    let invalid = AsyncInvoke { model_id: "arn:aws:bedrock:us-east-1".into(), ..request };
    let invalid = model.start(&Start { request: &invalid, output_uri: &uri, token: "t" }).await;
    json!({
        "arn": arn.as_str().rsplit_once('/').map(|(start, _)| start),
        "shown": shown.invocation_arn() == arn.as_str(),
        "model": shown.model_arn(),
        "token": shown.client_request_token() == Some(&token),
        "output": output_uri.starts_with(&uri),
        "ended": ended_at.is_some(),
        "listed": is_listed,
        "unknown": matches!(model.poll(&unknown).await, Err(AttemptError::Refused(_) | AttemptError::AccountFault(_))),
        "invalid": matches!(invalid, Err(AttemptError::Refused(_))),
    })
}

/// The comparison covers what ministack's Bedrock implements. Ministack ignores client
/// request tokens, completes at once, writes no output, and uses invocation ids of 32
/// characters instead of 12.
#[tokio::test]
#[ignore = "needs the local AWS: make test"]
async fn stand_in_and_ministack_agree_about_an_invocation() {
    let outputs = test_support::aws::outputs();
    let stand_in = StandIn::start_with_s3(&outputs["AwsEndpointUrl"]);
    let (endpoint, bucket) = (&outputs["AwsEndpointUrl"], &outputs["DocumentsBucketName"]);
    for model_id in ["amazon.nova-reel-v1:1", "arn:aws:bedrock:us-east-1::foundation-model/luma.ray-v2:0"] {
        let ours = describe_server(&stand_in.url, bucket, model_id).await;
        assert_eq!(ours, describe_server(endpoint, bucket, model_id).await);
        assert!(ours.as_object().unwrap().values().all(|value| *value != json!(false)), "{ours}");
    }
}

#[tokio::test]
#[ignore = "needs the local AWS: make test"]
async fn completed_invocation_has_its_output_in_the_bucket() {
    let outputs = test_support::aws::outputs();
    let (endpoint, bucket) = (&outputs["AwsEndpointUrl"], &outputs["DocumentsBucketName"]);
    let stand_in = StandIn::start_with_s3(endpoint);
    let model = model(&stand_in).await;
    let job_id = unique("async").parse().unwrap();
    let token = client_request_token(bucket, &job_id, 0);
    let (request, uri) = (request(), output_uri(bucket, &job_id));
    let arn = model.start(&Start { request: &request, output_uri: &uri, token: &token }).await.unwrap();
    let Invocation::Completed { output_uri, .. } = poll_until_ended(&model, &arn).await else {
        panic!("not completed")
    };
    let s3 = aws_sdk_s3::Client::new(&test_support::aws::sdk().await);
    let prefix = output_uri.strip_prefix(&format!("s3://{bucket}/")).unwrap();
    let listed = s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, [format!("{prefix}/manifest.json"), format!("{prefix}/output.json")]);
    // The bucket does not exist: the invocation fails with that reason.
    let (missing_bucket, token) = ("s3://no-such-bucket/results/", "another");
    let arn = model.start(&Start { request: &request, output_uri: missing_bucket, token }).await.unwrap();
    let Invocation::Failed { message, .. } = poll_until_ended(&model, &arn).await else { panic!("not failed") };
    assert!(message.contains("NoSuchBucket"), "{message}");
}
